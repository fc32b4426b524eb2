"""Metric data of the CloudWatch API: requests into points, points into answers.

Only what one-minute points can tell is served: periods are whole minutes, and percentiles, trimmed
means and metric math are refused by the member that asks for them. Periods are counted from
`StartTime`, which is cut to its minute; a point is of its period if it lies before `EndTime`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from modeltap.clock import utc
from modeltap.control.alarms import metric_of
from modeltap.control.datapoints import UNIT, check_time, statistic_set
from modeltap.errors import ValidationException
from modeltap.front.kinds import EPOCH
from modeltap.nouns import Document
from modeltap.state.points import (
    MINUTE_NS,
    STATISTICS,
    Metric,
    Point,
    Points,
    StatisticSet,
    by_period,
    minute_of,
)

DATA_MAX = 1_000
"""Of one PutMetricData."""
DATAPOINTS_MAX = 1_440
"""Of one GetMetricStatistics."""
QUERIES_MAX = 500
PAGE_DATAPOINTS_MAX = 100_800
"""Of one answer of GetMetricData."""
RESERVED = "AWS/"


def nanoseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


# ---------------------------------------------------------------- put


def points_of(params: Document, now_ns: int) -> list[Point]:
    """Read PutMetricData. Raise `ValidationException`, which names the member."""
    if params["Namespace"].startswith(RESERVED):
        raise ValidationException(f"The value {RESERVED} for parameter Namespace is invalid.")
    if params.get("EntityMetricData"):
        raise ValidationException("modeltap does not serve EntityMetricData; give MetricData.")
    data = params.get("MetricData", [])
    if not 1 <= len(data) <= DATA_MAX:
        raise ValidationException(f"The parameter MetricData must have 1 to {DATA_MAX} members.")
    return [_point(params["Namespace"], each, n, now_ns) for n, each in enumerate(data, 1)]


def _point(namespace: str, datum: Document, number: int, now_ns: int) -> Point:
    time_ns = nanoseconds(datum["Timestamp"]) if "Timestamp" in datum else now_ns
    try:
        check_time(time_ns, now_ns)
        values = statistic_set(datum)
    except ValueError as error:
        raise ValidationException(f"MetricData.member.{number}.{error}.") from None
    metric = metric_of({**datum, "Namespace": namespace})
    return Point(metric, datum.get("Unit", UNIT), minute_of(time_ns), values)


# ---------------------------------------------------------------- statistics of one metric


@dataclass(frozen=True, slots=True)
class Span:
    """The periods that are asked for."""

    first: int  # minute
    end: int
    minutes: int  # of a period


def _span(params: Document, period: int, member: str = "Period") -> Span:
    begin, end = nanoseconds(params["StartTime"]), nanoseconds(params["EndTime"])
    if begin >= end:
        raise ValidationException(
            "The parameter StartTime must be less than the parameter EndTime."
        )
    if period % 60:
        raise ValidationException(f"The parameter {member} must be a multiple of 60.")
    return Span(minute_of(begin), -(-end // MINUTE_NS), period // 60)


def metric_statistics(points: Points, params: Document) -> Document:
    """Answer GetMetricStatistics: a datapoint for each period and unit that has any."""
    span, statistics = _span(params, params["Period"]), _statistics(params)
    asked = -(-(span.end - span.first) // span.minutes)
    if asked > DATAPOINTS_MAX:
        raise ValidationException(
            f"You have requested up to {asked:,} datapoints, which exceeds the limit of "
            f"{DATAPOINTS_MAX:,}. You may reduce the datapoints requested by increasing Period, or "
            "decreasing the time range."
        )
    found = points.within(metric_of(params), span.first, span.end, params.get("Unit"))
    return {
        "Label": params["MetricName"],
        "Datapoints": [
            {"Timestamp": _time(minute), "Unit": unit, **{n: values.value(n) for n in statistics}}
            for unit in dict.fromkeys(unit for unit, *_ in found)
            for minute, values in _periods(span, (each for each in found if each[0] == unit))
        ],
    }


def _statistics(params: Document) -> Sequence[str]:
    if params.get("ExtendedStatistics"):
        raise ValidationException(
            "modeltap does not serve ExtendedStatistics: it keeps sums, not samples; give "
            f"Statistics: {', '.join(STATISTICS)}."
        )
    if not params.get("Statistics"):
        raise ValidationException("The parameter Statistics is required.")
    statistics: Sequence[str] = params["Statistics"]
    return statistics


_Found = Iterable[tuple[str, int, StatisticSet]]


def _periods(span: Span, found: _Found) -> list[tuple[int, StatisticSet]]:
    """Merge points, also of several units, into periods, in the order of time."""
    points = ((minute, values) for _, minute, values in found)
    return sorted(by_period(points, span.first, span.minutes).items())


def _time(minute: int) -> datetime:
    return utc(minute * MINUTE_NS)


# ---------------------------------------------------------------- statistics of many metrics


@dataclass(frozen=True, slots=True)
class Query:
    """One `MetricDataQuery` that asks for a statistic of a metric."""

    id: str
    label: str
    metric: Metric
    statistic: str
    unit: str | None
    span: Span
    returned: bool


def queries_of(params: Document) -> list[Query]:
    """Read GetMetricData's queries. Raise `ValidationException`, which names the member."""
    given = params["MetricDataQueries"]
    if not 1 <= len(given) <= QUERIES_MAX:
        raise ValidationException(
            f"The parameter MetricDataQueries must have 1 to {QUERIES_MAX} members."
        )
    if len({each["Id"] for each in given}) < len(given):
        raise ValidationException(
            "The values for parameter Id in MetricDataQueries are not unique."
        )
    return [
        _query(params, each, f"MetricDataQueries.member.{n}") for n, each in enumerate(given, 1)
    ]


