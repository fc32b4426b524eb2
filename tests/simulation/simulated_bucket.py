"""A bucket of the simulated world: it answers as its mood says, and remembers what was done to it.

Which faults a mood gives is a table, `MOODS`; which moods a bucket may have is its owner's choice.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

from modeltap.objects.port import ObjectInfo, Stored
from modeltap.objects.simulated import Fault, SimulatedStore

MOODS: dict[str, Sequence[Fault | None]] = {
    "well": [None],
    "flaky": [None, Fault.DOWN, Fault.LOST],
    "lossy": [None, Fault.LOST, Fault.LOST],
    "down": [Fault.DOWN],
    "busy": [None, Fault.BUSY, Fault.BUSY],
    "conflicts": [None, Fault.CONFLICT, Fault.CONFLICT],
    "expired": [Fault.EXPIRED],
    "skewed": [Fault.SKEWED],
    "denied": [Fault.DENIED],
    "gone": [Fault.NO_BUCKET],
    "moved": [Fault.MOVED],
    "old": [Fault.NO_CONDITIONS],
}
"""One of them for each call, by chance."""

HANG_SECONDS = (0.0, 0.0, 0.0, 0.0, 7.0, 45.0)
STRANGE = b"another's\n"


class Killed(BaseException):
    """The process ends here."""


class Bucket(SimulatedStore):
    """A bucket whose caller may be killed right after a put took effect.

    `hang` is called before each answer with the seconds that it takes. A bucket with `picky` keys
    refuses some for good, as a proxy's filter does; one with `squatted` ones holds them already.
    """

    def __init__(
        self,
        chance: random.Random,
        deadly: Callable[[], bool],
        hang: Callable[[float], object],
        *,
        moods: Sequence[str],
        picky: float = 0.0,
        squatted: float = 0.0,
    ) -> None:
        super().__init__(self._fault)
        self.moods = moods
        self.mood = "well"
        self.fresh: list[str] = []  # keys that were put since somebody looked
        self.changed: list[str] = []  # keys whose bytes another put has replaced
        self.hopeless: set[str] = set()  # segments that it will never have
        self._picky = picky
        self._squatted = squatted
        self._chance = chance
        self._deadly = deadly
        self._hang = hang
        self._fates: dict[str, float] = {}  # in [0, 1), by key

    async def put(self, key: str, data: bytes, **given: Any) -> Stored:
        await asyncio.sleep(0)  # another turn may come between
        fate = self._fates.setdefault(key, self._chance.random())
        if fate < self._squatted and key not in self._objects:
            self._objects[key] = ObjectInfo(key, len(STRANGE), "", 0, {}), STRANGE
            self.hopeless.add(given["metadata"]["modeltap-segment"])
        before = self._objects.get(key)
        try:
            if fate > 1 - self._picky:
                self.fault = lambda _: Fault.REFUSED
                self.hopeless.add(given["metadata"]["modeltap-segment"])
            stored = await super().put(key, data, **given)
        finally:
            self.fault = self._fault
            self._note(key, before)
        if self._deadly():
            raise Killed
        return stored

    def mend(self) -> None:
        """Answer well from now on, and take every key that nobody holds."""
        self.mood = "well"
        self._picky = self._squatted = 0.0

    def segments(self) -> set[str]:
        """Tell which segments have their object here."""
        return {info.metadata.get("modeltap-segment", "") for info, _ in self._objects.values()}

    def data(self, key: str) -> bytes:
        return self._objects[key][1]

    def _note(self, key: str, before: tuple[ObjectInfo, bytes] | None) -> None:
        after = self._objects.get(key)
        if after is not before:
            self.fresh.append(key)
            if before is not None and after is not None and before[1] != after[1]:
                self.changed.append(key)

    def _fault(self, _: str) -> Fault | None:
        if self._deadly():
            raise Killed
        self._hang(self._chance.choice(HANG_SECONDS))
        return self._chance.choice(MOODS[self.mood])
