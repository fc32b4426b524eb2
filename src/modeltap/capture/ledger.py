"""The delivery ledger: one row for each segment that has its object, so that nothing counts twice.

`delivered` is the sum over rows, kept by the statement that writes a row, so that it is never
another: a shipper killed between the object's acknowledgement and the segment's removal finds the
row, or writes the same one again, which changes nothing. SQLite, WAL, synchronous FULL: the shipper
writes, all others read. Losing the file loses counts, no record.

So a damaged ledger stops nobody. Its one writer puts it aside (`ledger.damaged/`, the last one is
kept), takes over the rows that can still be read, and goes on; a reader is told to come again.

A row is what lets a segment go, so that a disk without a free byte must still take one: a reserve
(`ledger.reserve`) is given up for it, and kept anew when there is room.

Constraints: one row of about 300 bytes a segment (a minute of one variant at most), kept for good.
A ledger of before, without numbers and reasons, or without totals, is upgraded in place when its
writer opens it.
"""

import logging
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import astuple, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar
from urllib.parse import quote

from modeltap.capture.counters import Drop
from modeltap.capture.numbers import Numbers
from modeltap.capture.segment import SegmentId
from modeltap.errors import LedgerUnreadable
from modeltap.telemetry import Event, emit

BUSY_SECONDS = 10.0
LOOK_SEGMENTS = 1000  # of one statement
DAMAGE = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""What no retry mends. Our statements are fixed: `SQLITE_ERROR` means tables that are not ours."""

_LATEST = 3
"""SQLite's user_version: 0 of a ledger whose lost records were all corrupt, 2 without totals."""
FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
"""What a disk without room gives: SQLite cannot always tell why a file does not grow."""
RESERVE_BYTES = 256 * 1024

_T = TypeVar("_T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS delivery (
    writer TEXT NOT NULL, slot INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    endpoint TEXT NOT NULL, variant TEXT NOT NULL,
    uri TEXT NOT NULL, etag TEXT NOT NULL, bytes INTEGER NOT NULL,
    records INTEGER NOT NULL, lost INTEGER NOT NULL, delivered_ns INTEGER NOT NULL,
    numbers TEXT NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (writer, slot, first)
) STRICT, WITHOUT ROWID
"""
_TOTALS = (
    """
    CREATE TABLE total (
        endpoint TEXT NOT NULL, variant TEXT NOT NULL, reason TEXT NOT NULL,
        records INTEGER NOT NULL, lost INTEGER NOT NULL,
        PRIMARY KEY (endpoint, variant, reason)
    ) STRICT, WITHOUT ROWID
    """,
    """
    INSERT INTO total
    SELECT endpoint, variant, reason, sum(records), sum(lost) FROM delivery
    GROUP BY endpoint, variant, reason
    """,
    """
    CREATE TRIGGER added AFTER INSERT ON delivery BEGIN
        INSERT INTO total VALUES (new.endpoint, new.variant, new.reason, new.records, new.lost)
        ON CONFLICT DO UPDATE SET records = records + new.records, lost = lost + new.lost;
    END
    """,
    """
    CREATE TRIGGER taken_back AFTER DELETE ON delivery BEGIN
        UPDATE total SET records = records - old.records, lost = lost - old.lost
        WHERE (endpoint, variant, reason) = (old.endpoint, old.variant, old.reason);
    END
    """,
)
"""What a scrape asks for: a sum over all rows of years is not read for each."""

_SELECT = """
SELECT writer, slot, first, last, endpoint, variant,
    uri, etag, bytes, records, lost, delivered_ns, numbers, reason
FROM delivery
"""
_INSERT = "INSERT OR IGNORE INTO delivery VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

_SETTLED = """
WITH wanted (writer, slot, first) AS (VALUES {wanted})
SELECT wanted.writer, wanted.slot, wanted.first
FROM wanted CROSS JOIN delivery USING (writer, slot, first)
"""
"""A cross join is one from left to right, by delivery's key."""

