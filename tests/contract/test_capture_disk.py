"""The Disk port: the machine's own disk and the simulated one behave alike, to the error."""

import errno
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modeltap.capture.disk import Disk, SystemDisk
from modeltap.capture.faults import FaultyDisk
from modeltap.capture.simdisk import PAGE_BYTES, SimulatedDisk

DISKS: dict[str, Callable[[], Disk]] = {
    "system": SystemDisk,
    "simulated": SimulatedDisk,
    "faulty": lambda: FaultyDisk(SystemDisk()),
    "faulty simulated": lambda: FaultyDisk(SimulatedDisk()),
}


@pytest.fixture(params=list(DISKS))
def disk(request: pytest.FixtureRequest) -> Iterator[Disk]:
    yield DISKS[request.param]()


@pytest.fixture
def folder(disk: Disk, tmp_path: Path) -> Path:
    made = tmp_path / "spool" / "writers"
    disk.make_folder(made)
    return made


def write(disk: Disk, path: Path, data: bytes) -> None:
    file = disk.create(path)
    file.write_at(0, data)
    file.close()


def test_what_is_appended_is_read(disk: Disk, folder: Path) -> None:
    file = disk.create(folder / "a")
    file.write_at(0, b"x" * 100_000)
    file.write_at(100_000, b"y")
    assert disk.read(folder / "a") == b"x" * 100_000 + b"y"
    assert disk.read(folder / "a", 3) == b"xxx"
    assert disk.size_and_age(folder / "a")[0] == 100_001
    file.sync()
    file.close()


def test_a_file_is_written_in_place_and_cut(disk: Disk, folder: Path) -> None:
    file = disk.open(folder / "a", make=True)
    file.write_at(4, b"efgh")
    file.write_at(0, b"abcd")
    file.write_at(8, b"ij")
    assert disk.read(folder / "a") == b"abcdefghij"
    file.cut(3)
    file.write_at(3, b"X")
    assert disk.read(folder / "a") == b"abcX"
    file.cut(6)
    assert disk.read(folder / "a") == b"abcX\0\0"
    file.close()


def test_a_file_that_is_opened_again_keeps_its_bytes(disk: Disk, folder: Path) -> None:
    write(disk, folder / "a", b"1")
    file = disk.open(folder / "a")
    file.write_at(1, b"2")
    file.close()
    assert disk.read(folder / "a") == b"12"


def test_a_name_is_taken_once(disk: Disk, folder: Path) -> None:
    write(disk, folder / "a", b"1")
    with pytest.raises(FileExistsError):
        disk.create(folder / "a")


@pytest.mark.parametrize(
    "call",
    [
        lambda disk, path: disk.read(path),
        lambda disk, path: disk.open(path),
        lambda disk, path: disk.unlink(path),
        lambda disk, path: disk.rename(path, path.with_name("b")),
        lambda disk, path: disk.size_and_age(path),
        lambda disk, path: disk.create(path / "in no folder"),
        lambda disk, path: disk.sync_folder(path),
        lambda disk, path: disk.open_folder(path),
        lambda disk, path: disk.remove_folder(path),
    ],
)
def test_what_is_not_there_is_an_error(
    disk: Disk, folder: Path, call: Callable[[Disk, Path], object]
) -> None:
    with pytest.raises(FileNotFoundError):
        call(disk, folder / "gone")


def test_names_are_listed_by_kind(disk: Disk, folder: Path) -> None:
    for name in ("b", "a"):
        write(disk, folder / name, b"")
        disk.make_folder(folder / f"{name}-folder")
    assert disk.files(folder) == ["a", "b"]
    assert disk.folders(folder) == ["a-folder", "b-folder"]
    assert disk.files(folder / "gone") == disk.folders(folder / "gone") == []
    assert disk.is_file(folder / "a")
    assert not disk.is_file(folder / "a-folder")
    assert not disk.is_file(folder / "gone")


