"""A report that is read back is the one that was written."""

from io import StringIO
from pathlib import Path

import pytest
from captures import line, write
from rich.console import Console

from modeltap.monitor import analyze, baseline
from modeltap.monitor.failure import AnalysisFailed
from modeltap.monitor.findings import Findings
from modeltap.monitor.report import terminal
from modeltap.monitor.written import read_report

ROWS = [(at / 100, "ab"[at % 2]) for at in range(300)]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def shown(findings: Findings) -> str:
    told = StringIO()
    terminal(findings, Console(file=told, width=120))
    return told.getvalue()


@pytest.mark.parametrize("shift", [0, 100])
def test_the_summary_is_the_same(tmp_path: Path, shift: int) -> None:
    """Violations, drifts in both dialects, rejects, the window and hostile names among it."""
    train = tmp_path / "train.csv"
    train.write_text("label,\x1b[31m,b\n" + "".join(f"1,{a},{b}\n" for a, b in ROWS))
    baseline(train, output=tmp_path / "baseline")
    lines = [line(f"{a + shift},{b}\n", "1", number=at) for at, (a, b) in enumerate(ROWS)]
    captured = tmp_path / "captured.jsonl"
    write(captured, [*lines, b"{broken\n"])
    findings = analyze(
        captured,
        tmp_path / "baseline",
        output=tmp_path / "report",
        start="2023-11-14T22:00:00Z",
        end="2023-11-15T22:00:00Z",
    )
    read = read_report(files(tmp_path / "report"), files(tmp_path / "baseline"))
    assert shown(read) == shown(findings)
    assert bool(findings.violations) == bool(shift)
    assert "Rejected records" in shown(read)
    assert ("Drift" in shown(read)) == bool(shift)


def test_a_report_of_awss_own_is_read_without_ours(tmp_path: Path) -> None:
    train = tmp_path / "train.csv"
    train.write_text("a,b\n" + "".join(f"{a},{b}\n" for a, b in ROWS))
    baseline(train, output=tmp_path / "baseline")
    written = files(tmp_path / "baseline")
    del written["findings.json"]
    assert "300 rows of 2 features described" in shown(read_report(written, {}))


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("statistics.json", None, "has no statistics.json"),
        ("statistics.json", b"{", "cannot be read"),
        ("findings.json", b"[]", "cannot be read"),
        ("findings.json", b'{"drifts": [{"feature": "a"}]}', "cannot be read"),
        ("constraint_violations.json", b'{"violations": [{}]}', "cannot be read"),
    ],
)
def test_what_is_no_report_says_so(
    tmp_path: Path, name: str, text: bytes | None, told: str
) -> None:
    train = tmp_path / "train.csv"
    train.write_text("a\n1\n2\n")
    baseline(train, output=tmp_path / "baseline")
    written = files(tmp_path / "baseline")
    damaged = {key: data for key, data in {**written, name: text}.items() if data is not None}
    with pytest.raises(AnalysisFailed, match=told):
        read_report(damaged, {})
