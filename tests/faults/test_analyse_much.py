"""A window of ten times the memory bound is analysed within the bound."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEMORY = 640 * 1024 * 1024


@pytest.mark.long
def test_ten_times_the_bound(tmp_path: Path) -> None:
    script = Path(__file__).with_name("analyse_much.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), str(MEMORY), "10"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    print(done.stdout)
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["window_bytes"] >= 10 * MEMORY
    assert told["records"] == told["made"]
    assert told["violations"] == 0
    assert told["peak_bytes"] <= MEMORY
