"""The embedded buckets: S3's objects on local files, durable when acknowledged.

    buckets/   lock       held for life: one process writes here
               index.db   which contents exist, under which keys (`index.py`)
               blobs/     their bytes (`blobs.py`)

A write is: blob → fsync → fsync(folder) → commit the row → unlink what the row replaced. So a
crash leaves the old object or the new one, whole, and at worst an orphan blob for `sweep`.

Methods block and belong in a worker thread, but for `receive` and a `Reading`, which are the
streams. Limits: keys of 1 … 1,024 UTF-8 bytes, 2 KiB of user metadata, objects of
`object_bytes_max`. Errors are S3's own, raised as leaves of `StoreError`.
"""

import asyncio
import fcntl
import os
import re
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from modeltap.clock import Clock
from modeltap.errors import (
    BucketAlreadyOwnedByYou,
    BucketNotEmpty,
    BucketsInUse,
    InvalidArgument,
    InvalidBucketName,
    KeyTooLong,
    NoSuchBucket,
    NoSuchKey,
    PreconditionFailed,
)
from modeltap.objects.blobs import Blob, Blobs, Pins
from modeltap.objects.index import Attributes, Index, Object, Piece, Rows
from modeltap.objects.listing import Listing, walk

READ_BYTES = 256 * 1024
KEY_BYTES_MAX = 1024
BUCKET_NAME = re.compile(
    r"(?!xn--)(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]"
)


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold of the key at the instant of a write."""

    if_match: str | None = None  # an ETag without quotes
    if_absent: bool = False  # If-None-Match: *

    def check(self, existing: Object | None) -> None:
        """Raise `PreconditionFailed`, or `NoSuchKey` where an ETag is asked of nothing."""
        if self.if_match is not None and existing is None:
            raise NoSuchKey("The specified key does not exist.")
        unwanted = self.if_absent and existing is not None
        if unwanted or (existing and self.if_match not in (None, "*", existing.etag)):
            raise PreconditionFailed(
                "At least one of the pre-conditions you specified did not hold"
            )


ALWAYS = Condition()


class Buckets:
    """All embedded buckets of one home."""

    def __init__(self, root: Path, clock: Clock, *, object_bytes_max: int, lock: int) -> None:
        self._lock = lock
        self._pins = Pins()
        self.clock = clock
        self.object_bytes_max = object_bytes_max
        self.index = Index(root / "index.db")
        self.blobs = Blobs(root / "blobs", clock.uuid4)

    @classmethod
    def open(cls, root: Path, clock: Clock, *, object_bytes_max: int) -> Self:
        """Open the folder, making it if need be, and sweep what a crash left behind.

        Raise `BucketsInUse` while another process has it open.
        """
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _hold(root / "lock")
        os.close(os.open(root / "index.db", os.O_CREAT | os.O_WRONLY, 0o600))
        buckets = cls(root, clock, object_bytes_max=object_bytes_max, lock=lock)
        with buckets.index.read() as rows:
            buckets.blobs.sweep(rows.blobs)
        return buckets

    def close(self) -> None:
        self.index.close()
        os.close(self._lock)

    # ------------------------------------------------------------ buckets

    def names(self) -> list[tuple[str, int]]:
        """Give (bucket, created_ns), in order."""
        with self.index.read() as rows:
            return rows.buckets()

    def create(self, bucket: str) -> None:
        """Make a bucket. Raise `InvalidBucketName` or `BucketAlreadyOwnedByYou`."""
        if not BUCKET_NAME.fullmatch(bucket):
            raise InvalidBucketName("The specified bucket is not valid.")
        with self.index.write() as rows:
            if rows.bucket_created_ns(bucket) is not None:
                raise BucketAlreadyOwnedByYou(
                    "Your previous request to create the named bucket succeeded "
                    "and you already own it."
                )
            rows.add_bucket(bucket, self.clock.now_ns())

    def check(self, bucket: str) -> None:
        """Raise `NoSuchBucket` unless it is there."""
        with self.index.read() as rows:
            require_bucket(rows, bucket)

    def drop(self, bucket: str) -> None:
        """Remove a bucket. Raise `BucketNotEmpty` while it holds an object or an upload."""
        with self.index.write() as rows:
            require_bucket(rows, bucket)
            if rows.objects(bucket, b"", 1) or rows.uploads(bucket, (b"", ""), 1):
                raise BucketNotEmpty("The bucket you tried to delete is not empty.")
            rows.drop_bucket(bucket)

    # ------------------------------------------------------------ objects

    async def receive(self, body: AsyncIterable[bytes]) -> Blob:
        """Store a stream's bytes, not yet under any key; a stream that raises leaves nothing.

        Raise `EntityTooLarge` beyond `object_bytes_max`, `ServiceUnavailable` on a full disk.
        """
        return await self.blobs.receive(body, self.object_bytes_max)

    def put(
        self,
        bucket: str,
        key: str,
        blob: Blob,
        attributes: Attributes,
        condition: Condition = ALWAYS,
    ) -> Object:
        """Put received bytes under a key; on any error they are dropped.

        Raise `NoSuchBucket`, `KeyTooLong`, `InvalidArgument` for an empty key, and what the
        condition raises.
        """
        now = self.clock.now_ns()
        piece = Piece(1, blob.id, blob.size, blob.md5, now, {})
        row = Object(key, blob.id, blob.size, blob.md5, now, 0, attributes)
        try:
            check_key(key)
            with self.index.write() as rows:
                replaced = place(rows, bucket, row, condition)
                rows.add_piece(blob.id, piece)
        except BaseException:
            self.blobs.remove([blob.id])
            raise
        self.discard(replaced)
        return row

    def head(self, bucket: str, key: str) -> Object:
        """Look an object up. Raise `NoSuchBucket` or `NoSuchKey`."""
        with self.index.read() as rows:
            return require_object(rows, bucket, key)

    def read(self, bucket: str, key: str) -> "Reading":
        """Hold an object open; its reader must `aclose` it. Raise as `head` does."""
        with self.index.read() as rows:
            row = require_object(rows, bucket, key)
            pieces = rows.pieces(row.content)
            self._pins.pin(row.content)
        return Reading(row, pieces, self.blobs.path, self._release)

    def remove(self, bucket: str, keys: Iterable[str], condition: Condition = ALWAYS) -> None:
        """Remove objects, all or none; that one is not there is no error."""
        gone: dict[str, list[str]] = {}
        with self.index.write() as rows:
            require_bucket(rows, bucket)
            for key in keys:
                row = rows.object(bucket, key)
                condition.check(row)
                if row is not None:
                    rows.drop_object(bucket, key)
                    gone[row.content] = rows.drop_pieces(row.content)
        self.discard(gone)

    def listing(
        self, bucket: str, *, prefix: str, delimiter: str, start: bytes, limit: int
    ) -> Listing:
        """Give one page of a listing (`listing.py`)."""
        with self.index.read() as rows:
            require_bucket(rows, bucket)

            def page(position: bytes, count: int) -> list[Object]:
                return rows.objects(bucket, position, count)

            return walk(page, prefix=prefix, delimiter=delimiter, start=start, limit=limit)

    # ------------------------------------------------------------ what is left of a content

    def discard(self, gone: dict[str, list[str]]) -> None:
        """Unlink the blobs of contents whose rows are gone, or leave that to their readers."""
        for content, blobs in gone.items():
            with self.index.read():
                free = self._pins.doom(content, blobs)
            self.blobs.remove(free)

    def _release(self, content: str) -> None:
        with self.index.read():
            free = self._pins.unpin(content)
        self.blobs.remove(free)


class Reading:
    """An object held open: an async iterable of its bytes, all or a span of them.

    Its blobs stay on disk until `aclose`, even if the key is replaced or removed meanwhile.
    """

    def __init__(
        self,
        row: Object,
        pieces: list[Piece],
        path: Callable[[str], Path],
        release: Callable[[str], None],
    ) -> None:
        self.object = row
        self.span = (0, row.size)  # the bytes to give: first, one behind the last
        self._pieces = pieces
        self._path = path
        self._release: Callable[[str], None] | None = release

    async def __aiter__(self) -> AsyncIterator[bytes]:
        start, stop = self.span
        offset = 0
        for piece in self._pieces:
            first, last = max(start - offset, 0), min(stop - offset, piece.size)
            if first < last:
                async for chunk in _chunks(self._path(piece.blob), first, last):
                    yield chunk
            offset += piece.size

    async def aclose(self) -> None:
        release, self._release = self._release, None
        if release is not None:
            await asyncio.to_thread(release, self.object.content)


async def _chunks(path: Path, start: int, stop: int) -> AsyncIterator[bytes]:
    descriptor = await asyncio.to_thread(os.open, path, os.O_RDONLY)
    try:
        while start < stop:
            size = min(READ_BYTES, stop - start)
            chunk = await asyncio.to_thread(os.pread, descriptor, size, start)
            if not chunk:
                raise EOFError(f"a blob ends {stop - start} bytes before its row says")
            start += len(chunk)
            yield chunk
    finally:
        os.close(descriptor)


# ---------------------------------------------------------------- what verbs share


def check_key(key: str) -> None:
    """Raise `InvalidArgument` or `KeyTooLong` unless a key has 1 … 1,024 UTF-8 bytes."""
    if not key:
        raise InvalidArgument("The key of an object is not empty.")
    if len(key.encode()) > KEY_BYTES_MAX:
        raise KeyTooLong("Your key is too long")


def require_bucket(rows: Rows, bucket: str) -> None:
    """Raise `NoSuchBucket` unless it is there."""
    if rows.bucket_created_ns(bucket) is None:
        raise NoSuchBucket("The specified bucket does not exist")


def require_object(rows: Rows, bucket: str, key: str) -> Object:
    """Give an object's row. Raise `NoSuchBucket` or `NoSuchKey`."""
    row = rows.object(bucket, key)
    if row is None:
        require_bucket(rows, bucket)
        raise NoSuchKey("The specified key does not exist.")
    return row


def place(rows: Rows, bucket: str, row: Object, condition: Condition) -> dict[str, list[str]]:
    """Write an object's row if the condition holds; give what it replaced, for `discard`."""
    require_bucket(rows, bucket)
    existing = rows.object(bucket, row.key)
    condition.check(existing)
    rows.put_object(bucket, row)
    return {existing.content: rows.drop_pieces(existing.content)} if existing else {}


def _hold(path: Path) -> int:
    lock = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise BucketsInUse(f"another process holds {path}") from None
    return lock
