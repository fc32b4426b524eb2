"""Every check: when it speaks, and in which words."""

from typing import Any

import pyarrow as pa
import pytest

from modeltap.monitor.checks import Violation, check, drifts_of
from modeltap.monitor.constraints import constraints_of, read_constraints
from modeltap.monitor.failure import AnalysisFailed
from modeltap.monitor.plan import Format, Plan
from modeltap.monitor.profile import Profile
from modeltap.monitor.statistics import baseline_features, statistics_of
from modeltap.monitor.table import profile_of
from modeltap.nouns import Document

CAPTURED = Plan(Format.CAPTURE)


def profile(plan: Plan = CAPTURED, **columns: list[Any]) -> Profile:
    texts = {
        name: pa.array([None if each is None else str(each) for each in values], pa.string())
        for name, values in columns.items()
    }
    return profile_of(texts, len(next(iter(columns.values()))), plan)


BASELINE = profile(
    whole=list(range(100)),
    part=[at + 0.5 for at in range(100)],
    word=["a"] * 50 + ["b"] * 50,
)


def edited(document: Document, name: str, **members: Any) -> Document:
    features = [
        {**each, **members} if each["name"] == name else each for each in document["features"]
    ]
    return {**document, "features": features}


def configured(document: Document, **members: Any) -> Document:
    return {**document, "monitoring_config": {**document["monitoring_config"], **members}}


def distribution(document: Document, **members: Any) -> Document:
    config = document["monitoring_config"]["distribution_constraints"]
    return configured(document, distribution_constraints={**config, **members})


SUGGESTED = constraints_of(BASELINE)
STATISTICS = statistics_of(BASELINE)


def violations(
    current: Profile, constraints: Document = SUGGESTED, statistics: Document = STATISTICS
) -> dict[tuple[str, str], str]:
    rules = read_constraints(constraints)
    drifts = drifts_of(current, rules, baseline_features(statistics))
    found: tuple[Violation, ...] = check(current, rules, drifts)
    assert len({(each.feature, each.check) for each in found}) == len(found)
    return {(each.feature, each.check): each.description for each in found}


def test_the_baseline_itself_violates_nothing() -> None:
    assert violations(BASELINE) == {}


def test_a_type_is_not_kept() -> None:
    """The number is a double's, in Java's form: of 288 values one is a fraction (recorded run)."""
    current = profile(whole=[*range(287), 0.5], part=[0.5] * 288, word=["a"] * 144 + ["b"] * 144)
    assert violations(current, distribution(SUGGESTED, perform_comparison="Disabled")) == {
        ("whole", "data_type_check"): (
            "Data type match requirement is not met. Expected data type: Integral, Expected match: "
            "100.0%. Observed: Only 99.65277777777779% of data is Integral."
        )
    }


def test_whole_numbers_fit_fractions_and_missing_values_fit_all() -> None:
    current = profile(whole=[1, None], part=[1, 2], word=["a", "b"])
    assert {check for _, check in violations(current)} == {"completeness_check"}


def test_values_are_missing() -> None:
    current = profile(whole=[*range(98), None, None], part=[0.5] * 100, word=["a"] * 100)
    found = violations(current, distribution(SUGGESTED, perform_comparison="Disabled"))
    assert found == {
        ("whole", "completeness_check"): (
            "Data completeness requirement is not met. Expected completeness: 100.0%. "
            "Observed: Only 98.0% of data is complete."
        )
    }


def test_a_category_is_new() -> None:
    current = profile(whole=list(range(100)), part=[0.5] * 100, word=["a"] * 99 + ["z"])
    found = violations(current, distribution(SUGGESTED, perform_comparison="Disabled"))
    assert found == {
        ("word", "categorical_values_check"): (
            "Value: 0.99 does not meet the constraint requirement!"
        )
    }
    loose = configured(SUGGESTED, domain_content_threshold=0.99)
    assert ("word", "categorical_values_check") not in violations(current, loose)


def test_known_values_are_counted_among_many_new_ones() -> None:
    plan = Plan(Format.CAPTURE, textual=frozenset({"word"}), watched={"word": ("a", "b")})
    words = ["a"] * 900 + [f"new-{at}" for at in range(300)]
    current = profile(plan, whole=list(range(1200)), part=[0.5] * 1200, word=words)
    assert current.columns["word"].categories() is None
    found = violations(current, distribution(SUGGESTED, perform_comparison="Disabled"))
    assert found["word", "categorical_values_check"].startswith("Value: 0.75 ")


def test_a_new_category_is_a_drift() -> None:
    """Also where only the values that the baseline knows are counted."""
    plan = Plan(Format.CAPTURE, textual=frozenset({"word"}), watched={"word": ("a", "b")})
    few = profile(plan, whole=list(range(100)), part=[0.5] * 100, word=["z"] * 60 + ["a", "b"] * 20)
    many = [f"new-{at}" for at in range(600)] + ["a", "b"] * 200
    more = profile(plan, whole=list(range(1000)), part=[0.5] * 1000, word=many)
    simple = distribution(SUGGESTED, comparison_method="Simple")
    for current, far in ((few, "0.6"), (more, "0.3")):
        text = violations(current, simple)["word", "baseline_drift_check"]
        assert text == f"Baseline drift distance: {far} exceeds threshold: 0.1"


