"""Blobs: the bytes of embedded buckets, one immutable file each.

A blob is written whole, synced, and only then named in the index; it is never changed after that.

    blobs/{first two hex digits}/{uuid}      0600, in one of 256 folders made at the start

What survives a crash: a blob that the index names is complete, because file and folder were
synced before the row was committed. A blob that no row names is an orphan: its writer died before
the commit, or its owner's row went first. `sweep` removes orphans at the start, while nobody
writes. A blob that is being read is unlinked when its last reader is done (`Pins`).
"""

import asyncio
import contextlib
import errno
import hashlib
import os
import threading
from collections.abc import AsyncIterable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from modeltap.errors import EntityTooLarge, ServiceUnavailable

WRITE_BYTES = 1024 * 1024  # gathered before one visit to a worker thread
FOLDERS = tuple(f"{number:02x}" for number in range(256))


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes that are safe on disk and belong to nobody yet."""

    id: str
    size: int
    md5: str  # hex


class Blobs:
    """The folder of blobs. Methods block and run in worker threads; `receive` is a coroutine."""

    def __init__(self, root: Path, new_id: Callable[[], str]) -> None:
        self._root = root
        self._new_id = new_id
        root.mkdir(mode=0o700, exist_ok=True)
        for folder in FOLDERS:
            (root / folder).mkdir(mode=0o700, exist_ok=True)
        _sync_folder(root)
        _sync_folder(root.parent)

    def path(self, blob: str) -> Path:
        return self._root / blob[:2] / blob

    async def receive(self, body: AsyncIterable[bytes], bytes_max: int) -> Blob:
        """Store a stream; nothing is left behind if it raises, is cancelled or is too large.

        Raise `EntityTooLarge` beyond `bytes_max`, `ServiceUnavailable` when the disk is full.
        """
        writer = _Writer(self._new_id(), self.path)
        try:
            gathered = bytearray()
            async for chunk in body:
                gathered += chunk
                if writer.size + len(gathered) > bytes_max:
                    raise EntityTooLarge("Your proposed upload exceeds the maximum allowed size")
                if len(gathered) >= WRITE_BYTES:
                    await asyncio.to_thread(writer.write, bytes(gathered))
                    gathered.clear()
            return await asyncio.to_thread(writer.finish, bytes(gathered))
        except BaseException as error:
            writer.abandon()
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise ServiceUnavailable("The disk of the embedded buckets is full.") from None
            raise

    def remove(self, blobs: Iterable[str]) -> None:
        """Unlink blobs that no row names any more; a lost unlink is swept at the next start."""
        for blob in blobs:
            self.path(blob).unlink(missing_ok=True)

    def sweep(self, named: Callable[[str], set[str]]) -> int:
        """Unlink what the index does not name, folder by folder; give how many there were.

        `named` gives the blobs that the index names and whose id starts with two hex digits.
        """
        swept = 0
        for folder in FOLDERS:
            orphans = {entry.name for entry in os.scandir(self._root / folder)} - named(folder)
            self.remove(orphans)
            swept += len(orphans)
        return swept


class _Writer:
    """One blob in the making.

    A cancelled coroutine leaves its thread running: the lock makes `abandon` wait for it.
    """

    def __init__(self, blob: str, path: Callable[[str], Path]) -> None:
        self._blob = blob
        self._path = path(blob)
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.size = 0

    def write(self, data: bytes) -> None:
        with self._lock:
            self._append(data)

    def finish(self, data: bytes) -> Blob:
        with self._lock:
            file = self._append(data)
            os.fsync(file.fileno())
            file.close()
            _sync_folder(self._path.parent)
            return Blob(self._blob, self.size, self._md5.hexdigest())

    def abandon(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            if self._file is not None:
                self._file.close()
            self._path.unlink(missing_ok=True)

    def _append(self, data: bytes) -> IO[bytes]:
        if self._file is None:
            self._file = open(self._path, "xb", buffering=0, opener=_private)  # noqa: SIM115
        self._md5.update(data)
        self.size += len(data)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        return self._file


class Pins:
    """Which contents are being read, and what to unlink when the last reader of one is done.

    Not thread-safe by itself: the index's read lock guards it, so that looking a row up and
    pinning its content are one step.
    """

    def __init__(self) -> None:
        self._readers: dict[str, int] = {}
        self._doomed: dict[str, list[str]] = {}

    def pin(self, content: str) -> None:
        self._readers[content] = self._readers.get(content, 0) + 1

    def unpin(self, content: str) -> list[str]:
        """Count one reader less; give the blobs that may go now."""
        self._readers[content] -= 1
        if self._readers[content]:
            return []
        del self._readers[content]
        return self._doomed.pop(content, [])

    def doom(self, content: str, blobs: list[str]) -> list[str]:
        """Name blobs that lost their row; give those that may go now."""
        if content not in self._readers:
            return blobs
        self._doomed.setdefault(content, []).extend(blobs)
        return []


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
