"""The loop that brings every transform job to its end (`rounds` gives the pace).

A turn reads the jobs that have not ended from `state`. One that is in progress is run, one that
stops is ended: its run is cancelled first. One coroutine a job, so that none holds up another.
Unlike a processing job's program, a run is control's own: it goes on with the next control where
the last one was killed (`transform_files`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from modeltap.clock import Clock
from modeltap.control.job_states import JobStates
from modeltap.control.jobs import ACTIVE, Job, JobEvent, JobStatus, Outcome
from modeltap.control.rounds import JobTurnFailed, Rounds, Spawn
from modeltap.control.transform_steps import TransformSteps
from modeltap.errors import StateUnusable
from modeltap.telemetry import emit


@dataclass(frozen=True, slots=True)
class _Hand:
    """What is being done for a job: it is run, or ended."""

    ends: bool
    task: "asyncio.Task[None]"


class TransformLoop:
    """`run` it as one task."""

    def __init__(
        self, states: JobStates, steps: TransformSteps, clock: Clock, spawn: Spawn
    ) -> None:
        self._states = states
        self._steps = steps
        self._spawn = spawn
        self._rounds = Rounds(self.turn, clock, spawn)
        self._hands: dict[str, _Hand] = {}

    def wake(self) -> None:
        """Have the next turn begin at once; to be called on the loop."""
        self._rounds.wake()

    async def run(self) -> None:
        """Turn for ever."""
        await self._steps.begin()
        await self._rounds.run()

    async def turn(self) -> bool:
        """Look and act once; tell whether anything is left. Raise `StateUnusable`, `OSError`."""
        jobs = await asyncio.to_thread(self._states.active)
        for job in jobs:
            self._take(job)
        self._hands = {name: hand for name, hand in self._hands.items() if not hand.task.done()}
        busy = {job.name for job in jobs} | self._hands.keys()
        await asyncio.to_thread(self._steps.sweep, busy)
        return bool(busy)

    def _take(self, job: Job) -> None:
        """Begin what is due for a job, unless it is being done."""
        hand, ends = self._hands.get(job.name), job.status is JobStatus.STOPPING
        busy = hand is not None and not hand.task.done()
        if busy and hand is not None and (hand.ends or not ends):
            return
        running = hand.task if busy and hand is not None else None
        work = partial(self._end, job, running) if ends else partial(self._see_through, job)
        self._hands[job.name] = _Hand(ends, self._spawn(self._guarded(work)))

    async def _see_through(self, job: Job) -> None:
        fresh = await asyncio.to_thread(self._states.get, job.name)
        if fresh is None or fresh.status is not JobStatus.IN_PROGRESS:
            return  # it was concluded, or asked to stop, since the turn looked
        await self._steps.conclude(job, await self._steps.run(fresh))

    async def _end(self, job: Job, running: "asyncio.Task[None] | None") -> None:
        if running is not None:
            running.cancel()
            await asyncio.wait([running])
        fresh = await asyncio.to_thread(self._states.get, job.name)
        if fresh is not None and fresh.status in ACTIVE:
            await self._steps.conclude(job, Outcome(JobEvent.STOPPED))

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except (StateUnusable, OSError) as error:
            emit(JobTurnFailed(str(error)))  # the next second tries again
        else:
            self.wake()
