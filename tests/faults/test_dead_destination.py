"""A destination is dead under load (F10): memory stays, the spool grows, nothing is lost.

How fast it drains afterwards is printed; a machine under other load is no judge of it.
"""

from pathlib import Path

import pytest
from running import Script

GROWTH_MIB_MAX = 64


@pytest.mark.long
def test_ten_minutes_cost_disk_alone(tmp_path: Path) -> None:
    told = Script("dead_destination.py", tmp_path / "events", tmp_path, 600).told()
    assert max(told["grown_mib"].values()) <= GROWTH_MIB_MAX
    assert told["sampled"] == told["delivered"] == told["lines"]
    assert (told["pending"], told["dropped"], told["discrepancy"]) == (0, {}, 0)
