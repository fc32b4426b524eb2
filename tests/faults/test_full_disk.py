"""A disk runs full under capture (F5): all is counted, no object is torn, and it goes on by itself.

The file systems are real and small; the disk guard is told that there is room, so that the spooler
meets the end of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from capture_world import World, exchange
from file_systems import MIB, ext4, tmpfs
from modeltap.capture.counters import Drop

BODY_BYTES = 8 * 1024
TURN_RECORDS = 20
RESUME_SECONDS_MAX = 5


@contextmanager
def file_system(kind: str, size: int, root: Path) -> Iterator[Path]:
    point = root / "mounted"
    with tmpfs(point, size) if kind == "tmpfs" else ext4(root / "image", point, size) as mounted:
        yield mounted


def body(number: int) -> bytes:
    return b"%d," % number + bytes([97 + number % 26]) * BODY_BYTES


def offer(world: World, numbers: range) -> None:
    """Offer in turns of the gateway, each a tenth of a second and a turn of the spooler."""
    for first in range(numbers.start, numbers.stop, TURN_RECORDS):
        turn = range(first, min(first + TURN_RECORDS, numbers.stop))
        world.offer(*(exchange(number, body=body(number)) for number in turn))
        world.turn(0.1)


@pytest.mark.parametrize(
    ("kind", "size"), [("tmpfs", 2 * MIB), ("tmpfs", 16 * MIB), ("ext4", 16 * MIB)]
)
def test_a_full_disk_drops_and_counts_and_goes_on(tmp_path: Path, kind: str, size: int) -> None:
    with (
        file_system(kind, size, tmp_path) as mounted,
        World(mounted / "spool", capture_disk_free_bytes_min=0) as world,
    ):
        ballast = mounted / "ballast"
        with ballast.open("wb") as file:
            file.write(bytes(size // 2))
        offered = 2 * size // BODY_BYTES
        offer(world, range(offered))
        count = world.count()
        assert (count.sampled, count.discrepancy) == (offered, 0)
        assert set(count.dropped) == {Drop.QUEUE_FULL}
        assert count.pending > size // 8 // BODY_BYTES  # what the disk took, and what the ring has
        ballast.unlink()
        seconds = 0
        while world.disk_refuses and seconds < RESUME_SECONDS_MAX:
            world.turn(1.0)
            seconds += 1
        assert not world.disk_refuses
        offer(world, range(offered, offered + TURN_RECORDS))
        assert world.count().dropped == count.dropped
        world.deliver()
        check_objects(world, offered + TURN_RECORDS)


def test_shipping_empties_a_disk_without_a_free_byte(tmp_path: Path) -> None:
    """Others have filled it: what gives room back must not need any."""
    mounted = tmp_path / "mounted"
    with tmpfs(mounted, 4 * MIB), World(mounted / "spool", capture_disk_free_bytes_min=0) as world:
        for first in range(0, 3 * TURN_RECORDS, TURN_RECORDS):
            offer(world, range(first, first + TURN_RECORDS))
            world.turn(61)  # sealed
        world.ledger.close()
        fill(mounted / "ballast")
        world.start_shipper()
        assert world.ship() == 3
        check_objects(world, 3 * TURN_RECORDS)


def fill(path: Path) -> None:
    """Take all that is free, to the last byte."""
    with path.open("wb", buffering=0) as file:
        for size in (4096, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))


def check_objects(world: World, offered: int) -> None:
    """Every record is whole and there once, or counted as dropped."""
    arrived = world.inputs()
    numbers = [int(found.partition(b",")[0]) for found in arrived]
    assert arrived == [body(number) for number in numbers]
    assert len(set(numbers)) == len(numbers)
    count = world.count()
    assert (count.sampled, count.delivered) == (offered, len(numbers))
    assert (count.pending, count.discrepancy) == (0, 0)
