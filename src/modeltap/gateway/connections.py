"""All connections of a gateway: how many there may be, their deadlines, and their end.

One sweep a quarter of a second (`waiting.sweep`) looks at every connection's deadlines, in place of
a timer each; a deadline may therefore be late by that. Time comes from the clock.
"""

from collections.abc import Callable
from typing import Final, Protocol, final

from modeltap.clock import Clock
from modeltap.gateway.response import date

CONNECTIONS_MAX: Final = 16_384
"""Ten thousand idle ones and what works beside them; an idle one costs 3.4 KB."""


class Expiring(Protocol):
    """What the sweep needs of a connection."""

    def expire(self, now: float) -> None: ...

    def drain(self) -> None: ...


@final
class Connections:
    """`header_seconds_max` bounds a request's headers, from their first byte to their end."""

    def __init__(self, clock: Clock, header_seconds_max: float) -> None:
        self.header_seconds_max: Final = header_seconds_max
        self.now: Final = clock.monotonic
        self.swept = clock.monotonic()  # good enough for deadlines that are long
        self.date = date(clock.now_ns())  # of every answer until the next sweep
        self._now_ns = clock.now_ns
        self._open: set[Expiring] = set()
        self._emptied: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Expiring) -> bool:
        """Take a connection in; False if there are too many, or an end is being made."""
        if self._emptied is not None or len(self._open) >= CONNECTIONS_MAX:
            return False
        self._open.add(connection)
        return True

    def remove(self, connection: Expiring) -> None:
        self._open.discard(connection)
        self._tell_if_empty()

    def expire(self) -> None:
        """Look at all deadlines."""
        now = self.swept = self.now()
        self.date = date(self._now_ns())
        for connection in tuple(self._open):
            connection.expire(now)

    def end(self, emptied: Callable[[], None]) -> None:
        """Take no more and close the idle; `emptied` is told when the others have been answered."""
        self._emptied = emptied
        for connection in tuple(self._open):
            connection.drain()
        self._tell_if_empty()

    def _tell_if_empty(self) -> None:
        if self._emptied is not None and not self._open:
            self._emptied()
