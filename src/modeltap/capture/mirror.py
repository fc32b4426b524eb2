"""The mirrors of the counters: one file a writer, written by the spooler, read by everyone.

A mirror is what a page of counters (`counters.py`) was a moment ago. The spooler writes it after it
has read a batch out of the ring and before it appends that batch, and syncs it before it syncs the
segments: so what stands on disk is never more than what its mirror says was sampled. A writer whose
ring is gone has nothing but its mirror, which is then settled by what the disk holds.

If gateway, spooler and supervisor are killed at one moment, what was sampled since the last turn of
the spooler (20 ms) is neither there nor counted.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from modeltap.capture.counters import SLOT_BYTES, SlotCount, read, settle, used_bytes
from modeltap.capture.disk import Disk
from modeltap.capture.folder import sync_folder
from modeltap.errors import SpoolBusy

SUFFIX = ".page"


class Mirror:
    """One writer's mirror, as its spooler writes it. All calls raise `OSError`."""

    def __init__(self, folder: Path, writer: str, page: memoryview, disk: Disk) -> None:
        """Open a mirror, or make it. Raise `SpoolBusy` while another process holds it."""
        self._fd = _open(mirror_path(folder, writer))
        sync_folder(folder)
        self._page = page
        self._disk = disk
        self._written = b""
        self._dirty = False

    def write(self) -> None:
        """Write what has changed."""
        now = self._page[: used_bytes(self._page)].tobytes()
        if now != self._written:
            _write(self._fd, now)
            self._written, self._dirty = now, True

    def sync(self) -> None:
        """Make durable what was written."""
        if not self._dirty:
            return
        try:
            self._disk.sync(self._fd)
        except OSError:
            self._written = b""  # a failed sync loses what it covered: it is written again
            raise
        self._dirty = False

    def close(self) -> None:
        os.close(self._fd)


def settle_mirror(folder: Path, writer: str, framed: dict[int, int]) -> int:
    """Settle the counts of a writer whose ring is gone by the records found of each slot.

    Tell how many records are lost that were not known to be. Raise `OSError`; `SpoolBusy` while
    another process holds the mirror, whose writer then lives.
    """
    path = mirror_path(folder, writer)
    fd = _open(path)
    try:
        page = bytearray(_slots(path))
        lost = settle(memoryview(page), framed)
        _write(fd, bytes(page))
        os.fdatasync(fd)
    finally:
        os.close(fd)
    return lost


def mirrors(folder: Path) -> Iterator[tuple[str, list[SlotCount]]]:
    """Read all mirrors of a folder: (writer, its slots). What is none is passed over."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        counts = read(memoryview(_slots(path)))
        if counts:
            yield path.stem, counts


def slot_names(folder: Path, writer: str, slot: int) -> tuple[str, str]:
    """Give a slot's endpoint and variant; empty where the mirror is gone."""
    counts = read(memoryview(_slots(mirror_path(folder, writer))))
    return next(((c.endpoint, c.variant) for c in counts if c.slot == slot), ("", ""))


def mirror_path(folder: Path, writer: str) -> Path:
    return folder / f"{writer}{SUFFIX}"


def _open(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise SpoolBusy(f"{path.name} is held by a live spooler") from None
    return fd


def _write(fd: int, page: bytes) -> None:
    """Write a page, its header last: killed within, a header never counts slots that are not there.

    A slot is never torn: it does not cross a page of memory.
    """
    os.pwrite(fd, page[SLOT_BYTES:], SLOT_BYTES)
    os.pwrite(fd, page[:SLOT_BYTES], 0)


def _slots(path: Path) -> bytes:
    """Read a file's whole slots; nothing where there is no file."""
    with suppress(FileNotFoundError):
        if path.is_file():  # a pipe would hold its reader up
            data = path.read_bytes()
            return data[: len(data) // SLOT_BYTES * SLOT_BYTES]
    return b""
