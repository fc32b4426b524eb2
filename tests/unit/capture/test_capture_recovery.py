"""What the spooler does when it, its house or its disk fails (reliability §2.5, §2.6)."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from capture_world import World, exchange
from modeltap.capture.counters import PAGE_BYTES, SLOT_BYTES, SLOTS_FULL, Counters, Drop
from modeltap.capture.disk import SystemDisk
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.mirror import Mirror, mirrors
from modeltap.capture.ring import DATA_AT
from modeltap.capture.spooler import Spooler
from modeltap.errors import SpoolBusy


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as world:
        yield world


def numbers(world: World) -> list[int]:
    return [int(body.partition(b",")[0]) for body in world.inputs()]


def test_a_killed_spooler_goes_on_where_it_was(world: World) -> None:
    world.offer(exchange(0), exchange(1))
    world.turn()  # synced, released
    world.offer(exchange(2))
    world.spooler.turn()  # written, not released: the ring gives it again
    world.kill_spooler()
    world.start_spooler()
    world.offer(exchange(3))
    world.deliver()
    assert len(world.objects()) == 1
    assert numbers(world) == [0, 1, 2, 3]
    assert world.count().discrepancy == 0


def test_a_torn_tail_is_cut_and_comes_again_from_the_ring(world: World) -> None:
    world.offer(exchange(0))
    world.turn()
    world.offer(exchange(1))
    world.spooler.turn()
    world.kill_spooler()
    (torn,) = world.spool.writers.glob("*/*.open")
    os.truncate(torn, torn.stat().st_size - 1)
    world.start_spooler()
    world.deliver()
    assert numbers(world) == [0, 1]


@pytest.mark.parametrize("left", [b"", b"MTS2", b"\0" * 300])
def test_a_segment_that_was_only_begun_is_removed(world: World, left: bytes) -> None:
    world.kill_spooler()
    (folder,) = world.spool.writer_folders()
    begun = folder / "00001-0000000-000000000001.open"
    begun.write_bytes(left)
    world.offer(exchange(0))  # the one that its name belongs to
    world.start_spooler()
    assert not begun.exists()
    world.deliver()
    assert numbers(world) == [0]


def test_a_gateway_that_died_in_an_offer_settles_it(world: World) -> None:
    world.offer(exchange(0), exchange(1, body=b"x" * 600_000))
    assert (world.count().pending, world.count().discrepancy) == (2, 0)  # one waits in the gateway
    world.capture.offer(exchange(3))  # gathered, and its turn of the loop never ended
    world.start_gateway()
    world.offer(exchange(2))
    assert world.count().dropped == {Drop.CRASH: 2}
    assert world.count().discrepancy == 0
    world.deliver()
    assert numbers(world) == [0, 2]


def test_a_dead_house_is_adopted_by_the_next(world: World) -> None:
    world.offer(exchange(0), exchange(1))
    world.turn()
    world.offer(exchange(2), exchange(3))  # still in the ring when it goes
    world.disk.write_faults = [None, None, errno.EIO]
    world.turn()  # the counters are mirrored, the records are not written
    world.kill_all()
    world.start()
    assert world.count().dropped == {Drop.CRASH: 2}
    assert world.count().pending == 2
    world.offer(exchange(4))
    world.deliver()
    assert sorted(numbers(world)) == [0, 1, 4]
    count = world.count()
    assert (count.sampled, count.delivered, count.discrepancy) == (5, 3, 0)
    world.kill_spooler()
    world.start_spooler()
    assert world.count() == count  # settled once, however often it is looked at
    assert len(list(world.spool.writer_folders())) == 1  # the dead writer's was emptied and went


def test_a_page_behind_the_disk_is_raised(world: World) -> None:
    """A power cut may keep the segments and forget the last counts."""
    world.offer(exchange(0), exchange(1))
    world.turn()
    (page,) = world.spool.counters.glob("*.page")
    forgetful = page.read_bytes()
    world.offer(exchange(2))
    world.turn()
    world.kill_all()
    page.write_bytes(forgetful)
    world.start()
    count = world.count()
    assert (count.sampled, count.pending, count.discrepancy) == (3, 3, 0)


def test_one_spooler_at_a_time(world: World) -> None:
    with pytest.raises(SpoolBusy):
        world.start_spooler()


def test_counters_are_found_again() -> None:
    page = memoryview(bytearray(PAGE_BYTES))
    counters = Counters(page, lambda at, size: True)
    slot = counters.slot("churn", "AllTraffic")
    assert (slot, counters.sample(slot), counters.sample(slot)) == (1, 1, 2)
    counters = Counters(page, lambda at, size: True)
    assert counters.slot("churn", "AllTraffic") == 1
    assert counters.sample(1) == 3


@pytest.mark.parametrize(
    "left", [b"", b"MTCNTR01", b"MTCNTR01\xff" + bytes(999), bytes(1 << 20), b"\xff" * (1 << 20)]
)
def test_a_mirror_that_holds_anything_is_written_anew(world: World, left: bytes) -> None:
    """Killed while it is written, or damaged: it must not stop its writer for ever."""
    for path in (world.mirror, world.spool.counters / "dead.page"):
        path.write_bytes(left)
    world.kill_spooler()
    world.start_spooler()
    world.offer(exchange(0))
    world.turn()
    found = dict(mirrors(world.disk, world.spool.counters))[world.mirror.stem]
    assert [(slot.endpoint, slot.sampled) for slot in found][1:2] == [("churn", 1)]
    world.deliver()
    assert numbers(world) == [0]


def test_garbage_in_the_place_of_a_slot_is_no_slot(world: World) -> None:
    """As a loss of power leaves it where a new slot was never synced."""
    world.offer(exchange(0), exchange(1, endpoint="fraud"))
    world.turn()
    with world.mirror.open("r+b") as mirror:
        mirror.seek(3 * SLOT_BYTES)
        mirror.write(b"\xff" * SLOT_BYTES)
    found = dict(mirrors(world.disk, world.spool.counters))[world.mirror.stem]
    assert [slot.endpoint for slot in found] == ["", "churn", ""]
    world.deliver()  # a living writer's mirror is written anew
    assert len(numbers(world)) == 2


def test_a_mirror_is_half_written_at_worst(tmp_path: Path) -> None:
    """Its header comes last: a slot is counted when it is there."""
    page = memoryview(bytearray(PAGE_BYTES))
    counters = Counters(page, lambda at, size: True)
    mirror = Mirror(tmp_path, "writer", page, SystemDisk())
    mirror.write()
    written = (tmp_path / "writer.page").read_bytes()
    counters.sample(counters.slot("churn", "AllTraffic"))
    mirror.write()
    whole = (tmp_path / "writer.page").read_bytes()
    for cut in range(0, len(whole), 8):
        (tmp_path / "writer.page").write_bytes(written[:256] + whole[256:cut])
        found = [slot.endpoint for _, slots in mirrors(SystemDisk(), tmp_path) for slot in slots]
        assert found == [""] * (cut >= 512)
    mirror.close()


def test_a_damaged_ring_is_told_and_settled(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    world.offer(exchange(0, body=b"target"))
    world.offer(exchange(1))
    ring = os.pread(world.fd, 4096, DATA_AT)
    os.pwrite(world.fd, b"X", DATA_AT + ring.index(b"target"))
    world.deliver()
    assert "RingDamaged" in capfd.readouterr().out
    assert numbers(world) == [1]
    world.kill_all()
    world.start()
    assert world.count().dropped == {Drop.CRASH: 1}
    assert world.count().discrepancy == 0


def test_a_gateway_that_starts_late_is_met(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        world.kill_all()
        world.start_ring()
        world.start_spooler()
        world.turn()
        world.start_gateway()
        world.start_shipper()
        world.offer(exchange(0))
        world.deliver()
        assert numbers(world) == [0]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("at", range(10))  # the mirror's, the segments' heads and records
def test_a_write_that_fails_is_done_again(world: World, code: int, at: int) -> None:
    world.disk.write_faults = [None] * at + [code]
    for number in range(3):
        world.offer(exchange(number), exchange(number + 10, endpoint="second"))
        world.turn()
        world.turn(2)  # the spooler rests for a second after a fault
    world.deliver()
    assert not world.disk.write_faults
    assert sorted(numbers(world)) == [0, 1, 2, 10, 11, 12]
    assert all(count.discrepancy == 0 for count in world.account())


def test_half_a_write_leaves_nothing_behind(world: World) -> None:
    """What is written after a failed write must be adopted whole."""
    world.offer(exchange(0))
    world.turn()
    world.disk.write_faults = [None, None, errno.ENOSPC]
    world.offer(exchange(1))
    world.turn()
    world.turn(2)
    world.kill_spooler()
    world.start_spooler()
    world.deliver()
    assert numbers(world) == [0, 1]


@pytest.mark.parametrize("at", range(9))
def test_a_sync_that_fails_is_never_trusted(world: World, at: int) -> None:
    """The k-th sync fails, for every k: what it covered comes again from the ring."""
    world.disk.sync_faults = [None] * at + [errno.EIO]
    for number in range(3):
        world.offer(exchange(number), exchange(number + 10, endpoint="second"))
        world.turn()
        world.turn(2)
    world.deliver()
    world.turn(61)
    world.ship()
    assert not world.disk.sync_faults
    assert sorted(numbers(world)) == [0, 1, 2, 10, 11, 12]
    assert all(count.discrepancy == 0 for count in world.account())


def test_a_disk_that_refuses_to_abandon_loses_nothing(world: World) -> None:
    """A sync fails, and so does the renaming of what was safe."""
    world.offer(exchange(0))
    world.turn()
    world.offer(exchange(1))
    (opened,) = world.spool.writers.glob("*/*.open")
    blocker = opened.with_name(f"{opened.stem}-000000001.seal")
    blocker.mkdir()
    world.disk.sync_faults = [errno.EIO]
    world.turn()
    blocker.rmdir()
    world.turn(2)
    world.turn(61)
    world.kill_spooler()
    world.start_spooler()
    world.spooler.close()
    world.start_spooler()
    world.ship()
    assert sorted(numbers(world)) == [0, 1]
    assert world.count().discrepancy == 0


def test_full_memory_refuses_a_slot_and_kills_nobody(tmp_path: Path) -> None:
    """A store into a hole of mapped memory is a SIGBUS where there is no page left for it."""
    script = """
