"""`constraints.json`: what a baseline suggests, and what a user made of it (contract §4.4)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modeltap.monitor.distance import Dialect
from modeltap.monitor.failure import AnalysisFailed
from modeltap.monitor.kinds import NUMERIC, Kind
from modeltap.monitor.profile import Profile
from modeltap.monitor.statistics import ranked
from modeltap.monitor.summary import Summary
from modeltap.nouns import Document

CHI_SQUARED = "ChiSquared"

DEFAULT_CONFIG: Document = {
    "evaluate_constraints": "Enabled",
    "emit_metrics": "Enabled",
    "datatype_check_threshold": 1.0,
    "domain_content_threshold": 1.0,
    "distribution_constraints": {
        "perform_comparison": "Enabled",
        "comparison_threshold": 0.1,
        "comparison_method": "Robust",
        "categorical_comparison_threshold": 0.1,
        "categorical_drift_method": "LInfinity",
    },
}
"""Contract §4.4: the recorded defaults, with the newer images' categorical ones."""


# ---------------------------------------------------------------- suggesting


def constraints_of(profile: Profile, categorical_drift_method: str = "LInfinity") -> Document:
    """Suggest what data like this keeps to."""
    distribution = DEFAULT_CONFIG["distribution_constraints"]
    return {
        "version": 0.0,
        "features": [_suggested(name, each) for name, each in profile.columns.items()],
        "monitoring_config": {
            **DEFAULT_CONFIG,
            "distribution_constraints": {
                **distribution,
                "categorical_drift_method": categorical_drift_method,
            },
        },
    }


def _suggested(name: str, summary: Summary) -> Document:
    kind = summary.tally.kind()
    feature: Document = {
        "name": name,
        "inferred_type": kind.value,
        "completeness": summary.tally.completeness if summary.tally.present else 0.0,
    }
    if kind in NUMERIC:
        feature["num_constraints"] = {"is_non_negative": summary.numbers.moments.low >= 0}
    categories = summary.categories() if kind is Kind.STRING else None
    if categories is not None:
        feature["string_constraints"] = {"domains": [value for value, _ in ranked(categories)]}
    return feature


# ---------------------------------------------------------------- reading


@dataclass(frozen=True, slots=True)
class Rules:
    """What is asked of one column; thresholds are shares from 0 to 1."""

    evaluate: bool
    datatype_threshold: float
    domain_threshold: float
    compare: bool
    robust: bool
    numerical_threshold: float
    categorical_threshold: float
    chi_squared: bool
    dialect: Dialect


@dataclass(frozen=True, slots=True)
class Feature:
    name: str
    kind: Kind
    completeness: float | None
    domains: tuple[str, ...]
    rules: Rules


@dataclass(frozen=True, slots=True)
class Constraints:
    """A `constraints.json`, read."""

    features: tuple[Feature, ...] = ()
    emit_metrics: bool = True
    evaluate: bool = True
    index: Mapping[str, Feature] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)


def read_constraints(document: Document) -> Constraints:
    """Read a `constraints.json`, ours or AWS's. Raise `AnalysisFailed`, which names the fault."""
    try:
        config = document.get("monitoring_config") or {}
        features = tuple(_feature(each, config) for each in document["features"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AnalysisFailed(
            f"The baseline's constraints are no constraints.json: {error!r}. "
            "Give the file that a baseline job wrote, or mend the one that was edited."
        ) from error
    return Constraints(
        features,
        emit_metrics=_enabled(config, "emit_metrics"),
        evaluate=_enabled(config, "evaluate_constraints"),
        index={feature.name: feature for feature in features},
    )


def _feature(each: Document, config: Document) -> Feature:
    completeness = each.get("completeness")
    return Feature(
        str(each["name"]),
        Kind(each["inferred_type"]),
        None if completeness is None else float(completeness),
        tuple(map(str, (each.get("string_constraints") or {}).get("domains") or ())),
        _rules(_overridden(config, _overrides(each))),
    )


def _overrides(feature: Document) -> Document:
    """Find a column's own settings in any of the places and spellings that AWS has for them."""
    found: Document = {}
    places = (feature, feature.get("string_constraints"), feature.get("num_constraints"))
    for place in places:
        for spelling in ("monitoringConfigOverrides", "monitoring_config_overrides"):
            found = _overridden(found, (place or {}).get(spelling) or {})
    return found


def _overridden(config: Document, by: Document) -> Document:
    merged: Document = dict(config)
    for key, value in by.items():
        nested = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _overridden(merged[key], value) if nested else value
    return merged


def _rules(config: Document) -> Rules:
    full = _overridden(DEFAULT_CONFIG, config)
    distribution = full["distribution_constraints"]
    return Rules(
        evaluate=_enabled(full, "evaluate_constraints"),
        datatype_threshold=_share(full, "datatype_check_threshold"),
        domain_threshold=_share(full, "domain_content_threshold"),
        compare=_enabled(distribution, "perform_comparison"),
        robust=_one_of(distribution, "comparison_method", ("Robust", "Simple")) == "Robust",
        numerical_threshold=_share(distribution, "comparison_threshold"),
        categorical_threshold=_share(distribution, "categorical_comparison_threshold"),
        chi_squared=_one_of(distribution, "categorical_drift_method", ("LInfinity", CHI_SQUARED))
        == CHI_SQUARED,
        dialect=Dialect(_one_of(distribution, "comparison_dialect", tuple(Dialect), Dialect.AWS)),
    )


def _enabled(config: Document, key: str) -> bool:
    return _one_of(config, key, ("Enabled", "Disabled"), "Enabled") == "Enabled"


def _one_of(config: Document, key: str, allowed: tuple[str, ...], default: Any = None) -> str:
    value = str(config.get(key, default))
    if value not in allowed:
        raise ValueError(f"{key} is {value!r}; it is one of {', '.join(allowed)}")
    return value


def _share(config: Document, key: str) -> float:
    value = config[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{key} is {value!r}; it is a number from 0 to 1")
    return float(value)
