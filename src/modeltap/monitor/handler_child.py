"""`python handler_child.py ORDER`: a process that runs the handler of a user's script.

Standard library only, and nothing of the house: the script runs here, and must find nothing else.
ORDER is JSON: `script` (its path), `function`, `life` (a descriptor) and the limits.

    we write   {"ready":true} or {"fault":…}, once; then for each line that comes one of
               {"rows":[{…},…]} · {"record":{…}} · {"raised":…} · {"unfit":…} · {"nan":true}

The pipes are those that we were started with as standard input and output. They are put out of
the script's reach first: what it prints, and what its own children print, goes to standard error,
the job's log. When the write end of `life` is closed, by whomever, the kernel ends this process,
whatever the script is doing.
"""

import fcntl
import inspect
import json
import logging
import os
import resource
import sys
import traceback
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

TRACEBACKS_MAX = 10
"""Tracebacks of failed records that a process writes: a log is no place for a million."""

_WORDS_CHARACTERS_MAX = 300
_shown = 0


def main() -> int:
    order = json.loads(sys.argv[1])
    requests, answers = _kept(0, os.O_RDONLY, "rb"), _kept(1, os.O_WRONLY, "wb")
    os.dup2(2, 1)
    _limit(order)
    _end_with(order["life"])
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    try:
        call = _loaded(order["script"], order["function"])
    except Unusable as error:
        _tell(answers, {"fault": str(error)})
        return 1
    _tell(answers, {"ready": True})
    for line in requests:
        _tell(answers, _answered(call, line))
    return 0


# ---------------------------------------------------------------- the process


def _kept(descriptor: int, flags: int, mode: str) -> Any:
    """Move one of our pipes to a descriptor that no child inherits; leave nothing in its place."""
    pipe = os.fdopen(os.dup(descriptor), mode)
    nothing = os.open(os.devnull, flags)
    os.dup2(nothing, descriptor)
    os.close(nothing)
    return pipe


def _limit(order: dict[str, int]) -> None:
    wanted = {
        resource.RLIMIT_AS: order["memory_bytes_max"],
        resource.RLIMIT_FSIZE: order["file_bytes_max"],
        resource.RLIMIT_NOFILE: order["files_max"],
        resource.RLIMIT_CORE: 0,  # a core would hold payloads
    }
    for kind, most in wanted.items():
        hard = resource.getrlimit(kind)[1]
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (bound, bound))


def _end_with(life: int) -> None:
    """Have SIGIO come when the pipe's other end is closed: who does not handle it is ended."""
    os.set_inheritable(life, False)
    fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(life, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)


def _tell(answers: Any, answer: dict[str, Any] | str) -> None:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    answers.write(text.encode() + b"\n")
    answers.flush()


# ---------------------------------------------------------------- the script


class Unusable(Exception):
    """A script that cannot be used, and what to do."""


def _loaded(script: str, function: str) -> Callable[[Any], Any]:
    """Give what turns a line's document into what the handler returns."""
    handler = getattr(_module(script), function, None)
    if not callable(handler):
        raise Unusable(f"it has no function {function}: define {_USES[function]}")
    logger = logging.getLogger(function)
    logger.setLevel(logging.DEBUG)  # what a script logs, it logs for its user to see
    if function == "postprocess_handler":
        if _takes(handler):
            return lambda _: handler()
    elif _takes(handler, None, logger):
        return lambda document: handler(CapturedData(document), logger)
    elif _takes(handler, None):
        return lambda document: handler(CapturedData(document))
    raise Unusable(f"{function} takes other arguments: define {_USES[function]}")


_USES = {
    "preprocess_handler": "preprocess_handler(inference_record) or (inference_record, logger)",
    "postprocess_handler": "postprocess_handler()",
}


def _module(script: str) -> ModuleType:
    module = ModuleType("handler_script")
    module.__file__ = script
    sys.modules[module.__name__] = module
    try:
        with open(script, "rb") as file:  # noqa: PTH123 - all that is imported here costs each start
            code = compile(file.read(), script, "exec")
        exec(code, module.__dict__)  # noqa: S102 - to run it is what we are for
    except Exception as error:  # border: whatever a user's script provokes is told
        traceback.print_exc()
        raise Unusable(
            f"it cannot be loaded: {_words(error)}: mend or replace the script"
        ) from None
    return module


