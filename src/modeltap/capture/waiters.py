"""Answers that wait until their records are durable (modes `durable` and `strict`).

    offer(exchange, tell) ─▶ wait ─▶ (its batch is in the ring) committed ─▶ (synced) released: True
                              └─ dropped, or not in time: False

The spooler is asked to hurry, and syncs all that is in the ring at once: whoever comes meanwhile
waits for the next sync together (group commit).
"""

from collections import deque
from collections.abc import Callable
from typing import final

from modeltap.capture.counters import Counters
from modeltap.capture.ring import RingWriter
from modeltap.nouns import Told

Later = Callable[[float, Callable[[], None]], object]
"""Has a function called after so many seconds."""


@final
class Waiter:
    """One answer; it is told once whether its record is durable."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self.done = False

    def tell(self, durable: bool) -> None:
        if not self.done:
            self.done = True
            self._told(durable)


@final
class Waiters:
    """The waiting answers of one gateway. `wake` has the spooler look at the ring."""

    def __init__(
        self,
        ring: RingWriter,
        counters: Counters,
        wake: Callable[[], None],
        later: Later,
        seconds_max: float,
    ) -> None:
        self._ring = ring
        self._counters = counters
        self._wake = wake
        self._later = later
        self._seconds_max = seconds_max
        self._committed: deque[tuple[int, list[Waiter]]] = deque()

    def wait(self, slot: int, told: Told) -> Waiter:
        """Have an answer wait, no longer than the bound."""
        waiter = Waiter(told)

        def expire() -> None:
            if not waiter.done:
                self._counters.late(slot)
                waiter.tell(False)

        self._later(self._seconds_max, expire)
        return waiter

    def committed(self, waiters: list[Waiter]) -> None:
        """Note that the last frame of the ring holds these answers' records."""
        if waiters:
            self._committed.append((self._ring.head, waiters))
            self._ring.hurry()
            self._wake()

    def released(self) -> None:
        """Tell those whose records are durable by now."""
        released = self._ring.released
        while self._committed and self._committed[0][0] <= released:
            for waiter in self._committed.popleft()[1]:
                waiter.tell(True)
