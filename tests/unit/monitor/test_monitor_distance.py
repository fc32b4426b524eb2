"""Distances, against scipy and against the examples that the documents tell of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from modeltap.monitor import distance, sketch
from modeltap.monitor.distance import Dialect

VALUES = st.lists(st.integers(0, 20).map(float), min_size=4, max_size=200)
COUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 500), min_size=2)


@given(VALUES, VALUES)
def test_exact_is_the_kolmogorov_smirnov_statistic(ours: list[float], theirs: list[float]) -> None:
    first, second = (sketch.in_order(np.array(each)) for each in (ours, theirs))
    found = distance.numerical(first, second, Dialect.EXACT, robust=False)
    assert found == pytest.approx(stats.ks_2samp(ours, theirs, method="asymp").statistic)


@given(
    st.lists(st.floats(0, 1), min_size=1, unique=True),
    st.lists(st.floats(2, 3), min_size=1, unique=True),
)
def test_the_dialects_agree_where_no_value_is_repeated(
    ours: list[float], theirs: list[float]
) -> None:
    first, second = (sketch.in_order(np.array(each)) for each in (ours, theirs))
    for robust in (False, True):
        aws, exact = (distance.numerical(first, second, each, robust=robust) for each in Dialect)
        assert aws == exact


def test_a_one_hot_column_that_moved_is_seen_by_one_of_them_only() -> None:
    """0.1 of ones become 0.3: AWS's engine sees nothing (Deequ's issue 392)."""
    chance = np.random.default_rng(1)
    current, baseline = (
        sketch.of_sorted(np.sort((chance.random(200_000) < share).astype(float)))
        for share in (0.3, 0.1)
    )
    found = {each: distance.numerical(current, baseline, each, robust=True) for each in Dialect}
    assert found[Dialect.AWS] == 0.0
    assert found[Dialect.EXACT] == pytest.approx(0.2, abs=0.01)


def test_few_values_are_forgiven_by_the_robust_method() -> None:
    ours, theirs = sketch.in_order(np.zeros(200)), sketch.in_order(np.ones(200))
    assert distance.numerical(ours, theirs, Dialect.EXACT, robust=False) == 1.0
    assert distance.numerical(ours, theirs, Dialect.EXACT, robust=True) == pytest.approx(0.82)


def test_categories_are_compared_by_their_greatest_difference() -> None:
    far = distance.categorical({"a": 50, "b": 50}, {"a": 90, "c": 10}, 100, robust=False)
    assert far == pytest.approx(0.5)


@given(COUNTS, st.data())
def test_chi_squared_is_pearsons(baseline: dict[str, int], data: st.DataObject) -> None:
    current = {each: data.draw(st.integers(1, 500)) for each in baseline}
    scale = sum(current.values()) / sum(baseline.values())
    expected = {each: count * scale for each, count in baseline.items()}
    found = distance.chi_squared(current, baseline)
    if min(expected.values()) >= 10:
        values = [current[each] for each in baseline]
        wanted = stats.chisquare(values, list(expected.values())).pvalue
        assert found == pytest.approx(wanted, rel=1e-9, abs=1e-300)


def test_rare_categories_are_grouped_before_chi_squared() -> None:
    """Of four, two are expected less than five times: they join the next rarest."""
    baseline = {"a": 900, "b": 96, "c": 2, "d": 2}
    grouped = distance.chi_squared({"a": 450, "b": 40, "c": 5, "d": 5}, baseline)
    alone = stats.chisquare([450, 50], [450, 50]).pvalue
    assert grouped == pytest.approx(alone)
    assert distance.chi_squared({"a": 5, "b": 1}, {"a": 5, "b": 1}) is None
