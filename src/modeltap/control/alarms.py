"""Alarms, judged: from the points of a metric to OK, ALARM or INSUFFICIENT_DATA. Pure.

The time before now is parted into periods; what the points of one come to is a datapoint. Of the
last `EvaluationPeriods` + `EXTRA` periods the newest `EvaluationPeriods` datapoints that are there
are looked at; `DatapointsToAlarm` of them must breach the threshold. What is still missing then is
treated as `TreatMissingData` says. The rules, the tables of the tests among them, are those of the
CloudWatch User Guide, "Configuring how CloudWatch alarms treat missing data"; how many periods more
than needed are looked at it leaves open, but for its examples: 5 for 3.

Periods slide: they are counted back from the full minute, not from the hour.
"""

import json
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from modeltap.clock import utc
from modeltap.nouns import Document
from modeltap.state.alarms import Alarm
from modeltap.state.points import MINUTE_NS, Metric, StatisticSet, by_period

EXTRA = 2
REASON_CHARS_MAX = 1023  # botocore: `StateReason`
REASON_DATA_CHARS_MAX = 4000  # botocore: `StateReasonData`
TOLD_MAX = 5
"""Datapoints that a reason tells."""


class State(StrEnum):
    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


class Missing(StrEnum):
    """How a datapoint that is not there is treated."""

    MISSING = "missing"
    IGNORE = "ignore"
    BREACHING = "breaching"
    NOT_BREACHING = "notBreaching"


COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """What an alarm watches, and when it is one."""

    metric: Metric
    unit: str | None
    statistic: str
    minutes: int  # of a period
    periods: int
    datapoints: int
    threshold: float
    comparison: str
    missing: Missing


@dataclass(frozen=True, slots=True)
class Datapoint:
    age: int  # in periods; the newest has 1
    minute: int
    value: float
    breaching: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    state: State
    reason: str
    data: str = ""  # JSON


def metric_of(given: Document) -> Metric:
    """Read a metric from the members that CloudWatch's requests have."""
    pairs = ((each["Name"], each["Value"]) for each in given.get("Dimensions", ()))
    return Metric(given["Namespace"], given["MetricName"], tuple(sorted(pairs)))


def rule_of(spec: Document) -> Rule:
    """Read the rule from a PutMetricAlarm request."""
    return Rule(
        metric=metric_of(spec),
        unit=spec.get("Unit"),
        statistic=spec["Statistic"],
        minutes=spec["Period"] // 60,
        periods=spec["EvaluationPeriods"],
        datapoints=spec.get("DatapointsToAlarm") or spec["EvaluationPeriods"],
        threshold=spec["Threshold"],
        comparison=spec["ComparisonOperator"],
        missing=Missing(spec.get("TreatMissingData", Missing.MISSING)),
    )


def first_minute(rule: Rule, now_minute: int) -> int:
    """Give the first minute that a rule looks at; the last is the one before now."""
    return now_minute - (rule.periods + EXTRA) * rule.minutes


# ---------------------------------------------------------------- the judgement


def judge(
    rule: Rule, points: Iterable[tuple[int, StatisticSet]], now_minute: int
) -> Verdict | None:
    """Judge the points since `first_minute`; None: the state stays as it is."""
    recent = _datapoints(rule, points, now_minute)[: rule.periods]
    state = _state(rule, recent)
    if state is None:
        return None
    reason = _reason(rule, recent, state)[:REASON_CHARS_MAX]
    return Verdict(state, reason, _data(rule, recent, now_minute))


def _datapoints(
    rule: Rule, points: Iterable[tuple[int, StatisticSet]], now_minute: int
) -> list[Datapoint]:
    """Give the datapoints that there are, the newest first."""
    compare = COMPARISONS[rule.comparison][0]
    periods = by_period(points, first_minute(rule, now_minute), rule.minutes)
    found = []
    for minute in sorted(periods, reverse=True):
        value = periods[minute].value(rule.statistic)
        age = (now_minute - minute) // rule.minutes
        found.append(Datapoint(age, minute, value, compare(value, rule.threshold)))
    return found


def _state(rule: Rule, recent: Sequence[Datapoint]) -> State | None:
    missing = rule.periods - len(recent)
    breaching = sum(each.breaching for each in recent)
    if rule.missing is Missing.BREACHING:
        breaching += missing
    if breaching >= rule.datapoints:
        return State.ALARM
    filled = rule.missing in (Missing.BREACHING, Missing.NOT_BREACHING)
    if missing == 0 or filled or len(recent) > breaching:
        return State.OK
    return _of_few(rule, recent)


