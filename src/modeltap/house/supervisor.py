"""The supervisor: starts the house in order, restarts what dies, stops it in reverse.

It does nothing else, so that it has no reason to die. What its children use and must not lose with
them (`openings`) it holds itself. Model workers are started by control and fall to it when control
dies: the supervisor is their sub-reaper.

Stopping goes in reverse: gateways finish what is in flight, the spooler seals, the shipper delivers
what it can, control stops the models, the store closes last.
"""

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from modeltap.clock import Clock
from modeltap.house.process import Assignment
from modeltap.telemetry import Event, emit

READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 45.0
WORKER_SECONDS_MAX = 5.0
WORKER_POLL_SECONDS = 0.02
RESTART_PAUSE_SECONDS = (0.0, 0.0, 0.2, 1.0, 5.0)
"""By how many times in a row a child ended young."""
YOUNG_SECONDS = 30.0
FLOORS = (("store", "control", "shipper", "spooler"), ("gateway",))
"""Who starts at once. Callers of one another queue on sockets; clients come in by the last."""
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class CannotStart(Exception):
    """`serve` cannot start; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class ProcessEnded(Event):
    role: str
    pid: int
    status: int


@dataclass(slots=True)
class Child:
    """One place in the house and the process that fills it now."""

    assignment: Assignment
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    due: float = 0.0  # when to start it again

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None


@dataclass(slots=True)
class Supervisor:
    """One child a place, in the order in which they start."""

    children: list[Child]
    life: int  # write end of the life pipe
    clock: Clock
    _wake: socket.socket = field(init=False)
    _stop: bool = False

    def run(self, on_ready: Callable[[], None]) -> None:
        """Serve until SIGTERM or SIGINT; raise `CannotStart` if a part never becomes ready."""
        with self._signals():
            try:
                if self._start_all():
                    on_ready()
                    self._watch()
            finally:
                self._stop_all()

    def _start_all(self) -> bool:
        """Start in order; each is up before what stands on it begins to serve."""
        for floor in FLOORS:
            children = [child for child in self.children if child.assignment.role in floor]
            waits = [(child, self._start_telling(child)) for child in children]
            for child, ready in waits:
                self._await_ready(child, ready)
                os.close(ready)
        return not self._stop

    def _watch(self) -> None:
        while not self._stop:
            self._reap()  # before the wait: who died while the others started woke us then
            for child in self.children:
                if child.process is None and self.clock.monotonic() >= child.due and not self._stop:
                    self._start(child, child.assignment)
            self._wait(self._seconds_to_next_restart())

    def _seconds_to_next_restart(self) -> float | None:
        dues = [child.due for child in self.children if child.process is None]
        return max(0.0, min(dues) - self.clock.monotonic()) if dues else None

    def _start_telling(self, child: Child) -> int:
        """Start a child; give the pipe on which it tells that it is ready."""
        ready, written = os.pipe()
        fds = child.assignment.fds | {"ready": written}
        self._start(child, replace(child.assignment, fds=fds))
        os.close(written)
        return ready

    def _start(self, child: Child, assignment: Assignment) -> None:
        # A session of its own: a Ctrl-C in the terminal reaches the supervisor alone.
        child.process = subprocess.Popen(
            [sys.executable, "-m", "modeltap.house", assignment.encode()],
            pass_fds=tuple(assignment.fds.values()),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        child.started = self.clock.monotonic()

    def _await_ready(self, child: Child, ready: int) -> None:
        deadline = self.clock.monotonic() + READY_SECONDS_MAX
        watched = [ready, self._wake.fileno()]
        while not self._stop:
            left = max(0.0, deadline - self.clock.monotonic())
            readable, _, _ = select.select(watched, [], [], left)
            if ready in readable and os.read(ready, 1):
                return
            if ready in readable or self.clock.monotonic() >= deadline:
                raise CannotStart(f"{child.assignment.role} did not start; its error stands above")
            self._drain_wake()

    def _reap(self) -> None:
        """Reap every ended child, ours and those of a dead control that fell to us."""
        while ended := _peek_ended():
            child = next((child for child in self.children if child.pid == ended.si_pid), None)
            if child is None or child.process is None:
                os.waitpid(ended.si_pid, 0)
                continue
            status = child.process.wait()
            child.process = None
            if not self._stop:
                emit(ProcessEnded(child.assignment.role, ended.si_pid, status))
                self._schedule_restart(child)

    def _schedule_restart(self, child: Child) -> None:
        lived = self.clock.monotonic() - child.started
        child.failures = 0 if lived > YOUNG_SECONDS else child.failures + 1
        pause = RESTART_PAUSE_SECONDS[min(child.failures, len(RESTART_PAUSE_SECONDS) - 1)]
        child.due = self.clock.monotonic() + pause

    def _stop_all(self) -> None:
        self._stop = True
        for child in reversed(self.children):
            if child.process is not None:
                _end(child.process)
                child.process = None
        os.close(self.life)
        self._await_workers()

    def _await_workers(self) -> None:
        """Wait for model workers, which end at the end of the life pipe; kill one that hangs."""
        deadline = self.clock.monotonic() + WORKER_SECONDS_MAX
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid != 0:
                continue
            if self.clock.monotonic() >= deadline:
                _kill_children()
            select.select([], [], [], WORKER_POLL_SECONDS)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        self._wake, writer = socket.socketpair()
        self._wake.setblocking(False)
        writer.setblocking(False)
        previous = {number: signal.getsignal(number) for number in (*STOP_SIGNALS, signal.SIGCHLD)}
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in STOP_SIGNALS:
            signal.signal(number, self._told_to_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in previous.items():
                signal.signal(number, handler)
            self._wake.close()
            writer.close()

    def _told_to_stop(self, *_: object) -> None:
        self._stop = True

    def _wait(self, seconds: float | None) -> None:
        select.select([self._wake], [], [], seconds)
        self._drain_wake()

    def _drain_wake(self) -> None:
        with suppress(BlockingIOError):
            while self._wake.recv(1024):
                pass


def _kill_children() -> None:
    for children in Path("/proc/self/task").glob("*/children"):
        for pid in children.read_text().split():
            os.kill(int(pid), signal.SIGKILL)  # a child of ours until we reap it


def _peek_ended() -> "os.waitid_result | None":
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
