"""Records that are no plain CSV pairs → their profile: each is parsed, and placed by its names."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import pyarrow as pa

from modeltap.clock import SystemClock
from modeltap.monitor.handlers import Outcome, Preprocessor
from modeltap.monitor.payloads import RecordRefused, record_of, rows_of
from modeltap.monitor.placing import Row, placed, placed_by_keys
from modeltap.monitor.plan import SIDES, Plan
from modeltap.monitor.profile import Profile, Reject, rejects_of
from modeltap.monitor.table import EXCERPT_CHARACTERS, profile_of
from modeltap.nouns import Document

CarefulReader = Callable[[Sequence[str]], Profile]
"""Takes lines that are JSON, each a record; gives their profile."""

Outcomes = Callable[[Iterable[Document]], Iterator[Outcome]]
"""What becomes of records before they are rows: nothing, or what a preprocessor makes of them."""


@contextmanager
def careful_reader(plan: Plan, place: str) -> Iterator[CarefulReader]:
    """Give a reader for the records of one file, with the plan's preprocessor if it has one."""
    if plan.preprocessor is None:
        yield partial(_profile_of_lines, plan, place, iter)
        return
    with Preprocessor(Path(plan.preprocessor), clock=SystemClock()) as script:
        yield partial(_profile_of_lines, plan, place, script.rows)


def _profile_of_lines(plan: Plan, place: str, outcomes: Outcomes, lines: Sequence[str]) -> Profile:
    refused: list[Reject] = []
    columns, count = columns_of(_rows(lines, plan, place, outcomes, refused))
    return replace(profile_of(columns, count, plan), rejects=rejects_of(refused))


def _rows(
    lines: Iterable[str], plan: Plan, place: str, outcomes: Outcomes, refused: list[Reject]
) -> Iterator[Row]:
    for line in lines:
        try:
            outcome = next(outcomes([record_of(line.encode())]))
            yield from list(_placed_rows(outcome, plan))
        except RecordRefused as error:
            refused.append(Reject(error.reason, place, line[:EXCERPT_CHARACTERS]))


def _placed_rows(outcome: Outcome, plan: Plan) -> Iterator[Row]:
    """Place the rows of one record, all or none. Raise `RecordRefused`."""
    if isinstance(outcome, RecordRefused):
        raise outcome
    if isinstance(outcome, list):
        yield from (placed_by_keys(row, plan.names) for row in outcome)
    else:
        yield from (
            placed(cells, plan.names)
            for cells in rows_of(_sided(outcome, plan), nested=plan.nested)
        )


def _sided(record: Document, plan: Plan) -> Document:
    captured = record.get("captureData")
    if plan.sides == SIDES or not isinstance(captured, dict):
        return record
    return {**record, "captureData": {side: captured.get(side) for side in plan.sides}}


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


def width_of(file: Path, plan: Plan) -> int:
    """Tell how many values the rows of captured records have: mostly, in a file's first lines.

    0 where they have names, or there are none.
    """
    with file.open("rb") as lines:
        widths = Counter(_widths(islice(lines, WIDTH_LINES), plan))
    return widths.most_common(1)[0][0] if widths else 0


def _widths(lines: Iterable[bytes], plan: Plan) -> Iterator[int]:
    for line in lines:
        with suppress(RecordRefused):
            for cells in rows_of(_sided(record_of(line), plan)):
                if all(name is None for name, _ in cells):
                    yield len(cells)