_IS_THERE = "SELECT 1 FROM sqlite_schema WHERE name = 'delivery'"
_SELECT_BEFORE = """
SELECT writer, slot, first, last, endpoint, variant,
    uri, etag, bytes, records, corrupt, delivered_ns
FROM delivery
"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row: where a segment's records went. Without an object `uri` and `etag` are empty."""

    writer: str
    slot: int
    first: int
    last: int
    endpoint: str
    variant: str
    uri: str
    etag: str
    bytes: int
    records: int
    lost: int  # records that the segment held, by its name, and that are not in the object
    delivered_ns: int
    numbers: str  # of the records in the object, as `Numbers` writes them; empty: not known
    reason: str  # the `Drop` that the lost ones count under; empty where none is lost


@dataclass(frozen=True, slots=True)
class Total:
    """What became of a variant's records that the shipper had in hand."""

    delivered: int = 0
    lost: dict[Drop, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LedgerSetAside(Event):
    """The ledger was damaged; a new one goes on with the rows that could be read."""

    level: ClassVar[int] = logging.ERROR
    reason: str
    rows: int
    kept: str  # the damaged file, as evidence


class LedgerReader:
    """An open ledger. Every call raises `LedgerUnreadable` where SQLite cannot answer."""

    def __init__(self, path: Path) -> None:
        try:
            self._connection = _opened_to_read(path)
        except sqlite3.Error as error:
            raise LedgerUnreadable(str(error)) from None

    def look(
        self, segments: Sequence[SegmentId]
    ) -> tuple[set[SegmentId], dict[tuple[str, str], Total]]:
        """Tell which of these segments have a row, and the totals: both of one moment."""
        self._rows("BEGIN")
        try:
            settled: set[SegmentId] = set()
            for start in range(0, len(segments), LOOK_SEGMENTS):
                some = segments[start : start + LOOK_SEGMENTS]
                values = tuple(
                    part for each in some for part in (each.writer, each.slot, each.first)
                )
                wanted = ", ".join(["(?, ?, ?)"] * len(some))
                rows = self._rows(_SETTLED.format(wanted=wanted), values)
                settled.update(SegmentId(*row) for row in rows)
            return settled, self.totals()
        finally:
            self._rows("COMMIT")

    def counts(self, writer: str) -> dict[SegmentId, int]:
        """Count the records that each settled segment of a writer held."""
        query = "SELECT slot, first, records + lost FROM delivery WHERE writer = ?"
        rows = self._rows(query, (writer,))
        return {SegmentId(writer, slot, first): count for slot, first, count in rows}

    def totals(self) -> dict[tuple[str, str], Total]:
        """Sum up the records that were delivered and lost, by (endpoint, variant)."""
        rows = self._rows("SELECT endpoint, variant, reason, records, lost FROM total")
        totals: dict[tuple[str, str], Total] = {}
        for endpoint, variant, reason, delivered, lost in rows:
            if not delivered and not lost:
                continue  # taken back
            before = totals.get((endpoint, variant), Total())
            now = before.lost | ({Drop(reason): lost} if lost else {})
            totals[endpoint, variant] = Total(before.delivered + delivered, now)
        return totals

    def delivered(self, endpoint: str, variant: str) -> int:
        """Count the records of a variant that are in objects."""
        return self.totals().get((endpoint, variant), Total()).delivered

    def deliveries(self, endpoint: str | None = None) -> list[Delivery]:
        """Give the rows that have an object, of one endpoint or of all, the oldest first."""
        return [row for row in self.settled(endpoint) if row.uri]

    def settled(self, endpoint: str | None = None) -> list[Delivery]:
        """Give all rows, of one endpoint or of all, the oldest first."""
        query = f"{_SELECT} WHERE ?1 IN ('', endpoint) ORDER BY delivered_ns, uri"
        return [Delivery(*row) for row in self._rows(query, (endpoint or "",))]

    def row(self, segment: SegmentId) -> Delivery | None:
        """Give the row of one segment."""
        query = f"{_SELECT} WHERE (writer, slot, first) = (?, ?, ?)"
        rows = self._rows(query, (segment.writer, segment.slot, segment.first))
        return Delivery(*rows[0]) if rows else None

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise LedgerUnreadable(str(error)) from None


class Ledger(LedgerReader):
    """The shipper's ledger: it writes and mends. Raises `sqlite3.Error` where it can do neither."""

    def __init__(self, path: Path) -> None:
        """Open the ledger, or make it; put a damaged one aside."""
        self._path = path
        self._reserve = path.with_suffix(".reserve")
        try:
            self._connection = self._with_reserve(partial(_opened, path))
        except sqlite3.Error as error:
            self._begin_anew(error)
        self._keep_reserve()

    def add(self, delivery: Delivery) -> None:
        """Write a row, durable on return; a second row of the same segment changes nothing."""
        self._rows(_INSERT, astuple(delivery))
        self._keep_reserve()

    def take_back(self, segment: SegmentId) -> None:
        """Forget a segment that was given up: it is to be shipped after all."""
        query = "DELETE FROM delivery WHERE (writer, slot, first) = (?, ?, ?) AND uri = ''"
        self._rows(query, (segment.writer, segment.slot, segment.first))

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        def rows() -> list[tuple[Any, ...]]:
            return self._connection.execute(query, values).fetchall()

        try:
            return self._with_reserve(rows)
        except sqlite3.Error as error:
            self._begin_anew(error)
            return rows()

    def _with_reserve(self, act: Callable[[], _T]) -> _T:
        """Act; on a full disk once more, in the room of the reserve."""
        try:
            return act()
        except sqlite3.Error as error:
            if error.sqlite_errorcode & 0xFF not in FULL or not self._reserve.is_file():
                raise
            self._reserve.unlink()
            return act()

    def _keep_reserve(self) -> None:
        """Keep room for the next row; on a full disk there is none, and it is tried again."""
        if self._reserve.exists():
            return
        beside = self._reserve.with_suffix(".tmp")
        try:
            with beside.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
            beside.rename(self._reserve)
        except OSError:
            beside.unlink(missing_ok=True)

    def _begin_anew(self, error: sqlite3.Error) -> None:
        """Put a damaged ledger aside and go on with its readable rows; raise any other error."""
        if error.sqlite_errorcode & 0xFF not in DAMAGE and not self._path.is_dir():
            raise error
        kept = _set_aside(self._path)
        self._connection = _opened(self._path)
        self._connection.execute("BEGIN")
        for row in _readable_rows(kept):
            with suppress(sqlite3.IntegrityError):  # a row that is none of ours
                self._connection.execute(_INSERT, row)
        self._connection.execute("COMMIT")
        ((rows,),) = self._connection.execute("SELECT count(*) FROM delivery").fetchall()
        emit(LedgerSetAside(str(error), rows, str(kept)))


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        _upgrade(connection)
        connection.execute(f"{_SELECT} LIMIT 1")  # a table of another shape is no ledger
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _upgrade(connection: sqlite3.Connection) -> None:
    """Make the table, or take over the rows of one of before; all of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    rows = []
    if version == 0 and connection.execute(_IS_THERE).fetchone():
        rows = connection.execute(_SELECT_BEFORE).fetchall()
        connection.execute("DROP TABLE delivery")
    connection.execute(_SCHEMA)
    connection.executemany(_INSERT, map(_of_before, rows))
    if version < _LATEST:
        for statement in _TOTALS:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {_LATEST}")
    connection.execute("COMMIT")


def _of_before(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Complete a row of before: without a hole, the numbers are those from first to last."""
    _, _, first, last, *_, records, lost, _ = row
    numbers = Numbers(((first, last),)) if records and records == last - first + 1 else ""
    return *row, str(numbers), Drop.CORRUPT.value if lost else ""


def _opened_to_read(path: Path) -> sqlite3.Connection:
    uri = f"file:{quote(str(path))}?mode=ro"
    return sqlite3.connect(uri, timeout=BUSY_SECONDS, isolation_level=None, uri=True)


def _set_aside(path: Path) -> Path:
    """Move a ledger away with SQLite's files beside it: its log must not meet another ledger."""
    aside = path.with_suffix(".damaged")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        with suppress(FileNotFoundError):
            path.with_name(name).rename(aside / name)
    return aside / path.name


def _readable_rows(path: Path) -> Iterator[tuple[Any, ...]]:
    """Give the rows of a damaged ledger, of today's shape or of before, up to the damage."""
    for select, of in (_SELECT, tuple), (_SELECT_BEFORE, _of_before):
        with suppress(sqlite3.Error), closing(_opened_to_read(path)) as connection:
            yield from map(of, connection.execute(select))
