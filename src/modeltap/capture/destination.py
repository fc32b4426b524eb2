"""A destination: what waits for it, and whether it may be tried now (breaker, reliability §2.8).

    new        has not taken anything yet     ─┐ one PUT at a time; at most PROBES_MAX of
    failing    its last answer was an error   ─┘ all destinations have one
    trusted    takes up to PUTS_MAX at a time, and none more while one of them is slow

A failing destination rests, longer each time; then it is probed with its smallest segment, so that
a slow or sick store is asked for little. What was refused before comes after all that was not: one
segment that a store will not have keeps no other waiting, and one that will have none is not asked
for each of them five times in a row.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Final

from modeltap.capture.backlog import Sealed
from modeltap.capture.outcome import REFUSALS_MAX, Outcome

PUTS_MAX: Final = 4
SLOW_SECONDS: Final = 5.0
"""From this age on a PUT is slow: it hangs, for all that we know."""
PROBES_MAX: Final = 2
FIRST_REST_SECONDS: Final = 1.0


class Lane(Enum):
    """How a turn chooses; NEWEST is there so that a backlog never starves what is live."""

    OLDEST = auto()
    NEWEST = auto()  # of trusted destinations alone


LANE_PUTS_MAX: Final = {Lane.OLDEST: PUTS_MAX - 1, Lane.NEWEST: 1}
"""So many PUTs that are not slow a lane has at once, over all destinations."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A segment that is being tried, in memory or on its way."""

    lane: Lane
    began: float

    def is_slow(self, now: float) -> bool:
        return now - self.began >= SLOW_SECONDS


@dataclass(slots=True)
class Destination:
    """How one destination has answered of late."""

    name: str
    waiting: deque[Sealed] = field(default_factory=deque)  # oldest first
    in_hand: dict[Path, Trial] = field(default_factory=dict)
    tried: int = 0  # the number of the last trial; they go round among destinations
    taken: int = 0
    failures: int = 0
    rested_at: float = 0.0
    rest_until: float = 0.0
    outcome: Outcome | None = None  # why it takes nothing now, and in whose words
    reason: str = ""
    create_only: bool = True

    @property
    def is_trusted(self) -> bool:
        return self.taken > 0 and not self.failures

    @property
    def is_probed(self) -> bool:
        return bool(self.in_hand) and not self.is_trusted

    def swift(self, lane: Lane, now: float) -> int:
        """Count what a lane has in hand that is not slow."""
        trials = self.in_hand.values()
        return sum(each.lane is lane and not each.is_slow(now) for each in trials)

    def may_try(self, lane: Lane, now: float, probes: int) -> bool:
        """Tell whether a segment may be tried at time `now`, while so many are probed."""
        if not self.waiting or now < self.rest_until:
            return False
        if not self.is_trusted:
            return lane is Lane.OLDEST and not self.in_hand and probes < PROBES_MAX
        is_slow = any(each.is_slow(now) for each in self.in_hand.values())
        return len(self.in_hand) < PUTS_MAX and not is_slow

    def take(self, lane: Lane) -> Sealed:
        """Take the segment that is to be tried next: of those that were refused least often."""
        if self.failures:
            taken = min(self.waiting, key=lambda sealed: (sealed.refusals, sealed.size))
        else:
            ordered = self.waiting if lane is Lane.OLDEST else reversed(self.waiting)
            taken = min(ordered, key=lambda sealed: sealed.refusals)
        self.waiting.remove(taken)
        return taken

    def rest(self, outcome: Outcome, reason: str, seconds: float, now: float) -> bool:
        """Let it rest; tell whether that is news: a new spell, or one for another reason."""
        is_news = outcome is not self.outcome
        self.failures += 1
        self.outcome, self.reason = outcome, reason
        self.rested_at, self.rest_until = now, now + seconds
        return is_news

    def refuse(self, sealed: Sealed) -> bool:
        """Note that it will not have a segment; tell whether that makes it poison."""
        if not sealed.refusals:
            sealed.taken_before = self.taken
        sealed.refusals += 1
        return sealed.refusals >= REFUSALS_MAX and self.taken > sealed.taken_before

    def take_up(self) -> bool:
        """Note that it took a segment; tell whether that ends a spell."""
        was_failing = self.failures > 0
        self.taken += 1
        self.failures, self.rest_until = 0, 0.0
        self.outcome, self.reason = None, ""
        return was_failing


def rest_seconds(outcome: Outcome, failures: int, chance: float, seconds_max: float) -> float:
    """Choose how long to rest after `failures` in a row and one more, by a number in [0, 1).

    Full jitter: shippers that failed together do not come back together.
    """
    if outcome in (Outcome.HELD, Outcome.SKEWED):
        return seconds_max
    if outcome is Outcome.CONFLICT:
        return FIRST_REST_SECONDS * chance
    return chance * min(seconds_max, FIRST_REST_SECONDS * 2.0 ** min(failures + 1, 30))
