"""The loop that brings every processing job to its end.

A turn reads the jobs that have not ended from `state`, looks how each stands, and makes the move
that `jobs.plan` gives. Moves are coroutines of their own, one a job at a time, so that a slow
download holds up no other job. Killed anywhere and begun again, it ends the same (`rounds` gives
the pace).

What one job provokes must not end control: the job is in `state`, so that the next control would
end of it as well.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from modeltap.clock import Clock
from modeltap.control.job_states import JobStates
from modeltap.control.job_steps import JobSteps
from modeltap.control.jobs import ACTIVE, Job, Move, plan
from modeltap.control.rounds import JobTurnFailed, Rounds, Spawn
from modeltap.errors import StateUnusable
from modeltap.hosting.jobs import JobLauncher
from modeltap.telemetry import emit


@dataclass(frozen=True, slots=True)
class _Hand:
    """A move that is being made."""

    move: Move
    task: "asyncio.Task[None]"


class JobLoop:
    """`run` it as one task."""

    def __init__(
        self, states: JobStates, launcher: JobLauncher, steps: JobSteps, clock: Clock, spawn: Spawn
    ) -> None:
        self._states = states
        self._launcher = launcher
        self._spawn = spawn
        self._rounds = Rounds(self.turn, clock, spawn)
        self._hands: dict[str, _Hand] = {}
        self._steps = steps
        self._moves: dict[Move, Callable[[Job], Coroutine[Any, Any, None]]] = {
            Move.PREPARE: steps.prepare,
            Move.ATTEND: steps.attend,
            Move.FINISH: steps.finish,
        }

    def wake(self) -> None:
        """Have the next turn begin at once; to be called on the loop."""
        self._rounds.wake()

    async def run(self) -> None:
        """Turn for ever."""
        await self._launcher.probe()
        await self._rounds.run()

    async def turn(self) -> bool:
        """Look, plan and act once; tell whether anything is left. Raise `StateUnusable`, `OSError`.

        What the API asks for meanwhile wakes the next turn.
        """
        jobs = await asyncio.to_thread(self._states.active)
        for job in jobs:
            await self._make(self._next(job), job.name)
        left = await self._sweep({job.name for job in jobs})
        return bool(jobs) or left

    def _next(self, job: Job) -> Move:
        move = plan(job.status, self._launcher.stand(job.name))
        if move is not Move.END:
            return move
        self._launcher.end(job.name)
        return Move.ATTEND

    async def _make(self, move: Move, name: str) -> None:
        """Begin a move, unless one is being made; a preparation gives way to the end."""
        hand = self._hands.get(name)
        if hand is not None and not hand.task.done():
            if (hand.move, move) != (Move.PREPARE, Move.FINISH):
                return
            hand.task.cancel()
            await asyncio.wait([hand.task])
        self._hands[name] = _Hand(move, self._spawn(self._made(move, name)))

    async def _made(self, move: Move, name: str) -> None:
        """Make a move if it is still due: the move before may have ended since the turn looked."""
        try:
            job = await asyncio.to_thread(self._states.get, name)
            if job is not None and job.status in ACTIVE and self._next(job) is move:
                await self._guarded(move, job)
        except StateUnusable as error:
            emit(JobTurnFailed(str(error)))
            return  # the next second tries again
        self.wake()

    async def _guarded(self, move: Move, job: Job) -> None:
        try:
            await self._moves[move](job)
        except StateUnusable:
            raise
        except Exception as error:  # border: see the module head
            await self._steps.give_up(job, error)

    async def _sweep(self, active: set[str]) -> bool:
        """Clear away what is left of jobs that have ended; tell whether there was anything."""
        for name in [name for name, hand in self._hands.items() if hand.task.done()]:
            if name not in active:
                del self._hands[name]
        folders = await asyncio.to_thread(self._launcher.folders)
        for name in folders:
            if name in active or name in self._hands:
                continue
            job = await asyncio.to_thread(self._states.get, name)
            if job is not None and job.status in ACTIVE:
                continue  # it was asked for since this turn has begun
            if plan(None, self._launcher.stand(name)) is Move.END:
                self._launcher.end(name)
            else:
                await self._launcher.clear(name)
        return bool(folders)
