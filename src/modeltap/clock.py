"""The only source of time, chance and identity (`house.md`, decision 9).

Everything that needs a `now`, a random number or an id is handed a `Clock`, so that tests drive
hours in microseconds and a seed replays a failure. Two implementations; one contract suite.
"""

import asyncio
import heapq
import random
import time
from datetime import UTC, datetime
from typing import Protocol

import uuid_utils


class Clock(Protocol):
    """A port: wall time, monotonic time, chance, identity, and waiting."""

    def now_ns(self) -> int:
        """Give the wall time, nanoseconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Give seconds that never run backwards; ages and deadlines are measured on these."""
        ...

    def random(self) -> float:
        """Give a number in [0, 1)."""
        ...

    def uuid4(self) -> str:
        """Give a fresh random id, lower-case with hyphens."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; a simulated clock returns when its time has been moved on."""
        ...


class SystemClock:
    """The machine's own clock."""

    # The functions themselves, because a call asks them ten times.
    now_ns = staticmethod(time.time_ns)
    monotonic = staticmethod(time.monotonic)
    random = staticmethod(random.random)  # sampling and weights, never a secret

    def uuid4(self) -> str:
        return str(uuid_utils.uuid4())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SimulatedClock:
    """A clock that stands still until it is moved; chance and ids follow from the seed."""

    def __init__(self, *, start_ns: int = 1_600_000_000_000_000_000, seed: int = 0) -> None:
        self._now_ns = start_ns
        self._elapsed = 0.0
        self._random = random.Random(seed)  # noqa: S311
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._serial = 0

    def now_ns(self) -> int:
        return self._now_ns

    def monotonic(self) -> float:
        return self._elapsed

    def random(self) -> float:
        return self._random.random()

    def uuid4(self) -> str:
        bits = self._random.getrandbits(128)
        return str(uuid_utils.UUID(int=bits & ~(0xF << 76) & ~(0x3 << 62) | 4 << 76 | 2 << 62))

    async def sleep(self, seconds: float) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._serial += 1
        heapq.heappush(self._waiting, (self._elapsed + seconds, self._serial, done))
        await done

    def advance(self, seconds: float) -> None:
        """Move time on and wake those whose wait has ended."""
        self._elapsed += seconds
        self._now_ns += int(seconds * 1_000_000_000)
        while self._waiting and self._waiting[0][0] <= self._elapsed:
            done = heapq.heappop(self._waiting)[2]
            if not done.done():
                done.set_result(None)

    def step(self, seconds: float) -> None:
        """Set the wall clock alone forwards or back, as an operator or NTP does."""
        self._now_ns += int(seconds * 1_000_000_000)


def utc(now_ns: int) -> datetime:
    """Read a wall time as a UTC datetime of microsecond resolution."""
    return datetime.fromtimestamp(now_ns // 1_000 / 1_000_000, UTC)


def stamp(now_ns: int) -> str:
    """Write a wall time as AWS's record stamp: whole seconds, `YYYY-MM-DDTHH:MM:SSZ`."""
    return utc(now_ns // 1_000_000_000 * 1_000_000_000).strftime("%Y-%m-%dT%H:%M:%SZ")
