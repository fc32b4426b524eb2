"""Alarms judged: the tables of the CloudWatch User Guide, and the words."""

import json
from dataclasses import replace

import pytest

from modeltap.control.alarms import (
    COMPARISONS,
    REASON_CHARS_MAX,
    REASON_DATA_CHARS_MAX,
    Missing,
    Rule,
    State,
    Verdict,
    judge,
    rule_of,
    turned,
)
from modeltap.state.alarms import Alarm
from modeltap.state.points import MINUTE_NS, Metric, StatisticSet

NOW = 28_000_000  # a minute
METRIC = Metric("ns", "drift")
RULE = Rule(METRIC, None, "Average", 5, 3, 3, 1.0, "GreaterThanThreshold", Missing.MISSING)


def one(value: float) -> StatisticSet:
    return StatisticSet(1, value, value, value)


def points(row: str, minutes: int = 5) -> list[tuple[int, StatisticSet]]:
    """Read a row of the tables, the newest period last: 0 is good, X breaches, - is missing."""
    marks = row.split()
    return [
        (NOW - (len(marks) - place) * minutes, one({"0": 0.0, "X": 2.0}[mark]))
        for place, mark in enumerate(marks)
        if mark != "-"
    ]


def states(rule: Rule, row: str) -> list[str]:
    found = [judge(replace(rule, missing=each), points(row), NOW) for each in Missing]
    return ["retain" if each is None else each.state.value for each in found]


A, I, O, R = "ALARM", "INSUFFICIENT_DATA", "OK", "retain"  # noqa: E741 - as columns of a table


@pytest.mark.parametrize(
    ("row", "expected"),  # missing, ignore, breaching, notBreaching
    [
        ("0 - X - X", [O, O, O, O]),
        ("- - - - 0", [O, O, O, O]),
        ("- - - - -", [I, R, A, O]),
        ("0 X X - X", [A, A, A, A]),
        ("- - X - -", [A, R, A, O]),
        ("- - - - X", [I, R, A, O]),  # of an older edition of the guide
        ("X - - - -", [A, R, A, O]),  # the same
    ],
)
def test_three_out_of_three(row: str, expected: list[str]) -> None:
    assert states(RULE, row) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("0 - X - X", [A, A, A, A]),
        ("0 0 X 0 X", [A, A, A, A]),
        ("0 - X - -", [O, O, A, O]),
        ("- - - - 0", [O, O, A, O]),
        ("- - - X -", [A, R, A, O]),
    ],
)
def test_two_out_of_three(row: str, expected: list[str]) -> None:
    assert states(replace(RULE, datapoints=2), row) == expected


def test_what_lies_before_the_range_and_what_is_not_over_does_not_count() -> None:
    rule = replace(RULE, periods=1, datapoints=1)
    assert judge(rule, [(NOW - 1, one(2.0))], NOW) is not None
    for end in (NOW - 15, NOW - 1):  # three periods: the first and the last minute
        found = judge(rule, [(end, one(2.0))], NOW)
        assert found is not None and found.state is State.ALARM


@pytest.mark.parametrize(
    ("comparison", "value", "state"),
    [
        ("GreaterThanThreshold", 1.0, State.OK),
        ("GreaterThanOrEqualToThreshold", 1.0, State.ALARM),
        ("LessThanThreshold", 1.0, State.OK),
        ("LessThanOrEqualToThreshold", 1.0, State.ALARM),
        ("LessThanThreshold", 0.5, State.ALARM),
    ],
)
def test_comparisons(comparison: str, value: float, state: State) -> None:
    rule = replace(RULE, periods=1, datapoints=1, comparison=comparison)
    found = judge(rule, [(NOW - 1, one(value))], NOW)
    assert found is not None and found.state is state


@pytest.mark.parametrize(
    ("statistic", "value"),
    [("Average", 2.0), ("Sum", 6.0), ("Minimum", 1.0), ("Maximum", 3.0), ("SampleCount", 3.0)],
)
def test_statistics_are_of_the_whole_period(statistic: str, value: float) -> None:
    rule = replace(RULE, periods=1, datapoints=1, statistic=statistic, threshold=value - 0.5)
    found = judge(rule, [(NOW - 5 + n, one(n + 1.0)) for n in range(3)], NOW)
    assert found is not None
    assert json.loads(found.data)["recentDatapoints"] == [value]


