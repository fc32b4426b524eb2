"""Who answers its pings: tells a worker that hangs (stopped, deadlocked) from one that is busy.

A worker answers a ping between two calls (`modeltap_worker/server.py`): the ping waits for the call
in hand and for at most one more of each connection. A call that takes longer than the invocation
limit serves nobody, because its caller has given up. So a worker that is silent for twice that
limit works for nobody, whatever it does: that is the patience of a ping, and no busy worker is
ended sooner.

It takes `SILENCES` pings in a row, because one may be our own silence: a control that was stopped
and goes on finds its ping expired and the answer behind it. So a worker that hangs is replaced
after two patiences and two `PAUSE_SECONDS`: within 250 s by default.
"""

import math
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from modeltap.clock import Clock
from modeltap.hosting.launcher import Launcher

PAUSE_SECONDS = 5.0
"""Between a ping's end and the next one."""

SILENCES = 2

Spawn = Callable[[Coroutine[Any, Any, None]], object]
"""Run a coroutine as a task; house's own, so that it knows of every task."""


@dataclass(slots=True)
class _Pulse:
    heard: float  # when it answered last, or was first looked at
    due: float  # when to ping it next; never, while a ping waits
    silences: int = 0  # in a row


class Watch:
    """Pings instances, each by itself, so that a silent one holds up nobody."""

    def __init__(
        self, launcher: Launcher, clock: Clock, spawn: Spawn, *, invocation_seconds_max: float
    ) -> None:
        self._launcher = launcher
        self._clock = clock
        self._spawn = spawn
        self._patience = 2 * invocation_seconds_max
        self._pulses: dict[str, _Pulse] = {}

    def look(self, instances: Iterable[str]) -> None:
        """Ping those of these that are due, and forget all others."""
        now = self._clock.monotonic()
        self._pulses = {
            instance: self._pulses.get(instance) or _Pulse(now, now + PAUSE_SECONDS)
            for instance in instances
        }
        for instance, pulse in self._pulses.items():
            if now >= pulse.due:
                pulse.due = math.inf
                self._spawn(self._ping(instance, pulse))

    def hangs(self, instance: str) -> bool:
        """Tell whether an instance was silent for too long; no, if it was not looked at yet.

        A ping may also be refused at once, for a reason of ours (descriptors): so time counts, too.
        """
        pulse = self._pulses.get(instance)
        return (
            pulse is not None
            and pulse.silences >= SILENCES
            and self._clock.monotonic() - pulse.heard >= self._patience
        )

    async def _ping(self, instance: str, pulse: _Pulse) -> None:
        answered = await self._launcher.probe(instance, self._patience)
        now = self._clock.monotonic()
        pulse.due = now + PAUSE_SECONDS
        pulse.silences = 0 if answered else pulse.silences + 1
        if answered:
            pulse.heard = now
