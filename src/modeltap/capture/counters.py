"""How many records were sampled and dropped: words of shared memory, and their mirror on disk.

The words lie in the head of the gateway's ring (`ring.py`), so that a count survives a `kill -9` at
any instruction, and so that no disk holds up an offer: a store into a mapped file waits for as long
as its file system is frozen. The spooler mirrors them to a file (`mirror.py`). Every counter is one
aligned word with one writer.

    eligible   answers that a plan would capture, sampled or not
    sampled    taken at the sampling decision; also the sequence number of that record
    framed     moved into the ring
    dropped    by reason; `crash` is what was sampled and had no fate when the writer died
    late       answers that did not wait any longer for their record to be durable
    closed     1 while the endpoint has too much in the spool; the spooler's word

`sampled = framed + Σ dropped` whenever nothing is gathered or waits. Readers add up all writers.

Constraints: 4,094 pairs of endpoint and variant a writer; later pairs, and those for which there is
no memory, share slot 0, whose records are counted and dropped (`slots_full`). Names of at most 63
bytes (the service model's bound).

Format, little-endian words of 8 bytes; a slot is 256 bytes:

    slot    endpoint 64s · variant 64s (zero-padded) · sampled · framed · dropped by reason (10)
            · check (in a mirror alone) · eligible · late · closed
    page    header slot: magic · slots in use; then slots 0 … 4094
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, final

MAGIC: Final = int.from_bytes(b"MTCNTR01", "little")
SLOT_BYTES: Final = 256
NAME_BYTES: Final = 64
PAGE_BYTES: Final = 1024 * 1024
SLOTS_MAX: Final = PAGE_BYTES // SLOT_BYTES - 1
FOUNDED_BYTES: Final = 2 * SLOT_BYTES  # what a new page takes
SLOTS_FULL: Final = 0  # the slot of the pairs that have none of their own


class Drop(StrEnum):
    """Why a sampled record is not delivered; the order is the format's."""

    QUEUE_FULL = "queue_full"
    DISK_WATERMARK = "disk_watermark"
    RECORD_TOO_LARGE = "record_too_large"
    SLOTS_FULL = "slots_full"
    CRASH = "crash"
    SPOOL_LIMIT = "spool_limit"
    CORRUPT = "corrupt"
    POISON = "poison"
    KEY_TAKEN = "key_taken"


LEDGER_REASONS: Final = (Drop.CORRUPT, Drop.POISON, Drop.KEY_TAKEN)
"""Those that the ledger counts, a segment each; a writer counts the others."""

_REASONS: Final[list[Drop]] = [reason for reason in Drop if reason not in LEDGER_REASONS]

_WORD: Final = 8
_USED: Final = 1
_SAMPLED: Final = 0
_FRAMED: Final = 1
_DROPPED: Final = 2
_ELIGIBLE: Final = 13
_LATE: Final = 14
_CLOSED: Final = 15
_SLOT_WORDS: Final = SLOT_BYTES // _WORD
_COUNTS: Final = 2 * NAME_BYTES // _WORD  # where a slot's counters begin, in words
CHECK_AT: Final = 2 * NAME_BYTES + 12 * _WORD
"""Where in a slot the mirror keeps its checksum, in bytes."""
_FIRST_SAMPLED: Final = (
    _SLOT_WORDS + _COUNTS + _SAMPLED
)  # of slot 0, which stands behind the header
_FIRST_FRAMED: Final = _SLOT_WORDS + _COUNTS + _FRAMED

Allocate = Callable[[int, int], bool]
"""(offset, bytes) → whether there is memory for them."""


@dataclass(frozen=True)
class SlotCount:
    """One slot as it reads now."""

    slot: int
    endpoint: str
    variant: str
    sampled: int
    framed: int
    dropped: dict[Drop, int]
    eligible: int
    late: int
    closed: bool


