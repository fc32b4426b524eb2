"""No descriptor is left to spooler and shipper (F14): nobody ends, nothing is lost, it goes on."""

import asyncio
import os
import resource
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from capture_world import World, exchange

LIMIT = 200
SPARE_MAX = 8


@contextmanager
def few_descriptors(spare: int) -> Iterator[None]:
    """Leave so many descriptors to this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, hard))
    taken: list[int] = []
    try:
        while True:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        for _ in range(spare):
            os.close(taken.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in taken:
            os.close(fd)


@pytest.mark.parametrize("spare", range(SPARE_MAX))
def test_without_descriptors_records_wait(tmp_path: Path, spare: int) -> None:
    with closing(asyncio.new_event_loop()) as loop, World(tmp_path) as world:
        world.offer(exchange(0))
        world.turn()
        world.turn(61)  # sealed, not shipped
        with few_descriptors(spare):
            for number in range(1, 4):
                world.offer(exchange(number, endpoint=f"e{number}"))
                world.turn(2.0)
                loop.run_until_complete(world.shipper.turn())
        for _ in range(2):
            world.turn(2.0)
        world.turn(61)
        world.start_shipper()  # a segment that it could not read waits for its next start
        loop.run_until_complete(world.shipper.turn())
        assert sorted(int(body.partition(b",")[0]) for body in world.inputs()) == [0, 1, 2, 3]
        assert all(not each.discrepancy and not each.dropped for each in world.account())


@pytest.mark.parametrize("spare", range(SPARE_MAX))
def test_a_ring_that_is_met_without_descriptors_is_met_later(tmp_path: Path, spare: int) -> None:
    world = World(tmp_path)
    try:
        world.kill_spooler()
        os.close(world.fd)
        world.start_ring()
        world.start_spooler()
        world.start_gateway()  # founds its ring only now
        world.offer(exchange(0))
        with few_descriptors(spare):
            world.turn()
        world.turn(2.0)
        world.deliver()
        assert [int(body.partition(b",")[0]) for body in world.inputs()] == [0]
    finally:
        world.stop()
