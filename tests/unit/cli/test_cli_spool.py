"""`modeltap capture fsck`, `cat`, `requeue`, on a spool of real parts."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from capture_world import World, exchange
from modeltap.capture.account import account
from modeltap.capture.counters import Drop
from modeltap.capture.segment import segment_files
from modeltap.capture.shipment import shipment_of
from modeltap.cli.asked import CannotRun
from modeltap.cli.capture_spool import cat, check, requeue


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A home whose spool is that of the world."""
    with World(tmp_path / "spool") as world:
        yield world


def home(world: World) -> Path:
    return world.spool.root.parent


def key_taken(world: World) -> Path:
    """Have a segment given up because its key is another's; give the file that was put aside."""
    world.offer(exchange(1), exchange(2))
    world.turn()
    world.turn(61)
    (folder,) = world.spool.writer_folders()
    (file,) = segment_files(world.spool.disk, folder)
    _, key = world.stores(shipment_of(world.spool, file).uri)
    asyncio.run(world.store.put(key, b"another's"))
    world.ship()
    assert world.count().dropped == {Drop.KEY_TAKEN: 2}
    asyncio.run(world.store.delete(key))
    (aside,) = world.spool.quarantine.iterdir()
    return aside


def test_a_requeued_segment_is_delivered_once(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    aside = key_taken(world)
    requeue(aside.name, home=home(world))
    assert "is shipped next" in capsys.readouterr().out
    assert (world.count().pending, world.count().discrepancy) == (2, 0)
    world.ship()
    count = world.count()
    assert (count.delivered, count.dropped, count.discrepancy) == (2, {}, 0)
    assert len(world.inputs()) == 2
    with pytest.raises(CannotRun, match="is not in"):
        requeue(aside.name, home=home(world))


def test_a_requeue_that_was_killed_within_is_done_by_the_next(world: World) -> None:
    aside = key_taken(world)
    with sqlite3.connect(world.spool.ledger) as connection:
        connection.execute("DELETE FROM delivery")  # the first step, and then killed
    connection.close()
    requeue(str(aside), home=home(world))
    world.ship()
    assert (world.count().delivered, world.count().discrepancy) == (2, 0)


def test_a_requeue_after_the_house_began_anew_is_counted_once(world: World) -> None:
    """Its writer is dead and settled: what was given up must not count as crashed, too."""
    aside = key_taken(world)
    world.kill_all()
    world.start()
    requeue(aside.name, home=home(world))
    (count,) = account(world.spool, [world.fd])
    assert (count.pending, count.dropped, count.discrepancy) == (2, {}, 0)
    world.ship()
    world.kill_spooler()
    world.start_spooler()  # settles the dead once more
    (count,) = account(world.spool, [world.fd])
    assert (count.delivered, count.dropped, count.discrepancy) == (2, {}, 0)


def test_a_segment_some_of_which_is_delivered_is_not_requeued(world: World) -> None:
    world.offer(exchange(1), exchange(2))
    world.turn()
    world.turn(61)
    (segment,) = world.spool.writers.glob("*/*.seal")
    data = bytearray(segment.read_bytes())
    data[data.index(b"2,")] ^= 1
    segment.write_bytes(data)
    world.ship()
    (aside,) = world.spool.quarantine.iterdir()
    with pytest.raises(CannotRun, match="1 of its records are in s3://bucket/"):
        requeue(aside.name, home=home(world))
    assert aside.exists()
    assert (world.count().delivered, world.count().discrepancy) == (1, 0)


def test_cat_prints_what_the_object_will_hold(
    world: World, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    world.offer(exchange(1), exchange(2))
    world.turn()
    (segment,) = world.spool.writers.glob("*/*.open")
    capfdbinary.readouterr()
    cat(segment.name, home=home(world))
    by_name = capfdbinary.readouterr().out
    cat(str(segment), home=home(world))
    assert capfdbinary.readouterr().out == by_name
    world.turn(61)
    world.ship()
    assert by_name == b"".join(world.objects().values())
    assert len([orjson.loads(line) for line in by_name.splitlines()]) == 2


def test_cat_prints_a_quarantined_segment(
    world: World, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    aside = key_taken(world)
    capfdbinary.readouterr()
    cat(aside.name, home=home(world))
    assert capfdbinary.readouterr().out.count(b"\n") == 2


def test_errors_name_what_was_asked_for(world: World) -> None:
    for command in (cat, requeue):
        with pytest.raises(CannotRun, match=r"nothing\.seal"):
            command("nothing.seal", home=home(world))


def test_fsck_changes_nothing_and_fails_on_damage(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.offer(exchange(1), exchange(2))
    world.turn()
    world.turn(61)
    before = _files(world)
    check(home=home(world))
    assert "damaged" not in capsys.readouterr().out
    (segment,) = world.spool.writers.glob("*/*.seal")
    data = bytearray(segment.read_bytes())
    data[data.index(b"2,")] ^= 1
    segment.write_bytes(data)
    with pytest.raises(SystemExit) as ended:
        check(home=home(world))
    assert ended.value.code == 1
    assert f"1 records, 1 lost  {segment}" in capsys.readouterr().out
    assert _files(world) == before | {segment: bytes(data)}


def _files(world: World) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in world.spool.root.rglob("*") if path.is_file()}
