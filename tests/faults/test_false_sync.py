"""A disk that loses what it was to sync, and says at the next sync that all is well (F6).

The fault is real: `ThinDisk`. What a ring has released must be there after it.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from capture_world import World, exchange
from file_systems import ThinDisk
from modeltap.capture.counters import Drop
from modeltap.capture.ring import RingReader

BODY_BYTES = 8 * 1024
RECORDS = 40


@pytest.fixture(params=["lives on", "turns read-only"])
def thin(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[ThinDisk]:
    disk = ThinDisk(tmp_path, journal=request.param == "lives on")
    try:
        yield disk
    finally:
        disk.close()


def body(number: int) -> bytes:
    return b"%d," % number + bytes([97 + number % 26]) * BODY_BYTES


def offer(world: World, first: int) -> None:
    for number in range(first, first + RECORDS):
        world.offer(exchange(number, body=body(number)))


def ring_is_released(world: World) -> bool:
    """Whether the spooler has told the gateway that all is safe."""
    reader = RingReader(world.fd)
    return not list(reader.frames(reader.capacity))


def test_the_fault_is_real(thin: ThinDisk) -> None:
    fd = os.open(thin.point / "file", os.O_RDWR | os.O_CREAT)
    try:
        thin.fill()
        data = os.urandom(1 << 20)
        os.pwrite(fd, data, 0)
        with pytest.raises(OSError):
            os.fsync(fd)
        while True:  # a second error may follow, the journal's own
            try:
                os.fsync(fd)
            except OSError:
                continue
            break
        assert os.pread(fd, len(data), 0) == data
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        assert os.pread(fd, len(data), 0) != data
    finally:
        os.close(fd)


@pytest.mark.parametrize("mended", [True, False])
def test_nothing_is_lost_that_was_called_safe(thin: ThinDisk, mended: bool) -> None:
    with World(thin.point / "spool", capture_disk_free_bytes_min=0) as world:
        offer(world, 0)
        world.turn()
        # Sealed, so that the next bytes begin in a block that the image does not have: a request
        # that begins in one that it has, the loop device calls written when only its start is.
        world.turn(61)
        assert ring_is_released(world)
        thin.fill()
        offer(world, RECORDS)
        for _ in range(5):
            world.turn(1.0)
            assert not ring_is_released(world)
        if mended:
            thin.free()
            world.turn(1.0)
        released = 2 * RECORDS if ring_is_released(world) else RECORDS
        world.kill_all()
        thin.free()
        thin.remount()
        world.start()
        world.deliver()
        assert {body(number) for number in range(released)} <= set(world.inputs())
        count = world.count()
        # A disk that took nothing any more could not count what died with the ring, either.
        assert released <= count.sampled <= 2 * RECORDS
        assert (count.pending, count.discrepancy) == (0, 0)
        assert count.delivered == len(world.inputs()) == len(set(world.inputs()))
        assert set(count.dropped) <= {Drop.CRASH}
