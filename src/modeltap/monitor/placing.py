"""A row's cells → the baseline's columns (contract §4.6)."""

from collections.abc import Mapping, Sequence

from modeltap.monitor.payloads import Cell, RecordRefused

Row = Mapping[str, str | None]
"""A row by the names of its columns; None: missing."""


def placed(cells: Sequence[Cell], names: Sequence[str]) -> Row:
    """Put a row's cells into columns. Raise `RecordRefused` for one that does not fit.

    If one of its names is a column, or no columns are known, cells go by their names, and those
    without one fill the columns that are left, in order. Else all go by their position.
    """
    own = {name for name, _ in cells if name is not None}
    if not own or (names and not own & set(names)):
        return _by_position([text for _, text in cells], names)
    left = iter([name for name in names if name not in own])
    row = {name if name is not None else next(left, None): text for name, text in cells}
    if None in row:
        raise RecordRefused("ragged_row", "it has more values without a name than columns are left")
    return {name: text for name, text in row.items() if name is not None}


def placed_by_keys(row: Row, names: Sequence[str]) -> Row:
    """Put a preprocessor's row into columns: by its keys, or by the order of their texts.

    The latter where a key is no column: so `str(at).zfill(20)` gives positions.
    """
    if not names or row.keys() <= set(names):
        return row
    return _by_position([text for _, text in sorted(row.items())], names)


def _by_position(texts: Sequence[str | None], names: Sequence[str]) -> Row:
    columns = names or [f"_c{at}" for at in range(len(texts))]
    if len(texts) != len(columns):
        raise RecordRefused("ragged_row", f"{len(texts)} values for {len(columns)} columns")
    return dict(zip(columns, texts, strict=True))
