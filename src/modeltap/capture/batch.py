"""A batch: what goes through the ring at once, the frames of one stream and hour from one turn.

Format, little-endian: an envelope, the stream, and REC frames (`frame.py`), as many as it says.

    envelope slot u32 · hour u32 (UTC hours since 1970) · count u32 · first and last sequence u64
             · length of the stream u32

The spooler reads the envelope alone: it moves the frames as they are.
"""

import struct
from typing import Final, final

from modeltap.capture.frame import HOUR_NS, Packer, after, numbers, salt_of
from modeltap.capture.stream import Stream
from modeltap.capture.waiters import Waiter
from modeltap.nouns import Exchange

_ENVELOPE: Final = struct.Struct("<IIIQQI")
_ENVELOPE_BYTES: Final = 32


@final
class Batch:
    """A batch out of the ring."""

    def __init__(
        self,
        slot: int,
        hour: int,
        count: int,
        first: int,
        last: int,
        stream: bytes,
        frames: bytes,
    ) -> None:
        self.slot: Final = slot
        self.hour: Final = hour
        self.count: Final = count
        self.first: Final = first
        self.last: Final = last
        self.stream: Final = stream
        self.frames: Final = frames

    def after(self, sequence: int) -> "tuple[bytes, int]":
        """Give the frames after a sequence, and how many they are."""
        if self.first > sequence:
            return self.frames, self.count
        return after(self.frames, sequence)

    def numbers(self) -> list[int]:
        """Give the sequence numbers of the records."""
        if self.count == self.last - self.first + 1:
            return list(range(self.first, self.last + 1))
        return numbers(self.frames)


def open_batch(data: bytes) -> Batch:
    """Read a batch that `Gathering` made."""
    slot, hour, count, first, last, size = _ENVELOPE.unpack_from(data)
    stop = _ENVELOPE_BYTES + size
    return Batch(slot, hour, count, first, last, data[_ENVELOPE_BYTES:stop], data[stop:])


@final
class Gathering:
    """The batch of one slot under one plan, while it is made; it begins anew when it is taken."""

    def __init__(self, writer: str, slot: int, stream: Stream) -> None:
        self.slot: Final = slot
        self.plan: Final = stream.plan
        self.count = 0
        self.size = 0  # of the batch, its overhead included; 0 while it is empty
        self.waiters: list[Waiter] = []
        self.listed = False  # among those that are to be moved into the ring
        self._writer = writer
        self._stream = stream.encode()
        self._packer = Packer(stream.plan)
        self._parts: list[bytes] = []
        self._hour = -1
        self._salt = 0
        self._first = self._last = 0
        self.overhead: Final = _ENVELOPE_BYTES + len(self._stream)

    def fits(self, exchange: Exchange) -> bool:
        """Tell whether a record is of this batch's hour, or the batch is empty."""
        return not self.count or hour_of(exchange) == self._hour

    def frame(self, sequence: int, exchange: Exchange) -> list[bytes]:
        """Pack a record that fits."""
        hour = hour_of(exchange)
        if hour != self._hour:
            self._hour = hour
            self._salt = salt_of(self._writer, self.slot, hour)
        return self._packer.frame(sequence, exchange, self._salt)

    def add(self, sequence: int, frame: list[bytes], size: int) -> None:
        """Take the frame that was packed last; `size` counts its bytes."""
        if not self.count:
            self._first = sequence
            self.size = self.overhead
        self._parts.extend(frame)
        self.size += size
        self.count += 1
        self._last = sequence

    def take(self) -> list[bytes]:
        """Give the batch's bytes, and begin anew."""
        parts = self._parts
        parts[0] = self._envelope() + parts[0]
        self._parts = []
        self.waiters = []
        self.count = self.size = 0
        return parts

    def _envelope(self) -> bytes:
        terms = (self.slot, self._hour, self.count, self._first, self._last, len(self._stream))
        return _ENVELOPE.pack(*terms) + self._stream


def hour_of(exchange: Exchange) -> int:
    """Give the UTC hour of a record: that of its receipt."""
    received_ns = exchange.invocation.received_ns
    return received_ns // HOUR_NS if received_ns > 0 else 0
