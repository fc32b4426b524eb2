"""A reader that comes again reads only what is new, and is told the same as one that reads all."""

import errno
from pathlib import Path

from capture_world import World, exchange
from modeltap.capture.account import account
from modeltap.capture.disk import SystemDisk
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.inventory import Inventory, Origin


class CountingDisk(SystemDisk):
    """Tells how many bytes of files were read, and how many files were asked for their size."""

    def __init__(self) -> None:
        self.bytes = self.sizes = 0

    def read(self, path: Path, bytes_max: int = -1, start: int = 0) -> bytes:
        data = super().read(path, bytes_max, start)
        self.bytes += len(data) * path.name.endswith((".open", ".seal"))
        return data

    def size_and_age(self, path: Path) -> tuple[int, int]:
        self.sizes += 1
        return super().size_and_age(path)


def counting(world: World) -> tuple[Inventory, CountingDisk]:
    disk = CountingDisk()
    return Inventory(SpoolFolder(world.spool.root, disk)), disk


def test_what_was_read_is_not_read_again(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        world.offer(exchange(1))
        world.turn()
        world.turn(61)  # sealed
        world.offer(exchange(2, body=b"x" * 5000))
        world.turn()
        inventory, disk = counting(world)
        account(inventory.spool, [world.fd], inventory)
        assert (disk.sizes, disk.bytes > 5000) == (1, True)
        disk.bytes = disk.sizes = 0
        (count,) = account(inventory.spool, [world.fd], inventory)
        assert (count.pending, disk.sizes, disk.bytes) == (2, 0, 0)
        world.offer(exchange(3, body=b"y" * 100))
        world.turn()
        (count,) = account(inventory.spool, [world.fd], inventory)
        assert (count.pending, count.discrepancy) == (3, 0)
        assert 0 < disk.bytes < 1000


def test_a_reader_that_comes_again_is_told_the_same(tmp_path: Path) -> None:
    """Sealed, shipped, killed, cut back by a disk that refuses: each step is met in between."""
    with World(tmp_path) as world:
        inventory, _ = counting(world)
        for number in range(60):
            world.offer(exchange(number), exchange(1000 + number, endpoint="fraud"))
            if number % 7 == 3:
                world.disk.sync_faults = [None, errno.EIO]
            if number % 7 == 5:
                world.disk.write_faults = [None, None, errno.ENOSPC]
            world.turn(1.0 if number % 3 else 61.0)
            if number % 5 == 4:
                world.ship()
            if number % 11 == 10:
                world.kill_spooler()
                world.start_spooler()
            told = account(inventory.spool, [world.fd], inventory)
            assert told == account(world.spool, [world.fd])
            assert {count.discrepancy for count in told} == {0}


def test_a_segment_that_was_cut_back_is_read_anew_where_it_must_be(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        inventory, _ = counting(world)
        world.offer(exchange(1))
        world.turn()
        account(inventory.spool, [world.fd], inventory)
        (kept,) = inventory.look()
        kept.size += 10  # as if it had been longer, and were cut and written on
        for number in (2, 3):
            world.offer(exchange(number))
            world.turn()
        (count,) = account(inventory.spool, [world.fd], inventory)
        assert (count.pending, count.discrepancy) == (3, 0)


def test_a_segment_tells_where_it_came_from(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        world.offer(exchange(1, received_ns=5))
        world.turn()
        inventory, _ = counting(world)
        (kept,) = inventory.look()
        assert inventory.origin(kept) == Origin("churn", "AllTraffic", 5)
        kept.file.path.write_bytes(b"")
        assert inventory.origin(kept) is not None  # told once
        inventory.forget()
        (kept,) = inventory.look()
        assert inventory.origin(kept) is None
