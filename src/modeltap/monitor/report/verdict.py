"""How an analysis ended, in one sentence for whoever reads no more."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from math import sqrt

from modeltap.monitor import checks
from modeltap.monitor.distance import ROBUST
from modeltap.monitor.findings import Findings
from modeltap.monitor.report.portrait import Portrait, constraints_of
from modeltap.monitor.report.text import counted

WORDS = {
    checks.DRIFT: "drift",
    checks.DATA_TYPE: "data type",
    checks.COMPLETENESS: "completeness",
    checks.VALUES: "values",
    checks.MISSING: "missing columns",
    checks.EXTRA: "extra columns",
}
"""The checks in short words, the most telling first."""


class Tone(StrEnum):
    GOOD = "good"
    BAD = "bad"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Verdict:
    tone: Tone
    sentence: str


def verdict_of(findings: Findings) -> Verdict:
    rows, features = rows_of(findings), len(findings.statistics["features"])
    if not rows:
        return Verdict(Tone.PLAIN, "There was no row to judge.")
    size = f"{counted(rows, 'row')} of {counted(features, 'feature')}"
    if not has_baseline(findings):
        return Verdict(Tone.PLAIN, f"{size} described; there was no baseline to compare with.")
    if not constraints_of(findings).evaluate:
        why = "evaluate_constraints is Disabled in the constraints of the baseline"
        return Verdict(Tone.PLAIN, f"Nothing was judged: {why}.")
    if findings.violations:
        return Verdict(Tone.BAD, _of_violations(findings, features))
    return Verdict(Tone.GOOD, f"No violation: {size} keep to the baseline.")


def _of_violations(findings: Findings, features: int) -> str:
    kinds = Counter(each.check for each in findings.violations)
    known = {each["name"] for each in findings.statistics["features"]}
    touched = len({each.feature for each in findings.violations} & known)
    where = f" in {touched:,} of {counted(features, 'feature')}" if touched else ""
    order = [check for check in WORDS if check in kinds]
    order += sorted(kinds.keys() - WORDS.keys())
    parts = ", ".join(f"{kinds[check]:,} {word_of(check)}" for check in order)
    return f"{counted(len(findings.violations), 'violation')}{where}: {parts}."


def word_of(check: str) -> str:
    return WORDS.get(check, check)


def rows_of(findings: Findings) -> int:
    return int(findings.statistics["dataset"]["item_count"])


def baseline_rows_of(findings: Findings) -> int | None:
    """Give the baseline's rows, if its statistics are there and tell."""
    dataset = (findings.baseline_statistics or {}).get("dataset") or {}
    count = dataset.get("item_count")
    return None if count is None else int(count)


def correction_of(findings: Findings) -> float | None:
    """Give what the Robust correction takes off where all rows of both sides have a value."""
    n, m = rows_of(findings), baseline_rows_of(findings)
    return ROBUST * sqrt((n + m) / (n * m)) if n and m else None


def has_baseline(findings: Findings) -> bool:
    return bool(findings.baseline_statistics or findings.baseline_constraints)


def column_changes(findings: Findings) -> dict[str, list[str]]:
    """Name what AWS's texts only count: the columns that are missing, and those that are new."""
    known = constraints_of(findings).index
    here = [each["name"] for each in findings.statistics["features"]]
    present = set(here)
    return {
        checks.MISSING: [name for name in known if name not in present],
        checks.EXTRA: [name for name in here if name not in known] if known else [],
    }


def cautions(findings: Findings, portraits: list[Portrait]) -> list[str]:
    """Say where the verdict hangs on how distance is measured."""
    hidden = sum(each.hidden for each in portraits)
    differing = sum(each.dialects_differ for each in portraits)
    said = []
    if hidden:
        said.append(
            f"In {counted(hidden, 'feature')} only the Robust correction keeps the distance below "
            "its threshold. While rows are few it is large, and can hide a drift."
        )
    if differing:
        said.append(
            f"In {counted(differing, 'feature')} the distance that AWS computes and the exact one "
            "lead to different verdicts."
        )
    return said
