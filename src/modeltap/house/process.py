"""What every child of the supervisor has in common.

A child is `python -m modeltap.house ROLE JSON`; the JSON is an `Assignment`. It says that it is
ready by writing one byte to `ready`, and ends on SIGTERM or at the end of the life pipe, whose
other end only the supervisor holds: a supervisor that was killed takes its children along.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson
import uvloop

from modeltap import settings as settings_module
from modeltap import telemetry
from modeltap.clock import Clock, SystemClock
from modeltap.settings import Settings


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

    def socket(self, name: str) -> socket.socket:
        """Take a listening socket that the supervisor opened."""
        taken = socket.socket(fileno=self.assignment.fds[name])
        taken.setblocking(False)
        return taken

    def ready(self) -> None:
        """Tell the supervisor that this process serves; a second call does nothing."""
        fd = self.assignment.fds.pop("ready", None)
        if fd is not None:
            os.write(fd, b"1")
            os.close(fd)

    async def every(self, seconds: float, turn: Callable[[], Awaitable[None] | None]) -> None:
        """Run a turn again and again until the process stops."""
        while not self.stopping.is_set():
            done = turn()
            if done is not None:
                await done
            await self.pause(seconds)

    async def pause(self, seconds: float) -> None:
        """Wait, but no longer than until the process is told to stop."""
        waits = [
            asyncio.ensure_future(self.clock.sleep(seconds)),
            asyncio.ensure_future(self.stopping.wait()),
        ]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()


Role = Callable[[Process], Awaitable[None]]


def run(role: Role, assignment: Assignment) -> None:
    """Run a role until it ends."""
    os.umask(0o077)
    telemetry.configure(_title(assignment))
    uvloop.run(_main(role, assignment))


def _title(assignment: Assignment) -> str:
    return f"{assignment.role}-{assignment.index}" if assignment.index else assignment.role


async def _main(role: Role, assignment: Assignment) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to pass on
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    loop.add_reader(assignment.fds["life"], stopping.set)
    settings = settings_module.read(Path(assignment.settings))
    await role(Process(assignment, settings, SystemClock(), stopping))
