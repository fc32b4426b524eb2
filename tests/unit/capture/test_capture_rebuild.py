"""A lost ledger comes back from the bucket (reliability §2.8)."""

import asyncio
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from capture_world import PLAN, World, exchange
from modeltap.capture.ledger import Delivery, Ledger
from modeltap.capture.rebuild import rebuild
from modeltap.capture.segment import SegmentId
from modeltap.capture.shipment import object_id
from modeltap.objects.simulated import SimulatedStore

OTHER = replace(PLAN, destination="s3://bucket/other")


def rebuilt(world: World, path: Path, prefix: str = "") -> tuple[int, list[Delivery]]:
    ledger = Ledger(path)
    added = asyncio.run(rebuild(ledger, world.store, "bucket", prefix))
    rows = ledger.deliveries()
    ledger.close()
    return added, rows


def told(rows: list[Delivery]) -> set[Delivery]:
    """Give rows without their times: the store has its own."""
    return {replace(row, delivered_ns=0) for row in rows}


def fill(world: World) -> None:
    """Deliver under two prefixes, with holes, and one record that is damaged."""
    for number in range(6):
        world.offer(exchange(number, plan=(PLAN, OTHER)[number % 2], endpoint="churn"))
        world.offer(exchange(number, endpoint="fraud"))
    world.turn()
    world.turn(61)
    for file in sorted(world.spool.writers.glob("*/*.seal"))[:1]:
        data = bytearray(file.read_bytes())
        data[data.index(b"2,\xc3\xa9")] ^= 1
        file.write_bytes(data)
    world.ship()


def test_every_row_comes_back_as_it_was(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        fill(world)
        before = world.ledger.deliveries()
        assert sorted((row.numbers, row.lost) for row in before) == [
            ("1,5", 1),
            ("1-6", 0),
            ("2,4,6", 0),
        ]
        added, rows = rebuilt(world, tmp_path / "new.db")
        assert added == 3
        assert told(rows) == told(before)
        assert rebuilt(world, tmp_path / "new.db") == (0, rows)


def test_the_account_is_whole_again(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        fill(world)
        before = world.account()
        world.ledger.close()
        for file in tmp_path.glob("ledger.db*"):
            file.unlink()
        world.start_shipper()
        assert sum(count.delivered for count in world.account()) == 0
        assert asyncio.run(rebuild(world.ledger, world.store, "bucket", "")) == 3
        assert world.account() == before


def test_only_what_lies_under_the_prefix_and_is_missing_is_written(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        fill(world)
        added, rows = rebuilt(world, tmp_path / "new.db", "other/")
        assert (added, {row.uri.split("/")[3] for row in rows}) == (1, {"other"})
        assert rebuilt(world, tmp_path / "new.db")[0] == 2


def test_objects_of_others_are_passed_over(tmp_path: Path) -> None:
    store = SimulatedStore()
    with World(tmp_path, store=store) as world:
        fill(world)
        (key, *_) = world.objects()
        hour = key.rpartition("/")[0]
        good = dict(asyncio.run(store.head(key)).metadata)
        copy = f"{hour}/00-00-000-{uuid4()}.jsonl"
        named = f"{hour}/00-00-000-{object_id(SegmentId('w', 1, 9))}.jsonl"
        ours = good | {"modeltap-segment": "w:1:9"}
        for name, metadata in {
            copy: good,
            f"{hour}/notes.jsonl": good,
            "constraints.json": good,
            named: {},
            f"a/{named}": ours | {"modeltap-segment": "w:1"},
            f"b/{named}": ours | {"modeltap-records": "x"},
            f"c/{named}": ours | {"modeltap-numbers": "9-8-7"},
        }.items():
            asyncio.run(store.put(name, b"", metadata=metadata))
        assert rebuilt(world, tmp_path / "new.db")[0] == 3


def test_numbers_that_the_metadata_do_not_have_stay_unknown(tmp_path: Path) -> None:
    store = SimulatedStore()
    with World(tmp_path, store=store) as world:
        fill(world)
        for key, data in world.objects().items():
            metadata = dict(asyncio.run(store.head(key)).metadata)
            del metadata["modeltap-numbers"]
            asyncio.run(store.put(key, data, metadata=metadata))
        added, rows = rebuilt(world, tmp_path / "new.db")
        assert (added, {row.numbers for row in rows}) == (3, {""})
        assert sum(row.records for row in rows) == 11
