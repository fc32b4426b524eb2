"""A row's values → the baseline's columns (contract §4.6)."""

from collections.abc import Mapping
from functools import lru_cache
from typing import cast

from modeltap.monitor.payloads import FORMS_KEPT, Names, RecordRefused, Row, Texts

Columns = tuple[str, ...]

PlacedRow = tuple[Columns, Texts]
"""The columns that a row has values for, and the values; None: missing."""


def placed(row: Row, columns: Columns) -> PlacedRow:
    """Put a row's values into columns. Raise `RecordRefused` for one that does not fit.

    If one of its names is a column, or no columns are known, values go by their names, and those
    without one fill the columns that are left, in order. Else all go by their position.
    """
    return _found(row.names, columns), row.texts


@lru_cache(FORMS_KEPT)
def _found(names: Names, columns: Columns) -> Columns:
    own = set(names)
    if own == {None} or (columns and own.isdisjoint(columns)):
        return _by_position(len(names), columns)
    if None in own:
        left = iter([column for column in columns if column not in own])
        names = tuple(next(left, None) if name is None else name for name in names)
    if None in names:
        raise RecordRefused("ragged_row", "it has more values without a name than columns are left")
    return cast(Columns, names)


def placed_by_keys(row: Mapping[str, str | None], columns: Columns) -> PlacedRow:
    """Put a preprocessor's row into columns: by its keys, or by the order of their texts.

    The latter where a key is no column: so `str(at).zfill(20)` gives positions.
    """
    if not columns or row.keys() <= set(columns):
        return tuple(row), tuple(row.values())
    return _by_position(len(row), columns), tuple(text for _, text in sorted(row.items()))


def _by_position(count: int, columns: Columns) -> Columns:
    found = columns or tuple(f"_c{at}" for at in range(count))
    if count != len(found):
        raise RecordRefused("ragged_row", f"{count} values for {len(found)} columns")
    return found
