"""Records that are no plain CSV pairs → their profile: each is parsed, and placed by its names."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import pyarrow as pa

from modeltap.monitor.payloads import Cell, RecordRefused, record_of, rows_of
from modeltap.monitor.plan import Plan
from modeltap.monitor.profile import Profile, Reject, rejects_of
from modeltap.monitor.table import EXCERPT_CHARACTERS, profile_of

Row = Mapping[str, str | None]
CarefulReader = Callable[[Sequence[str]], Profile]
"""Takes lines that are JSON, each a record; gives their profile."""


@contextmanager
def careful_reader(plan: Plan, place: str) -> Iterator[CarefulReader]:
    """Give a reader for the records of one file."""
    yield partial(_profile_of_lines, plan, place)


def _profile_of_lines(plan: Plan, place: str, lines: Sequence[str]) -> Profile:
    refused: list[Reject] = []
    columns, count = columns_of(_rows(lines, plan, place, refused))
    return replace(profile_of(columns, count, plan), rejects=rejects_of(refused))


def _rows(lines: Iterable[str], plan: Plan, place: str, refused: list[Reject]) -> Iterator[Row]:
    for line in lines:
        try:
            for cells in rows_of(record_of(line.encode()), nested=plan.nested):
                yield placed(cells, plan.names)
        except RecordRefused as error:
            refused.append(Reject(error.reason, place, line[:EXCERPT_CHARACTERS]))


def placed(cells: Sequence[Cell], names: Sequence[str]) -> Row:
    """Put a row's cells into columns. Raise `RecordRefused` for one that does not fit.

    Cells that have names the baseline knows, or where it knows none, are placed by name, and those
    without a name fill the columns that are left, in order. Else the row is placed by position.
    """
    own = {name for name, _ in cells if name is not None}
    if own and (not names or own & set(names)):
        left = iter([name for name in names if name not in own])
        unnamed = sum(name is None for name, _ in cells)
        if unnamed > len(names) - len(own & set(names)):
            raise RecordRefused("ragged_row", f"{unnamed} values without a name and a column")
        return {name if name is not None else next(left): text for name, text in cells}
    columns = names or [f"_c{at}" for at in range(len(cells))]
    if len(cells) != len(columns):
        raise RecordRefused("ragged_row", f"{len(cells)} values for {len(columns)} columns")
    return dict(zip(columns, (text for _, text in cells), strict=True))


def columns_of(rows: Iterable[Row]) -> tuple[dict[str, pa.StringArray], int]:
    """Turn rows into columns; a column that a row does not name is missing there."""
    columns: dict[str, list[str | None]] = {}
    count = 0
    for row in rows:
        for name, text in row.items():
            column = columns.setdefault(name, [])
            column.extend([None] * (count - len(column)))
            column.append(text)
        count += 1
    for column in columns.values():
        column.extend([None] * (count - len(column)))
    return {name: pa.array(column, pa.string()) for name, column in columns.items()}, count


WIDTH_LINES = 100


def width_of(file: Path) -> int:
    """Tell how many values the rows of captured records have: mostly, in a file's first lines.

    0 where they have names, or there are none.
    """
    with file.open("rb") as lines:
        widths = Counter(_widths(islice(lines, WIDTH_LINES)))
    return widths.most_common(1)[0][0] if widths else 0


def _widths(lines: Iterable[bytes]) -> Iterator[int]:
    for line in lines:
        with suppress(RecordRefused):
            for cells in rows_of(record_of(line)):
                if all(name is None for name, _ in cells):
                    yield len(cells)
