"""The merge law: however a dataset is split, and in whatever order, it is the same dataset."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from modeltap.monitor import profile, summary
from modeltap.monitor.columns import summary_of
from modeltap.monitor.constraints import constraints_of
from modeltap.monitor.datasets import summarise
from modeltap.monitor.folding import Folding
from modeltap.monitor.plan import Format, Plan
from modeltap.monitor.profile import Profile
from modeltap.monitor.statistics import statistics_of
from modeltap.monitor.summary import Summary
from modeltap.nouns import Document

VALUES = st.lists(
    st.one_of(
        st.none(),
        st.integers(-5, 5).map(str),
        st.floats(allow_nan=False, allow_infinity=False).map(repr),
        st.sampled_from(["a", "b", "true"]),
    ),
    max_size=60,
)
CUTS = st.lists(st.integers(0, 60), max_size=5)


def texts(values: list[str | None]) -> pa.StringArray:
    return pa.array(values, pa.string())


def parts_of(values: list[str | None], cuts: list[int]) -> list[Summary]:
    bounds = [0, *sorted(min(cut, len(values)) for cut in cuts), len(values)]
    return [summary_of(texts(values[first:last])) for first, last in pairwise(bounds)]


def document(found: Summary) -> Document:
    return statistics_of(Profile(found.tally.total, {"x": found}))


@given(VALUES, CUTS)
def test_any_split_is_the_whole(values: list[str | None], cuts: list[int]) -> None:
    assert document(summary.merged(parts_of(values, cuts))) == document(summary_of(texts(values)))


@given(VALUES, CUTS)
def test_merging_is_associative(values: list[str | None], cuts: list[int]) -> None:
    parts = parts_of(values, cuts)
    one_by_one = Summary()
    for part in parts:
        one_by_one = summary.merged([one_by_one, part])
    assert document(one_by_one) == document(summary.merged(parts))


@given(VALUES, CUTS, st.randoms())
def test_any_order_has_the_same_exact_statistics(
    values: list[str | None], cuts: list[int], chance: "np.random.Generator"
) -> None:
    parts = parts_of(values, cuts)
    whole = summary.merged(parts)
    chance.shuffle(parts)
    shuffled = summary.merged(parts)
    assert shuffled.tally == whole.tally
    assert shuffled.numbers.moments == whole.numbers.moments
    assert shuffled.categories() == whole.categories()
    assert shuffled.distinct() == whole.distinct()


@given(VALUES, CUTS)
def test_a_bounded_merge_keeps_all_that_is_exact(values: list[str | None], cuts: list[int]) -> None:
    whole = summary_of(texts(values))
    bounded = summary.merged([each.bounded() for each in parts_of(values, cuts)])
    assert bounded.tally == whole.tally
    assert bounded.numbers.moments == whole.numbers.moments
    assert bounded.words.counts == whole.words.counts
    assert bounded.words.distinct == whole.words.distinct


@pytest.mark.parametrize("seed", range(3))
def test_bounded_and_whole_distributions_agree_within_a_thousandth(seed: int) -> None:
    chance = np.random.default_rng(seed)
    values = texts([repr(each) for each in chance.lognormal(size=250_000).tolist()])
    cuts = sorted(chance.integers(0, len(values), 7).tolist())
    bounds = zip([0, *cuts], [*cuts, len(values)], strict=True)
    parts = [summary_of(values[first:last]).bounded() for first, last in bounds]
    chance.shuffle(parts)
    merged, whole = summary.merged(parts), summary_of(values)
    at = np.quantile(np.asarray(values.cast(pa.float64())), np.linspace(0, 1, 101))
    ranks = [each.numbers.sketch().below(at, inclusive=True) for each in (merged, whole)]
    assert np.abs(ranks[0] - ranks[1]).max() <= 0.001 * len(values)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50))
def test_statistics_are_scipys(values: list[float]) -> None:
    found = document(summary_of(texts([repr(each) for each in values])))["features"][0]
    numerical = found["numerical_statistics"]
    assert numerical["sum"] == math.fsum(values)
    assert (numerical["min"], numerical["max"]) == (min(values), max(values))
    assert numerical["mean"] == pytest.approx(float(np.mean(values)), rel=1e-9, abs=1e-9)
    deviation = float(stats.tstd(values, ddof=0)) if len(set(values)) > 1 else 0.0
    assert numerical["std_dev"] == pytest.approx(deviation, rel=1e-9, abs=1e-7)
    buckets = numerical["distribution"]["kll"]["buckets"]
    bounds = [buckets[0]["lower_bound"], *(each["upper_bound"] for each in buckets)]
    if min(values) < bounds[-1] == max(values) and len(set(bounds)) == len(bounds):
        counts, _ = np.histogram(values, bounds)
        assert [each["count"] for each in buckets] == counts.tolist()


@settings(deadline=None, max_examples=50)
@given(
    rows=st.lists(st.tuples(st.integers(0, 9), st.sampled_from("abc")), min_size=1),
    seed=st.randoms(),
)
def test_constraints_do_not_hang_on_the_order_of_rows(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, str]],
    seed: "np.random.Generator",
) -> None:
    folder = tmp_path_factory.mktemp("order")
    found = constraints_of(read(folder / "a.csv", rows))
    shuffled = list(rows)
    seed.shuffle(shuffled)
    assert constraints_of(read(folder / "b.csv", shuffled)) == found


def read(file: Path, rows: list[tuple[int, str]]) -> Profile:
    file.write_text("n,w\n" + "".join(f"{number},{word}\n" for number, word in rows))
    return summarise(file, Plan(Format.CSV))


@given(first=st.integers(0, 3), second=st.integers(0, 3))
def test_a_column_that_a_part_does_not_know_is_missing_there(first: int, second: int) -> None:
    one = Profile(first, {"a": summary_of(texts(["1"] * first))})
    two = Profile(second, {"b": summary_of(texts(["1"] * second))})
    merged = profile.merged([one, two])
    assert merged.rows == first + second
    assert merged.columns["a"].tally.missing == second
    assert merged.columns["b"].tally.missing == first


@settings(deadline=None, max_examples=30)
@given(st.lists(VALUES, max_size=70), st.randoms())
def test_folding_is_merging_in_any_order(
    columns: list[list[str | None]], chance: "np.random.Generator"
) -> None:
    parts = [Profile(len(each), {"x": summary_of(texts(each))}) for each in columns]
    folding = Folding(whole=True)
    order = list(range(len(parts)))
    chance.shuffle(order)
    for index in order:
        folding.add(index, parts[index])
    assert statistics_of(folding.whole()) == statistics_of(profile.merged(parts))
