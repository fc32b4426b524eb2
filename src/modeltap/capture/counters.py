"""How many records were sampled and dropped: one mapped page of counters for each writer.

A page is a shared mapping of a file, so that a count survives a `kill -9` at any instruction (not
a power cut; `settle_by` then repairs it from what the disk holds). Every counter is one aligned
word with one writer. The writer (a gateway) holds a lock on its page for life.

    sampled    taken at the sampling decision; also the sequence number of that record
    framed     moved into the ring
    dropped    by reason; `crash` is what was sampled and had no fate when the writer died

`sampled = framed + Σ dropped` whenever no offer is under way. Readers add up all pages.

Constraints: 4,094 pairs of endpoint and variant a page; later pairs, and those for which a full
disk has no block, share slot 0, whose records are counted and dropped (`slots_full`). Names of at
most 63 bytes (the service model's bound).

Format, little-endian words of 8 bytes; a slot is 256 bytes, a page is 1 MiB, nearly all a hole:

    slot    endpoint 64s · variant 64s (zero-padded) · sampled · framed · dropped by reason …
    page    header slot: magic · slots in use; then slots 0 … 4094
"""

import fcntl
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from modeltap.capture.ring import Receipt
from modeltap.errors import SpoolBusy

MAGIC = int.from_bytes(b"MTCNTR01", "little")
SLOT_BYTES = 256
NAME_BYTES = 64
PAGE_BYTES = 1024 * 1024
SLOTS_MAX = PAGE_BYTES // SLOT_BYTES - 1
SLOTS_FULL = 0  # the slot of the pairs that have none of their own


class Drop(StrEnum):
    """Why a sampled record is not delivered; the order is the format's."""

    QUEUE_FULL = "queue_full"
    DISK_WATERMARK = "disk_watermark"
    RECORD_TOO_LARGE = "record_too_large"
    SLOTS_FULL = "slots_full"
    CRASH = "crash"
    CORRUPT = "corrupt"


_REASONS = tuple(reason for reason in Drop if reason is not Drop.CORRUPT)  # corrupt: the ledger's

_WORD = 8
_USED = 1
_SAMPLED, _FRAMED, _DROPPED = 0, 1, 2
_COUNTS = 2 * NAME_BYTES // _WORD  # where a slot's counters begin, in words
_SLOT_WORDS = SLOT_BYTES // _WORD
_FIRST_SAMPLED = _SLOT_WORDS + _COUNTS + _SAMPLED  # of slot 0, which stands behind the header
_FIRST_FRAMED = _SLOT_WORDS + _COUNTS + _FRAMED


@dataclass(frozen=True)
class SlotCount:
    """One slot as it reads now."""

    slot: int
    endpoint: str
    variant: str
    sampled: int
    framed: int
    dropped: dict[Drop, int]


