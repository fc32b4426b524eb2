"""The disk guard's two marks, and the disk's figure."""

import shutil
import tempfile
from pathlib import Path

import pytest

from modeltap.capture.disk import SystemDisk
from modeltap.capture.faults import FaultyDisk
from modeltap.capture.guard import Guard
from modeltap.capture.simdisk import SimulatedDisk
from modeltap.settings import load


@pytest.mark.parametrize(
    ("percents", "states"),
    [
        ([10, 74.9, 75, 90, 74, 70, 69.9, 74.9], "ooccccoo"),
        ([75, 70, 69, 75, 69], "ccoco"),
        ([100, 0, 100], "coc"),
    ],
)
def test_hysteresis(
    percents: list[float], states: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    disk = FaultyDisk(SystemDisk(), percents[0])
    guard = Guard(disk, tmp_path, load(home=tmp_path))
    seen = []
    for percent in percents:
        disk.percent = percent
        guard.refresh()
        seen.append("o" if guard.open else "c")
    assert "".join(seen) == states
    told = capfd.readouterr()
    events = told.out.count("CaptureStopped") + told.out.count("CaptureResumed")
    changes = sum(a != b for a, b in zip("o" + states, states, strict=False))
    assert events == changes  # one a change


def test_a_small_disk_keeps_room_for_what_is_on_its_way(tmp_path: Path) -> None:
    disk = SimulatedDisk(capacity=1000)
    disk.make_folder(tmp_path)
    file = disk.create(tmp_path / "a")
    guard = Guard(disk, tmp_path, load(home=tmp_path, capture_disk_free_bytes_min=900))
    seen = [guard.open]
    for size in (101, 100):  # 10 %: far from the mark
        file.write_at(0, bytes(101))
        file.cut(size)
        guard.refresh()
        seen.append(guard.open)
    assert seen == [True, False, True]


def test_a_disk_that_cannot_be_asked_is_full(tmp_path: Path) -> None:
    """The folder is gone: the gateway that asks goes on, and captures again when it is back."""
    settings = load(
        home=tmp_path, capture_disk_stop_percent=99.99, capture_disk_resume_percent=99.98
    )
    guard = Guard(SystemDisk(), tmp_path / "gone", settings)
    assert not guard.open
    (tmp_path / "gone").mkdir()
    guard.refresh()
    assert guard.open


def test_the_figure_is_df_s() -> None:
    folder = Path(tempfile.gettempdir())
    used, free = shutil.disk_usage(folder).used, shutil.disk_usage(folder).free
    assert SystemDisk().used_percent(folder) == pytest.approx(100 * used / (used + free), abs=0.5)