def test_numbers_have_drifted() -> None:
    current = profile(
        whole=[at + 75 for at in range(100)], part=[at + 0.5 for at in range(100)], word=["a"] * 100
    )
    found = violations(current, distribution(SUGGESTED, comparison_method="Simple"))
    assert found == {
        ("whole", "baseline_drift_check"): "Baseline drift distance: 0.75 exceeds threshold: 0.1",
        ("word", "baseline_drift_check"): "Baseline drift distance: 0.5 exceeds threshold: 0.1",
    }


def test_the_dialect_decides_which_distance_is_judged() -> None:
    """A one-hot column moves from 10 % to 60 %: AWS's engine sees no drift, and so says nothing."""
    baseline = profile(flag=[1] * 300 + [0] * 2700)
    current = profile(flag=[1] * 1800 + [0] * 1200)
    suggested, statistics = constraints_of(baseline), statistics_of(baseline)
    assert violations(current, suggested, statistics) == {}
    exact = distribution(suggested, comparison_dialect="exact")
    assert ("flag", "baseline_drift_check") in violations(current, exact, statistics)


def test_chi_squared_speaks_for_a_low_p_value() -> None:
    suggested = distribution(SUGGESTED, categorical_drift_method="ChiSquared")
    current = profile(whole=list(range(100)), part=[0.5] * 100, word=["a"] * 90 + ["b"] * 10)
    text = violations(current, suggested)["word", "baseline_drift_check"]
    assert text.startswith("Baseline drift p-value: ")
    assert text.endswith(" is below threshold: 0.1")


def test_columns_are_missing_or_extra() -> None:
    current = profile(whole=[1], part=[0.5], more=["x"])
    assert violations(current) == {
        ("Missing columns", "missing_column_check"): (
            "There are missing columns in current dataset. Number of columns in current dataset: 3,"
            " Number of columns in baseline constraints: 3"
        ),
        ("Extra columns", "extra_column_check"): (
            "There are extra columns in current dataset. Number of columns in current dataset: 3,"
            " Number of columns in baseline constraints: 3"
        ),
    }


@pytest.mark.parametrize("place", [None, "string_constraints", "num_constraints"])
@pytest.mark.parametrize("spelling", ["monitoringConfigOverrides", "monitoring_config_overrides"])
def test_a_column_can_be_left_out(place: str | None, spelling: str) -> None:
    """In each of the places and spellings that AWS's documents and SDK have."""
    overrides: Document = {spelling: {"evaluate_constraints": "Disabled"}}
    member = overrides if place is None else {place: overrides}
    current = profile(whole=["x"] * 9, part=[0.5] * 9, word=["a"] * 9)
    assert ("whole", "data_type_check") in violations(current)
    assert not any(
        name == "whole" for name, _ in violations(current, edited(SUGGESTED, "whole", **member))
    )


def test_a_column_can_have_thresholds_of_its_own() -> None:
    loose = {"distribution_constraints": {"comparison_threshold": 0.9}}
    constraints = edited(
        distribution(SUGGESTED, comparison_method="Simple"),
        "whole",
        monitoringConfigOverrides=loose,
    )
    current = profile(
        whole=[at + 70 for at in range(100)],
        part=[at + 70.5 for at in range(100)],
        word=["a", "b"] * 50,
    )
    assert {name for name, _ in violations(current, constraints)} == {"part"}


def test_all_can_be_left_out() -> None:
    current = profile(whole=["x"], more=["x"])
    assert violations(current, configured(SUGGESTED, evaluate_constraints="Disabled")) == {}


def test_no_rows_violate_nothing() -> None:
    assert violations(Profile()) == {}


@pytest.mark.parametrize(
    ("constraints", "named"),
    [
        ({}, "features"),
        ({"features": [{"inferred_type": "Integral"}]}, "name"),
        ({"features": [{"name": "x", "inferred_type": "Int"}]}, "Int"),
        (configured(SUGGESTED, evaluate_constraints="yes"), "evaluate_constraints"),
        (configured(SUGGESTED, datatype_check_threshold=1.5), "datatype_check_threshold"),
        (distribution(SUGGESTED, comparison_method="Best"), "comparison_method"),
        (distribution(SUGGESTED, comparison_dialect="right"), "comparison_dialect"),
        (distribution(SUGGESTED, comparison_threshold="0.1"), "comparison_threshold"),
    ],
)
def test_what_is_no_constraints_document_is_named(constraints: Document, named: str) -> None:
    with pytest.raises(AnalysisFailed, match=named):
        read_constraints(constraints)


def test_what_is_no_statistics_document_is_refused() -> None:
    with pytest.raises(AnalysisFailed, match=r"statistics\.json"):
        baseline_features({"features": [{}]})