def _of_few(rule: Rule, recent: Sequence[Datapoint]) -> State | None:
    """Judge where all that there is breaches, and it is too little: perhaps nothing.

    "Avoiding premature transitions to alarm state": it is an alarm when the oldest is old enough.
    """
    if rule.missing is Missing.IGNORE:
        return None
    if recent and recent[-1].age >= rule.datapoints:
        return State.ALARM
    return State.INSUFFICIENT_DATA


# ---------------------------------------------------------------- the words


def _reason(rule: Rule, recent: Sequence[Datapoint], state: State) -> str:
    missing = rule.periods - len(recent)
    if state is State.INSUFFICIENT_DATA:
        return f"Insufficient Data: {_count(missing, 'datapoint')} {_was(missing)} unknown."
    ours = [each for each in recent if each.breaching == (state is State.ALARM)]
    if ours:
        return _crossed(rule, ours, len(recent), alarm=state is State.ALARM)
    treated = "Breaching" if state is State.ALARM else "NonBreaching"
    return (
        f"Threshold Crossed: no datapoints were received for {_count(missing, 'period')} and "
        f"{_count(missing, 'missing datapoint')} {_was(missing)} treated as [{treated}]."
    )


def _crossed(rule: Rule, ours: Sequence[Datapoint], of: int, *, alarm: bool) -> str:
    told = ", ".join(f"{each.value} ({_short(each.minute)})" for each in ours[:TOLD_MAX])
    least = rule.datapoints if alarm else rule.periods - rule.datapoints + 1
    turn = "OK -> ALARM" if alarm else "ALARM -> OK"
    return (
        f"Threshold Crossed: {len(ours)} out of the last {of} datapoints [{told}] "
        f"{_was(len(ours))}{'' if alarm else ' not'} {COMPARISONS[rule.comparison][1]} the "
        f"threshold ({rule.threshold}) (minimum {_count(least, 'datapoint')} for {turn} "
        "transition)."
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _short(minute: int) -> str:
    return utc(minute * MINUTE_NS).strftime("%d/%m/%y %H:%M:%S")


def _data(rule: Rule, recent: Sequence[Datapoint], now_minute: int) -> str:
    """Give `StateReasonData`, as CloudWatch has it."""
    told = [each.value for each in reversed(recent)]
    first = recent[-1].minute if recent else first_minute(rule, now_minute)
    document = {
        "version": "1.0",
        "queryDate": _long(now_minute),
        "startDate": _long(first),
        "statistic": rule.statistic,
        "period": rule.minutes * 60,
        "recentDatapoints": told,
        "threshold": rule.threshold,
    }
    text = json.dumps(document)
    return text if len(text) <= REASON_DATA_CHARS_MAX else ""


def _long(minute: int) -> str:
    return utc(minute * MINUTE_NS).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


# ---------------------------------------------------------------- as `state` has it

FRESH = Verdict(State.INSUFFICIENT_DATA, "Unchecked: Initial alarm creation")
_ACTIONS = {
    State.OK: "OKActions",
    State.ALARM: "AlarmActions",
    State.INSUFFICIENT_DATA: "InsufficientDataActions",
}


def status_document(verdict: Verdict, now_ns: int) -> Document:
    return {
        "StateValue": verdict.state.value,
        "StateReason": verdict.reason,
        "StateReasonData": verdict.data,
        "UpdatedNs": now_ns,
    }


def turned(alarm: Alarm, verdict: Verdict, now_ns: int) -> list[Document]:
    """Give the items of the history of an alarm that takes another state, the newest first.

    Actions are told as failed: there is nobody here who could take them.
    """
    before, after = alarm.status["StateValue"], verdict.state
    document = {
        "version": "1.0",
        "oldState": {"stateValue": before, "stateReason": alarm.status["StateReason"]},
        "newState": {"stateValue": after.value, "stateReason": verdict.reason},
    }
    update = item("StateUpdate", f"Alarm updated from {before} to {after}", document, now_ns)
    enabled = alarm.spec.get("ActionsEnabled", True)
    actions = alarm.spec.get(_ACTIONS[after], []) if enabled else []
    why = {"actionState": "Failed", "error": "modeltap runs no actions: watch the alarm's state."}
    told = [item("Action", f"Failed to execute action {each}", why, now_ns) for each in actions]
    return [*told, update]


def item(kind: str, summary: str, data: Document, now_ns: int) -> Document:
    """Give one item of an alarm's history."""
    return {"Ns": now_ns, "Kind": kind, "Summary": summary[:255], "Data": json.dumps(data)[:4095]}