@final
class Counters:
    """One writer's counters, open for writing."""

    def __init__(self, page: memoryview, allocate: Allocate) -> None:
        """Take the memory of a page; found it, if it is new: `FOUNDED_BYTES` must be there."""
        self._page = page
        self._words = page.cast("Q")
        self._allocate = allocate
        self._slots = {(c.endpoint, c.variant): c.slot for c in read(page)}
        if not self._slots:
            self._words[0] = MAGIC
            self._words[_USED] = 0
            self._add("", "")

    def slot(self, endpoint: str, variant: str) -> int:
        """Give the slot of a pair; `SLOTS_FULL` when there is none left."""
        known = self._slots.get((endpoint, variant))
        if known is not None:
            return known
        fits = len(endpoint.encode()) < NAME_BYTES and len(variant.encode()) < NAME_BYTES
        used = self._words[_USED]
        if not fits or used == SLOTS_MAX or not self._allocate((used + 1) * SLOT_BYTES, SLOT_BYTES):
            return SLOTS_FULL
        return self._add(endpoint, variant)

    def eligible(self, slot: int) -> None:
        """Count an answer that a plan would capture, whether it is sampled or not."""
        self._words[_at(slot) + _ELIGIBLE] += 1

    def late(self, slot: int) -> None:
        """Count an answer that was given before its record was durable."""
        self._words[_at(slot) + _LATE] += 1

    def closed(self, slot: int) -> bool:
        """Tell whether the endpoint has too much in the spool."""
        return self._words[_at(slot) + _CLOSED] != 0

    def sample(self, slot: int) -> int:
        """Count a record as sampled and give its sequence number, from 1."""
        at = slot * _SLOT_WORDS + _FIRST_SAMPLED
        self._words[at] = sampled = self._words[at] + 1
        return sampled

    def next_framed(self, slot: int, count: int) -> int:
        """Tell what `framed` will be with so many records more: the ring's receipt holds it."""
        return self._words[slot * _SLOT_WORDS + _FIRST_FRAMED] + count

    def framed(self, slot: int, framed: int) -> None:
        """Count records as framed: `next_framed` told the count."""
        self._words[slot * _SLOT_WORDS + _FIRST_FRAMED] = framed

    def drop(self, slot: int, reason: Drop, count: int) -> None:
        self._words[_at(slot) + _DROPPED + _REASONS.index(reason)] += count

    def settle(self, receipt: tuple[int, int] | None) -> int:
        """Give what a dead predecessor left without a fate its fate; tell how many are lost.

        The ring's receipt says whether the last batch was moved in before it could be counted.
        """
        if receipt is not None:
            slot, framed = receipt
            self._words[_at(slot) + _FRAMED] = max(framed, self._words[_at(slot) + _FRAMED])
        return settle(self._page, {count.slot: count.framed for count in read(self._page)})

    def _add(self, endpoint: str, variant: str) -> int:
        slot = int(self._words[_USED])
        start = (slot + 1) * SLOT_BYTES
        for name in (endpoint, variant):
            self._page[start : start + NAME_BYTES] = name.encode().ljust(NAME_BYTES, b"\0")
            start += NAME_BYTES
        self._words[_USED] = slot + 1  # last: a slot is there when it is counted
        self._slots[endpoint, variant] = slot
        return slot


def used_bytes(page: memoryview) -> int:
    """Tell how much of a page is in use; 0 where it is none."""
    words = page.cast("Q")
    if len(page) < SLOT_BYTES or words[0] != MAGIC:
        return 0
    return min((min(words[_USED], SLOTS_MAX) + 1) * SLOT_BYTES, len(page))


def read(page: memoryview) -> list[SlotCount]:
    """Read a page's slots; none where it is no page."""
    words = page.cast("Q")
    return [_count(page, words, slot) for slot in range(used_bytes(page) // SLOT_BYTES - 1)]


def close(page: memoryview, slot: int, *, closed: bool) -> None:
    """Say whether a slot's endpoint has too much in the spool: the spooler's word alone."""
    page.cast("Q")[_at(slot) + _CLOSED] = int(closed)


def settle(page: memoryview, framed: dict[int, int]) -> int:
    """Count as lost (`crash`) what has no fate, by the records found of each slot.

    Tell how many are new there. It may be done again: the page then says the same.
    """
    words = page.cast("Q")
    return sum([_settle(words, count, framed.get(count.slot, 0)) for count in read(page)])


def _settle(words: memoryview, count: SlotCount, framed: int) -> int:
    at, crash = _at(count.slot), count.dropped[Drop.CRASH]
    dropped = sum(count.dropped.values())
    lost = max(0, count.sampled - framed - dropped + crash)
    words[at + _FRAMED] = framed
    words[at + _CLOSED] = 0  # the spooler says it again, of the living
    words[at + _DROPPED + _REASONS.index(Drop.CRASH)] = lost
    # A page may know of fewer records than the disk holds: after a power cut it is raised.
    words[at + _SAMPLED] = framed + dropped - crash + lost
    return lost - crash


def _count(page: memoryview, words: memoryview, slot: int) -> SlotCount:
    start = (slot + 1) * SLOT_BYTES
    names = bytes(page[start : start + 2 * NAME_BYTES])
    at = _at(slot)
    dropped = {reason: words[at + _DROPPED + place] for place, reason in enumerate(_REASONS)}
    return SlotCount(
        slot,
        _name(names[:NAME_BYTES]),
        _name(names[NAME_BYTES:]),
        words[at + _SAMPLED],
        words[at + _FRAMED],
        dropped,
        words[at + _ELIGIBLE],
        words[at + _LATE],
        words[at + _CLOSED] != 0,
    )


def _at(slot: int) -> int:
    return (slot + 1) * _SLOT_WORDS + _COUNTS


def _name(padded: bytes) -> str:
    return padded.rstrip(b"\0").decode("utf-8", "replace")
