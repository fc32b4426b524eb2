"""The KLL sketch that `statistics.json` carries: levels of values, one of level h weighs 2^h.

The rules are Deequ's (contract §4.3.2): capacities, which level is compacted when, which of two
neighbours moves up. They hang on the order of the values, so `in_order` gives AWS's sketch bit for
bit for a dataset that Spark would read as one partition; `of_sorted` gives a more accurate one,
which no order changes, and is far cheaper.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

K = 2048
C = 0.64
IN_ORDER_MAX = 100_000
"""Values up to which a sketch follows their order; a partition of Spark's is of this size."""

Doubles = NDArray[np.float64]


def capacity(level: int) -> int:
    """Give how many values fill a level."""
    return 2 * (math.ceil(K * C**level / 2) + 1)


@dataclass(frozen=True, slots=True)
class Sketch:
    """Levels, lowest first; no array is ever written to."""

    levels: tuple[Doubles, ...]

    def weighted(self) -> tuple[Doubles, NDArray[np.int64]]:
        """Give all values in ascending order, and what each weighs; of equals the lowest first."""
        sizes = [len(level) for level in self.levels]
        values = np.concatenate([*self.levels, np.empty(0)])
        weights = np.repeat(np.int64(1) << np.arange(len(sizes), dtype=np.int64), sizes)
        order = np.argsort(values, kind="stable")
        return values[order], weights[order]

    @property
    def weight(self) -> int:
        return sum(len(level) << height for height, level in enumerate(self.levels))

    def below(self, bounds: Doubles, *, inclusive: bool = False) -> NDArray[np.int64]:
        """Give the weight of the values below each bound, or of those not above it."""
        values, weights = self.weighted()
        ranks = np.concatenate([np.zeros(1, np.int64), np.cumsum(weights)])
        return ranks[np.searchsorted(values, bounds, side="right" if inclusive else "left")]


EMPTY = Sketch(())


# ---------------------------------------------------------------- making


class _Levels:
    """Levels that are being filled, with the memory that a compaction has (`offset`)."""

    def __init__(self, levels: Iterable[Doubles]) -> None:
        self.levels = list(levels) or [np.empty(0)]
        self.compactions = [0] * len(self.levels)

    @property
    def room(self) -> int:
        """Give how many values more there is room for; negative above the capacity."""
        return sum(map(capacity, range(len(self.levels)))) - sum(map(len, self.levels))

    def add(self, values: Doubles) -> None:
        self.levels[0] = np.concatenate([self.levels[0], values])

    def condense(self) -> None:
        """Compact the lowest level that is full."""
        full = (at for at, level in enumerate(self.levels) if len(level) >= capacity(at))
        at = next(full)
        if at + 1 == len(self.levels):
            self.levels.append(np.empty(0))
            self.compactions.append(0)
        self.levels[at], moved = self._compacted(at)
        self.levels[at + 1] = np.concatenate([self.levels[at + 1], moved])

    def _compacted(self, at: int) -> tuple[Doubles, Doubles]:
        level = self.levels[at]
        even = len(level) - len(level) % 2
        self.compactions[at] += 1
        offset = self.compactions[at] // 2 % 2  # it turns before every second compaction
        # Copies: a slice of a few values would hold the whole array in memory.
        return level[even:].copy(), np.sort(level[:even])[offset::2].copy()

    def sketch(self) -> Sketch:
        return Sketch(tuple(self.levels))


def in_order(values: Doubles) -> Sketch:
    """Sketch values as they come, as Deequ does on one partition."""
    filling = _Levels([])
    at = 0
    while at < len(values):
        room = filling.room + 1  # the value that is too much makes it condense
        filling.add(values[at : at + room])
        at += room
        if filling.room < 0:
            filling.condense()
    return filling.sketch()


def of_counts(values: Doubles, counts: NDArray[np.int64]) -> Sketch:
    """Sketch ascending values that come so often each."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return _picked(total, lambda ranks: values[np.searchsorted(ends, ranks, side="right")])


def of_sorted(values: Doubles) -> Sketch:
    """Sketch ascending values."""
    return _picked(len(values), lambda ranks: values[ranks])


def _picked(total: int, at_ranks: Callable[[NDArray[np.int64]], Doubles]) -> Sketch:
    """Let the middle one of every 2^h neighbours stand for them, and the rest for themselves.

    h is the least with which the highest level is not over full.
    """
    height = next(h for h in count() if total >> h <= K)
    step = 1 << height
    whole = total >> height
    levels = [np.empty(0)] * (height + 1)
    levels[height] = at_ranks(np.arange(whole) * step + step // 2)
    rest, at = total - whole * step, whole * step
    for low in range(height):
        if rest >> low & 1:
            levels[low] = at_ranks(np.array([at + (1 << low) // 2]))
            at += 1 << low
    return Sketch(tuple(levels))


def merged(sketches: Sequence[Sketch]) -> Sketch:
    """Merge, level by level, and compact while they are over full."""
    deepest = max((len(one.levels) for one in sketches), default=0)
    levels = [
        np.concatenate([one.levels[at] for one in sketches if at < len(one.levels)])
        for at in range(deepest)
    ]
    filling = _Levels(levels)
    while filling.room < 0:
        filling.condense()
    return filling.sketch()