def _query(params: Document, given: Document, path: str) -> Query:
    if "Expression" in given:
        raise ValidationException(
            f"modeltap does not serve {path}.Expression (metric math, Metrics Insights): give "
            "MetricStat, and reckon with what comes back."
        )
    if "MetricStat" not in given:
        raise ValidationException(f"The parameter {path}.MetricStat is required.")
    asked = given["MetricStat"]
    for member in ("Namespace", "MetricName"):
        if member not in asked["Metric"]:
            raise ValidationException(
                f"The parameter {path}.MetricStat.Metric.{member} is required."
            )
    if asked["Stat"] not in STATISTICS:
        raise ValidationException(
            f"modeltap does not serve this {path}.MetricStat.Stat: it keeps sums, not samples; "
            f"give one of {', '.join(STATISTICS)}."
        )
    return Query(
        given["Id"],
        given.get("Label", asked["Metric"]["MetricName"]),
        metric_of(asked["Metric"]),
        asked["Stat"],
        asked.get("Unit"),
        _span(params, asked["Period"], f"{path}.MetricStat.Period"),
        given.get("ReturnData", True),
    )


_Values = list[tuple[int, float]]


def metric_data(
    points: Points, params: Document, after: tuple[int, int] | None = None
) -> tuple[list[Document], tuple[int, int] | None]:
    """Answer GetMetricData: a page of its results, and the place where the next one goes on.

    A place is the number of a query, and how many of its datapoints were given.
    """
    number, given = after or (0, 0)
    left = params.get("MaxDatapoints") or PAGE_DATAPOINTS_MAX
    left = max(1, min(left, PAGE_DATAPOINTS_MAX))
    results: list[Document] = []
    queries = [query for query in queries_of(params) if query.returned]
    rising = params.get("ScanBy") == "TimestampAscending"
    for place, query in enumerate(queries[number:], number):
        values = _of_query(points, query, rising=rising)[given:]
        results.append(_result(query, values[:left], whole=len(values) <= left))
        if len(values) > left:
            return results, (place, given + left)
        left, given = left - len(values), 0
        if left == 0 and place + 1 < len(queries):
            return results, (place + 1, 0)
    return results, None


def _of_query(points: Points, query: Query, *, rising: bool) -> _Values:
    span = query.span
    found = points.within(query.metric, span.first, span.end, query.unit)
    values = [(minute, each.value(query.statistic)) for minute, each in _periods(span, found)]
    return values if rising else values[::-1]


def _result(query: Query, values: _Values, *, whole: bool) -> Document:
    return {
        "Id": query.id,
        "Label": query.label,
        "Timestamps": [_time(minute) for minute, _ in values],
        "Values": [value for _, value in values],
        "StatusCode": "Complete" if whole else "PartialData",
    }


# ---------------------------------------------------------------- lists


def has_dimensions(metric: Metric, wanted: Iterable[Any]) -> bool:
    """Tell whether a metric has every dimension of a filter; one without a value, any value."""
    return all(
        any(
            each["Name"] == name and each.get("Value", value) == value
            for name, value in metric.dimensions
        )
        for each in wanted
    )


def metric_document(metric: Metric) -> Document:
    return {
        "Namespace": metric.namespace,
        "MetricName": metric.name,
        "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions],
    }
