"""Sets of sequence numbers behave as sets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeltap.capture.numbers import Numbers

sets = st.sets(st.integers(1, 40))


def members(numbers: Numbers) -> set[int]:
    return {n for first, last in numbers.spans for n in range(first, last + 1)}


@given(sets, sets)
def test_they_are_sets(one: set[int], other: set[int]) -> None:
    a, b = Numbers.of(one), Numbers.of(other)
    assert members(a) == one
    assert len(a) == len(one)
    assert members(a | b) == one | other
    assert members(a & b) == one & other
    assert members(a - b) == one - other


@given(sets, sets)
def test_equal_sets_are_equal(one: set[int], other: set[int]) -> None:
    assert (Numbers.of(one) == Numbers.of(other)) == (one == other)
    assert (Numbers.of(one) - Numbers.of(other)) | (Numbers.of(one) & Numbers.of(other)) == (
        Numbers.of(one)
    )


@given(sets)
def test_the_text_tells_the_set(one: set[int]) -> None:
    numbers = Numbers.of(one)
    assert Numbers.parse(str(numbers)) == numbers


def test_the_text_is_short() -> None:
    assert str(Numbers.of([9, 1, 2, 3, 7])) == "1-3,7,9"


@pytest.mark.parametrize("text", ["x", "0", "5-3", "1-2-3", "1,,a"])
def test_another_text_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"no span|invalid literal"):
        Numbers.parse(text)
