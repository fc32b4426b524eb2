"""`kill -9` of every process of capture, many times: nothing lost, nothing twice, all counted."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("capture_kills.py")


def run(folder: Path, kills: int, seed: int, ring: str) -> dict[str, Any]:
    """Run the house and its killer; a failure is replayed by kills and seed, but for the timing."""
    done = subprocess.run(
        [sys.executable, SCRIPT, folder, str(kills), str(seed), ring],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return dict(json.loads(done.stdout))


def test_nothing_that_reached_the_ring_is_lost_or_doubled(tmp_path: Path) -> None:
    told = run(tmp_path, kills=120, seed=1, ring="keep")
    assert told["acked"] > 1000
    assert (told["acked_lost"], told["duplicates"], told["failed_starts"]) == (0, 0, 0)
    assert told["delivered"] == told["ledger"]
    assert told["sampled"] == told["delivered"] + sum(told["dropped"].values())
    assert set(told["dropped"]) <= {"crash"}  # cut off in the middle of an offer
    assert (told["pending"], told["discrepancy"], told["quarantined"]) == (0, 0, 0)


def test_what_dies_with_the_ring_is_counted(tmp_path: Path) -> None:
    told = run(tmp_path, kills=40, seed=2, ring="lose")
    assert (told["duplicates"], told["failed_starts"]) == (0, 0)
    assert told["delivered"] == told["ledger"]
    assert told["sampled"] == told["delivered"] + told["dropped"].get("crash", 0)
    # Spooler and ring died at one moment: what came since the spooler's last turn nobody counted.
    assert told["acked_before_the_last_turn"] <= told["sampled"]
    uncounted = told["acked"] - told["acked_before_the_last_turn"]
    assert told["acked_lost"] <= told["dropped"].get("crash", 0) + uncounted
    assert (told["pending"], told["discrepancy"], told["quarantined"]) == (0, 0, 0)
