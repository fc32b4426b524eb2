"""All connections of a gateway: how many there may be, their deadlines, and their end.

One sweep a quarter of a second looks at every connection's deadlines, in place of a timer each; a
deadline may therefore be late by `SWEEP_SECONDS`. Time comes from the clock.
"""

import asyncio
from typing import Protocol

from modeltap.clock import Clock
from modeltap.gateway.response import date

CONNECTIONS_MAX = 16_384
"""Ten thousand idle ones and what works beside them; an idle one costs 3.4 KB."""
SWEEP_SECONDS = 0.25


class Expiring(Protocol):
    """What the sweep needs of a connection."""

    def expire(self, now: float) -> None: ...

    def drain(self) -> None: ...


class Connections:
    """`header_seconds_max` bounds a request's headers, from their first byte to their end."""

    def __init__(self, clock: Clock, header_seconds_max: float) -> None:
        self.header_seconds_max = header_seconds_max
        self.now = clock.monotonic
        self.swept = clock.monotonic()  # good enough for deadlines that are long
        self.date = date(clock.now_ns())  # of every answer until the next sweep
        self._clock = clock
        self._open: set[Expiring] = set()
        self._draining = False
        self._emptied = asyncio.Event()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Expiring) -> bool:
        """Take a connection in; False if there are too many, or an end is being made."""
        if self._draining or len(self._open) >= CONNECTIONS_MAX:
            return False
        self._open.add(connection)
        return True

    def remove(self, connection: Expiring) -> None:
        self._open.discard(connection)
        if self._draining and not self._open:
            self._emptied.set()

    async def sweep(self) -> None:
        """Look at all deadlines, for ever."""
        while True:
            await self._clock.sleep(SWEEP_SECONDS)
            now = self.swept = self.now()
            self.date = date(self._clock.now_ns())
            for connection in tuple(self._open):
                connection.expire(now)

    async def drain(self) -> None:
        """Take no more, close the idle, and wait until the others have been answered."""
        self._draining = True
        for connection in tuple(self._open):
            connection.drain()
        if self._open:
            await self._emptied.wait()
