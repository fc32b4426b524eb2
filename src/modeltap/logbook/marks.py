"""Marks: up to which byte a stream was written at which time. A pure value and its bytes.

Constraints
* One writer, control. It may be killed at any instruction; the stream's own writer goes on.
* Nothing is synced: what a loss of power leaves must still be read, and may date lines wrongly.

Format: records of two little-endian 64-bit numbers.

    base, created     first: the offset at which the newest part begins; when the stream was made
    end, time         then, ascending: what lies before `end`, and behind the mark before, was
                      written at `time`, milliseconds since the epoch

A record that was torn off, does not ascend, or lies behind the end of the stream is passed over.
"""

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace

RECORD = struct.Struct("<QQ")


@dataclass(frozen=True, slots=True)
class Marks:
    """What is known of a stream's times; offsets in bytes, times in milliseconds."""

    base: int
    created: int
    ends: tuple[int, ...] = ()
    times: tuple[int, ...] = ()

    @property
    def noted(self) -> int:
        """Give the offset up to which times are known."""
        return self.ends[-1] if self.ends else self.base

    def time(self, offset: int) -> int:
        """Give the time of the byte at an offset below `noted`."""
        return self.times[bisect_right(self.ends, offset)]

    def since(self, time: int) -> int:
        """Give the offset behind everything that is older than a time."""
        older = bisect_left(self.times, time)
        return self.ends[older - 1] if older else 0

    def next(self, offset: int) -> int:
        """Give the end of the first mark behind an offset below `noted`."""
        return self.ends[bisect_right(self.ends, offset)]

    def last(self, offset: int) -> int:
        """Give the end of the last mark at or before an offset; 0 if there is none."""
        found = bisect_right(self.ends, offset)
        return self.ends[found - 1] if found else 0

    def marked(self, end: int, time: int) -> "Marks":
        """Add a mark. Times do not fall: a clock that was set back holds them until it is there."""
        time = max(time, self.times[-1]) if self.times else time
        return replace(self, ends=(*self.ends, end), times=(*self.times, time))

    def cut(self, base: int, first: int) -> "Marks":
        """Have the newest part begin at `base`, and forget the marks up to `first`."""
        kept = bisect_right(self.ends, first)
        return replace(self, base=base, ends=self.ends[kept:], times=self.times[kept:])

    def newest(self) -> bytes:
        """Write the last mark, to be added to the bytes of those before."""
        return RECORD.pack(self.ends[-1], self.times[-1])

    def encode(self) -> bytes:
        records = [(self.base, self.created), *zip(self.ends, self.times, strict=True)]
        return b"".join(RECORD.pack(*record) for record in records)


def decode(data: bytes, part_bytes: int) -> Marks | None:
    """Read marks; None if the first record is missing.

    `part_bytes`: what the larger part of the stream holds; no mark lies farther behind the base.
    """
    records = list(RECORD.iter_unpack(data[: len(data) // RECORD.size * RECORD.size]))
    if not records:
        return None
    base, created = records[0]
    kept = list(_ascending(records[1:], base + part_bytes))
    return Marks(base, created, tuple(end for end, _ in kept), tuple(time for _, time in kept))


def _ascending(records: list[tuple[int, int]], end_max: int) -> Iterator[tuple[int, int]]:
    end = time = 0
    for each in records:
        if end < each[0] <= end_max and each[1] >= time:
            yield each
            end, time = each
