"""Metrics as one-minute points (contract §4.11): the values, and every statement on them.

A metric is a namespace, a name and dimensions, as in CloudWatch; another value of a dimension is
another metric. A point is what was put for one minute, summed up: how many samples, their sum,
least and most. So points are a monoid: minutes merge into periods, and what comes late into its
minute. Percentiles would need the samples, and are not kept.

What is put under a `source` goes in once: the points and the mark that they are in are one
transaction, so that who is killed between may put all again (`control.metric_files`).
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    case,
    delete,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError

from modeltap.state.schema import METRIC_SOURCES, METRICS, POINTS
from modeltap.state.store import Store

MINUTE_NS = 60 * 10**9
CHUNK = 300
"""Values of one statement's `IN`: SQLite bounds its variables."""
SOURCE_MINUTES_EXTRA = 24 * 60
"""For which a mark outlives the points that it stands for: they may lie ahead of their putting."""


def minute_of(time_ns: int) -> int:
    return time_ns // MINUTE_NS


# ---------------------------------------------------------------- values


@dataclass(frozen=True, slots=True)
class Metric:
    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...] = ()  # in order of their names

    @property
    def written(self) -> str:
        return json.dumps(self.dimensions, ensure_ascii=False, separators=(",", ":"))

    @property
    def digest(self) -> str:
        identity = json.dumps((self.namespace, self.name, self.dimensions))
        return hashlib.sha256(identity.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class StatisticSet:
    """Samples, summed up (CloudWatch's `StatisticSet`)."""

    samples: float
    total: float
    least: float
    most: float

    def merge(self, other: "StatisticSet") -> "StatisticSet":
        return StatisticSet(
            self.samples + other.samples,
            self.total + other.total,
            min(self.least, other.least),
            max(self.most, other.most),
        )

    def value(self, statistic: str) -> float:
        """Give a statistic by CloudWatch's name for it."""
        match statistic:
            case "SampleCount":
                return self.samples
            case "Average":
                return self.total / self.samples if self.samples else 0.0
            case "Sum":
                return self.total
            case "Minimum":
                return self.least
        return self.most


STATISTICS = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")


@dataclass(frozen=True, slots=True)
class Point:
    """What a minute has of a metric in one unit."""

    metric: Metric
    unit: str
    minute: int
    values: StatisticSet


@dataclass(frozen=True, slots=True)
class Listed:
    """A metric as lists have it; `id` is its place in them."""

    id: int
    metric: Metric
    latest: int


def by_period(
    points: Iterable[tuple[int, StatisticSet]], first: int, minutes: int
) -> dict[int, StatisticSet]:
    """Merge points into periods of some minutes, counted from `first`; by a period's first."""
    periods: dict[int, StatisticSet] = {}
    for minute, values in points:
        begin = first + (minute - first) // minutes * minutes
        periods[begin] = periods[begin].merge(values) if begin in periods else values
    return periods


# ---------------------------------------------------------------- statements


class Points:
    """The points in the state database."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, points: Iterable[Point], source: str = "", now_ns: int = 0) -> bool:
        """Add points to what their minutes have; all or none. False: the source was in before."""
        merged = _merged(points)
        try:
            with self._store.writing() as connection:
                if source:
                    row = {"source": source, "minute": minute_of(now_ns)}
                    connection.execute(insert(METRIC_SOURCES).values(row))
                if merged:
                    _add(connection, merged)
        except IntegrityError:
            if not source:
                raise
            return False
        return True

    def listed(
        self, namespace: str | None = None, name: str | None = None, since_minute: int = 0
    ) -> list[Listed]:
        """Give the metrics that have a point since a minute, in the order of their coming."""
        statement = select(METRICS).where(METRICS.c.latest >= since_minute).order_by(METRICS.c.id)
        for column, wanted in ((METRICS.c.namespace, namespace), (METRICS.c.name, name)):
            if wanted is not None:
                statement = statement.where(column == wanted)
        with self._store.reading() as connection:
            return [
                Listed(row.id, _metric(row), row.latest) for row in connection.execute(statement)
            ]

    def within(
        self, metric: Metric, first: int, end: int, unit: str | None = None
    ) -> list[tuple[str, int, StatisticSet]]:
        """Give unit, minute and values of a metric's points with first ≤ minute < end, in order."""
        statement = (
            select(POINTS)
            .join(METRICS, METRICS.c.id == POINTS.c.metric)
            .where(METRICS.c.digest == metric.digest)
            .where(POINTS.c.minute >= first, POINTS.c.minute < end)
            .order_by(POINTS.c.unit, POINTS.c.minute)
        )
        if unit is not None:
            statement = statement.where(POINTS.c.unit == unit)
        with self._store.reading() as connection:
            rows = connection.execute(statement).all()
        return [(row.unit, row.minute, _values(row)) for row in rows]

    def newest(self, namespace: str) -> list[tuple[Listed, StatisticSet]]:
        """Give every metric of a namespace with what its newest minute has."""
        with self._store.reading() as connection:
            rows = connection.execute(_newest(namespace)).all()
        return [
            (
                Listed(row.id, _metric(row), row.latest),
                reduce(StatisticSet.merge, map(_values, same)),
            )
            for same in (list(each) for _, each in groupby(rows, lambda row: row.id))
            for row in same[:1]
        ]

    def trim(self, before: int) -> None:
        """Forget what is older than a minute."""
        with self._store.writing() as connection:
            connection.execute(delete(POINTS).where(POINTS.c.minute < before))
            connection.execute(delete(METRICS).where(METRICS.c.latest < before))
            old = METRIC_SOURCES.c.minute < before - SOURCE_MINUTES_EXTRA
            connection.execute(delete(METRIC_SOURCES).where(old))


_Key = tuple[Metric, str, int]


def _merged(points: Iterable[Point]) -> dict[_Key, StatisticSet]:
    merged: dict[_Key, StatisticSet] = {}
    for each in points:
        key = each.metric, each.unit, each.minute
        merged[key] = merged[key].merge(each.values) if key in merged else each.values
    return merged


def _add(connection: Connection, points: Mapping[_Key, StatisticSet]) -> None:
    """Merge points into the table: read, delete, insert, which every database has.

    Begins with a write, so that nobody comes between.
    """
    latest: dict[Metric, int] = {}
    for metric, _, minute in points:
        latest[metric] = max(minute, latest.get(metric, minute))
    _note_latest(connection, latest)
    ids = _ids(connection, latest)
    rows = {
        (ids[metric], unit, minute): values for (metric, unit, minute), values in points.items()
    }
    for keys in _chunks(list(rows)):
        same = tuple_(POINTS.c.metric, POINTS.c.unit, POINTS.c.minute).in_(keys)
        for row in connection.execute(select(POINTS).where(same)).all():
            key = row.metric, row.unit, row.minute
            rows[key] = _values(row).merge(rows[key])
        connection.execute(delete(POINTS).where(same))
    connection.execute(insert(POINTS), [_row(*key, values) for key, values in rows.items()])


def _note_latest(connection: Connection, latest: Mapping[Metric, int]) -> None:
    later = case((METRICS.c.latest < bindparam("to"), bindparam("to")), else_=METRICS.c.latest)
    statement = update(METRICS).where(METRICS.c.digest == bindparam("of")).values(latest=later)
    connection.execute(
        statement, [{"of": metric.digest, "to": minute} for metric, minute in latest.items()]
    )


def _ids(connection: Connection, latest: Mapping[Metric, int]) -> dict[Metric, int]:
    """Give the metrics' places; those that are new get one."""
    known = _known(connection, latest)
    new = [
        {
            "digest": metric.digest,
            "namespace": metric.namespace,
            "name": metric.name,
            "dimensions": metric.written,
            "latest": minute,
        }
        for metric, minute in latest.items()
        if metric not in known
    ]
    if new:
        connection.execute(insert(METRICS), new)
        known = _known(connection, latest)
    return known


def _known(connection: Connection, metrics: Iterable[Metric]) -> dict[Metric, int]:
    by_digest = {metric.digest: metric for metric in metrics}
    found: dict[Metric, int] = {}
    for digests in _chunks(list(by_digest)):
        rows = connection.execute(
            select(METRICS.c.digest, METRICS.c.id).where(METRICS.c.digest.in_(digests))
        )
        found |= {by_digest[row.digest]: row.id for row in rows}
    return found


def _newest(namespace: str) -> Select[Any]:
    its = and_(POINTS.c.metric == METRICS.c.id, POINTS.c.minute == METRICS.c.latest)
    return (
        select(METRICS, *(column for column in POINTS.c if column.name not in ("metric", "minute")))
        .join(POINTS, its)
        .where(METRICS.c.namespace == namespace)
        .order_by(METRICS.c.id)
    )


def _chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


def _metric(row: Row[Any]) -> Metric:
    pairs = json.loads(row.dimensions)
    return Metric(row.namespace, row.name, tuple((name, value) for name, value in pairs))


def _values(row: Row[Any]) -> StatisticSet:
    return StatisticSet(row.samples, row.total, row.least, row.most)


def _row(metric: int, unit: str, minute: int, values: StatisticSet) -> dict[str, Any]:
    return {
        "metric": metric,
        "unit": unit,
        "minute": minute,
        "samples": values.samples,
        "total": values.total,
        "least": values.least,
        "most": values.most,
    }
