"""The index of the embedded buckets: which contents exist, under which keys, in which blobs.

    bucket    a name
    object    (bucket, key) → content        keys are UTF-8 blobs: memcmp order is S3's order
    upload    a multipart upload under way → the content it is building
    piece     content → blobs, in order      one for a plain put, one a part for a multipart upload

A content is an ordered list of pieces under one id. An object points to a content; so does an
upload, so completing one is a row, not a copy.

Constraints: one process (a lock on the folder, held for life). WAL with `synchronous=FULL`: a
commit is on disk when it returns. Two connections, each under its own lock: a reader never waits
for a commit's fsync. Raw SQL stands in this file alone (`docs/decisions/0002-bucket-index.md`).
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import orjson

SCHEMA = """
CREATE TABLE IF NOT EXISTS bucket (
  name TEXT PRIMARY KEY,
  created_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS object (
  bucket TEXT NOT NULL REFERENCES bucket,
  key BLOB NOT NULL,
  content TEXT NOT NULL,
  size INTEGER NOT NULL,
  etag TEXT NOT NULL,
  modified_ns INTEGER NOT NULL,
  parts INTEGER NOT NULL,
  attributes BLOB NOT NULL,
  PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS upload (
  content TEXT PRIMARY KEY,
  bucket TEXT NOT NULL REFERENCES bucket,
  key BLOB NOT NULL,
  started_ns INTEGER NOT NULL,
  attributes BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS upload_key ON upload (bucket, key, content);
CREATE TABLE IF NOT EXISTS piece (
  content TEXT NOT NULL,
  number INTEGER NOT NULL,
  blob TEXT NOT NULL UNIQUE,
  size INTEGER NOT NULL,
  etag TEXT NOT NULL,
  modified_ns INTEGER NOT NULL,
  attributes BLOB NOT NULL,
  PRIMARY KEY (content, number)
) STRICT, WITHOUT ROWID;
"""

Attributes = dict[str, Any]
"""Members of S3's model that were stored with an object, upload or part, by their model names."""


@dataclass(frozen=True, slots=True)
class Object:
    key: str
    content: str
    size: int
    etag: str  # without quotes
    modified_ns: int
    parts: int  # 0: a plain put
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Upload:
    content: str
    bucket: str
    key: str
    started_ns: int
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Piece:
    number: int
    blob: str
    size: int
    etag: str
    modified_ns: int
    attributes: Attributes


class Rows:
    """The statements, on one connection inside one lock or transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute

    def buckets(self) -> list[tuple[str, int]]:
        """Give (name, created_ns) in order of name."""
        return self._run("SELECT name, created_ns FROM bucket ORDER BY name").fetchall()

    def bucket_created_ns(self, bucket: str) -> int | None:
        row = self._run("SELECT created_ns FROM bucket WHERE name = ?", (bucket,)).fetchone()
        return None if row is None else int(row[0])

    def add_bucket(self, bucket: str, now_ns: int) -> None:
        self._run("INSERT INTO bucket VALUES (?, ?)", (bucket, now_ns))

    def drop_bucket(self, bucket: str) -> None:
        self._run("DELETE FROM bucket WHERE name = ?", (bucket,))

    def object(self, bucket: str, key: str) -> Object | None:
        row = self._run(
            "SELECT key, content, size, etag, modified_ns, parts, attributes FROM object "
            "WHERE bucket = ? AND key = ?",
            (bucket, key.encode()),
        ).fetchone()
        return None if row is None else _object(row)

    def objects(self, bucket: str, position: bytes, limit: int) -> list[Object]:
        """Give the objects whose keys sort at or behind a position, in order."""
        rows = self._run(
            "SELECT key, content, size, etag, modified_ns, parts, attributes FROM object "
            "WHERE bucket = ? AND key >= ? ORDER BY key LIMIT ?",
            (bucket, position, limit),
        )
        return [_object(row) for row in rows]

    def put_object(self, bucket: str, row: Object) -> None:
        self._run(
            "INSERT OR REPLACE INTO object "
            "(bucket, key, content, size, etag, modified_ns, parts, attributes) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (bucket, row.key.encode(), *_values(row)[1:]),
        )

    def drop_object(self, bucket: str, key: str) -> None:
        self._run("DELETE FROM object WHERE bucket = ? AND key = ?", (bucket, key.encode()))

    def upload(self, content: str) -> Upload | None:
        row = self._run(
            "SELECT content, bucket, key, started_ns, attributes FROM upload WHERE content = ?",
            (content,),
        ).fetchone()
        return None if row is None else _upload(row)

    def uploads(self, bucket: str, after: tuple[bytes, str], limit: int) -> list[Upload]:
        """Give the uploads after a (key, upload id), in that order."""
        rows = self._run(
            "SELECT content, bucket, key, started_ns, attributes FROM upload "
            "WHERE bucket = ? AND (key, content) > (?, ?) ORDER BY key, content LIMIT ?",
            (bucket, *after, limit),
        )
        return [_upload(row) for row in rows]

    def add_upload(self, row: Upload) -> None:
        self._run(
            "INSERT INTO upload (content, bucket, key, started_ns, attributes) "
            "VALUES (?, ?, ?, ?, ?)",
            (row.content, row.bucket, row.key.encode(), *_values(row)[3:]),
        )

    def drop_upload(self, content: str) -> None:
        self._run("DELETE FROM upload WHERE content = ?", (content,))

    def drop_uploads(self, started_before_ns: int) -> list[str]:
        """Drop the uploads that began before a moment; give their contents."""
        rows = self._run(
            "DELETE FROM upload WHERE started_ns < ? RETURNING content", (started_before_ns,)
        )
        return [row[0] for row in rows]

    def pieces(self, content: str) -> list[Piece]:
        rows = self._run(
            "SELECT number, blob, size, etag, modified_ns, attributes FROM piece "
            "WHERE content = ? ORDER BY number",
            (content,),
        )
        return [_piece(row) for row in rows]

    def add_piece(self, content: str, row: Piece) -> None:
        self._run(
            "INSERT INTO piece "
            "(content, number, blob, size, etag, modified_ns, attributes) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (content, *_values(row)),
        )

    def drop_part(self, content: str, number: int) -> list[str]:
        """Drop the piece of a number, if there is one; give its blob."""
        rows = self._run(
            "DELETE FROM piece WHERE content = ? AND number = ? RETURNING blob", (content, number)
        )
        return [row[0] for row in rows]

    def drop_pieces(self, content: str) -> list[str]:
        """Drop all pieces of a content; give their blobs."""
        rows = self._run("DELETE FROM piece WHERE content = ? RETURNING blob", (content,))
        return [row[0] for row in rows]

    def drop_piece(self, blob: str) -> None:
        self._run("DELETE FROM piece WHERE blob = ?", (blob,))

    def blobs(self, start: str) -> set[str]:
        """Give every blob named by a piece whose id begins with these two hex digits."""
        rows = self._run(
            "SELECT blob FROM piece WHERE blob >= ? AND blob < ?", (start, start + "g")
        )
        return {row[0] for row in rows}


class Index:
    """The open index. Both contexts block; they run in worker threads."""

    def __init__(self, path: Path) -> None:
        self._writer, self._reader = _connect(path), _connect(path)
        self._write_lock, self._read_lock = threading.Lock(), threading.Lock()
        self._writer.executescript(SCHEMA)

    @contextmanager
    def read(self) -> Iterator[Rows]:
        """Look at the committed state; short, because readers take turns."""
        with self._read_lock:
            yield Rows(self._reader)

    @contextmanager
    def write(self) -> Iterator[Rows]:
        """Change the state: committed and on disk when the block ends, undone if it raises."""
        with self._write_lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield Rows(self._writer)
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def close(self) -> None:
        with self._write_lock, self._read_lock:
            self._writer.close()
            self._reader.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _values(row: Object | Upload | Piece) -> tuple[Any, ...]:
    return *astuple(row)[:-1], orjson.dumps(row.attributes)


def _object(row: tuple[Any, ...]) -> Object:
    key, content, size, etag, modified_ns, parts, attributes = row
    name = key.decode()
    return Object(name, content, size, etag, modified_ns, parts, orjson.loads(attributes))


def _upload(row: tuple[Any, ...]) -> Upload:
    content, bucket, key, started_ns, attributes = row
    return Upload(content, bucket, key.decode(), started_ns, orjson.loads(attributes))


def _piece(row: tuple[Any, ...]) -> Piece:
    number, blob, size, etag, modified_ns, attributes = row
    return Piece(number, blob, size, etag, modified_ns, orjson.loads(attributes))
