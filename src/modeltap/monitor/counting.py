"""How often each whole number comes, where they lie so close that counting beats sorting."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SMALL_RANGE = 1 << 16
"""Whole numbers within such a range are counted, not sorted."""

FEW = 10
"""So many are looked for one by one, as the digits of one-hot columns: a look is a quick pass."""

WholeNumbers = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Counts:
    """Different whole numbers, ascending, and how often each came: at least once."""

    values: NDArray[np.int64]
    counts: NDArray[np.int64]

    @property
    def low(self) -> int:
        return int(self.values[0])

    @property
    def high(self) -> int:
        return int(self.values[-1])


def counted(values: WholeNumbers) -> Counts | None:
    """Count whole numbers, of which there is at least one; None if their range is not small."""
    low, high = int(values.min()), int(values.max())
    if high - low >= SMALL_RANGE:
        return None
    if high - low < FEW:
        counts = np.array([np.count_nonzero(values == each) for each in range(low, high + 1)])
    else:
        counts = np.bincount(values.astype(np.int64) - low)
    at = np.flatnonzero(counts)
    return Counts(at + low, counts[at])
