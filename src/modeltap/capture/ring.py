"""A ring of shared memory: frames from one writer (a gateway) to one reader (the spooler).

The memory is a memfd that the supervisor holds, so it outlives a `kill -9` of either side, at any
instruction. What makes that safe:

* `head` and `tail` are byte positions that only grow; each is one aligned 8-byte word with one
  writer. A frame is there when `head` has moved over it, in one store. Half a frame is never seen.
* The reader moves `tail` only when the frames before it are safe elsewhere. Until then the ring is
  the redo buffer: a reader that starts again begins at `tail`, and meets frames a second time.
* A writer that starts again must know whether its last frame made it. It therefore writes a
  receipt (two words of its own choice) under the position that `head` is about to take: the
  receipt counts if and only if `head` stands there.

Constraints: one writer, one reader, Linux; stores become visible in program order (x86-64; on
weaker machines the checksum tells a frame that is not whole yet). Full means refused: the writer
never waits. The memory is zero when the supervisor makes it; the writer founds the ring.

Format, little-endian words of 8 bytes:

    page 0   word 0 magic · 1 capacity, bytes · 2-3 writer (UUID) · 4 expected head · 5-6 receipt
             · 7 writer stopped                             (a line of the cache: the writer's)
             word 8 head · 9 urgent head                    (the writer's)
             word 16 tail · 17 reader stopped               (the reader's)
             word 24 seals asked for                        (control's)
    1 MiB    the writer's counters (`counters.py`)
    then     frames: length u32 · CRC32C u32 (seeded with the length) · bytes · pad to 8
"""

import mmap
import os
import struct
from collections.abc import Iterator
from typing import Final, final

from crc32c import crc32c
from uuid_utils import UUID

from modeltap.capture import counters

HEAD_BYTES: Final = 4096
DATA_AT: Final = HEAD_BYTES + counters.PAGE_BYTES
"""Where the frames begin, in bytes: what a ring takes beside them."""

MAGIC = int.from_bytes(b"MTRING01", "little")

_MAGIC: Final = 0
_CAPACITY: Final = 1
_WRITER: Final = 2
_EXPECTED: Final = 4
_RECEIPT: Final = 5
_WRITER_STOPPED: Final = 7
_HEAD: Final = 8
_URGENT: Final = 9
_TAIL: Final = 16
_READER_STOPPED: Final = 17
_SEALS: Final = 24
_FRAME: Final = struct.Struct("<II")
_FRAME_BYTES: Final = 8

Receipt = tuple[int, int]


def make_ring(name: str, size: int) -> int:
    """Make the memory of a ring for so many bytes of frames. Raise `OSError` if there is none.

    The memory is there from the start, but for that of the counters, which take theirs as they
    grow.
    """
    fd = os.memfd_create(name)
    allocate_ring(fd, size)
    return fd


def allocate_ring(fd: int, size: int) -> None:
    """Give a new file a ring's shape."""
    os.posix_fallocate(fd, DATA_AT, size)
    os.posix_fallocate(fd, 0, HEAD_BYTES + counters.FOUNDED_BYTES)


@final
class _Memory:
    """The mapping, as words of its first page and as the bytes that go round."""

    def __init__(self, fd: int) -> None:
        whole = memoryview(mmap.mmap(fd, 0))
        self.words: Final = whole[:HEAD_BYTES].cast("Q")
        self.counters: Final = whole[HEAD_BYTES:DATA_AT]
        self.data: Final = whole[DATA_AT:]
        self.size: Final = len(self.data)

    def store(self, position: int, chunk: bytes | memoryview) -> None:
        start = position % self.size
        stop = start + len(chunk)
        if stop <= self.size:
            self.data[start:stop] = chunk
        else:
            before = self.size - start
            self.data[start:] = chunk[:before]
            self.data[: stop - self.size] = chunk[before:]

    def load(self, position: int, size: int) -> bytes:
        start = position % self.size
        stop = start + size
        if stop <= self.size:
            return self.data[start:stop].tobytes()
        return self.data[start:].tobytes() + self.data[: stop - self.size].tobytes()


def _spanned(size: int) -> int:
    """Count the bytes that a frame of `size` takes in the ring."""
    return (_FRAME_BYTES + size + 7) & ~7


