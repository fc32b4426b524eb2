"""Whole numbers that are counted, against numpy's own sort."""

import numpy as np
import pytest

from modeltap.monitor.counting import FEW, SMALL_RANGE, counted


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int64])
@pytest.mark.parametrize(
    ("low", "high"), [(0, 0), (0, 1), (3, 3 + FEW - 1), (3, 3 + FEW), (0, 100), (-7, -2), (-7, 90)]
)
def test_each_that_comes_is_counted(kind: type[np.integer], low: int, high: int) -> None:
    if low < 0 and kind is np.uint8:
        return
    values = np.random.default_rng(1).integers(low, high + 1, 1000).astype(kind)
    found = counted(values)
    assert found is not None
    different, counts = np.unique(values, return_counts=True)
    assert found.values.tolist() == different.tolist()
    assert found.counts.tolist() == counts.tolist()
    assert (found.low, found.high) == (values.min(), values.max())


@pytest.mark.parametrize("low", [-(2**63), -5, 0, 2**62])
def test_only_a_small_range_is_counted(low: int) -> None:
    assert counted(np.array([low, low + SMALL_RANGE])) is None
    narrow = counted(np.array([low, low + SMALL_RANGE - 1]))
    assert narrow is not None and narrow.counts.tolist() == [1, 1]
