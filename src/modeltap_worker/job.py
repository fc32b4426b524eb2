"""`python -m modeltap_worker.job SPEC LIFE LOCK`: run one program to its end, and tell of it.

The shim stands where a container's runtime stands. Files and order: `jobspec`. LIFE is the read end
of the life pipe, LOCK the job's lock, held already. The program gets neither; it has a process
group of its own, ends when the shim is killed, and yields the processors to who serves inferences.

SIGTERM to the shim is passed on once, as is the end of `seconds_max`; who has not ended after
`stop_seconds_max` is killed. When the program has ended, what it started and left is killed, as
with a container, before `exit` is written. All of that needs no control: one that dies meanwhile
finds `exit` when it comes again. Where the program stands for a container, that is removed with it.
"""

import ctypes
import math
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from modeltap_worker import jobspec, namespace
from modeltap_worker.jobspec import Cause, Exit, JobSpec

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
NICENESS = 10
LEFT_SECONDS_MAX = 10.0
"""For what is left of a program to be gone after SIGKILL: more only if it hangs in the kernel."""
REMOVAL_SECONDS_MAX = 60.0
_POLL_SECONDS = 0.02
_UNSTARTED_STATUS = 127
_SIGNALS_FROM = 128


def main() -> int:
    path, life, lock = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    for descriptor in (life, lock):
        os.set_inheritable(descriptor, False)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold payloads
    signals = _Signals()
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)  # from here on it counts as started
    spec = JobSpec.decode(path.read_text())
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    program, error = _start(spec, path.parent)
    if error:
        os.waitpid(program, 0)
        ended = Exit(_UNSTARTED_STATUS, Cause.UNSTARTED, error)
    else:
        ended = _Watch(program, spec, life, signals).run()
        remove(spec)
        _kill_what_is_left()
    _write(path.with_name(jobspec.EXIT), ended.encode())
    return 0


# ---------------------------------------------------------------- starting


def _start(spec: JobSpec, folder: Path) -> tuple[int, str]:
    """Fork and execute the program; give its id, and why it could not begin or nothing."""
    read, written = os.pipe()  # closed by the `exec` that succeeds
    shim = os.getpid()
    program = os.fork()
    if program == 0:
        try:
            _become(spec, folder, shim)
        except BaseException as error:
            os.write(written, str(error).encode()[:1000])
        finally:
            os._exit(_UNSTARTED_STATUS)
    os.close(written)
    with os.fdopen(read, errors="replace") as told:
        return program, told.read()


def _become(spec: JobSpec, folder: Path, shim: int) -> None:
    os.setpgid(0, 0)
    os.nice(NICENESS)
    if spec.private:
        scratch = folder / "scratch"
        scratch.mkdir(exist_ok=True)
        namespace.enter(folder / jobspec.ML, scratch)
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # after the namespace: new rights clear it
    if os.getppid() != shim:
        return
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.chdir(folder / jobspec.WORK)
    os.execvpe(spec.command[0], spec.command, spec.environment)  # noqa: S606 - no shell wanted


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


# ---------------------------------------------------------------- watching


class _Signals:
    """SIGTERM and SIGCHLD as a descriptor that can be read."""

    def __init__(self) -> None:
        self.read, written = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.told_to_stop = False
        signal.set_wakeup_fd(written, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def drain(self) -> None:
        with suppress(BlockingIOError):
            os.read(self.read, 4096)

    def _stop(self, *_: object) -> None:
        self.told_to_stop = True


@dataclass(slots=True)
class _Watch:
    """A program, until it has ended. Deadlines are times of `time.monotonic`."""

    program: int
    spec: JobSpec
    life: int
    signals: _Signals
    cause: Cause = Cause.ITSELF
    kill_at: float = math.inf

    def run(self) -> Exit:
        time_at = time.monotonic() + self.spec.seconds_max
        while (status := _reap(self.program)) is None:
            alive = self._wait(time_at if self.cause is Cause.ITSELF else self.kill_at)
            if not alive:
                self._end(Cause.HOUSE, 0)
            elif self.signals.told_to_stop:
                self._end(Cause.STOPPED, self.spec.stop_seconds_max)
            elif time.monotonic() >= time_at:
                self._end(Cause.TIME, self.spec.stop_seconds_max)
            if time.monotonic() >= self.kill_at:
                remove(self.spec)  # first: the program would die without it
                _signalled(os.killpg, self.program, signal.SIGKILL)
                self.kill_at = math.inf
        in_container = self.spec.removal and status > _SIGNALS_FROM
        return Exit(_SIGNALS_FROM - status if in_container else status, self.cause)

    def _wait(self, until: float) -> bool:
        """Wait for a signal, a deadline or the end of the house; tell whether the house stands."""
        watched = [self.signals.read, *([] if self.cause is Cause.HOUSE else [self.life])]
        seconds = None if until == math.inf else max(0.0, until - time.monotonic())
        readable, _, _ = select.select(watched, [], [], seconds)
        self.signals.drain()
        return self.life not in readable

    def _end(self, cause: Cause, seconds: float) -> None:
        """Ask the program to end, once; the end of the house does not wait."""
        if self.cause is Cause.ITSELF:
            _signalled(os.kill, self.program, signal.SIGTERM)
        if self.cause is Cause.ITSELF or cause is Cause.HOUSE:
            self.kill_at = time.monotonic() + seconds
            self.cause = cause


def _reap(program: int) -> int | None:
    """Reap all that has ended; give the program's status once it is among them."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        if pid == program:
            return os.waitstatus_to_exitcode(status)
        if pid == 0:
            return None


def remove(spec: JobSpec) -> None:
    """Remove the container that a program stands for, if it does; again is as well as once."""
    if spec.removal:
        with suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                spec.removal,
                env=spec.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=REMOVAL_SECONDS_MAX,
            )


def _kill_what_is_left() -> None:
    """Kill what fell to us when the program ended, until nothing more falls to us."""
    deadline = time.monotonic() + LEFT_SECONDS_MAX
    while time.monotonic() < deadline:
        with suppress(OSError):
            for pid in Path("/proc/thread-self/children").read_text().split():
                _signalled(os.kill, int(pid), signal.SIGKILL)
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if ended == 0:
            select.select([], [], [], _POLL_SECONDS)


def _signalled(send: Callable[[int, int], None], pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        send(pid, number)


def _write(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all."""
    part = path.with_suffix(".part")
    with part.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)


if __name__ == "__main__":
    sys.exit(main())
