"""A table of texts → its profile; and CSV text → a table of texts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from modeltap.monitor.columns import summary_of
from modeltap.monitor.plan import Plan
from modeltap.monitor.profile import Profile, Reject, rejects_of
from modeltap.monitor.summary import Summary

EXCERPT_CHARACTERS = 200
BLOCK_BYTES = 1 << 20  # larger blocks cost page faults, by half as much again
RAGGED = "ragged_row"

Placed = tuple[pa.StringArray, Mapping[str, pa.StringArray]]
"""Where each row stands, and the columns."""


def profile_of(columns: Mapping[str, pa.ChunkedArray], rows: int, plan: Plan) -> Profile:
    """Sum up columns of texts, all of `rows` values."""
    return Profile(rows, {name: _summary(name, each, plan) for name, each in columns.items()})


def _summary(name: str, column: pa.ChunkedArray, plan: Plan) -> Summary:
    texts = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    summary = summary_of(texts, textual=name in plan.textual)
    if watched := plan.watched.get(name):
        summary = replace(summary, watched=_counted(texts, watched))
    return summary if plan.whole else summary.bounded()


def _counted(texts: pa.StringArray, values: Sequence[str]) -> dict[str, int]:
    known = texts.filter(pc.is_in(texts, pa.array(values, pa.string())))
    counts = pc.value_counts(known).to_pylist()
    return {each["values"]: each["counts"] for each in counts}


class CsvForm:
    """How CSV text is read: every value as text, an empty one as missing; uneven rows are kept."""

    def __init__(self, names: Sequence[str], place: str, refused: list[Reject]) -> None:
        self.refused = refused
        self._inner = [str(at) for at in range(len(names))]  # for two may have one name
        self._place = place

    def _refuse(self, row: csv.InvalidRow) -> str:
        why = f"{self._place}: {row.actual_columns} values for {row.expected_columns} columns"
        self.refused.append(Reject(RAGGED, why, row.text[:EXCERPT_CHARACTERS]))
        return "skip"

    def options(
        self,
        *,
        block_bytes: int,
        skipped: int = 0,
        multiline: bool = False,
        check_utf8: bool = True,
    ) -> list[Any]:
        return [
            csv.ReadOptions(
                column_names=self._inner,
                block_size=block_bytes,
                use_threads=False,
                skip_rows_after_names=skipped,
            ),
            csv.ParseOptions(
                ignore_empty_lines=multiline,
                newlines_in_values=multiline,
                invalid_row_handler=self._refuse,
            ),
            csv.ConvertOptions(
                column_types=dict.fromkeys(self._inner, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                check_utf8=check_utf8,
            ),
        ]


def profile_of_lines(document: pa.Buffer, plan: Plan, place: str) -> Profile:
    """Sum up CSV lines that have no header, each a row of the plan's columns."""
    refused: list[Reject] = []
    table = _read(document, CsvForm(plan.names, place, refused))
    columns = dict(zip(plan.names, table.columns, strict=True))
    return replace(profile_of(columns, table.num_rows, plan), rejects=rejects_of(refused))


def columns_of_lines(
    document: pa.Buffer, names: Sequence[str], place: str
) -> dict[str, pa.StringArray]:
    """Give the columns of CSV lines that have no header; uneven rows are left out."""
    table = _read(document, CsvForm(names, place, []))
    texts = (column.combine_chunks() for column in table.columns)
    return dict(zip(names, texts, strict=True))


def _read(document: pa.Buffer, form: CsvForm) -> pa.Table:
    """Read lines that were put together from texts: so they are UTF-8, and need no look."""

    def read(block_bytes: int) -> pa.Table:
        options = form.options(block_bytes=block_bytes, check_utf8=False)
        return csv.read_csv(pa.BufferReader(document), *options)

    try:
        return read(BLOCK_BYTES)
    except pa.ArrowInvalid:  # a row that is larger than a block
        form.refused.clear()
        return read(len(document) + 1)
