"""The one command that runs the main job, and what Ctrl-C leaves of it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT
from .deployed import until

pytestmark = pytest.mark.acceptance


def start(home: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / "first_light.py"), str(home)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


def processes_of(home: Path) -> list[str]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(home) in line:
                found.append(line)
    return found


def test_the_demo_delivers_every_record(tmp_path: Path) -> None:
    demo = start(tmp_path / "demo")
    output, _ = demo.communicate(timeout=300)
    assert demo.returncode == 0, output
    assert "sent 200, in the bucket 200" in output
    assert "sampled=200 delivered=200 pending=0 dropped=0" in output
    assert until(lambda: not processes_of(tmp_path / "demo"))


@pytest.mark.parametrize("seen", ["starting", "waiting for InService"])
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, seen: str) -> None:
    demo = start(tmp_path / "demo")
    assert demo.stdout is not None
    for line in demo.stdout:
        if seen in line:
            break
    demo.send_signal(signal.SIGINT)
    output, _ = demo.communicate(timeout=120)
    assert demo.returncode == 130, output
    assert "nothing is left behind" in output
    assert not (tmp_path / "demo").exists()
    assert until(lambda: not processes_of(tmp_path / "demo"))


def test_the_demo_clears_no_folder_but_its_own(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    demo = start(tmp_path / "precious")
    output, _ = demo.communicate(timeout=120)
    assert demo.returncode == 1
    assert "name another folder" in output
    assert (tmp_path / "precious").is_dir()
