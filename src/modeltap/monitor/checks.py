"""Current data against a baseline: every check of AWS's, in its words (contract §4.5)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from modeltap.monitor import distance
from modeltap.monitor.constraints import Constraints, Feature
from modeltap.monitor.distance import Dialect
from modeltap.monitor.javanumbers import java_double, percent
from modeltap.monitor.kinds import NUMERIC, Kind
from modeltap.monitor.profile import Profile
from modeltap.monitor.statistics import BaselineFeature
from modeltap.monitor.summary import Summary
from modeltap.nouns import Document

DATA_TYPE = "data_type_check"
COMPLETENESS = "completeness_check"
DRIFT = "baseline_drift_check"
MISSING = "missing_column_check"
EXTRA = "extra_column_check"
VALUES = "categorical_values_check"


@dataclass(frozen=True, slots=True)
class Violation:
    feature: str
    check: str
    description: str

    def document(self) -> Document:
        return {
            "feature_name": self.feature,
            "constraint_check_type": self.check,
            "description": self.description,
        }


def violations_document(violations: tuple[Violation, ...]) -> Document:
    return {"violations": [each.document() for each in violations]}


@dataclass(frozen=True, slots=True)
class Drift:
    """How far a column lies from its baseline: in AWS's way, and exactly (`distance.py`).

    For `ChiSquared` both are the test's p-value, which is low where the other is high.
    """

    feature: str
    aws: float
    exact: float
    threshold: float
    dialect: Dialect
    is_p_value: bool = False

    @property
    def judged(self) -> float:
        return self.aws if self.dialect is Dialect.AWS else self.exact

    @property
    def exceeds(self) -> bool:
        if self.is_p_value:
            return self.judged < self.threshold
        return self.judged > self.threshold


def drifts_of(
    profile: Profile, constraints: Constraints, baseline: Mapping[str, BaselineFeature]
) -> tuple[Drift, ...]:
    """Measure every column that both sides know, and that is to be compared."""
    found = (
        _drift(feature, profile.columns[feature.name], baseline[feature.name])
        for feature in constraints.features
        if feature.rules.compare and feature.name in profile.columns and feature.name in baseline
    )
    return tuple(drift for drift in found if drift is not None)


def _drift(feature: Feature, current: Summary, baseline: BaselineFeature) -> Drift | None:
    if baseline.sketch is not None:
        return _numerical_drift(feature, current, baseline)
    counts = current.known_counts()
    if not baseline.categories or not counts:
        return None
    rules = feature.rules
    if rules.chi_squared:
        p = distance.chi_squared(counts, baseline.categories)
        both = None if p is None else (p, p)
    else:
        total = current.tally.present
        far = distance.categorical(counts, baseline.categories, total, robust=rules.robust)
        both = far, far
    if both is None:
        return None
    return Drift(feature.name, *both, rules.categorical_threshold, rules.dialect, rules.chi_squared)


def _numerical_drift(feature: Feature, current: Summary, baseline: BaselineFeature) -> Drift | None:
    """Compare numbers; in AWS's dialect only where all values are numbers, as its engine does."""
    rules = feature.rules
    numeric = current.tally.kind() in NUMERIC
    if not current.tally.numeric or not (numeric or rules.dialect is Dialect.EXACT):
        return None
    assert baseline.sketch is not None
    sketch = current.numbers.sketch()
    aws, exact = (
        distance.numerical(sketch, baseline.sketch, dialect, robust=rules.robust)
        for dialect in (Dialect.AWS, Dialect.EXACT)
    )
    return Drift(feature.name, aws, exact, rules.numerical_threshold, rules.dialect)


# ---------------------------------------------------------------- checking


def check(
    profile: Profile, constraints: Constraints, drifts: tuple[Drift, ...]
) -> tuple[Violation, ...]:
    """Give every violation, in the order of the baseline's columns; of no rows there is none."""
    if not constraints.evaluate or not profile.rows:
        return ()
    far = {drift.feature: drift for drift in drifts}
    checked = (
        _violations(feature, profile.columns[feature.name], far.get(feature.name))
        for feature in constraints.features
        if feature.rules.evaluate and feature.name in profile.columns
    )
    return (*_column_counts(profile, constraints), *chain.from_iterable(checked))


def _column_counts(profile: Profile, constraints: Constraints) -> Iterator[Violation]:
    """Tell of columns that the baseline has and the data has not, or the other way round."""
    known = set(constraints.names)
    for title, check_type, gone in (
        ("Missing columns", MISSING, known - profile.columns.keys()),
        ("Extra columns", EXTRA, profile.columns.keys() - known),
    ):
        if gone:
            yield Violation(
                title,
                check_type,
                f"There are {title.lower()} in current dataset. Number of columns in current "
                f"dataset: {len(profile.columns)}, Number of columns in baseline constraints: "
                f"{len(known)}",
            )


def _violations(feature: Feature, current: Summary, drift: Drift | None) -> Iterator[Violation]:
    yield from _data_type(feature, current)
    yield from _completeness(feature, current)
    yield from _values(feature, current)
    if drift is not None and drift.exceeds:
        yield Violation(feature.name, DRIFT, _drift_text(drift))


def _data_type(feature: Feature, current: Summary) -> Iterator[Violation]:
    matching = current.tally.matching(feature.kind)
    if matching < feature.rules.datatype_threshold:
        yield Violation(
            feature.name,
            DATA_TYPE,
            "Data type match requirement is not met. Expected data type: "
            f"{feature.kind}, Expected match: {percent(feature.rules.datatype_threshold)}. "
            f"Observed: Only {percent(matching)} of data is {feature.kind}.",
        )


def _completeness(feature: Feature, current: Summary) -> Iterator[Violation]:
    complete = current.tally.completeness
    if feature.completeness is not None and complete < feature.completeness:
        yield Violation(
            feature.name,
            COMPLETENESS,
            "Data completeness requirement is not met. Expected completeness: "
            f"{percent(feature.completeness)}. Observed: Only {percent(complete)} of data is "
            "complete.",
        )


def _values(feature: Feature, current: Summary) -> Iterator[Violation]:
    present = current.tally.present
    if not feature.domains or not present or feature.kind is not Kind.STRING:
        return
    counts = current.known_counts()
    share = sum(counts.get(value, 0) for value in feature.domains) / present
    if share < feature.rules.domain_threshold:
        text = f"Value: {java_double(share)} does not meet the constraint requirement!"
        yield Violation(feature.name, VALUES, text)


def _drift_text(drift: Drift) -> str:
    value, threshold = java_double(drift.judged), java_double(drift.threshold)
    if drift.is_p_value:
        return f"Baseline drift p-value: {value} is below threshold: {threshold}"
    return f"Baseline drift distance: {value} exceeds threshold: {threshold}"
