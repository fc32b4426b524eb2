"""`kill -9` of every process of capture, many times (F1, F2): nothing lost, nothing twice.

A failure is replayed, but for the timing, by the numbers that `run` is given.
"""

from pathlib import Path
from typing import Any

import pytest
from running import Script


def run(folder: Path, kills: int, seed: int, ring: str) -> dict[str, Any]:
    """Run the house and its killer."""
    return Script("capture_kills.py", folder / "events", folder, kills, seed, ring).told()


@pytest.mark.parametrize("kills", [1_000, pytest.param(10_000, marks=pytest.mark.long)])
def test_nothing_that_reached_the_ring_is_lost_or_doubled(tmp_path: Path, kills: int) -> None:
    told = run(tmp_path, kills, seed=1, ring="keep")
    assert told["acked"] > 10 * kills
    assert told["cut_starts"] > kills // 50
    assert (told["acked_lost"], told["duplicates"], told["failed_starts"]) == (0, 0, 0)
    assert told["delivered"] == told["ledger"]
    assert told["sampled"] == told["delivered"] + sum(told["dropped"].values())
    assert set(told["dropped"]) <= {"crash"}  # cut off in the middle of an offer
    assert (told["pending"], told["discrepancy"], told["quarantined"]) == (0, 0, 0)


def test_what_dies_with_the_ring_is_counted(tmp_path: Path) -> None:
    told = run(tmp_path, kills=60, seed=2, ring="lose")
    assert (told["duplicates"], told["failed_starts"]) == (0, 0)
    assert told["delivered"] == told["ledger"]
    assert told["sampled"] == told["delivered"] + told["dropped"].get("crash", 0)
    # Spooler and ring died at one moment: what came since the spooler's last turn nobody counted.
    assert told["acked_before_the_last_turn"] <= told["sampled"]
    uncounted = told["acked"] - told["acked_before_the_last_turn"]
    assert told["acked_lost"] <= told["dropped"].get("crash", 0) + uncounted
    assert (told["pending"], told["discrepancy"], told["quarantined"]) == (0, 0, 0)