def test_the_words() -> None:
    def said(row: str, **more: object) -> str:
        found = judge(replace(RULE, **more), points(row), NOW)  # type: ignore[arg-type]
        assert found is not None
        return found.reason

    assert said("X", periods=1, datapoints=1) == (
        "Threshold Crossed: 1 out of the last 1 datapoints [2.0 (28/03/23 10:35:00)] was greater "
        "than the threshold (1.0) (minimum 1 datapoint for OK -> ALARM transition)."
    )
    assert said("X 0 0", datapoints=2) == (
        "Threshold Crossed: 2 out of the last 3 datapoints [0.0 (28/03/23 10:35:00), "
        "0.0 (28/03/23 10:30:00)] were not greater than the threshold (1.0) (minimum 2 datapoints "
        "for ALARM -> OK transition)."
    )
    assert said("- -") == "Insufficient Data: 3 datapoints were unknown."
    assert said("-", periods=1, datapoints=1, missing=Missing.BREACHING) == (
        "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was "
        "treated as [Breaching]."
    )
    assert said("X - -", datapoints=2, missing=Missing.NOT_BREACHING) == (
        "Threshold Crossed: no datapoints were received for 2 periods and 2 missing datapoints "
        "were treated as [NonBreaching]."
    )


def test_words_keep_to_their_bounds() -> None:
    rule = replace(RULE, minutes=1, periods=1440, datapoints=1440)
    many = [(NOW - 1440 + n, one(1.2345678901234567e-300 + 1e300)) for n in range(1440)]
    found = judge(rule, many, NOW)
    assert found is not None and found.state is State.ALARM
    assert len(found.reason) <= REASON_CHARS_MAX
    assert len(found.data) <= REASON_DATA_CHARS_MAX


SPEC = {
    "AlarmName": "Drift",
    "Namespace": "ns",
    "MetricName": "drift",
    "Dimensions": [{"Name": "b", "Value": "2"}, {"Name": "a", "Value": "1"}],
    "Statistic": "Maximum",
    "Period": 300,
    "EvaluationPeriods": 2,
    "Threshold": 0.5,
    "ComparisonOperator": "LessThanThreshold",
    "AlarmActions": ["arn:aws:sns:us-east-1:0:topic"],
}


def test_a_rule_is_read_from_the_request() -> None:
    metric = Metric("ns", "drift", (("a", "1"), ("b", "2")))
    rule = Rule(metric, None, "Maximum", 5, 2, 2, 0.5, "LessThanThreshold", Missing.MISSING)
    assert rule_of(SPEC) == rule
    more = {"DatapointsToAlarm": 1, "TreatMissingData": "ignore", "Unit": "Percent"}
    assert rule_of(SPEC | more) == replace(
        rule, datapoints=1, missing=Missing.IGNORE, unit="Percent"
    )
    assert set(COMPARISONS) >= {SPEC["ComparisonOperator"]}


def test_a_turn_is_told_with_actions_that_nobody_takes() -> None:
    status = {"StateValue": "OK", "StateReason": "was good"}
    alarm = Alarm("Drift", "arn", SPEC, status, (), 1, 0)
    action, update = turned(alarm, Verdict(State.ALARM, "is bad"), MINUTE_NS)
    assert update["Summary"] == "Alarm updated from OK to ALARM"
    assert json.loads(update["Data"])["newState"] == {
        "stateValue": "ALARM",
        "stateReason": "is bad",
    }
    assert action["Summary"] == "Failed to execute action arn:aws:sns:us-east-1:0:topic"
    quiet = replace(alarm, spec=SPEC | {"ActionsEnabled": False})
    assert len(turned(quiet, Verdict(State.ALARM, "is bad"), MINUTE_NS)) == 1
    assert len(turned(alarm, Verdict(State.OK, "is good"), MINUTE_NS)) == 1
