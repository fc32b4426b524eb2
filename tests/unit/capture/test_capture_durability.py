"""What an answer hears of its record, in the modes `durable` and `strict` (reliability §2.9)."""

import errno
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from capture_world import PLAN, World, exchange
from modeltap.capture.counters import Drop, read
from modeltap.capture.offer import SLICE_BYTES
from modeltap.capture.ring import RingReader
from modeltap.nouns import Exchange

NEVER = replace(PLAN, sampling_percentage=0)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as world:
        yield world


def offer(world: World, *exchanges: Exchange) -> list[bool]:
    """Offer in one turn of the loop; what the answers hear comes into the list."""
    heard: list[bool] = []
    for each in exchanges:
        world.capture.offer(each, heard.append)
    world.pump()
    return heard


def late(world: World) -> int:
    return sum(slot.late for slot in read(RingReader(world.fd).counters))


def test_an_answer_hears_when_its_record_is_synced_and_at_once(world: World) -> None:
    heard = offer(world, exchange(1), exchange(2))
    assert (heard, world.rung) == ([], 1)
    world.turn(0.001)  # long before the next sync is due
    assert heard == [True, True]
    world.kill_all()  # and the ring with it
    world.start()
    world.ship()
    assert len(world.inputs()) == 2


def test_nobody_rings_where_nobody_waits(world: World) -> None:
    world.offer(exchange(1))
    assert world.rung == 0


def test_many_answers_wait_for_one_sync(world: World) -> None:
    heard = [offer(world, exchange(number)) for number in range(5)]
    world.turn(0.001)
    assert heard == [[True]] * 5


def test_a_large_record_is_waited_for_to_its_last_slice(world: World) -> None:
    heard: list[bool] = []
    world.capture.offer(exchange(1, body=b"x" * (SLICE_BYTES + 1)), heard.append)
    world.end_turn()
    world.turn(0.001)
    assert heard == []
    world.pump()
    world.turn(0.001)
    assert heard == [True]


def test_a_disk_that_takes_nothing_is_waited_for_no_longer_than_the_bound(world: World) -> None:
    world.disk.sync_faults = [errno.EIO]
    heard = offer(world, exchange(1))
    world.turn(0.001)
    assert heard == []
    world.pass_time(0.05)
    assert (heard, late(world)) == ([False], 1)
    world.turn(2)  # the record is kept all the same, and the answer hears no second word
    world.deliver()
    assert (heard, len(world.inputs())) == ([False], 1)
    assert world.count().discrepancy == 0


def test_a_record_that_is_dropped_is_not_waited_for(world: World) -> None:
    world.disk.percent = 90.0
    world.guard.refresh()
    heard = offer(world, exchange(1))
    assert heard == [False]
    assert world.count().dropped == {Drop.DISK_WATERMARK: 1}
    world.pass_time(1)
    assert late(world) == 0  # dropped, and counted as that alone


def test_of_what_is_not_to_be_captured_nothing_is_owed(world: World) -> None:
    unwanted = exchange(1, plan=None), exchange(2, plan=NEVER), exchange(3, status=500)
    assert offer(world, *unwanted) == [True] * 3
    assert (world.rung, world.capture.waiting) == (0, False)


def test_eligible_is_what_a_plan_would_capture(world: World) -> None:
    offer(
        world, exchange(1), exchange(2, plan=NEVER), exchange(3, plan=None), exchange(4, status=500)
    )
    world.turn()
    (_, slot) = read(RingReader(world.fd).counters)
    assert (slot.eligible, slot.sampled) == (2, 1)


def test_a_full_ring_tells_whoever_waits(tmp_path: Path) -> None:
    with World(tmp_path, ring_bytes=1 << 16) as world:
        heard = offer(world, *(exchange(number, body=b"x" * 4000) for number in range(40)))
        assert heard  # those that found no room
        assert not any(heard)
        world.turn(0.001)
        assert heard.count(True) + heard.count(False) == 40
        assert heard.count(False) == world.count().dropped[Drop.QUEUE_FULL]


def test_a_stopped_disk_and_a_stopped_ring_say_why(world: World) -> None:
    ring = RingReader(world.fd)
    assert ring.stopped == ""
    world.disk.sync_faults = [errno.EIO]
    world.offer(exchange(1))
    world.turn()
    assert ring.stopped == "disk_fault"
    world.turn(2)
    assert ring.stopped == ""