@final
class RingWriter:
    """The gateway's side; it founds the ring, or goes on where a dead predecessor stopped."""

    def __init__(self, fd: int, writer: str) -> None:
        """Take the ring's memory; `writer` is the id to found it with, if it is new."""
        self._fd = fd
        self._memory = _Memory(fd)
        self._words = words = self._memory.words
        self._capacity = len(self._memory.data)
        if words[_MAGIC] != MAGIC:
            words[_CAPACITY] = self._capacity
            words[_WRITER], words[_WRITER + 1] = struct.unpack("<QQ", UUID(writer).bytes)
            words[_MAGIC] = MAGIC
        self._head = words[_HEAD]
        self._position = self._size = self._crc = 0

    @property
    def writer(self) -> str:
        return _writer(self._words)

    @property
    def counters(self) -> memoryview:
        """The memory of the writer's counters."""
        return self._memory.counters

    def allocate(self, at: int, size: int) -> bool:
        """Tell whether there is memory for a part of the counters: a store without kills us."""
        try:
            os.posix_fallocate(self._fd, HEAD_BYTES + at, size)
        except OSError:
            return False
        return True

    def stop(self, *, stopped: bool) -> None:
        """Say whether nothing is taken at the moment, for who looks at the ring."""
        self._words[_WRITER_STOPPED] = int(stopped)

    @property
    def head(self) -> int:
        """Where the last frame ends."""
        return self._head

    @property
    def released(self) -> int:
        """Tell up to where the frames are safe elsewhere: the reader moves it."""
        return int(self._words[_TAIL])

    def hurry(self) -> None:
        """Ask the reader to release what is in the ring as soon as it can."""
        self._words[_URGENT] = self._head

    @property
    def frame_bytes_max(self) -> int:
        return self._capacity - _FRAME_BYTES - 7

    def receipt(self) -> Receipt | None:
        """Give the receipt of the last frame that made it, if it was the last one begun."""
        if self._words[_EXPECTED] != self._head or not self._head:
            return None
        return self._words[_RECEIPT], self._words[_RECEIPT + 1]

    def begin(self, size: int) -> bool:
        """Open a frame of `size` bytes; False if the ring has no room for it."""
        if _spanned(size) > self._capacity - (self._head - self._words[_TAIL]):
            return False
        self._position = self._head + _FRAME_BYTES
        self._size = self._crc = size
        return True

    def write(self, chunk: bytes | memoryview) -> None:
        """Append to the open frame; the chunks of a frame must sum up to its size."""
        self._memory.store(self._position, chunk)
        self._crc = crc32c(chunk, self._crc)
        self._position += len(chunk)

    def commit(self, receipt: Receipt) -> None:
        """Close the open frame: from here on it is there."""
        # A frame starts at a multiple of 8: its first 8 bytes never go round the end.
        _FRAME.pack_into(self._memory.data, self._head % self._memory.size, self._size, self._crc)
        head = self._head + _spanned(self._size)
        words = self._words
        words[_EXPECTED] = head  # first: no receipt counts until the head stands here
        words[_RECEIPT], words[_RECEIPT + 1] = receipt
        words[_HEAD] = head
        self._head = head


@final
class RingReader:
    """The spooler's side."""

    def __init__(self, fd: int) -> None:
        self._memory = _Memory(fd)
        self._words = self._memory.words
        self._cursor = self._words[_TAIL]
        self.damaged = 0  # frames whose checksum was wrong, so far

    @property
    def capacity(self) -> int:
        return self._memory.size

    @property
    def counters(self) -> memoryview:
        """The memory of the writer's counters."""
        return self._memory.counters

    @property
    def founded(self) -> bool:
        """Whether a writer has taken the ring into use."""
        return bool(self._words[_MAGIC] == MAGIC)

    @property
    def writer(self) -> str:
        return _writer(self._words)

    @property
    def urgent(self) -> bool:
        """Whether someone waits for a release."""
        return bool(self._words[_URGENT] > self._words[_TAIL])

    @property
    def stopped(self) -> str:
        """Tell why capture stands still, if it does: `disk_fault` or `disk_watermark`."""
        if self._words[_READER_STOPPED]:
            return "disk_fault"
        return "disk_watermark" if self._words[_WRITER_STOPPED] else ""

    def stop(self, *, stopped: bool) -> None:
        """Say whether nothing can be released at the moment: the one reader alone."""
        self._words[_READER_STOPPED] = int(stopped)

    @property
    def seals(self) -> int:
        """Count the asks for a seal, so far."""
        return int(self._words[_SEALS])

    def ask_seal(self) -> None:
        """Ask the one reader to seal what it has open, and not to wait for its age: control."""
        self._words[_SEALS] += 1

    def frames(self, bytes_max: int) -> Iterator[bytes]:
        """Give the frames not read yet, in order, until `bytes_max` have been passed."""
        stop = min(self._words[_HEAD], self._cursor + bytes_max)
        while self._cursor < stop:
            frame = self._next()
            if frame is not None:
                yield frame

    def release(self) -> bool:
        """Give all that was read back to the writer: it is safe elsewhere.

        Tell whether the writer waits for that.
        """
        urgent = self.urgent
        self._words[_TAIL] = self._cursor
        return urgent

    def rewind(self) -> None:
        """Read again from the last release."""
        self._cursor = self._words[_TAIL]

    def _next(self) -> bytes | None:
        """Read one frame; damage (a flipped bit of memory) is skipped and counted."""
        memory, left = self._memory, self._words[_HEAD] - self._cursor
        # A frame starts at a multiple of 8: its first 8 bytes never go round the end.
        size, crc = _FRAME.unpack_from(memory.data, self._cursor % memory.size)
        if _spanned(size) > left:
            self._cursor += left
            self.damaged += 1
            return None
        frame = memory.load(self._cursor + _FRAME_BYTES, size)
        self._cursor += _spanned(size)
        if crc32c(frame, size) != crc:
            self.damaged += 1
            return None
        return frame


def _writer(words: memoryview) -> str:
    return str(UUID(bytes=struct.pack("<QQ", words[_WRITER], words[_WRITER + 1])))
