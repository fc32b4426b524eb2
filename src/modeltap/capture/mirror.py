"""The mirrors of the counters: one file a writer, written by the spooler, read by everyone.

A mirror is what a page of counters (`counters.py`) was a moment ago. The spooler writes it after it
has read a batch out of the ring and before it appends that batch, and syncs it before it syncs the
segments: so what stands on disk is never more than what its mirror says was sampled. A writer whose
ring is gone has nothing but its mirror, which is then settled by what the disk holds.

Format: the page, with a CRC32C of each slot in the slot's word `counters.CHECK`. A loss of power
can leave anything in the place of a slot that was never synced: it then counts as not there.

If gateway, spooler and supervisor are killed at one moment, what was sampled since the last turn of
the spooler (20 ms) is neither there nor counted.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from crc32c import crc32c

from modeltap.capture.counters import CHECK, SLOT_BYTES, SlotCount, read, settle, used_bytes
from modeltap.capture.disk import Disk, File
from modeltap.errors import SpoolBusy

SUFFIX = ".page"
WORD_BYTES = 8


class Mirror:
    """One writer's mirror, as its spooler writes it. All calls raise `OSError`."""

    def __init__(self, folder: Path, writer: str, page: memoryview, disk: Disk) -> None:
        """Open a mirror, or make it. Raise `SpoolBusy` while another process holds it."""
        self._file = _open(disk, mirror_path(folder, writer))
        disk.sync_folder(folder)
        self._page = page
        self._written = b""
        self._dirty = False

    def write(self) -> None:
        """Write what has changed; a new slot is durable at once.

        Else a loss of power could leave records of a slot that has no names.
        """
        now = self._page[: used_bytes(self._page)].tobytes()
        if now != self._written:
            _write(self._file, now)
            has_grown = len(now) > len(self._written)
            self._written, self._dirty = now, True
            if has_grown:
                self.sync()

    def sync(self) -> None:
        """Make durable what was written."""
        if not self._dirty:
            return
        try:
            self._file.sync()
        except OSError:
            self._written = b""  # a failed sync loses what it covered: it is written again
            raise
        self._dirty = False

    def close(self) -> None:
        self._file.close()


def settle_mirror(disk: Disk, folder: Path, writer: str, framed: dict[int, int]) -> int:
    """Settle the counts of a writer whose ring is gone by the records found of each slot.

    Tell how many records are lost that were not known to be. Raise `OSError`; `SpoolBusy` while
    another process holds the mirror, whose writer then lives.
    """
    path = mirror_path(folder, writer)
    file = _open(disk, path)
    try:
        page = bytearray(_slots(disk, path))
        lost = settle(memoryview(page), framed)
        _write(file, bytes(page))
        file.sync()
    finally:
        file.close()
    return lost


def mirrors(disk: Disk, folder: Path) -> Iterator[tuple[str, list[SlotCount]]]:
    """Read all mirrors of a folder: (writer, its slots). What is none is passed over."""
    for name in disk.files(folder):
        if name.endswith(SUFFIX):
            counts = read(memoryview(_slots(disk, folder / name)))
            if counts:
                yield name.removesuffix(SUFFIX), counts


def slot_names(disk: Disk, folder: Path, writer: str, slot: int) -> tuple[str, str]:
    """Give a slot's endpoint and variant; empty where the mirror is gone."""
    counts = read(memoryview(_slots(disk, mirror_path(folder, writer))))
    return next(((c.endpoint, c.variant) for c in counts if c.slot == slot), ("", ""))


def mirror_path(folder: Path, writer: str) -> Path:
    return folder / f"{writer}{SUFFIX}"


def _open(disk: Disk, path: Path) -> File:
    file = disk.open(path, make=True)
    try:
        file.lock()
    except BlockingIOError:
        file.close()
        raise SpoolBusy(f"{path.name} is held by a live spooler") from None
    return file


def _write(file: File, page: bytes) -> None:
    """Write a page, its header last: killed within, a header never counts slots that are not there.

    A slot is never torn: it does not cross a sector of the disk.
    """
    checked = bytearray(page)
    for start in range(SLOT_BYTES, len(page), SLOT_BYTES):
        _check_word(checked, start)[:] = _checksum(page, start)
    file.write_at(SLOT_BYTES, bytes(checked[SLOT_BYTES:]))
    file.write_at(0, bytes(checked[:SLOT_BYTES]))


def _slots(disk: Disk, path: Path) -> bytes:
    """Read a file's whole slots, those that are none as zeros; nothing where there is no file."""
    with suppress(FileNotFoundError):
        if disk.is_file(path):  # a pipe would hold its reader up
            data = disk.read(path)
            return _good(data[: len(data) // SLOT_BYTES * SLOT_BYTES])
    return b""


def _good(data: bytes) -> bytes:
    page = bytearray(data)
    for start in range(SLOT_BYTES, len(data), SLOT_BYTES):
        word = _check_word(page, start)
        found, word[:] = bytes(word), bytes(len(word))
        if found != _checksum(page, start):
            page[start : start + SLOT_BYTES] = bytes(SLOT_BYTES)
    return bytes(page)


def _check_word(page: bytearray, start: int) -> memoryview:
    at = start + CHECK * WORD_BYTES
    return memoryview(page)[at : at + WORD_BYTES]


def _checksum(page: bytes | bytearray, start: int) -> bytes:
    """Give the word for a slot whose own word is zero, as it is in a page."""
    crc: int = crc32c(page[start : start + SLOT_BYTES])
    return crc.to_bytes(WORD_BYTES, "little")