import os, subprocess, sys
from pathlib import Path
folder = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=True)
from modeltap.capture.counters import Counters
from modeltap.capture.ring import RingWriter, allocate_ring
fd = os.open(folder / "ring", os.O_RDWR | os.O_CREAT)
allocate_ring(fd, 16384)
ring = RingWriter(fd, "0123abcd-0000-4000-8000-000000000000")
counters = Counters(ring.counters, ring.allocate)
try:
    (folder / "filler").write_bytes(bytes(1 << 20))
except OSError:
    pass
slots = [counters.slot(f"endpoint-{number}", "AllTraffic") for number in range(40)]
(folder / "filler").unlink()
print(slots[0], slots[-1], counters.slot("endpoint-39", "AllTraffic"))
"""
    isolated = ["unshare", "--mount", "--map-root-user"]
    if subprocess.run([*isolated, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine gives no mount namespaces")
    done = subprocess.run(
        [*isolated, sys.executable, "-c", script, tmp_path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    first, last, later = map(int, done.stdout.split())
    assert (first, last) == (1, SLOTS_FULL)
    assert later > first


def test_a_dead_disk_fills_the_ring_and_nothing_else(tmp_path: Path) -> None:
    with World(tmp_path, ring_bytes=16 * 1024) as world:
        world.disk.write_faults = [errno.EIO] * 1000
        for number in range(50):
            world.offer(exchange(number, body=b"x" * 1000))
            world.turn(2)
        stuck = world.count()
        assert stuck.dropped[Drop.QUEUE_FULL] > 30
        assert stuck.discrepancy == 0
        world.disk.write_faults = []
        world.turn(2)
        world.deliver()
        count = world.count()
        assert count.delivered == 50 - stuck.dropped[Drop.QUEUE_FULL]
        assert count.discrepancy == 0


def test_a_sync_that_fails_after_adoption_gives_up_nothing_released(world: World) -> None:
    world.offer(exchange(0))
    world.turn()  # appended, synced, released
    world.offer(exchange(1))
    world.spooler.turn()  # appended
    world.kill_spooler()
    world.start_spooler()
    world.disk.sync_faults = [None, errno.EIO]  # the mirror's, the segment's
    world.turn()
    world.turn(2)
    world.deliver()
    assert sorted(numbers(world)) == [0, 1]
    assert world.count().discrepancy == 0


def test_close_seals_all_and_a_refusing_disk_leaves_it_to_the_next(world: World) -> None:
    world.offer(exchange(0))
    world.disk.sync_faults = [errno.EIO]
    world.spooler.close()
    assert not list(world.spool.writers.glob("*/*.seal"))
    world.start_spooler()
    world.deliver()
    assert numbers(world) == [0]


def test_junk_in_the_spool_is_left_alone(world: World, tmp_path: Path) -> None:
    """Fault F20: any names and kinds of files; the service starts, serves, and ships."""
    world.offer(exchange(0))
    world.turn()
    world.kill_spooler()
    (folder,) = world.spool.writer_folders()
    for place in (folder, world.spool.writers, world.spool.counters):
        (place / "notes.txt").write_text("not ours")
        os.mkfifo(place / "00001-0444444-000000000009.open")
        (place / "00001-0444444-000000000010-000000001.seal").symlink_to("/etc/hostname")
        (place / "00001-0444444-000000000011.open").mkdir()
        (place / "short.page").write_bytes(b"MTCNTR01")
        os.mkfifo(place / "pipe.page")
    junk = {entry for entry in world.spool.root.rglob("*") if "MTS2" not in entry.name}
    world.start_spooler()
    world.offer(exchange(1))
    world.deliver()
    assert numbers(world) == [0, 1]
    assert world.count().discrepancy == 0
    assert all(os.path.lexists(entry) for entry in junk if entry.name in {"notes.txt", "pipe.page"})


def test_the_spooler_makes_its_folders(tmp_path: Path) -> None:
    with World(tmp_path / "first") as world:
        fresh = tmp_path / "second"
        spool = SpoolFolder(fresh, world.disk)
        Spooler([], spool, world.settings, world.clock).close()
        assert {entry.name for entry in fresh.iterdir()} == {"counters", "writers", "quarantine"}
