"""The loop that makes every schedule's runs, and brings each to its end.

A turn takes up what was asked for, makes the executions that are due, and takes a step for each
that has not ended; steps are coroutines of their own, one an execution at a time, so that a bucket
that is away holds up no other run. It is woken by each write of the API, when a run is due, when
the clock was set back, and each moment while there is something left to do. Killed anywhere and
begun again, it ends the same.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import ClassVar

from modeltap.clock import Clock
from modeltap.control.execution_steps import ExecutionSteps
from modeltap.control.rounds import Spawn
from modeltap.control.schedule_states import Schedules
from modeltap.errors import StateUnusable
from modeltap.nouns import EXECUTION_ACTIVE
from modeltap.state.executions import Execution
from modeltap.telemetry import Event, emit

BEAT_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class ScheduleTurnFailed(Event):
    """The state database could not be used; the next turn tries again."""

    level: ClassVar[int] = logging.ERROR

    reason: str


@dataclass(frozen=True, slots=True)
class ExecutionBroke(Event):
    """A step failed in a way that no hand foresaw; the text is in the execution's reason."""

    level: ClassVar[int] = logging.ERROR

    schedule: str
    error: str


class ScheduleLoop:
    """`run` it as one task."""

    def __init__(
        self, schedules: Schedules, steps: ExecutionSteps, clock: Clock, spawn: Spawn
    ) -> None:
        self._schedules = schedules
        self._steps = steps
        self._clock = clock
        self._spawn = spawn
        self._woken = asyncio.Event()
        self._hands: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._turned_ns = 0  # when the last turn began
        self._due_ns: int | None = 0  # when the next run is due, or a turn, as far as is known

    def wake(self) -> None:
        """Have the next turn begin at once; to be called on the loop."""
        self._woken.set()

    async def run(self) -> None:
        """Turn for ever."""
        self._spawn(self._beat())
        while True:
            self._woken.clear()
            try:
                await self.turn()
            except StateUnusable as error:
                emit(ScheduleTurnFailed(str(error)))
                self._due_ns = 0
            await self._woken.wait()

    async def _beat(self) -> None:
        while True:
            await self._clock.sleep(BEAT_SECONDS)
            now_ns = self._clock.now_ns()
            due = self._due_ns is not None and now_ns >= self._due_ns
            if due or now_ns < self._turned_ns:
                self.wake()

    async def turn(self) -> None:
        """Look and act once. Raise `StateUnusable`."""
        self._turned_ns = self._clock.now_ns()
        active = await asyncio.to_thread(self._make)
        for execution in active:
            self._take(execution)
        if active:
            self._due_ns = 0

    def _make(self) -> tuple[Execution, ...]:
        schedules = self._schedules.settle()
        self._schedules.make(schedules)
        self._due_ns = self._schedules.next_due(schedules)
        return self._schedules.executions.in_status(EXECUTION_ACTIVE)

    def _take(self, execution: Execution) -> None:
        key = execution.schedule_id, execution.scheduled_ns
        hand = self._hands.get(key)
        if hand is None or hand.done():
            self._hands = {each: task for each, task in self._hands.items() if not task.done()}
            self._hands[key] = self._spawn(self._taken(execution))

    async def _taken(self, execution: Execution) -> None:
        try:
            await self._steps.take(execution)
        except StateUnusable as error:
            emit(ScheduleTurnFailed(str(error)))
        except Exception as error:  # border: what one run provokes must not end control
            emit(ExecutionBroke(execution.schedule, type(error).__name__))
            await self._given_up(execution, error)

    async def _given_up(self, execution: Execution, error: Exception) -> None:
        reason = f"InternalServerError: This machine could not go on with the run: {error}."
        try:
            await self._steps.fail(execution, reason)
        except StateUnusable as unusable:
            emit(ScheduleTurnFailed(str(unusable)))
