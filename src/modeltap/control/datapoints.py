"""What may become a point: PutMetricData's rules, for it and for the files of jobs. Pure.

A datum has one of `Value`, `Values` (with `Counts` or not) and `StatisticValues`. Numbers lie
within 2^360 to both sides of zero. Times lie at most two weeks back and two hours ahead.
"""

import math
from collections.abc import Sequence
from typing import Any

from modeltap.nouns import Document
from modeltap.state.points import StatisticSet

DAY_NS = 86_400 * 10**9
BACK_NS = 14 * DAY_NS
AHEAD_NS = DAY_NS // 12
NUMBER_MAX = 2.0**360
VALUES_MAX = 150
UNIT = "None"
"""CloudWatch's name of no unit."""

_FORMS = ("Value", "Values", "StatisticValues")


def statistic_set(datum: Document) -> StatisticSet:
    """Sum a datum up. Raise `ValueError` with the member that is wrong, and how."""
    given = [name for name in _FORMS if name in datum]
    if len(given) != 1:
        raise ValueError("Value: give exactly one of Value, Values and StatisticValues")
    if "Counts" in datum and given != ["Values"]:
        raise ValueError("Counts: give it with Values alone")
    match given[0]:
        case "Value":
            value = _number("Value", datum["Value"])
            return StatisticSet(1.0, value, value, value)
        case "Values":
            return _of_values(datum["Values"], datum.get("Counts"))
    return _of_set(datum["StatisticValues"])


def _of_values(values: Sequence[Any], counts: Sequence[Any] | None) -> StatisticSet:
    if not 1 <= len(values) <= VALUES_MAX:
        raise ValueError(f"Values: give 1 to {VALUES_MAX}")
    if counts is not None and len(counts) != len(values):
        raise ValueError("Counts: give as many as Values")
    numbers = [_number("Values", value) for value in values]
    times = [_number("Counts", count) for count in counts or [1.0] * len(numbers)]
    if min(times) <= 0:
        raise ValueError("Counts: each must be greater than 0")
    total = sum(number * count for number, count in zip(numbers, times, strict=True))
    return StatisticSet(sum(times), _number("Values", total), min(numbers), max(numbers))


def _of_set(given: Any) -> StatisticSet:
    names = ("SampleCount", "Sum", "Minimum", "Maximum")
    if not isinstance(given, dict) or not set(names) <= given.keys():
        raise ValueError(f"StatisticValues: give {', '.join(names)}")
    samples, total, least, most = (_number(f"StatisticValues.{n}", given[n]) for n in names)
    if samples <= 0:
        raise ValueError("StatisticValues.SampleCount: must be greater than 0")
    if least > most:
        raise ValueError("StatisticValues.Minimum: must not be above Maximum")
    return StatisticSet(samples, total, least, most)


def _number(member: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{member}: must be a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not abs(number) <= NUMBER_MAX:
        raise ValueError(f"{member}: must be a number from -2^360 to 2^360")
    return number


def check_time(time_ns: int, now_ns: int) -> None:
    """Raise `ValueError` for a time that is too old, or too far ahead."""
    if time_ns < now_ns - BACK_NS:
        raise ValueError("Timestamp: must be within the past two weeks")
    if time_ns > now_ns + AHEAD_NS:
        raise ValueError("Timestamp: must be no more than two hours ahead")
