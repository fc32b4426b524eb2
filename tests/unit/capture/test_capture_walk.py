"""The walk of captured records: gateway → ring → segments → object, and what stops on the way."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from capture_world import PLAN, World, exchange
from modeltap.capture.account import account
from modeltap.capture.counters import Drop
from modeltap.nouns import Half

SECOND_NS = 1_000_000_000


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as world:
        yield world


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, ring_bytes=16 * 1024) as world:
        yield world


@pytest.fixture
def wide(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path, ring_bytes=32 << 20) as world:
        yield world


def test_records_arrive_in_one_object_as_offered(world: World) -> None:
    start = world.clock.now_ns()
    world.offer(*(exchange(n, received_ns=start + n * SECOND_NS) for n in range(3)))
    world.deliver()
    (key,) = world.objects()
    assert re.fullmatch(
        r"prefix/churn/AllTraffic/2020/09/13/12/26-40-000-[0-9a-f-]{36}\.jsonl", key
    )
    records = world.records()
    assert [record.inference_ns for record in records] == [start + n * SECOND_NS for n in range(3)]
    assert records[2].input == Half("text/csv", "2,\u00e9\n".encode())
    assert records[2].output == Half("text/csv; charset=utf-8", b"0.5")
    assert world.count().delivered == 3
    assert world.count().discrepancy == 0


def test_each_step_is_counted(world: World) -> None:
    world.offer(exchange(0), exchange(1))
    assert (world.count().sampled, world.count().pending) == (2, 2)  # in the ring
    world.spooler.turn()
    assert world.count().pending == 2  # written, not released: in both, counted once
    world.turn()
    assert world.count().pending == 2  # in the open segment
    world.turn(61)
    assert world.count().pending == 2  # sealed
    assert world.ship() == 1
    assert (world.count().pending, world.count().delivered) == (0, 2)


@pytest.mark.parametrize(
    ("changes", "sampled"),
    [
        ({}, 1),
        ({"plan": None}, 0),
        ({"plan": replace(PLAN, sampling_percentage=0)}, 0),
        ({"status": 424}, 0),
        ({"status": 500}, 0),
        ({"status": 299}, 1),
        ({"status": 199}, 0),
    ],
)
def test_what_is_sampled(world: World, changes: dict[str, object], sampled: int) -> None:
    world.offer(exchange(0, **changes))  # type: ignore[arg-type]
    assert sum(count.sampled for count in world.account()) == sampled


def test_modes_choose_the_sides(world: World) -> None:
    world.offer(exchange(0, plan=replace(PLAN, output=False)))
    world.offer(exchange(1, variant="Shadow", plan=replace(PLAN, input=False)))
    world.deliver()
    sides = {(r.input is not None, r.output is not None) for r in world.records()}
    assert sides == {(True, False), (False, True)}


def test_variants_hours_and_plans_have_objects_of_their_own(world: World) -> None:
    hour = 3600 * SECOND_NS
    other = replace(PLAN, destination="s3://bucket/other")
    world.offer(
        exchange(0, received_ns=0),
        exchange(1, received_ns=hour),
        exchange(2, variant="B"),
        exchange(3, endpoint="second"),
        exchange(4, plan=other),
        exchange(5, received_ns=hour),
    )
    world.deliver()
    folders = [key.rpartition("/")[0] for key in world.objects()]
    assert sorted(folders) == [
        "other/churn/AllTraffic/1970/01/01/00",
        "prefix/churn/AllTraffic/1970/01/01/00",
        "prefix/churn/AllTraffic/1970/01/01/01",
        "prefix/churn/B/1970/01/01/00",
        "prefix/second/AllTraffic/1970/01/01/00",
    ]
    assert sorted(world.inputs()) == [f"{n},\u00e9\n".encode() for n in range(6)]
    assert all(count.discrepancy == 0 for count in world.account())


def test_a_segment_is_sealed_by_age_size_hour_and_close(world: World) -> None:
    def sealed() -> int:
        return len(list(world.spool.writers.glob("*/*.seal")))

    world.offer(exchange(0))
    world.turn()
    world.turn(59.8)
    assert sealed() == 0
    world.turn(0.2)
    assert sealed() == 1  # age
    world.settings = world.settings.model_copy(update={"capture_seal_bytes": 10_000})
    world.spooler.close()
    world.start_spooler()
    world.offer(exchange(1, body=b"x" * 20_000))
    world.spooler.turn()
    assert sealed() == 2  # size, at once
    world.offer(exchange(2))
    world.turn()
    seconds_left = 3600 - world.clock.now_ns() // SECOND_NS % 3600
    world.turn(seconds_left - 30)
    assert sealed() == 3
    world.offer(exchange(3))
    world.turn()
    world.turn(28)
    assert sealed() == 3
    world.turn(3)
    assert sealed() == 4  # the hour has ended
    world.offer(exchange(4, received_ns=world.clock.now_ns() - 3600 * SECOND_NS))
    world.turn(50)
    assert sealed() == 4  # one that came late to its hour waits for others of its kind
    world.offer(exchange(5))
    world.spooler.close()
    assert not list(world.spool.writers.glob("*/*.open"))
    assert all(count.discrepancy == 0 for count in world.account())


def test_a_closed_guard_drops_and_counts(world: World) -> None:
    world.disk.percent = 75.0
    world.guard.refresh()
    world.offer(exchange(0))
    world.disk.percent = 69.9
    world.guard.refresh()
    world.offer(exchange(1))
    world.deliver()
    assert world.count().dropped == {Drop.DISK_WATERMARK: 1}
    assert (world.count().delivered, world.count().discrepancy) == (1, 0)


def test_a_full_ring_drops_and_counts(narrow: World) -> None:
    world = narrow
    world.offer(*(exchange(n, body=b"x" * 1000) for n in range(100)))
    full = world.count()
    assert full.sampled == 100
    assert 80 < full.dropped[Drop.QUEUE_FULL] < 95
    world.deliver()
    world.offer(exchange(100, body=b"x" * 1000))
    world.deliver()
    after = world.count()
    assert after.dropped == full.dropped
    assert after.delivered == 101 - full.dropped[Drop.QUEUE_FULL]


def test_large_bodies_go_in_slices_and_in_order(world: World) -> None:
    big = b"y" * 700_000
    world.offer(exchange(0, body=b"a"), exchange(1, body=big), exchange(2, body=b"b"))
    world.turn()
    (on_disk,) = account(world.spool)
    assert on_disk.pending == 1  # half a batch is not there
    assert world.count().pending == 3  # it waits in the gateway
    slices = 1
    while world.capture.waiting:
        world.end_turn()
        slices += 1
    assert slices == 4  # three of the large body's, one of the small one behind it
    world.deliver()
    assert world.inputs() == [b"a", big, b"b"]
    assert world.count().discrepancy == 0


def test_a_record_that_no_ring_can_take_is_dropped(world: World) -> None:
    world.offer(exchange(0, body=b"z" * (2 << 20)))
    assert world.count().dropped == {Drop.RECORD_TOO_LARGE: 1}


def test_waiting_frames_are_bounded(wide: World) -> None:
    world = wide
    body = b"w" * (30 << 20)
    world.offer(*(exchange(n, body=body) for n in range(4)))
    assert world.count().dropped == {Drop.QUEUE_FULL: 2}
    world.pump()  # the ring takes the first; the second finds no room
    assert world.count().dropped == {Drop.QUEUE_FULL: 3}
    assert world.count().discrepancy == 0


def test_text_that_is_no_unicode_is_captured_all_the_same(world: World) -> None:
    odd = exchange(0)
    asked = replace(odd.invocation, custom_attributes="\ud800", inference_id="\u20ac")
    world.offer(replace(odd, invocation=asked))
    world.deliver()
    (record,) = world.records()
    assert (record.custom_attributes, record.inference_id) == ("?", "\u20ac")


def test_more_pairs_than_slots_are_counted(world: World) -> None:
    world.offer(exchange(0, endpoint="e" * 64))  # no name of the service model's is so long
    assert world.count().dropped == {Drop.SLOTS_FULL: 1}
    assert world.count().discrepancy == 0


def test_folders_and_files_are_private(world: World) -> None:
    world.offer(exchange(0))
    world.deliver()
    world.offer(exchange(1))
    world.turn()
    entries = [world.spool.root, *world.spool.root.rglob("*")]
    modes = {oct(entry.stat().st_mode & 0o777) for entry in entries if not entry.is_file()}
    assert modes == {"0o700"}
    spooled = [*world.spool.writers.rglob("*.*"), *world.spool.counters.iterdir()]
    assert {oct(file.stat().st_mode & 0o777) for file in spooled} == {"0o600"}