class Counters:
    """One writer's page, open for writing and locked."""

    def __init__(self, folder: Path, writer: str) -> None:
        """Open the page of `writer`, or make it. Raise `SpoolBusy` while it is held elsewhere."""
        path = page_path(folder, writer)
        if not _whole(path):
            _make(path)
        self._lock = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise SpoolBusy(f"counter page {path.name} is held by a live process") from None
        self._page = memoryview(mmap.mmap(self._lock, PAGE_BYTES))
        self._words = self._page.cast("Q")
        self._slots = {(c.endpoint, c.variant): c.slot for c in _counts(self._page, self._words)}
        if not self._slots:
            self._add("", "")

    def slot(self, endpoint: str, variant: str) -> int:
        """Give the slot of a pair; `SLOTS_FULL` when the page has none left."""
        known = self._slots.get((endpoint, variant))
        if known is not None:
            return known
        fits = len(endpoint.encode()) < NAME_BYTES and len(variant.encode()) < NAME_BYTES
        if not fits or self._words[_USED] == SLOTS_MAX or not self._allocated():
            return SLOTS_FULL
        return self._add(endpoint, variant)

    def sample(self, slot: int) -> int:
        """Count a record as sampled and give its sequence number, from 1."""
        at = slot * _SLOT_WORDS + _FIRST_SAMPLED
        self._words[at] = sampled = self._words[at] + 1
        return sampled

    def next_framed(self, slot: int) -> int:
        """Tell what `framed` will be with one record more: the ring's receipt holds it."""
        return self._words[slot * _SLOT_WORDS + _FIRST_FRAMED] + 1

    def framed(self, slot: int, count: int) -> None:
        """Count a record as framed: `next_framed` told the count."""
        self._words[slot * _SLOT_WORDS + _FIRST_FRAMED] = count

    def drop(self, slot: int, reason: Drop) -> None:
        self._bump(slot, _DROPPED + _REASONS.index(reason))

    def settle(self, receipt: Receipt | None) -> int:
        """Give what a dead predecessor left without a fate its fate; tell how many are lost.

        The ring's receipt says whether the last frame was moved in before it could be counted.
        """
        if receipt is not None:
            slot, framed = receipt
            self._words[_at(slot) + _FRAMED] = max(framed, self._words[_at(slot) + _FRAMED])
        return sum(self._settle(c, c.framed) for c in _counts(self._page, self._words))

    def settle_by(self, framed: dict[int, int]) -> int:
        """Settle the page of a writer whose ring is gone, by the records found of each slot."""
        return sum(self._settle(c, framed.get(c.slot, 0)) for c in _counts(self._page, self._words))

    def close(self) -> None:
        self._words.release()
        self._page.release()
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _settle(self, count: SlotCount, framed: int) -> int:
        at, crash = _at(count.slot), count.dropped[Drop.CRASH]
        dropped = sum(count.dropped.values())
        lost = max(0, count.sampled - framed - dropped + crash)
        self._words[at + _FRAMED] = framed
        self._words[at + _DROPPED + _REASONS.index(Drop.CRASH)] = lost
        # After a power cut a page may know of fewer records than the disk holds: it is raised.
        self._words[at + _SAMPLED] = framed + dropped - crash + lost
        return lost - crash

    def _allocated(self) -> bool:
        """Have blocks for the next slot: on a full disk a store into a hole kills the process."""
        try:
            os.posix_fallocate(self._lock, (self._words[_USED] + 1) * SLOT_BYTES, SLOT_BYTES)
        except OSError:
            return False
        return True

    def _add(self, endpoint: str, variant: str) -> int:
        slot = int(self._words[_USED])
        start = (slot + 1) * SLOT_BYTES
        for name in (endpoint, variant):
            self._page[start : start + NAME_BYTES] = name.encode().ljust(NAME_BYTES, b"\0")
            start += NAME_BYTES
        self._words[_USED] = slot + 1  # last: a slot is there when it is counted
        self._slots[endpoint, variant] = slot
        return slot

    def _bump(self, slot: int, counter: int) -> int:
        at = _at(slot) + counter
        self._words[at] = value = self._words[at] + 1
        return int(value)


def page_path(folder: Path, writer: str) -> Path:
    return folder / f"{writer}.page"


def pages(folder: Path) -> Iterator[tuple[str, list[SlotCount]]]:
    """Read all pages of a folder: (writer, its slots). What is no whole page is passed over."""
    for path in sorted(folder.glob("*.page")):
        if _whole(path):
            yield path.stem, read_page(path)


def read_page(path: Path) -> list[SlotCount]:
    """Read one whole page, without a lock."""
    with path.open("rb") as file:
        page = memoryview(mmap.mmap(file.fileno(), PAGE_BYTES, prot=mmap.PROT_READ))
    return list(_counts(page, page.cast("Q")))


def slot_names(folder: Path, writer: str, slot: int) -> tuple[str, str]:
    """Give a slot's endpoint and variant; empty where the page is gone."""
    path = page_path(folder, writer)
    counts = read_page(path) if _whole(path) else []
    return next(((c.endpoint, c.variant) for c in counts if c.slot == slot), ("", ""))


def _at(slot: int) -> int:
    return (slot + 1) * _SLOT_WORDS + _COUNTS


def _counts(page: memoryview, words: memoryview) -> Iterator[SlotCount]:
    for slot in range(min(words[_USED], SLOTS_MAX)):
        start, at = (slot + 1) * SLOT_BYTES, _at(slot)
        names = bytes(page[start : start + 2 * NAME_BYTES])
        dropped = words[at + _DROPPED : at + _DROPPED + len(_REASONS)]
        yield SlotCount(
            slot=slot,
            endpoint=names[:NAME_BYTES].rstrip(b"\0").decode("utf-8", "replace"),
            variant=names[NAME_BYTES:].rstrip(b"\0").decode("utf-8", "replace"),
            sampled=words[at + _SAMPLED],
            framed=words[at + _FRAMED],
            dropped=dict(zip(_REASONS, dropped, strict=True)),
        )


def _whole(path: Path) -> bool:
    """Tell a page from a short or foreign file: a mapping beyond a file's end kills the process."""
    if not path.is_file() or path.stat().st_size != PAGE_BYTES:
        return False
    with path.open("rb") as file:
        return int.from_bytes(file.read(_WORD), "little") == MAGIC


def _make(path: Path) -> None:
    """Make a page beside and rename it: killed anywhere, there is a whole page or none."""
    beside = path.with_suffix(".new")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(MAGIC.to_bytes(_WORD, "little"))
        file.truncate(PAGE_BYTES)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
