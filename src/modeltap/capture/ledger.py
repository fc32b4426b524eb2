"""The delivery ledger: one row for each segment that has its object, so that nothing counts twice.

`delivered` is a sum over rows, not a counter: a shipper killed between the object's acknowledgement
and the segment's removal finds the row, or writes the same one again. SQLite, WAL, synchronous
FULL: the shipper writes, all others read. Losing the file loses counts, no record.

So a damaged ledger stops nobody. Its one writer puts it aside (`ledger.damaged/`, the last one is
kept), takes over the rows that can still be read, and goes on; a reader is told to come again.

Constraints: one row of about 300 bytes a segment (a minute of one variant at most), kept for good.
"""

import logging
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import quote

from modeltap.capture.segment import SegmentId
from modeltap.errors import LedgerUnreadable
from modeltap.telemetry import Event, emit

BUSY_SECONDS = 10.0
DAMAGE = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""What no retry mends. Our statements are fixed: `SQLITE_ERROR` means tables that are not ours."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS delivery (
    writer TEXT NOT NULL, slot INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    endpoint TEXT NOT NULL, variant TEXT NOT NULL,
    uri TEXT NOT NULL, etag TEXT NOT NULL, bytes INTEGER NOT NULL,
    records INTEGER NOT NULL, corrupt INTEGER NOT NULL, delivered_ns INTEGER NOT NULL,
    PRIMARY KEY (writer, slot, first)
) STRICT, WITHOUT ROWID
"""
_SELECT = """
SELECT writer, slot, first, last, endpoint, variant,
    uri, etag, bytes, records, corrupt, delivered_ns
FROM delivery
"""
_INSERT = "INSERT OR IGNORE INTO delivery VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


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
    corrupt: int  # records that the segment held, by its name, and that no reader can get back
    delivered_ns: int


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

    def has(self, segment: SegmentId) -> bool:
        query = "SELECT 1 FROM delivery WHERE (writer, slot, first) = (?, ?, ?)"
        key = segment.writer, segment.slot, segment.first
        return bool(self._rows(query, key))

    def counts(self, writer: str) -> dict[SegmentId, int]:
        """Count the records that each settled segment of a writer held."""
        query = "SELECT slot, first, records + corrupt FROM delivery WHERE writer = ?"
        rows = self._rows(query, (writer,))
        return {SegmentId(writer, slot, first): count for slot, first, count in rows}

    def totals(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Sum up delivered and corrupt records by (endpoint, variant)."""
        rows = self._rows(
            "SELECT endpoint, variant, sum(records), sum(corrupt) FROM delivery GROUP BY 1, 2"
        )
        return {(endpoint, variant): (good, bad) for endpoint, variant, good, bad in rows}

    def delivered(self, endpoint: str, variant: str) -> int:
        """Count the records of a variant that are in objects."""
        return self.totals().get((endpoint, variant), (0, 0))[0]

    def deliveries(self, endpoint: str | None = None) -> list[Delivery]:
        """Give the rows that have an object, of one endpoint or of all, the oldest first."""
        query = f"{_SELECT} WHERE uri <> '' AND ?1 IN ('', endpoint)"
        rows = self._rows(f"{query} ORDER BY delivered_ns, uri", (endpoint or "",))
        return [Delivery(*row) for row in rows]

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
        try:
            self._connection = _opened(path)
        except sqlite3.Error as error:
            self._begin_anew(error)

    def add(self, delivery: Delivery) -> None:
        """Write a row, durable on return; a second row of the same segment changes nothing."""
        self._rows(_INSERT, astuple(delivery))

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            self._begin_anew(error)
            return self._connection.execute(query, values).fetchall()

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
        emit(LedgerSetAside(str(error), self._connection.total_changes, str(kept)))


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(_SCHEMA)
        connection.execute(f"{_SELECT} LIMIT 1")  # a table of another shape is no ledger
    except sqlite3.Error:
        connection.close()
        raise
    return connection


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
    """Give the rows of a damaged ledger, up to the damage."""
    with suppress(sqlite3.Error), closing(_opened_to_read(path)) as connection:
        yield from connection.execute(_SELECT)
