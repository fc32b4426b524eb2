"""Junk in every folder of the spool (F20): it starts, serves, and leaves alone what is not its."""

import os
import random
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from capture_world import World, exchange
from modeltap.capture.counters import MAGIC, SLOT_BYTES

STRANGER = "0000dead-0000-4000-8000-000000000000"
"""A writer's name that no ring has."""
OTHER_UID = 54321
SEGMENT = "00001-0444444-000000000001"


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file outside of the spool, to which links in it point."""
    path = tmp_path / "canary"
    path.write_bytes(b"untouched")
    return path


@pytest.fixture
def littered(tmp_path: Path, canary: Path) -> Iterator[World]:
    """A spool that has served, was littered while nobody looked, and starts again."""
    world = World(tmp_path / "spool")
    try:
        world.offer(exchange(0))
        world.turn()
        world.kill_all()
        litter_all(world, canary)
        world.start()
        yield world
    finally:
        world.stop()


def litter_all(world: World, canary: Path) -> None:
    spool = world.spool
    (spool.writers / STRANGER).mkdir()
    for folder in (spool.root, spool.counters, spool.quarantine, spool.writers):
        litter(folder, canary, random.Random(20))
    for folder in spool.writers.iterdir():
        if folder.is_dir() and not folder.is_symlink():
            litter(folder, canary, random.Random(20))
    for name in (f"{SEGMENT}.open", f"{SEGMENT}-000000009.seal"):
        (spool.writers / STRANGER / name).symlink_to(canary)
    os.mkfifo(spool.writers / STRANGER / "00002-0444444-000000000001-000000001.seal")
    (spool.writers / STRANGER / "00003-0444444-000000000001.open").mkdir()
    (spool.counters / f"{STRANGER}.page").symlink_to(canary)
    os.mkfifo(spool.counters / "pipe.page")


def litter(folder: Path, canary: Path, chance: random.Random) -> None:
    """Leave one of everything that a file system can hold."""
    (folder / "notes.txt").write_bytes(chance.randbytes(1000))
    (folder / "empty").touch()
    (folder / ("x" * 255)).touch()
    (folder / "line\nfeed \u2028").touch()
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe")).touch()
    (folder / "link").symlink_to(canary)
    (folder / "links").symlink_to(canary.parent)
    (folder / "dangling").symlink_to(folder / "nowhere")
    (folder / "round").symlink_to(folder / "round")
    (folder / "folder" / "within").mkdir(parents=True)
    (folder / "folder" / "file").write_bytes(b"kept")
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        name = os.open(folder, os.O_PATH)  # a socket's name is short: reach the folder so
        server.bind(f"/proc/self/fd/{name}/socket")
        os.close(name)
    (folder / "secret").write_bytes(b"another's")
    if os.geteuid() == 0:
        os.chown(folder / "secret", OTHER_UID, OTHER_UID)
        os.mknod(folder / "null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    (folder / "secret").chmod(0)


def inventory(root: Path) -> dict[bytes, tuple[int, int, int]]:
    """Tell of every entry its mode, owner and size; folders by their mode alone."""
    found = {}
    for folder, _, _ in os.walk(os.fsencode(root)):
        for entry in os.scandir(folder):
            figures = entry.stat(follow_symlinks=False)
            is_folder = stat.S_ISDIR(figures.st_mode)
            size = 0 if is_folder else figures.st_size
            found[entry.path] = (figures.st_mode, figures.st_uid, size)
    return found


def test_it_serves_and_leaves_junk_alone(littered: World, canary: Path) -> None:
    before = {
        path: figures
        for path, figures in inventory(littered.spool.root).items()
        if not path.endswith((b".open", b".seal", b".page", b".db", b"-wal", b"-shm"))
        or not stat.S_ISREG(figures[0])
    }
    for number in range(1, 4):
        littered.offer(exchange(number))
        littered.deliver()
    assert sorted(int(body.partition(b",")[0]) for body in littered.inputs()) == [0, 1, 2, 3]
    count = littered.count()
    assert (count.sampled, count.delivered, count.pending, count.discrepancy) == (4, 4, 0, 0)
    after = inventory(littered.spool.root)
    assert {path: after.get(path) for path in before} == before
    assert canary.read_bytes() == b"untouched"


def test_segments_and_counters_of_garbage_stop_nobody(tmp_path: Path) -> None:
    """What bears a name of ours and holds something else is put aside, and is no one's record."""
    chance = random.Random(20)
    head = MAGIC.to_bytes(8, "little") + (2).to_bytes(8, "little")
    with World(tmp_path) as world:
        folder = world.spool.writers / STRANGER
        folder.mkdir()
        for name in (f"{SEGMENT}.open", f"{SEGMENT}-000000009.seal"):
            (folder / name).write_bytes(chance.randbytes(10_000))
        page = head.ljust(SLOT_BYTES, b"\0") + chance.randbytes(2 * SLOT_BYTES)
        (world.spool.counters / f"{STRANGER}.page").write_bytes(page)
        (world.spool.counters / "other.page").write_bytes(chance.randbytes(100))
        world.kill_spooler()
        world.start_spooler()
        world.offer(exchange(1))
        world.deliver()
        world.deliver()
        counts = {count.endpoint: count for count in world.account()}
        assert not any(count.discrepancy for count in counts.values())
        assert counts.keys() <= {"", "churn"}
        assert (counts["churn"].sampled, counts["churn"].delivered) == (1, 1)
        assert not folder.exists() or not list(folder.iterdir())


def test_a_file_in_the_place_of_a_folder_is_moved_aside(tmp_path: Path) -> None:
    root = tmp_path / "spool"
    root.mkdir()
    for name in ("counters", "writers", "quarantine"):
        (root / name).write_bytes(b"mine")
    with World(root) as world:
        world.offer(exchange(1))
        world.deliver()
        assert len(world.inputs()) == 1
    assert (root / "writers.aside").read_bytes() == b"mine"
