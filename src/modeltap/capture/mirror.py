"""The mirrors of the counters: one file a writer, written by the spooler, read by everyone.

A mirror is what a page of counters (`counters.py`) was a moment ago. The spooler writes it after it
has read a batch out of the ring and before it appends that batch, and syncs it before it syncs the
segments: so what stands on disk is never more than what its mirror says was sampled. A writer whose
ring is gone has nothing but its mirror, which is then settled by what the disk holds.

In a mirror every slot has a checksum, in a word that the page leaves free. A slot that a loss of
power left as garbage, or that someone else wrote, is not there: it had no record on disk yet.

If gateway, spooler and supervisor are killed at one moment, what was sampled since the last turn of
the spooler (20 ms) is neither there nor counted.
"""

import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from crc32c import crc32c

from modeltap.capture.counters import CHECK_AT, SLOT_BYTES, SlotCount, read, settle, used_bytes
from modeltap.capture.disk import Disk, File
from modeltap.errors import SpoolBusy

SUFFIX = ".page"

_CHECK = struct.Struct("<Q")


class Mirror:
    """One writer's mirror, as its spooler writes it. All calls raise `OSError`."""

    def __init__(self, folder: Path, writer: str, page: memoryview, disk: Disk) -> None:
        """Open a mirror, or make it. Raise `SpoolBusy` while another process holds it."""
        self._file = _open(disk, mirror_path(folder, writer))
        try:
            disk.sync_folder(folder)
        except OSError:
            self._file.close()
            raise
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
    slots = range(SLOT_BYTES, len(page), SLOT_BYTES)
    file.write_at(SLOT_BYTES, b"".join(_checked(page[at : at + SLOT_BYTES]) for at in slots))
    file.write_at(0, page[:SLOT_BYTES])


def _slots(disk: Disk, path: Path) -> bytes:
    """Read a file's sound slots, each in its place; nothing where there is no file."""
    with suppress(FileNotFoundError):
        if disk.is_file(path):  # a pipe would hold its reader up
            data = disk.read(path)
            slots = [data[at : at + SLOT_BYTES] for at in range(0, len(data), SLOT_BYTES)]
            whole = [slot for slot in slots if len(slot) == SLOT_BYTES]
            return b"".join(whole[:1] + [_sound(slot) for slot in whole[1:]])
    return b""


def _checked(slot: bytes) -> bytes:
    """Write the checksum of a slot into it; the check counts as zero."""
    blank = slot[:CHECK_AT] + bytes(_CHECK.size) + slot[CHECK_AT + _CHECK.size :]
    return blank[:CHECK_AT] + _CHECK.pack(crc32c(blank)) + blank[CHECK_AT + _CHECK.size :]


def _sound(slot: bytes) -> bytes:
    """Give a slot back, or an empty one where its checksum is wrong."""
    return slot if _checked(slot) == slot else bytes(SLOT_BYTES)