def _words(error: Exception) -> str:
    """Name an error, with its text where Python itself wrote it."""
    own = isinstance(error, ImportError | NameError | OSError | SyntaxError)
    text = f"{type(error).__name__}: {error}" if own else type(error).__name__
    return " ".join(text.split())[:_WORDS_CHARACTERS_MAX]


def _takes(handler: Callable[..., Any], *arguments: object) -> bool:
    try:
        inspect.signature(handler).bind(*arguments)
    except (TypeError, ValueError):
        return False
    return True


# ---------------------------------------------------------------- one record


def _answered(call: Callable[[Any], Any], line: bytes) -> dict[str, Any] | str:
    try:
        result = call(json.loads(line))
    except Exception as error:  # border: whatever a user's script provokes is this record's fault
        _show()
        return {"raised": type(error).__name__}
    try:
        return json.dumps(_told(result), allow_nan=False, default=_plain)
    except ValueError:
        return {"nan": True}
    except (TypeError, RecursionError):
        return {"unfit": "a value that is no string, number, boolean or None"}


def _show() -> None:
    global _shown
    _shown += 1
    if _shown <= TRACEBACKS_MAX:
        traceback.print_exc()
    elif _shown == TRACEBACKS_MAX + 1:
        sys.stderr.write("further tracebacks of this process are not shown\n")


def _told(result: object) -> dict[str, Any]:
    if isinstance(result, CapturedData):  # AWS's example of logging returns what it was given
        return {"record": result.as_dict()}
    rows = [] if result is None else [result] if isinstance(result, dict) else result
    if isinstance(rows, list | tuple) and all(isinstance(row, dict) for row in rows):
        return {"rows": rows}
    return {"unfit": f"{type(result).__name__}, not a dict, a list of dicts or None"}


def _plain(value: Any) -> Any:
    """Give a NumPy scalar's plain value; it tells what it is by its shape."""
    if getattr(value, "shape", None) == ():
        return value.item()
    raise TypeError


# ---------------------------------------------------------------- what a handler is given


class EventMetadata:
    """`inference_record.event_metadata`."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.event_id = document.get("eventId")
        self.event_time = document.get("inferenceTime")
        self.custom_attribute = document.get("customAttributes")


class EventData:
    """One side: `data` as it was captured, by its `encoding`."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.encoding = document.get("encoding")
        self.data = document.get("data")
        self.observedContentType = document.get("observedContentType")
        self.mode = document.get("mode")

    def as_dict(self) -> dict[str, Any]:
        names = ("encoding", "data", "observedContentType")  # AWS leaves out the mode
        return {name: getattr(self, name) for name in names}


class CapturedData:
    """An `inference_record`: AWS's names and structure (contract §4.6); what is absent is None."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.event_dict = document
        metadata = document.get("eventMetadata")
        self.event_metadata = None if metadata is None else EventMetadata(metadata)
        self.event_version = document.get("eventVersion")
        self.endpoint_input = self._side("endpointInput")
        self.endpoint_output = self._side("endpointOutput")
        self.batch_transform_output = self._side("batchTransformOutput")
        truth = document.get("groundTruthData")
        self.ground_truth = None if truth is None else EventData(truth)
        self.event_data = SimpleNamespace(  # its name and those of its sides until 2020
            endpointInput=self.endpoint_input, endpointOutput=self.endpoint_output
        )

    def _side(self, name: str) -> EventData | None:
        side = self.event_dict.get("captureData", {}).get(name)
        return None if side is None else EventData(side)

    def as_dict(self) -> dict[str, Any]:
        """Give the record, its sides as the script has left them."""
        sides = {
            "endpointInput": self.endpoint_input,
            "endpointOutput": self.endpoint_output,
            "batchTransformOutput": self.batch_transform_output,
        }
        kept = {name: side.as_dict() for name, side in sides.items() if side is not None}
        if kept:
            self.event_dict["captureData"].update(kept)
        return self.event_dict

    def __str__(self) -> str:
        return str(self.as_dict())


if __name__ == "__main__":
    sys.exit(main())
