"""A column with all that a report says of it, and the order in which columns are looked at."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import inf

from modeltap.monitor import distance
from modeltap.monitor.checks import Drift, Violation
from modeltap.monitor.constraints import Constraints, Feature, read_constraints
from modeltap.monitor.findings import Findings
from modeltap.monitor.report.shares import Shares, shares_of
from modeltap.monitor.statistics import BaselineFeature, baseline_features
from modeltap.nouns import Document


@dataclass(frozen=True, slots=True)
class Side:
    """What one dataset's statistics say of a column, beside its distribution."""

    kind: str
    present: int
    missing: int
    mean: float | None
    distinct: int | None

    @property
    def missing_share(self) -> float:
        total = self.present + self.missing
        return self.missing / total if total else 0.0


@dataclass(frozen=True, slots=True)
class Portrait:
    """A column of the current data; of the baseline what is known.

    `matching`: the share of present values that are of the expected type. `simple`: the judged
    distance before the Robust correction, where there is one.
    """

    name: str
    current: Side
    baseline: Side | None
    shares: Shares | None
    expected_kind: str | None
    matching: float
    drift: Drift | None
    simple: float | None
    violations: tuple[Violation, ...]

    @property
    def mismatched(self) -> float:
        """Give the share of values that are not of the expected type."""
        return 1.0 - self.matching

    @property
    def taken_off(self) -> float:
        """Give what the Robust correction took from the judged distance."""
        return self.simple - self.drift.judged if self.drift and self.simple is not None else 0.0

    @property
    def hidden(self) -> bool:
        """Tell whether only the correction keeps the distance below its threshold."""
        if self.drift is None or self.simple is None:
            return False
        return self.simple > self.drift.threshold >= self.drift.judged

    @property
    def dialects_differ(self) -> bool:
        """Tell whether AWS's distance and the exact one lead to different verdicts."""
        drift = self.drift
        if drift is None or drift.is_p_value:
            return False
        return (drift.aws > drift.threshold) != (drift.exact > drift.threshold)

    @property
    def severity(self) -> float:
        """Give how many times its threshold the judged distance is; 0 if none was measured."""
        return _times(self.drift, self.drift.judged) if self.drift else 0.0

    @property
    def drifted(self) -> bool:
        """Tell whether either dialect sees any distance."""
        return self.drift is not None and (self.rank[1] > 0 or self.rank[2] > 0)

    @property
    def rank(self) -> tuple[bool, float, float, float]:
        """Order: first what violates a constraint, then by drift: judged, exact, uncorrected."""
        exact = _times(self.drift, self.drift.exact) if self.drift else 0.0
        return bool(self.violations), self.severity, exact, self.simple or 0.0


def _times(drift: Drift, value: float) -> float:
    """Compare with the threshold; a p-value is the worse the lower it is."""
    over, under = (drift.threshold, value) if drift.is_p_value else (value, drift.threshold)
    if under:
        return over / under
    return inf if over else 0.0


# ---------------------------------------------------------------- making


@lru_cache(maxsize=1)  # page and terminal ask for the same
def portraits(findings: Findings) -> list[Portrait]:
    """Give every column of the data, what matters most first. Raise `AnalysisFailed`."""
    found = list(_portraits(findings))
    return sorted(found, key=lambda each: each.rank, reverse=True)  # equals stay in their order


def _portraits(findings: Findings) -> Iterator[Portrait]:
    current, baseline = _sides(findings.statistics), _sides(findings.baseline_statistics)
    ours, theirs = _shapes(findings.statistics), _shapes(findings.baseline_statistics)
    expected = constraints_of(findings).index
    drifts = {drift.feature: drift for drift in findings.drifts}
    violations = by_feature(findings.violations)
    for name, side in current.items():
        drift = drifts.get(name)
        yield Portrait(
            name,
            side,
            baseline.get(name),
            shares_of(ours[name], theirs.get(name)),
            str(expected[name].kind) if name in expected else None,
            findings.matching.get(name, 1.0),
            drift,
            _simple(drift, expected.get(name), ours[name], theirs.get(name)),
            tuple(violations.get(name, ())),
        )


def by_feature(violations: Iterable[Violation]) -> dict[str, list[Violation]]:
    grouped: dict[str, list[Violation]] = {}
    for each in violations:
        grouped.setdefault(each.feature, []).append(each)
    return grouped


def constraints_of(findings: Findings) -> Constraints:
    """Read what the data was held against; nothing of a baseline run."""
    document = findings.baseline_constraints
    return read_constraints(document) if document else Constraints()


def _shapes(statistics: Document | None) -> dict[str, BaselineFeature]:
    return baseline_features(statistics) if statistics else {}


def _sides(statistics: Document | None) -> dict[str, Side]:
    return {each["name"]: _side(each) for each in (statistics or {}).get("features", ())}


def _side(feature: Document) -> Side:
    numeric = feature.get("numerical_statistics") or {}
    text = feature.get("string_statistics") or {}
    common = (numeric or text).get("common") or {}
    distinct = text.get("distinct_count")
    return Side(
        str(feature.get("inferred_type", "Unknown")),
        int(common.get("num_present", 0)),
        int(common.get("num_missing", 0)),
        numeric.get("mean"),
        None if distinct is None else int(distinct),
    )


def _simple(
    drift: Drift | None,
    feature: Feature | None,
    current: BaselineFeature,
    baseline: BaselineFeature | None,
) -> float | None:
    """Measure again without the Robust correction, if it was applied."""
    if drift is None or feature is None or baseline is None:
        return None
    if drift.is_p_value or not feature.rules.robust:
        return None
    if current.sketch and baseline.sketch:
        return distance.numerical(current.sketch, baseline.sketch, drift.dialect, robust=False)
    if current.categories and baseline.categories:
        total = sum(current.categories.values())
        return distance.categorical(current.categories, baseline.categories, total, robust=False)
    return None
