"""The sketch: Deequ's levels bit for bit, and how near its ranks are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeltap.monitor import sketch
from modeltap.monitor.sketch import K, Sketch, capacity


def as_the_rule_says(values: list[float]) -> list[list[float]]:
    """Add one value after the other (contract §4.3.2), as plainly as it can be written."""
    levels: list[list[float]] = [[]]
    offsets, compactions = [0], [0]
    for value in values:
        levels[0].append(value)
        if sum(map(len, levels)) <= sum(map(capacity, range(len(levels)))):
            continue
        at = next(at for at, level in enumerate(levels) if len(level) >= capacity(at))
        if at + 1 == len(levels):
            levels.append([])
            offsets.append(0)
            compactions.append(0)
        if compactions[at] % 2 == 1:
            offsets[at] = 1 - offsets[at]
        compactions[at] += 1
        even = len(levels[at]) // 2 * 2
        moved = sorted(levels[at][:even])[offsets[at] :: 2]
        levels[at] = levels[at][even:]
        levels[at + 1] += moved
    return levels


def rank_error(found: Sketch, values: np.ndarray) -> float:
    """Give the greatest error of a rank, as a share of all; equals have any of their ranks."""
    ordered = np.sort(values)
    at = np.unique(found.weighted()[0])
    below, upto = (np.searchsorted(ordered, at, side=side) for side in ("left", "right"))
    ours = found.below(at, inclusive=True)
    error = np.maximum(below - ours, ours - upto)
    return float(error.max()) / len(values)


def test_capacities() -> None:
    assert [capacity(at) for at in range(3)] == [2050, 1314, 842]


@pytest.mark.parametrize("count", [0, 1, 2050, 2051, 5000, 40_000])
def test_in_order_is_deequs_sketch(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count)
    found = sketch.in_order(values)
    assert [level.tolist() for level in found.levels] == as_the_rule_says(values.tolist())
    assert found.weight == count


@given(st.lists(st.integers(0, 50).map(float), max_size=300))
def test_sorted_values_and_counts_give_one_sketch(values: list[float]) -> None:
    ordered = np.sort(np.array(values, np.float64))
    different, counts = np.unique(ordered, return_counts=True)
    first, second = sketch.of_sorted(ordered), sketch.of_counts(different, counts)
    assert [level.tolist() for level in first.levels] == [level.tolist() for level in second.levels]
    assert first.weight == len(values)


@pytest.mark.parametrize("count", [1, 2047, 2048, 2049, 100_001, 1_000_000])
def test_of_sorted_is_near_and_weighs_all(count: int) -> None:
    values = np.exp(np.random.default_rng(count).normal(size=count))
    found = sketch.of_sorted(np.sort(values))
    assert found.weight == count
    assert rank_error(found, values) <= 1 / K


@pytest.mark.parametrize("parts", [2, 16, 300])
def test_merged_ranks_are_within_a_thousandth(parts: int) -> None:
    values = np.random.default_rng(parts).gamma(2.0, size=600_000)
    pieces = [sketch.of_sorted(np.sort(each)) for each in np.array_split(values, parts)]
    found = sketch.merged(pieces)
    assert found.weight == len(values)
    assert rank_error(found, values) <= 0.001


def test_a_sketch_is_not_written_to_by_a_merge() -> None:
    piece = sketch.of_sorted(np.arange(5000.0))
    for level in piece.levels:
        level.flags.writeable = False
    assert sketch.merged([piece, piece, piece]).weight == 15_000
