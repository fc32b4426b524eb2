"""A column's summary against the plain rules, value by value."""

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeltap.monitor.columns import summary_of
from modeltap.monitor.kinds import Kind, Tally, kind_of, number_of
from modeltap.monitor.moments import of_doubles
from modeltap.monitor.summary import Summary
from modeltap.monitor.words import CATEGORIES_MAX, Words, merged

NUMBERS = st.one_of(
    st.integers(-(10**22), 10**22).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str),
    st.from_regex(r"[-+]? ?[0-9]{1,4}(\.[0-9]{1,3})?([eE][-+]?[0-9]{1,3})?", fullmatch=True),
)
ODD = st.sampled_from(
    (
        *(".5", "1.", "-.5", "1.e5", "e5", "1e", "nan", "inf", "-", "+", " ", "", "1 ", "0x10"),
        *(
            "1_0",
            "true",
            "false",
            "True",
            "1e999",
            "--1",
            "1,0",
            "٣",
            "007",
            "-0",
            "+5",
            "- 5",
            " 5",
        ),
    )
)
COLUMNS = st.one_of(
    st.lists(NUMBERS),
    st.lists(st.sampled_from("01")),
    st.lists(st.one_of(NUMBERS, ODD, st.text(max_size=4), st.none())),
)


def column(values: Sequence[str | None]) -> pa.StringArray:
    return pa.array(values, pa.string())


def plain(values: list[str | None]) -> tuple[Tally, list[float], Counter[str]]:
    """Sum up by the rules alone."""
    kinds = Counter(map(kind_of, values))
    tally = Tally(
        kinds[Kind.INTEGRAL],
        kinds[Kind.FRACTIONAL],
        kinds[Kind.BOOLEAN],
        kinds[Kind.STRING],
        kinds[Kind.UNKNOWN],
    )
    numeric = (Kind.INTEGRAL, Kind.FRACTIONAL)
    numbers = [number_of(each) for each in values if each is not None and kind_of(each) in numeric]
    others = [each for each in values if each is not None and kind_of(each) not in numeric]
    return tally, numbers, Counter(others)


@given(COLUMNS)
def test_a_column_is_what_its_values_are(values: list[str | None]) -> None:
    summary = summary_of(column(values))
    tally, numbers, others = plain(values)
    assert summary.tally == tally
    assert summary.numbers.moments == of_doubles(np.array(numbers, np.float64))
    kept = [*np.concatenate([*(summary.numbers.chunks or ()), np.empty(0)]).tolist()]
    assert kept == numbers
    assert summary.words.distinct == len(others)
    if len(others) <= CATEGORIES_MAX:
        assert summary.words.counts == others


@given(COLUMNS)
def test_a_textual_column_keeps_all_texts(values: list[str | None]) -> None:
    summary = summary_of(column(values), textual=True)
    assert summary.tally == plain(values)[0]
    assert summary.distinct() == len({each for each in values if each is not None})


@given(COLUMNS, st.integers(0, 5))
def test_a_slice_of_an_array_is_summed_up_alone(values: list[str | None], first: int) -> None:
    whole = column([*["9"] * first, *values])
    assert summary_of(whole[first:]).tally == plain(values)[0]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_sums_are_exact(values: list[float]) -> None:
    moments = of_doubles(np.array(values, np.float64))
    exact = [Fraction(each) for each in values]
    assert Fraction(moments.total, 2**1074) == sum(exact)
    assert Fraction(moments.squares, 2**2148) == sum(each * each for each in exact)


@given(st.lists(st.integers(-(2**40), 2**40).map(float), min_size=1))
def test_the_deviation_is_that_of_the_population(values: list[float]) -> None:
    mean = Fraction(sum(map(Fraction, values)), len(values))
    variance = sum((Fraction(each) - mean) ** 2 for each in values) / len(values)
    assert of_doubles(np.array(values)).std_dev == math.sqrt(float(variance))


def test_huge_numbers_have_a_deviation() -> None:
    moments = of_doubles(np.array([1.7e308, -1.7e308, 0.0]))
    assert (moments.sum, moments.mean) == (0.0, 0.0)
    assert moments.std_dev == pytest.approx(1.7e308 * math.sqrt(2 / 3))
    assert of_doubles(np.array([1.7e308, 1.7e308])).mean == 1.7e308


@pytest.mark.parametrize(
    ("tally", "kind"),
    [
        (Tally(), Kind.UNKNOWN),
        (Tally(missing=3), Kind.UNKNOWN),
        (Tally(integral=3, missing=1), Kind.INTEGRAL),
        (Tally(integral=3, fractional=1), Kind.FRACTIONAL),
        (Tally(boolean=2), Kind.STRING),
        (Tally(integral=3, boolean=1), Kind.STRING),
        (Tally(integral=99, string=1), Kind.STRING),
    ],
)
def test_the_type_of_a_column(tally: Tally, kind: Kind) -> None:
    assert tally.kind() == kind


def test_distinct_texts_are_estimated_in_a_bounded_summary() -> None:
    """Half of a million texts stand twice, in parts that overlap."""
    first = column([f"user-{at}" for at in range(300_000)])
    second = column([f"user-{at}" for at in range(150_000, 500_000)])
    parts = [summary_of(each).bounded().words for each in (first, second)]
    assert all(part.hashes is None for part in parts)
    assert merged(parts).distinct == pytest.approx(500_000, rel=0.03)
    assert merged(reversed(parts)).distinct == merged(parts).distinct


def test_many_categories_are_no_categories() -> None:
    few = summary_of(column([f"{at}x" for at in range(CATEGORIES_MAX)]))
    many = summary_of(column([f"{at}x" for at in range(CATEGORIES_MAX + 1)]))
    assert len(few.categories() or {}) == CATEGORIES_MAX
    assert many.categories() is None
    assert many.distinct() == CATEGORIES_MAX + 1


def test_long_texts_and_texts_that_begin_alike_are_told_apart() -> None:
    texts = ["x" * 1000 + str(at) for at in range(50)] + ["x" * at for at in range(300)]
    assert summary_of(column(texts)).distinct() == 350


def test_a_number_in_a_column_of_texts_counts_by_its_value() -> None:
    summary = summary_of(column(["007", "7", "7.0", "A1"]))
    assert summary.categories() == {"7": 3, "A1": 1}
    assert summary.distinct() == 2
    assert isinstance(summary, Summary) and isinstance(summary.words, Words)
