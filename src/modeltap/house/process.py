"""What every child of the supervisor has in common.

A child is `python -m modeltap.house ROLE JSON`; the JSON is an `Assignment`. It says that it is
ready by writing one byte to `ready`, and ends on SIGTERM or at the end of the life pipe, whose
other end only the supervisor holds: a supervisor that was killed takes its children along.
"""

import asyncio
import logging
import os
import resource
import signal
import socket
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import orjson
import uvloop

from modeltap import settings as settings_module
from modeltap import telemetry
from modeltap.clock import Clock, SystemClock
from modeltap.settings import Settings
from modeltap.telemetry import Event, emit

DESCRIPTORS = 65_536
"""Of one process: a gateway holds two for each connection that it passes on."""


@dataclass(frozen=True, slots=True)
class TaskFailed(Event):
    """A task of a process failed; the process ends and is started anew."""

    level: ClassVar[int] = logging.ERROR

    error: str
    place: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """Which part of the house a process is, and the descriptors that it was handed, by name."""

    role: str
    settings: str  # path of run/settings.json
    index: int = 0
    fds: dict[str, int] = field(default_factory=dict)

    def encode(self) -> str:
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def decode(cls, text: str) -> "Assignment":
        return cls(**orjson.loads(text))


@dataclass(frozen=True, slots=True)
class Process:
    """The running child, as its role module sees it."""

    assignment: Assignment
    settings: Settings
    clock: Clock
    stopping: asyncio.Event
    failed: asyncio.Event

    def socket(self, name: str) -> socket.socket:
        """Take a listening socket that the supervisor opened."""
        taken = socket.socket(fileno=self.assignment.fds[name])
        taken.setblocking(False)
        return taken

    def descriptors(self, name: str) -> list[int]:
        """Give the descriptors `name0`, `name1`, … in order."""
        found = {each: fd for each, fd in self.assignment.fds.items() if each.startswith(name)}
        return [found[each] for each in sorted(found)]

    def ready(self) -> None:
        """Tell the supervisor that this process serves; a second call does nothing."""
        fd = self.assignment.fds.pop("ready", None)
        if fd is not None:
            os.write(fd, b"1")
            os.close(fd)

    async def every(self, seconds: float, turn: Callable[[], object]) -> None:
        """Run a turn again and again until the process stops."""
        while not self.stopping.is_set():
            turn()
            await self.pause(seconds)

    async def pause(self, seconds: float) -> None:
        """Wait, but no longer than until the process is told to stop."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)


class Tasks:
    """The tasks of a process. One that fails ends the process, which is started anew."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._running: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine as a task that is known here."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def end(self) -> None:
        """Cancel what still runs, and wait until it has ended."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            emit(TaskFailed(type(error).__name__, _place(error)))
            self._process.failed.set()
            self._process.stopping.set()


def _place(error: BaseException) -> str:
    """Name the line that failed; its text could hold what a client sent."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


Role = Callable[[Process], Awaitable[None]]


def run(role: Role, assignment: Assignment) -> None:
    """Run a role until it ends."""
    os.umask(0o077)
    _raise_descriptor_limit()
    telemetry.configure(_title(assignment))
    uvloop.run(_main(role, assignment))


def _raise_descriptor_limit() -> None:
    """Take the descriptors that the system allows: many shells hand on a soft limit of 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def _title(assignment: Assignment) -> str:
    return f"{assignment.role}-{assignment.index}" if assignment.index else assignment.role


async def _main(role: Role, assignment: Assignment) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to pass on
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    loop.add_reader(assignment.fds["life"], stopping.set)
    settings = settings_module.read(Path(assignment.settings))
    process = Process(assignment, settings, SystemClock(), stopping, asyncio.Event())
    await role(process)
    if process.failed.is_set():
        raise SystemExit(1)
