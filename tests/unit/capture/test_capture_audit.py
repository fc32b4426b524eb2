"""The audit tells a whole from a hole: each harm is done to a world of real parts, and is seen."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture_world import World, exchange
from modeltap.capture.audit import Piece, SlotAudit, audit_slots
from modeltap.capture.auditing import ObjectAudit, pieces_of, slots_of
from modeltap.capture.counters import Drop, SlotCount
from modeltap.capture.fsck import Examined, Health, fsck, quarantined_segment
from modeltap.capture.numbers import Numbers
from modeltap.capture.ring import RingReader

SLOT = ("writer", 1)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Six records in two objects, two in a segment, and one that was dropped."""
    with World(tmp_path) as world:
        for first in (0, 3):
            world.offer(*(exchange(number) for number in range(first, first + 3)))
            world.deliver()
        world.disk.percent = 90.0
        world.guard.refresh()
        world.offer(exchange(6))
        world.disk.percent = 0.0
        world.guard.refresh()
        world.offer(exchange(7), exchange(8))
        world.turn()
        yield world


def audited(world: World, *, lives: bool = True) -> SlotAudit:
    slots = slots_of(world.spool, "churn")
    pieces, _ = pieces_of(world.spool, slots, "churn")
    living = {RingReader(world.fd).writer} if lives else set[str]()
    (found,) = audit_slots(slots, pieces, frozenset(living))
    return found


def objects(world: World) -> ObjectAudit:
    async def look() -> ObjectAudit:
        _, rows = pieces_of(world.spool, {}, "churn")
        found = ObjectAudit(world.stores, lambda _: None)
        for row in rows:
            await found.check(row)
        listed = await found.listed("s3://bucket/prefix/churn/")
        found.found.unknown.extend(sorted(listed - {row.uri for row in rows}))
        return found

    return asyncio.run(look())


def test_a_whole_is_told(world: World) -> None:
    found = audited(world)
    assert (found.sampled, str(found.missing), found.dropped, found.unexplained) == (9, "7", 1, 0)
    assert not found.duplicates
    assert objects(world).found.is_clean


def test_what_is_in_the_ring_is_not_missing(world: World) -> None:
    world.offer(exchange(9), exchange(10))
    world.spooler._lanes[0]._mirror.write()  # counted, and not yet moved
    assert (audited(world).in_ring, audited(world).unexplained) == (2, 0)
    assert audited(world, lives=False).unexplained == 2


def test_a_lost_segment_is_seen(world: World) -> None:
    (segment,) = world.spool.writers.glob("*/*.open")
    segment.unlink()
    assert audited(world, lives=False).unexplained == 2


def test_a_deleted_object_is_seen(world: World) -> None:
    key = next(iter(world.objects()))
    asyncio.run(world.store.delete(key))
    assert objects(world).found.absent == [f"s3://bucket/{key}"]


@pytest.mark.parametrize("harm", [b"", b"x", b"\n"])
def test_a_changed_object_is_seen(world: World, harm: bytes) -> None:
    key, data = next(iter(world.objects().items()))
    asyncio.run(world.store.put(key, data[:-1] + harm if harm else data[:-1]))
    expected = [] if harm == b"\n" else [f"s3://bucket/{key}"]
    assert objects(world).found.changed == expected


def test_an_object_that_stands_twice_is_seen(world: World) -> None:
    key, data = next(iter(world.objects().items()))
    copy = key.replace("/00/00-", "/00/01-")
    asyncio.run(world.store.put(copy, data))
    assert objects(world).found.unknown == [f"s3://bucket/{copy}"]


@given(st.lists(st.sets(st.integers(1, 30)), max_size=5), st.integers(0, 30), st.integers(0, 5))
def test_holes_and_overlaps_are_those_of_sets(
    parts: list[set[int]], sampled: int, dropped: int
) -> None:
    pieces = [Piece(SLOT, n, str(n), Numbers.of(part)) for n, part in enumerate(parts)]
    count = SlotCount(1, "e", "v", sampled, 0, {Drop.QUEUE_FULL: dropped}, 0, 0, False)
    (found,) = audit_slots({SLOT: count}, pieces, frozenset())
    held: set[int] = set().union(*parts)
    missing = set(range(1, sampled + 1)) - held
    assert found.missing == Numbers.of(missing)
    assert found.unexplained == max(0, len(missing) - dropped)
    assert bool(found.duplicates) == (len(held) < sum(map(len, parts)))


# ---------------------------------------------------------------- fsck


def health(world: World) -> dict[Health, list[Examined]]:
    found: dict[Health, list[Examined]] = {}
    for each in fsck(world.spool):
        found.setdefault(each.health, []).append(each)
    return found


def test_fsck_tells_good_damaged_foreign_and_quarantined(world: World) -> None:
    assert set(health(world)) == {Health.GOOD}
    world.turn(61)  # sealed
    (segment,) = world.spool.writers.glob("*/*.seal")
    data = bytearray(segment.read_bytes())
    data[data.index(b"8,")] ^= 1
    segment.write_bytes(data)
    (segment.parent / "notes.txt").write_text("mine")
    (world.spool.counters / "dead.page").write_bytes(b"junk" * 100)
    found = health(world)
    assert [(each.records, each.lost) for each in found[Health.DAMAGED]] == [(1, 1), (0, 0)]
    assert [each.path.name for each in found[Health.FOREIGN]] == ["notes.txt"]
    world.ship()  # what is good is delivered, the file is put aside
    (aside,) = health(world)[Health.QUARANTINED]
    assert aside.records == 1
    file = quarantined_segment(world.spool, aside.path)
    assert file is not None
    assert world.spool.put_back(aside.path) == segment
