"""A row's values → the baseline's columns (contract §4.6)."""

from collections.abc import Mapping
from functools import lru_cache

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
    own = {name for name in names if name is not None}
    if not own or (columns and own.isdisjoint(columns)):
        return _by_position(len(names), columns)
    left = iter([column for column in columns if column not in own])
    found = [next(left, None) if name is None else name for name in names]
    if None in found:
        raise RecordRefused("ragged_row", "it has more values without a name than columns are left")
    return tuple(name for name in found if name is not None)


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
