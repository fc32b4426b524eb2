"""What a gateway measures of its invocations: one page of memory a gateway, added up by readers.

The pages are shared memory that the supervisor holds, so that measuring is a few stores which no
disk can hold up, readers need no word with the gateway, and a successor goes on where a killed
gateway stopped. They begin at zero with the house. Every count is one aligned word with one writer.
Latencies are those of CloudWatch: of the model, from the moment an invocation is routed until its
answer is there; of us (overhead), all the rest.

Constraints: `SLOTS_MAX` pairs of endpoint and variant a page; later pairs, and invocations that
failed before a variant was chosen, share slot 0, which has no names.

Format, little-endian words of 8 bytes; a slot is 1 KiB:

    page    header slot: magic · slots in use; then the slots
    slot    endpoint 64s · variant 64s (zero-padded) · failed by kind · of each latency: its sum in
            microseconds, and `BUCKETS` counts: bucket n holds what took at most 2^n microseconds
"""

import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

MAGIC = int.from_bytes(b"MTMETER1", "little")
SLOT_BYTES = 1024
PAGE_BYTES = 512 * 1024
SLOTS_MAX = PAGE_BYTES // SLOT_BYTES - 1
NAME_BYTES = 64
BUCKETS = 28
"""The last one holds all that took more than 67 s."""

_SLOT_WORDS = SLOT_BYTES // 8
_USED = 1
_FAILED = 2 * NAME_BYTES // 8


class Failure(IntEnum):
    """Why an invocation got no answer of the model, as CloudWatch tells them apart."""

    CLIENT = 0  # Invocation4XXErrors
    SERVER = 1  # Invocation5XXErrors
    MODEL = 2  # InvocationModelErrors


_MODEL = _FAILED + len(Failure)
_OVERHEAD = _MODEL + 1 + BUCKETS


@dataclass(frozen=True)
class Latency:
    """A histogram: counts by bucket, and the sum in microseconds."""

    counts: tuple[int, ...]
    sum: int

    def __add__(self, other: "Latency") -> "Latency":
        counts = zip(self.counts, other.counts, strict=True)
        return Latency(tuple(map(sum, counts)), self.sum + other.sum)


@dataclass(frozen=True)
class Measured:
    """What one gateway, or all, measured of a variant."""

    model: Latency
    overhead: Latency
    failed: tuple[int, ...]  # by `Failure`

    def __add__(self, other: "Measured") -> "Measured":
        failed = tuple(map(sum, zip(self.failed, other.failed, strict=True)))
        return Measured(self.model + other.model, self.overhead + other.overhead, failed)


class Meters:
    """One gateway's page, open for writing."""

    def __init__(self, pages: int, index: int) -> None:
        """Take the page of a gateway out of what `make_pages` made."""
        self._page = memoryview(mmap.mmap(pages, PAGE_BYTES, offset=index * PAGE_BYTES))
        self._words = self._page.cast("Q")
        self._words[0] = MAGIC
        self._slots = dict(_slots(self._page, self._words))
        if not self._slots:
            self._add(("", ""))

    def answered(self, endpoint: str, variant: str, model_us: int, overhead_us: int) -> None:
        """Count an answer and the time that it took."""
        at, words = self._slot((endpoint, variant)), self._words
        words[at + _MODEL] += model_us
        words[at + _MODEL + 1 + _bucket(model_us)] += 1
        words[at + _OVERHEAD] += overhead_us
        words[at + _OVERHEAD + 1 + _bucket(overhead_us)] += 1

    def failed(self, endpoint: str, variant: str, failure: Failure) -> None:
        """Count an invocation that got no answer."""
        self._words[self._slot((endpoint, variant)) + _FAILED + failure] += 1

    def _slot(self, variant: tuple[str, str]) -> int:
        at = self._slots.get(variant)
        return self._add(variant) if at is None else at

    def _add(self, variant: tuple[str, str]) -> int:
        used = self._words[_USED]
        names = [name.encode() for name in variant]
        if used == SLOTS_MAX or max(map(len, names)) > NAME_BYTES:
            return self._slots["", ""]
        at = (used + 1) * _SLOT_WORDS
        for start, name in zip((at * 8, at * 8 + NAME_BYTES), names, strict=True):
            self._page[start : start + NAME_BYTES] = name.ljust(NAME_BYTES, b"\0")
        self._words[_USED] = used + 1  # last: a slot is there when it is counted
        self._slots[variant] = at
        return at


def make_pages(name: str, gateways: int) -> int:
    """Make the memory for the pages of so many gateways. Raise `OSError` if there is none."""
    pages = os.memfd_create(name)
    os.posix_fallocate(pages, 0, gateways * PAGE_BYTES)
    return pages


def read(pages: int) -> dict[tuple[str, str], Measured]:
    """Add up all pages, by (endpoint, variant)."""
    found: dict[tuple[str, str], Measured] = {}
    whole = memoryview(mmap.mmap(pages, 0, prot=mmap.PROT_READ))
    for start in range(0, len(whole), PAGE_BYTES):
        for variant, measured in _read_page(whole[start : start + PAGE_BYTES]):
            before = found.get(variant)
            found[variant] = measured if before is None else before + measured
    return found


def _read_page(page: memoryview) -> Iterator[tuple[tuple[str, str], Measured]]:
    words = page.cast("Q")
    for variant, at in _slots(page, words):
        failed = tuple(words[at + _FAILED : at + _MODEL])
        yield (
            variant,
            Measured(_latency(words, at + _MODEL), _latency(words, at + _OVERHEAD), failed),
        )


def _latency(words: memoryview, at: int) -> Latency:
    return Latency(tuple(words[at + 1 : at + 1 + BUCKETS]), words[at])


def _bucket(microseconds: int) -> int:
    return min((microseconds - 1).bit_length(), BUCKETS - 1)


def _slots(page: memoryview, words: memoryview) -> Iterator[tuple[tuple[str, str], int]]:
    """Give the names of each slot and its first word."""
    for slot in range(1, min(words[_USED], SLOTS_MAX) + 1):
        start = slot * SLOT_BYTES
        names = bytes(page[start : start + 2 * NAME_BYTES])
        yield (_name(names[:NAME_BYTES]), _name(names[NAME_BYTES:])), slot * _SLOT_WORDS


def _name(padded: bytes) -> str:
    return padded.rstrip(b"\0").decode("utf-8", "replace")
