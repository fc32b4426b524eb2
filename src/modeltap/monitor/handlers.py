"""A user's scripts: `preprocess_handler` for each record, `postprocess_handler` at the end.

    record ─▶ preprocess_handler ─▶ rows · the record itself · nothing · a refusal

AWS's contract (§4.6), unchanged: the function takes an `inference_record`, and a logger if it has a
second parameter; it returns a flat dict, a list of such, or None or [] to drop the record. It runs
in a process of its own (`handler_process.py`), so whatever it does costs one record: an exception,
a loop, `os._exit`, all memory. Only a script that cannot be loaded, or that ends its process ten
times in a row, fails the analysis.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson

from modeltap.clock import Clock
from modeltap.monitor.failure import AnalysisFailed
from modeltap.monitor.handler_process import Limits, ScriptEnded, ScriptProcess
from modeltap.monitor.payloads import RecordRefused, Refusal, literal, named_row
from modeltap.nouns import Document

NamedRow = dict[str, str | None]
"""A row by its keys; None: missing."""

Outcome = list[NamedRow] | Document | RecordRefused
"""What became of a record: its rows; [] if it was dropped; a record where the script returned it,
to be read as any other (`payloads.rows_of`); or why it was refused."""

_REFUSALS: Final[Mapping[str, Refusal]] = {
    "died": "preprocessor_died",
    "timeout": "preprocessor_timeout",
    "too_large": "too_large",
}
_NAME_CHARACTERS_MAX: Final = 100
_DEFAULTS: Final = Limits()


class Preprocessor:
    """A script's `preprocess_handler`, ready for records while it is entered.

    Not to be shared by threads. `environment`: what the job's contract gives its programs, beside
    `PATH` and `LANG`. Entering and `rows` raise `AnalysisFailed`, which names the script and the
    fix.
    """

    def __init__(
        self,
        script: Path,
        *,
        clock: Clock,
        limits: Limits = _DEFAULTS,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._script, self._clock, self._limits = script, clock, limits
        self._environment = environment or {}
        self._process: ScriptProcess | None = None
        self._deaths = 0

    def __enter__(self) -> Self:
        self._running()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None

    def rows(self, records: Iterable[Document]) -> Iterator[Outcome]:
        """Give what becomes of each record, in their order."""
        return map(self._outcome, records)

    def _outcome(self, record: Document) -> Outcome:
        try:
            return _outcome(self._ask(record))
        except RecordRefused as refused:
            return refused

    def _running(self) -> ScriptProcess:
        if self._process is None:
            self._process = ScriptProcess(
                self._script,
                "preprocess_handler",
                clock=self._clock,
                limits=self._limits,
                environment=self._environment,
            )
        return self._process

    def _ask(self, record: Document) -> Any:
        """Give the handler's answer; raise `RecordRefused` if it has none."""
        message = orjson.dumps(record)
        if len(message) > self._limits.message_bytes_max:
            raise RecordRefused("too_large", f"the record has {len(message)} bytes")
        process = self._running()
        try:
            answer = _answer(process, message, self._limits.record_seconds_max)
        except ScriptEnded as ended:
            self._process = None
            self._mourn(ended)
            raise RecordRefused(_REFUSALS[ended.how], ended.detail) from None
        self._deaths = 0
        return answer

    def _mourn(self, ended: ScriptEnded) -> None:
        self._deaths += 1
        if self._deaths >= self._limits.deaths_max:
            raise AnalysisFailed(
                f"{self._script.name}: preprocess_handler ended its process at {self._deaths} "
                f"records in a row, at last by {ended.how}: {ended.detail}; see the job's log, and "
                "mend the script"
            )


def _answer(process: ScriptProcess, message: bytes, seconds: float) -> Any:
    """Ask; an answer that is none ends the process, because the next might be an old one."""
    answer = process.ask(message, seconds)
    try:
        return literal(answer)
    except RecordRefused:
        process.end(0)
        raise ScriptEnded("died", "what it wrote is no answer") from None


def _outcome(answer: Any) -> Outcome:
    match answer:
        case {"rows": list(rows)}:
            return [named_row(row) for row in rows]
        case {"record": dict(record)}:
            return record
        case {"nan": True}:
            raise RecordRefused("not_a_number", "a value is NaN or Infinity: return None")
        case {"raised": str(name)}:
            raise RecordRefused("preprocessor", name[:_NAME_CHARACTERS_MAX])
        case {"unfit": str(what)}:
            raise RecordRefused("preprocessor", f"it returned {what[:_NAME_CHARACTERS_MAX]}")
        case _:
            raise RecordRefused("preprocessor", "its answer cannot be read")


def postprocess(
    script: Path,
    *,
    clock: Clock,
    limits: Limits = _DEFAULTS,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a script's `postprocess_handler()`. Raise `AnalysisFailed`."""
    process = ScriptProcess(
        script,
        "postprocess_handler",
        clock=clock,
        limits=limits,
        environment=environment or {},
    )
    try:
        answer = _answer(process, b"null", limits.script_seconds_max)
    except ScriptEnded as ended:
        raise AnalysisFailed(_failed(script, f"{ended.how}, {ended.detail}")) from None
    process.end()
    match answer:
        case {"raised": str(name)}:
            raise AnalysisFailed(_failed(script, name[:_NAME_CHARACTERS_MAX]))


def _failed(script: Path, why: str) -> str:
    return (
        f"{script.name}: postprocess_handler failed ({why}): see the job's log, and mend the script"
    )
