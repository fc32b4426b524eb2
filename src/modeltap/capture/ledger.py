"""The delivery ledger: one row for each segment that has its object, so that nothing counts twice.

`delivered` is a sum over rows, not a counter: a shipper killed between the object's acknowledgement
and the segment's removal finds the row, or writes the same one again. SQLite, WAL, synchronous
FULL: the shipper writes, all others read. Losing the file loses counts, no record.

Constraints: one row of about 300 bytes a segment (a minute of one variant at most), kept for good.
"""

import sqlite3
from dataclasses import astuple, dataclass
from pathlib import Path

from modeltap.capture.segment import SegmentId

BUSY_SECONDS = 10.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS delivery (
    writer TEXT NOT NULL, slot INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    endpoint TEXT NOT NULL, variant TEXT NOT NULL,
    uri TEXT NOT NULL, etag TEXT NOT NULL, bytes INTEGER NOT NULL,
    records INTEGER NOT NULL, corrupt INTEGER NOT NULL, delivered_ns INTEGER NOT NULL,
    PRIMARY KEY (writer, slot, first)
) STRICT, WITHOUT ROWID
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
    corrupt: int  # records that the segment held, by its name, and that no reader can get back
    delivered_ns: int


class Ledger:
    """An open ledger."""

    def __init__(self, path: Path) -> None:
        """Open the ledger, or make it. Raise `sqlite3.Error`."""
        self._connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(_SCHEMA)

    def add(self, delivery: Delivery) -> None:
        """Write a row, durable on return; a second row of the same segment changes nothing."""
        marks = ", ".join("?" * len(astuple(delivery)))
        self._connection.execute(
            f"INSERT OR IGNORE INTO delivery VALUES ({marks})",  # noqa: S608 - question marks
            astuple(delivery),
        )

    def has(self, segment: SegmentId) -> bool:
        query = "SELECT 1 FROM delivery WHERE (writer, slot, first) = (?, ?, ?)"
        key = segment.writer, segment.slot, segment.first
        return self._connection.execute(query, key).fetchone() is not None

    def counts(self, writer: str) -> dict[SegmentId, int]:
        """Count the records that each settled segment of a writer held."""
        query = "SELECT slot, first, records + corrupt FROM delivery WHERE writer = ?"
        rows = self._connection.execute(query, (writer,))
        return {SegmentId(writer, slot, first): count for slot, first, count in rows}

    def totals(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Sum up delivered and corrupt records by (endpoint, variant)."""
        rows = self._connection.execute(
            "SELECT endpoint, variant, sum(records), sum(corrupt) FROM delivery GROUP BY 1, 2"
        )
        return {(endpoint, variant): (good, bad) for endpoint, variant, good, bad in rows}

    def delivered(self, endpoint: str, variant: str) -> int:
        """Count the records of a variant that are in objects."""
        return self.totals().get((endpoint, variant), (0, 0))[0]

    def deliveries(self, endpoint: str | None = None) -> list[Delivery]:
        """Give the rows that have an object, of one endpoint or of all, the oldest first."""
        query = "SELECT * FROM delivery WHERE uri <> '' AND ?1 IN ('', endpoint)"
        rows = self._connection.execute(f"{query} ORDER BY delivered_ns, uri", (endpoint or "",))
        return [Delivery(*row) for row in rows]

    def close(self) -> None:
        self._connection.close()
