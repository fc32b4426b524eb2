"""The ring against its naive twin, a deque; and its two sides dying at every step."""

import os
from collections import deque
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from modeltap.capture.ring import DATA_AT, RingReader, RingWriter, make_ring

CAPACITY = 512
WRITER = "0123abcd-0000-4000-8000-000000000000"


class RingAndTwin(RuleBasedStateMachine):
    """Offers, reads, releases, rewinds, and deaths of either side, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.fd = make_ring("ring", CAPACITY)
        self.writer = RingWriter(self.fd, WRITER)
        self.reader = RingReader(self.fd)
        self.kept: deque[bytes] = deque()  # committed, not released
        self.read = 0  # how many of them this reader has read
        self.open: list[bytes] | None = None
        self.receipt: tuple[int, int] | None = None
        self.number = 0

    def teardown(self) -> None:
        os.close(self.fd)

    def used(self) -> int:
        return sum((len(frame) + 8 + 7) & ~7 for frame in self.kept)

    @rule(chunks=st.lists(st.binary(max_size=150), min_size=1, max_size=3))
    def begin(self, chunks: list[bytes]) -> None:
        size = sum(map(len, chunks))
        room = self.used() + ((size + 8 + 7) & ~7) <= CAPACITY
        assert self.writer.begin(size) == room
        self.open = list(chunks) if room else None
        for chunk in chunks if room else ():
            self.writer.write(memoryview(chunk))

    @rule()
    def commit(self) -> None:
        if self.open is not None:
            self.number += 1
            self.receipt = (7, self.number)
            self.writer.commit(self.receipt)
            self.kept.append(b"".join(self.open))
            self.open = None

    @rule(bytes_max=st.integers(1, CAPACITY))
    def drain(self, bytes_max: int) -> None:
        found = list(self.reader.frames(bytes_max))
        assert found == list(self.kept)[self.read : self.read + len(found)]
        assert bool(found) == (self.read < len(self.kept))
        self.read += len(found)

    @rule()
    def release(self) -> None:
        self.reader.release()
        for _ in range(self.read):
            self.kept.popleft()
        self.read = 0

    @rule()
    def rewind(self) -> None:
        self.reader.rewind()
        self.read = 0

    @rule()
    def reader_dies(self) -> None:
        self.reader = RingReader(self.fd)
        self.read = 0

    @rule(other=st.uuids())
    def writer_dies(self, other: object) -> None:
        self.writer = RingWriter(self.fd, str(other))
        self.open = None

    @invariant()
    def the_writer_and_its_last_receipt_are_known(self) -> None:
        assert self.writer.writer == self.reader.writer == WRITER
        assert self.writer.receipt() == self.receipt
        assert self.reader.damaged == 0


TestRingAndTwin = RingAndTwin.TestCase
TestRingAndTwin.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


@pytest.fixture
def fd() -> Iterator[int]:
    made = make_ring("ring", CAPACITY)
    yield made
    os.close(made)


def test_an_unfounded_ring_is_empty(fd: int) -> None:
    reader = RingReader(fd)
    assert not reader.founded
    assert list(reader.frames(CAPACITY)) == []
    RingWriter(fd, WRITER)
    assert reader.founded


def test_a_flipped_bit_costs_its_frame(fd: int) -> None:
    writer, reader = RingWriter(fd, WRITER), RingReader(fd)
    for frame in (b"first", b"second", b"third"):
        assert writer.begin(len(frame))
        writer.write(frame)
        writer.commit((0, 0))
    os.pwrite(fd, b"X", DATA_AT + 16 + 8)
    assert list(reader.frames(CAPACITY)) == [b"first", b"third"]
    assert reader.damaged == 1


def test_a_length_that_cannot_be_skips_to_the_head(fd: int) -> None:
    writer, reader = RingWriter(fd, WRITER), RingReader(fd)
    assert writer.begin(5)
    writer.write(b"first")
    writer.commit((0, 0))
    os.pwrite(fd, b"\xff\xff\xff\xff", DATA_AT)
    assert list(reader.frames(CAPACITY)) == []
    assert reader.damaged == 1
    assert writer.begin(4)
    writer.write(b"next")
    writer.commit((0, 0))
    assert list(reader.frames(CAPACITY)) == [b"next"]
