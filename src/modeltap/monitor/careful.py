"""Records that are no plain CSV pairs → their profile: each is parsed, and placed by its names."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

import pyarrow as pa

from modeltap.clock import SystemClock
from modeltap.monitor.handlers import Outcome, Preprocessor
from modeltap.monitor.payloads import RecordRefused, Texts, record_of, rows_of
from modeltap.monitor.placing import Columns, PlacedRow, placed, placed_by_keys
from modeltap.monitor.plan import SIDES, Plan
from modeltap.monitor.profile import Profile, Reject, rejects_of
from modeltap.monitor.table import EXCERPT_CHARACTERS, Placed, profile_of
from modeltap.nouns import Document

CHUNK_ROWS = 4096
"""So many records are Python's objects at a time, and not a whole batch of the engine's."""

Outcomes = Callable[[Iterable[Document]], Iterator[Outcome]]
"""What becomes of records before they are rows: nothing, or what a preprocessor makes of them."""


class CarefulReader:
    """Reads lines of one file that are JSON, each a record."""

    def __init__(self, plan: Plan, place: str, outcomes: Outcomes = iter) -> None:
        self._plan, self._place, self._outcomes = plan, place, outcomes

    def profile(self, lines: pa.StringArray) -> Profile:
        """Sum up their rows."""
        refused: list[Reject] = []
        read = self._read(chain.from_iterable(_chunks(lines)), refused)
        columns, count = columns_of(chain.from_iterable(rows for _, rows in read))
        return replace(profile_of(columns, count, self._plan), rejects=rejects_of(refused))

    def placed(self, lines: pa.StringArray) -> Iterator[Placed]:
        """Give their rows, each with its record's event id; what is refused is left out."""
        for chunk in _chunks(lines):
            read = list(self._read(chunk, []))
            columns, _ = columns_of(chain.from_iterable(rows for _, rows in read))
            events = [event for event, rows in read for _ in rows]
            yield pa.array(events, pa.string()), columns

    def _read(
        self, lines: Iterable[str], refused: list[Reject]
    ) -> Iterator[tuple[str, list[PlacedRow]]]:
        for line in lines:
            try:
                record = record_of(line.encode())
                outcome = next(self._outcomes([record]))
                yield _event_of(record), list(_placed_rows(outcome, self._plan))
            except RecordRefused as error:
                refused.append(Reject(error.reason, self._place, line[:EXCERPT_CHARACTERS]))


@contextmanager
def careful_reader(plan: Plan, place: str) -> Iterator[CarefulReader]:
    """Give a reader for the records of one file, with the plan's preprocessor if it has one."""
    if plan.preprocessor is None:
        yield CarefulReader(plan, place)
        return
    with Preprocessor(Path(plan.preprocessor), clock=SystemClock()) as script:
        yield CarefulReader(plan, place, script.rows)


def _chunks(lines: pa.StringArray) -> Iterator[list[str]]:
    for at in range(0, len(lines), CHUNK_ROWS):
        yield lines.slice(at, CHUNK_ROWS).to_pylist()


def _event_of(record: Document) -> str:
    metadata = record.get("eventMetadata")
    return str(metadata.get("eventId", "")) if isinstance(metadata, dict) else ""


def _placed_rows(outcome: Outcome, plan: Plan) -> Iterator[PlacedRow]:
    """Place the rows of one record, all or none. Raise `RecordRefused`."""
    if isinstance(outcome, RecordRefused):
        raise outcome
    if isinstance(outcome, list):
        yield from (placed_by_keys(row, plan.names) for row in outcome)
    else:
        yield from (
            placed(row, plan.names) for row in rows_of(_sided(outcome, plan), nested=plan.nested)
        )


def _sided(record: Document, plan: Plan) -> Document:
    captured = record.get("captureData")
    if plan.sides == SIDES or not isinstance(captured, dict):
        return record
    return {**record, "captureData": {side: captured.get(side) for side in plan.sides}}


def columns_of(rows: Iterable[PlacedRow]) -> tuple[dict[str, pa.StringArray], int]:
    """Turn rows into columns; a column that a row has no value for is missing there."""
    waiting = iter(rows)
    chunks = iter(lambda: list(islice(waiting, CHUNK_ROWS)), [])
    whole = _below(_table(chunk) for chunk in chunks)
    names = whole.column_names
    return {name: whole[name].combine_chunks() for name in names}, whole.num_rows


def _table(rows: Sequence[PlacedRow]) -> pa.Table:
    """Fill columns form by form: rows that have values for the same columns."""
    forms: dict[Columns, list[int]] = {}
    for at, (form, _) in enumerate(rows):
        forms.setdefault(form, []).append(at)
    columns: dict[str, list[str | None]] = {}
    for form, places in forms.items():
        texts = zip(*(rows[at][1] for at in places), strict=True)
        for name, column in zip(form, texts, strict=True):
            _fill(columns.setdefault(name, []), places, column, len(rows))
    return pa.table({name: pa.array(column, pa.string()) for name, column in columns.items()})


def _fill(column: list[str | None], places: Sequence[int], texts: Texts, count: int) -> None:
    if len(texts) == count:
        column[:] = texts
        return
    column.extend([None] * (count - len(column)))
    for at, text in zip(places, texts, strict=True):
        column[at] = text


def _below(tables: Iterable[pa.Table]) -> pa.Table:
    """Put tables below each other; what one does not know is missing in its rows."""
    return pa.concat_tables([pa.table({}), *tables], promote_options="default")


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
            for row in rows_of(_sided(record_of(line), plan)):
                if set(row.names) == {None}:
                    yield len(row.texts)
