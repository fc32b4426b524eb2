"""The pace of a loop that brings jobs to their end.

A turn is taken at each wake, by the API or by work that ended, and once a second while there is
something left to do: who looked each second at all jobs of a year would be busy with nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, ClassVar

from modeltap.clock import Clock
from modeltap.errors import StateUnusable
from modeltap.telemetry import Event, emit

TURN_SECONDS = 1.0

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
"""Run a coroutine as a task; house's own, so that it knows of every task."""


@dataclass(frozen=True, slots=True)
class JobTurnFailed(Event):
    """The state database or the disk could not be used; the next turn tries again."""

    level: ClassVar[int] = logging.ERROR

    reason: str


class Rounds:
    """Takes turns. A turn tells whether anything is left; it may raise `StateUnusable`."""

    def __init__(self, turn: Callable[[], Awaitable[bool]], clock: Clock, spawn: Spawn) -> None:
        self._turn = turn
        self._clock = clock
        self._spawn = spawn
        self._woken = asyncio.Event()
        self._busy = True  # something is left to do, as far as is known

    def wake(self) -> None:
        """Have the next turn begin at once; to be called on the loop."""
        self._woken.set()

    async def run(self) -> None:
        """Turn for ever."""
        self._spawn(self._beat())
        while True:
            self._woken.clear()
            self._busy = True
            try:
                self._busy = await self._turn()
            except (StateUnusable, OSError) as error:
                emit(JobTurnFailed(str(error)))
            await self._woken.wait()

    async def _beat(self) -> None:
        while True:
            await self._clock.sleep(TURN_SECONDS)
            if self._busy:
                self.wake()
