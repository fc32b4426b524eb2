"""Cells find their columns: by name where the baseline knows one, else by position."""

import pytest

from modeltap.monitor.payloads import RecordRefused, Row
from modeltap.monitor.placing import PlacedRow, placed, placed_by_keys

NAMES = ("a", "b", "c")


Cell = tuple[str | None, str | None]  # a name, or none, and a text


def unnamed(*texts: str) -> tuple[Cell, ...]:
    return tuple((None, text) for text in texts)


def row_of(cells: tuple[Cell, ...]) -> Row:
    return Row(tuple(name for name, _ in cells), tuple(text for _, text in cells))


def by_column(row: PlacedRow) -> dict[str, str | None]:
    return dict(zip(*row, strict=True))


@pytest.mark.parametrize(
    ("cells", "row"),
    [
        (unnamed("1", "2", "3"), {"a": "1", "b": "2", "c": "3"}),
        ((("c", "3"), ("a", "1"), ("b", None)), {"c": "3", "a": "1", "b": None}),
        ((("c", "3"),), {"c": "3"}),
        ((("b", "2"), (None, "1"), (None, "3")), {"b": "2", "a": "1", "c": "3"}),
        ((("b", "2"), (None, "1")), {"b": "2", "a": "1"}),
        ((("b", "2"), ("new", "9")), {"b": "2", "new": "9"}),
        ((("score", "1"), (None, "2"), ("x", "3")), {"a": "1", "b": "2", "c": "3"}),
    ],
)
def test_a_row_is_placed(cells: tuple[Cell, ...], row: dict[str, str | None]) -> None:
    assert by_column(placed(row_of(cells), NAMES)) == row


@pytest.mark.parametrize(
    "cells",
    [
        unnamed("1", "2"),
        unnamed("1", "2", "3", "4"),
        (("score", "1"), ("x", "2")),
        (("a", "1"), *unnamed("2", "3", "4")),
    ],
)
def test_a_row_that_does_not_fit_is_ragged(cells: tuple[Cell, ...]) -> None:
    with pytest.raises(RecordRefused) as refused:
        placed(row_of(cells), NAMES)
    assert refused.value.reason == "ragged_row"


def test_without_columns_names_and_positions_make_them() -> None:
    assert by_column(placed(row_of((("x", "1"),)), ())) == {"x": "1"}
    assert by_column(placed(row_of(unnamed("1", "2")), ())) == {"_c0": "1", "_c1": "2"}


@pytest.mark.parametrize(
    ("keys", "row"),
    [
        ({"c": "3", "a": "1"}, {"c": "3", "a": "1"}),
        ({"10": "3", "02": "2", "01": "1"}, {"a": "1", "b": "2", "c": "3"}),
        ({"10": "2", "9": "3", "1": "1"}, {"a": "1", "b": "2", "c": "3"}),  # hence AWS's zfill
    ],
)
def test_a_preprocessors_row_is_placed(
    keys: dict[str, str | None], row: dict[str, str | None]
) -> None:
    assert by_column(placed_by_keys(keys, NAMES)) == row


def test_a_preprocessors_row_can_be_ragged() -> None:
    with pytest.raises(RecordRefused):
        placed_by_keys({"x": "1"}, NAMES)
