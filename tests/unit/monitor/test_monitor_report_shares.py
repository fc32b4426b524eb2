"""Two distributions on common bins: shares add up, outliers do not hide the rest."""

import numpy as np
import pytest

from modeltap.monitor import sketch
from modeltap.monitor.checks import Drift
from modeltap.monitor.distance import Dialect
from modeltap.monitor.report.drawing import HEIGHT, WIDTH, bars, histogram, meter
from modeltap.monitor.report.shares import VALUES_MAX, Shares, shares_of
from modeltap.monitor.report.text import number, percent, shown
from modeltap.monitor.statistics import BUCKETS, BaselineFeature


def numbers(*values: float) -> BaselineFeature:
    return BaselineFeature(sketch.in_order(np.array(values, np.float64)), None)


def texts(**counts: int) -> BaselineFeature:
    return BaselineFeature(None, counts)


def drawn(current: BaselineFeature, baseline: BaselineFeature | None = None) -> Shares:
    shares = shares_of(current, baseline)
    assert shares is not None
    assert sum(shares.current) == pytest.approx(1)
    assert shares.baseline is None or sum(shares.baseline) == pytest.approx(1)
    return shares


def test_numbers_fall_into_ten_ranges_that_reach_over_both_sides() -> None:
    shares = drawn(numbers(*range(50, 150)), numbers(*range(100)))
    assert (shares.low, shares.high, len(shares.labels)) == ("0", "149", BUCKETS)
    assert shares.baseline is not None
    assert shares.baseline[0] == 0.15 and shares.current[0] == 0
    assert shares.current[-1] == 0.15  # the greatest value is in the last range
    assert shares.texts[0] == "0 to 14.9: 15 % → 0 %"


def test_a_value_far_out_opens_the_range_at_its_end() -> None:
    shares = drawn(numbers(-9999, *range(100)))
    assert shares.low.startswith("< ") and shares.high.startswith("≥ ")
    assert max(shares.current) < 0.2
    assert shares.labels[0].startswith("below ")


def test_few_different_numbers_are_drawn_one_by_one_in_their_order() -> None:
    shares = drawn(numbers(10, 9, 9, 1), numbers(1, 1, 2, 2))
    assert shares.labels == ("1", "2", "9", "10")
    assert (shares.current, shares.baseline) == ((0.25, 0, 0.5, 0.25), (0.5, 0.5, 0, 0))


def test_texts_are_drawn_by_their_larger_share() -> None:
    shares = drawn(texts(a=1, b=3), texts(a=9, c=1))
    assert shares.labels == ("a", "b", "c")


def test_the_rest_of_many_values_is_one_bin_that_sets_no_scale() -> None:
    many = {f"v{at:02}": 2 for at in range(100)}
    shares = drawn(texts(**many, first=20), texts(**many, first=10))
    assert len(shares.labels) == VALUES_MAX + 1 and shares.labels[-1] == "91 others"
    assert shares.top == shares.current[0]
    assert bars(shares)[-1].current is None


def test_numbers_that_became_texts_are_laid_over_numbers_that_are_few() -> None:
    shares = drawn(BaselineFeature(None, {"1": 3, "n/a": 1}), numbers(1, 1, 2))
    assert shares.labels == ("1", "2", "n/a") and shares.baseline is not None


def test_what_cannot_be_compared_is_drawn_alone() -> None:
    assert drawn(numbers(*range(200)), texts(a=1)).baseline is None
    assert drawn(texts(a=1), numbers(*range(200))).baseline is None


@pytest.mark.parametrize("nothing", [BaselineFeature(None, None), numbers(), texts(a=0)])
def test_nothing_is_no_drawing(nothing: BaselineFeature) -> None:
    assert shares_of(nothing, texts(a=1)) is None
    assert drawn(texts(a=1), nothing).baseline is None


def test_no_number_is_too_large_for_the_ranges() -> None:
    shares = drawn(numbers(-1.7e308, 1.7e308, *range(12)))
    assert len(shares.current) == BUCKETS


def test_an_outline_stays_within_its_drawing() -> None:
    path = histogram(drawn(numbers(*range(100)))).current
    assert path.startswith(f"M0 {HEIGHT}V") and path.endswith(f"H{WIDTH}V{HEIGHT}")


def test_a_meter_needs_a_finite_distance() -> None:
    assert meter(Drift("a", float("nan"), 0, 0.1, Dialect.AWS)) is None
    assert meter(Drift("a", 0.5, 0.5, 0.1, Dialect.AWS, is_p_value=True)) is None
    drawn_meter = meter(Drift("a", 0.05, 0.4, 0.1, Dialect.AWS))
    assert drawn_meter and drawn_meter.exact == WIDTH


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (float("nan"), "-"),
        (float("inf"), "-"),
        (0, "0"),
        (1, "1"),
        (2333, "2,333"),
        (1234567, "1.23e+06"),
        (0.1004, "0.1004"),
        (60.379999999999995, "60.38"),
        (-0.5, "-0.5"),
        (0.0001, "0.0001"),
    ],
)
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1, "100 %"), (0.0001, "< 0.1 %"), (0.9999, "> 99.9 %"), (0.284, "28.4 %")],
)
def test_what_is_not_quite_all_does_not_look_like_it(share: float, text: str) -> None:
    assert percent(share) == text


def test_texts_are_cut_and_made_printable() -> None:
    assert shown("abcdef", 4) == "abc…"
    assert shown("\x1b[31m\n\ud800é", 40) == r"\x1b[31m\n\ud800é"
