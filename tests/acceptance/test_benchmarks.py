"""The benchmark works: it measures, keeps and renders. How fast anything is, no test says."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import results

from .conftest import ROOT

pytestmark = pytest.mark.acceptance


def bench(folder: Path, *words: str) -> str:
    """Run the benchmark with everything it writes in `folder`; give what it printed."""
    where = ["--folder", str(folder / "work"), "--results", str(folder / "kept.json")]
    command = [sys.executable, "-m", "benchmarks", *words, *where, "--documents", str(folder)]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def test_a_fixed_rate_is_measured_kept_and_rendered(tmp_path: Path) -> None:
    printed = bench(tmp_path, "--tiny", "--only", "fixed")
    assert "A fixed rate" in printed
    section, circumstances = results.load(tmp_path / "kept.json")["fixed"]
    (table,) = section.tables
    assert [row[0] for row in table.rows] == ["0 %", "100 %"]
    refused = table.columns.index("not 200")
    assert [row[refused] for row in table.rows] == [0.0, 0.0]
    assert len(section.reaches) == 1
    assert circumstances.command.startswith("scripts/bench --tiny")

    bench(tmp_path, "--page")
    page = (tmp_path / "performance.md").read_text()
    assert section.title in page
    assert section.reaches[0].text in page


def test_signatures_are_measured_against_a_gateway_that_asks_for_none(tmp_path: Path) -> None:
    if shutil.which("wrk") is None:
        pytest.skip("wrk is not installed: apt-get install wrk")
    bench(tmp_path, "--tiny", "--only", "verified")
    section, _ = results.load(tmp_path / "kept.json")["verified"]
    assert [row[0] for row in section.tables[0].rows] == ["verified", "not verified"]
    assert all(row[1] != 0 for row in section.tables[0].rows)


def test_an_analysis_is_measured_and_is_right(tmp_path: Path) -> None:
    ours = ("wc", "exact", "mergeable", "baseline")
    bench(tmp_path, "--tiny", "--only", "monitor", "--contenders", *ours)
    section, _ = results.load(tmp_path / "kept.json")["monitor"]
    (table,) = section.tables
    assert [row[table.columns.index("records")] for row in table.rows] == ["2,000"] * len(ours)


def test_runs_of_a_schedule_are_measured(tmp_path: Path) -> None:
    bench(tmp_path, "--tiny", "--only", "runs")
    section, _ = results.load(tmp_path / "kept.json")["runs"]
    (table,) = section.tables
    assert [row[0] for row in table.rows] == ["NOW", "an hour"]
    assert table.rows[0][table.columns.index("records")] == "200"
    assert len(section.reaches) == 2
