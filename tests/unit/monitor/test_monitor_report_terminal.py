"""The summary for a terminal: all that counts, and no text of the data is obeyed."""

import io
from dataclasses import replace

from rich.console import Console

from modeltap.monitor.checks import Violation
from modeltap.monitor.findings import Findings
from modeltap.monitor.profile import Reject, rejects_of
from modeltap.monitor.report import terminal
from report_world import compared, described, spread

HOSTILE = "[bold red]x[/] \x1b[2J\u202e"


def printed(findings: Findings, *, encoding: str = "utf-8", colour: bool = False) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    terminal(findings, Console(file=file, width=100, force_terminal=colour))
    return raw.getvalue().decode(encoding)


def drifted() -> Findings:
    return compared({"age": spread(400), "b": ["x"]}, {"age": spread(400, 0.6), "b": ["x"]})


def test_verdict_violations_and_drift_are_told() -> None:
    text = printed(drifted())
    for word in ("▲ 1 violation in 1 of 2 features: 1 drift.", "exceeds threshold: 0.1", "│█"):
        assert word in text


def test_no_violation_no_baseline_no_row() -> None:
    assert "✓ No violation" in printed(compared({"a": spread(9)}, {"a": spread(9)}))
    assert "no baseline to compare with" in printed(described({"a": spread(9)}))
    assert "There was no row to judge." in printed(compared({"a": ["1"]}, {"a": []}))


def test_lists_are_bounded() -> None:
    violations = tuple(Violation(f"f{at}", "data_type_check", "…") for at in range(50))
    text = printed(replace(drifted(), violations=violations))
    assert "f19" in text and "f20" not in text
    assert "30 more in constraint_violations.json" in text


def test_no_text_of_the_data_is_obeyed() -> None:
    findings = replace(
        drifted(),
        title=HOSTILE,
        notes=(HOSTILE,),
        violations=(Violation(HOSTILE, HOSTILE, HOSTILE),),
        rejects=rejects_of([Reject(HOSTILE, HOSTILE, HOSTILE)]),
    )
    for text in (printed(findings), printed(findings, colour=True)):
        assert "\x1b[2J" not in text and "\u202e" not in text
        assert text.count("[bold red]x[/]") >= 4


def test_a_narrow_encoding_spells_out_what_it_lacks() -> None:
    text = printed(replace(drifted(), title="Größe"), encoding="ascii")
    assert r"Gr\xf6\xdfe" in text and r"\u25b2 1 violation" in text
