"""Waiting for an object store that does not answer for now: it may be starting beside us."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from modeltap.clock import Clock
from modeltap.errors import StoreUnavailable

PAUSE_SECONDS = 1.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a store is asked again and again."""

    clock: Clock
    seconds_max: float

    async def of(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Give what an attempt comes to; raise `StoreUnavailable` once patience is at its end."""
        deadline = self.clock.monotonic() + self.seconds_max
        while True:
            try:
                return await attempt()
            except StoreUnavailable:
                if self.clock.monotonic() >= deadline:
                    raise
            await self.clock.sleep(PAUSE_SECONDS)