def test_a_rename_replaces(disk: Disk, folder: Path) -> None:
    write(disk, folder / "a", b"1")
    write(disk, folder / "b", b"2")
    disk.rename(folder / "a", folder / "b")
    assert disk.files(folder) == ["b"]
    assert disk.read(folder / "b") == b"1"
    disk.unlink(folder / "b")
    assert disk.files(folder) == []


def test_a_folder_goes_when_it_is_empty(disk: Disk, folder: Path) -> None:
    write(disk, folder / "a", b"1")
    with pytest.raises(OSError, match="not empty") as refused:
        disk.remove_folder(folder)
    assert refused.value.errno == errno.ENOTEMPTY
    disk.unlink(folder / "a")
    disk.remove_folder(folder)
    assert disk.folders(folder.parent) == []


def test_a_lock_is_held_until_it_is_closed(disk: Disk, folder: Path) -> None:
    write(disk, folder / "a", b"")
    pairs = [
        (disk.open(folder / "a"), disk.open(folder / "a")),
        (disk.open_folder(folder), disk.open_folder(folder)),
    ]
    for first, second in pairs:
        first.lock()
        with pytest.raises(BlockingIOError):
            second.lock()
        first.close()
        second.lock()
        second.close()


def test_usage_is_a_percentage(disk: Disk, folder: Path) -> None:
    assert 0 <= disk.used_percent(folder) <= 100
    assert disk.free_bytes(folder) > 0


# ---------------------------------------------------------------- what only a fake can do


def test_a_full_disk_takes_what_it_can(tmp_path: Path) -> None:
    disk = SimulatedDisk(capacity=10)
    disk.make_folder(tmp_path)
    file = disk.create(tmp_path / "a")
    file.write_at(0, b"12345678")
    with pytest.raises(OSError, match="space") as refused:
        file.write_at(8, b"abcd")
    assert refused.value.errno == errno.ENOSPC
    assert disk.read(tmp_path / "a") == b"12345678ab"
    assert disk.used_percent(tmp_path) == 100
    file.cut(8)
    file.write_at(8, b"ab")


@pytest.mark.parametrize("seed", range(200))
def test_what_was_synced_survives_a_loss_of_power(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    disk = SimulatedDisk()
    disk.make_folder(tmp_path)
    data = chance.randbytes(3 * PAGE_BYTES)
    file = disk.create(tmp_path / "a")
    file.write_at(0, data)
    file.sync()
    disk.sync_folder(tmp_path)
    file.write_at(len(data), b"more" * 3000)
    disk.rename(tmp_path / "a", tmp_path / "b")
    disk.create(tmp_path / "c")
    disk.lose_power(chance)
    (name,) = {"a", "b"} & set(disk.files(tmp_path))
    assert disk.read(tmp_path / name)[: len(data)] == data


def test_what_was_not_synced_may_go_any_way(tmp_path: Path) -> None:
    ends = set()
    for seed in range(300):
        disk = SimulatedDisk()
        disk.make_folder(tmp_path)
        file = disk.create(tmp_path / "a")
        disk.sync_folder(tmp_path)
        file.write_at(0, b"x" * 600)
        disk.lose_power(random.Random(seed))
        left = disk.read(tmp_path / "a")
        ends.add("whole" if left == b"x" * 600 else "gone" if not left else "torn")
    assert ends == {"whole", "gone", "torn"}


def test_a_failed_sync_loses_its_pages_and_a_second_one_lies(tmp_path: Path) -> None:
    """Fsyncgate: measured on Linux 6.18, ext4 (measured: EIO, then OK three times, data gone)."""
    inside = SimulatedDisk()
    disk = FaultyDisk(inside, sync_faults=[errno.EIO])
    disk.make_folder(tmp_path)
    file = disk.create(tmp_path / "a")
    disk.sync_folder(tmp_path)
    file.write_at(0, b"x" * 600)
    with pytest.raises(OSError, match="Input/output"):
        file.sync()
    file.sync()
    assert disk.read(tmp_path / "a") == b"x" * 600  # until the cache is dropped
    inside.lose_power(random.Random(0))
    assert b"x" not in disk.read(tmp_path / "a")
