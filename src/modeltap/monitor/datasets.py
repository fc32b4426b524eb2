"""A file of CSV, JSON lines, Parquet or captured records → its profile; and its rows once more."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from modeltap.monitor import profile
from modeltap.monitor.cache import kept
from modeltap.monitor.captured import placed_records, summarise_captured
from modeltap.monitor.careful import columns_of
from modeltap.monitor.failure import AnalysisFailed
from modeltap.monitor.payloads import RecordRefused, csv_rows, json_rows
from modeltap.monitor.placing import PlacedRow, placed
from modeltap.monitor.plan import Format, Plan
from modeltap.monitor.profile import Profile, Reject, rejects_of
from modeltap.monitor.table import EXCERPT_CHARACTERS, CsvForm, Placed, profile_of

BLOCK_BYTES = 16 << 20
ROWS = 64 * 1024

Table = tuple[Mapping[str, pa.StringArray], int]
"""Columns of texts, and how many rows they have."""


def summarise(file: Path, plan: Plan) -> Profile:
    """Sum up one file. Raise `AnalysisFailed` for one that is not of its format."""
    return kept(file, plan, _summarise)


def _summarise(file: Path, plan: Plan) -> Profile:
    if plan.format is Format.CAPTURE:
        return summarise_captured(file, plan)
    refused: list[Reject] = []
    parts = [profile_of(columns, rows, plan) for columns, rows in _tables(file, plan, refused)]
    return profile.merged([*parts, Profile(rejects=rejects_of(refused))])


def placed_tables(file: Path, plan: Plan) -> Iterator[Placed]:
    """Give a file's rows once more, with their places: event ids of plain records, else file:row.

    Rows that were refused are not counted.
    """
    if plan.format is Format.CAPTURE:
        yield from placed_records(file, plan)
        return
    first = 1
    for columns, rows in _tables(file, plan, []):
        yield pa.array([f"{file.name}:{first + at}" for at in range(rows)]), columns
        first += rows


def _tables(file: Path, plan: Plan, refused: list[Reject]) -> Iterator[Table]:
    try:
        yield from _READERS[plan.format](file, plan, refused)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise AnalysisFailed(f"{file.name} cannot be read as {plan.format}: {error}") from error


# ---------------------------------------------------------------- CSV


def columns_of_csv(file: Path, plan: Plan) -> tuple[str, ...]:
    """Tell the columns of a CSV file by its first row, which names them or not."""
    with file.open(encoding="utf-8-sig") as text:
        first = csv_rows(text.readline())
    values = first[0].texts if first else ()
    if not plan.header:
        return plan.names if len(plan.names) == len(values) else _numbered(values)
    names = [name or number for name, number in zip(values, _numbered(values), strict=True)]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise AnalysisFailed(
            f"{file.name} has more than one column {twice[0]!r}: name each of them differently."
        )
    return tuple(names)


def _numbered(values: Sequence[object]) -> tuple[str, ...]:
    return tuple(f"_c{at}" for at in range(len(values)))


def _csv_tables(file: Path, plan: Plan, refused: list[Reject]) -> Iterator[Table]:
    names = columns_of_csv(file, plan)
    if not names:
        return
    form = CsvForm(names, file.name, refused)
    options = form.options(block_bytes=BLOCK_BYTES, skipped=int(plan.header), multiline=True)
    with csv.open_csv(file, *options) as batches:
        for batch in batches:
            yield dict(zip(names, batch.columns, strict=True)), batch.num_rows


# ---------------------------------------------------------------- JSON lines


def _json_tables(file: Path, plan: Plan, refused: list[Reject]) -> Iterator[Table]:
    with file.open("rb") as lines:
        numbered = enumerate(lines if plan.lines else [lines.read()], 1)
        while chunk := list(islice(numbered, ROWS)):
            yield columns_of(_json_rows(chunk, plan, file, refused))


def _json_rows(
    lines: Iterable[tuple[int, bytes]], plan: Plan, file: Path, refused: list[Reject]
) -> Iterator[PlacedRow]:
    for number, line in lines:
        try:
            for row in json_rows(line.decode("utf-8", "replace"), nested=plan.nested):
                yield placed(row, ())
        except RecordRefused as error:
            excerpt = line[:EXCERPT_CHARACTERS].decode("utf-8", "replace")
            refused.append(Reject(error.reason, f"{file.name}:{number}", excerpt))


# ---------------------------------------------------------------- Parquet


def _parquet_tables(file: Path, plan: Plan, refused: list[Reject]) -> Iterator[Table]:
    with parquet.ParquetFile(file) as source:
        for batch in source.iter_batches(ROWS):
            yield dict(_texts(batch, file)), batch.num_rows


def _texts(batch: pa.RecordBatch, file: Path) -> Iterator[tuple[str, pa.StringArray]]:
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_nested(column.type):
            raise AnalysisFailed(
                f"{file.name}: column {name} is nested ({column.type}): flatten it to columns."
            )
        yield name, _text(column)


def _text(column: pa.Array) -> pa.StringArray:
    """Write values as texts; a NaN is a missing value, as what makes Parquet files has it."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    return pc.cast(column, pa.string())


_READERS: Mapping[Format, Callable[[Path, Plan, list[Reject]], Iterator[Table]]] = {
    Format.CSV: _csv_tables,
    Format.JSON: _json_tables,
    Format.PARQUET: _parquet_tables,
}
