"""A user's script in a process of its own: started, asked, bounded and ended.

    ask ── one line of JSON ──▶ handler_child.py ── one line of JSON ──▶ the answer

One question is under way at a time, so what ends the process is the fault of that question. The
process has a session, a working folder (the script's) and a umask of its own, and of our variables
none. Whatever it was doing, it ends with us: it holds the read end of a pipe whose write end is
ours alone. Its standard output and error are our standard error.
"""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import orjson

from modeltap.clock import Clock
from modeltap.monitor.failure import AnalysisFailed

START_SECONDS_MAX = 60.0
"""Longest wait for a script to be loaded: it may import what is large, on a busy machine."""

END_SECONDS_MAX = 5.0
"""Longest wait for a script's process to end by itself when there is nothing more to do."""

_CHILD: Final = Path(__file__).with_name("handler_child.py")
_READ_BYTES: Final = 64 * 1024

_DYING_SECONDS_MAX: Final = 1.0
"""Longest wait for the exit of a process that has closed its pipes."""

_VARIABLES: Final = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a script may take."""

    memory_bytes_max: int = 2 << 30  # of address space
    record_seconds_max: float = 30.0
    script_seconds_max: float = 600.0  # of a postprocessor
    message_bytes_max: int = 64 << 20  # a record, or what becomes of it
    file_bytes_max: int = 1 << 30  # of each file that it writes
    files_max: int = 256
    deaths_max: int = 10  # in a row


class ScriptEnded(Exception):
    """A question that ended the process; `detail` says how it came to its end."""

    def __init__(self, how: Literal["died", "timeout", "too_large"], detail: str) -> None:
        super().__init__(detail)
        self.how: Literal["died", "timeout", "too_large"] = how
        self.detail = detail


class ScriptProcess:
    """One process for one function of a script. Raise `AnalysisFailed` if it cannot be loaded."""

    def __init__(
        self,
        script: Path,
        function: str,
        *,
        clock: Clock,
        limits: Limits,
        environment: Mapping[str, str],
    ) -> None:
        if not script.is_file():
            raise AnalysisFailed(f"{script.name}: there is no such script: upload it again")
        self._clock, self._limits = clock, limits
        life, self._life = os.pipe()
        try:
            self._process = _started(script, function, limits, environment, life)
        finally:
            os.close(life)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._requests, False)
        self._must_be_ready(script)

    def ask(self, message: bytes, seconds: float) -> bytes:
        """Send a line and give the line that answers it. Raise `ScriptEnded`."""
        deadline = self._clock.monotonic() + seconds
        try:
            self._send(message + b"\n", deadline)
            return self._receive(deadline)
        except (BrokenPipeError, EOFError):
            raise ScriptEnded("died", self.end(_DYING_SECONDS_MAX)) from None
        except TimeoutError:
            self.end(0)
            raise ScriptEnded("timeout", f"no answer within {seconds:g} s") from None

    def end(self, seconds: float = END_SECONDS_MAX) -> str:
        """End it and all that it started, and say how it ended; let it finish for some time."""
        if self._process.returncode is None:
            self._end(seconds)
        status = self._process.returncode
        return f"exit status {status}" if status >= 0 else signal.Signals(-status).name

    def _end(self, seconds: float) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        exited = os.pidfd_open(self._process.pid)
        with suppress(TimeoutError):
            self._wait(exited, select.POLLIN, self._clock.monotonic() + seconds)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # not reaped: the number is still its own
        self._process.wait()
        self._process.stdout.close()
        os.close(exited)
        os.close(self._life)

    def _must_be_ready(self, script: Path) -> None:
        try:
            told = orjson.loads(self._receive(self._clock.monotonic() + START_SECONDS_MAX))
        except TimeoutError:
            self.end(0)
            told = {"fault": f"it was not loaded within {START_SECONDS_MAX:g} s: let it do less"}
        except (EOFError, ScriptEnded, ValueError):
            ended = self.end(_DYING_SECONDS_MAX)
            told = {"fault": f"it ended while it was loaded ({ended}): see the job's log"}
        if told != {"ready": True}:
            self.end()
            fault = told.get("fault") if isinstance(told, dict) else None
            raise AnalysisFailed(f"{script.name}: {fault or 'it spoiled its own start: mend it'}")

    def _send(self, message: bytes, deadline: float) -> None:
        left = memoryview(message)
        while left:
            self._wait(self._requests, select.POLLOUT, deadline)
            with suppress(BlockingIOError):
                left = left[os.write(self._requests, left) :]

    def _receive(self, deadline: float) -> bytes:
        answer = bytearray()
        while not answer.endswith(b"\n"):
            self._wait(self._answers, select.POLLIN, deadline)
            part = os.read(self._answers, _READ_BYTES)
            if not part:
                raise EOFError
            answer += part
            if len(answer) > self._limits.message_bytes_max:
                self.end(0)
                most = self._limits.message_bytes_max
                raise ScriptEnded("too_large", f"its answer is larger than {most} bytes")
        return bytes(answer)

    def _wait(self, descriptor: int, event: int, deadline: float) -> None:
        """Wait until the pipe is ready or its other end is closed. Raise `TimeoutError`."""
        poll = select.poll()
        poll.register(descriptor, event)
        if not poll.poll(max(deadline - self._clock.monotonic(), 0) * 1_000):
            raise TimeoutError


def _started(
    script: Path, function: str, limits: Limits, environment: Mapping[str, str], life: int
) -> subprocess.Popen[bytes]:
    order = {
        "script": str(script.absolute()),
        "function": function,
        "life": life,
        "memory_bytes_max": limits.memory_bytes_max,
        "file_bytes_max": limits.file_bytes_max,
        "files_max": limits.files_max,
    }
    # -I: neither variables nor folders of the user lead Python's imports; -B: it writes no code;
    # -u: what is printed is in the log even if the process is killed.
    options = ["-I", "-B", "-u", "-X", "utf8", "-X", "faulthandler"]
    return subprocess.Popen(
        [sys.executable, *options, str(_CHILD), orjson.dumps(order).decode()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        cwd=script.absolute().parent,
        env=_VARIABLES | dict(environment),
        pass_fds=(life,),
        start_new_session=True,
        umask=0o077,
    )
