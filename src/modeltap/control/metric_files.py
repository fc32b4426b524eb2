"""What a job leaves in its metrics files becomes points (contract §4.11).

    /opt/ml/output/metrics/cloudwatch/*.jsonl
    {"MetricName", "Timestamp", "Dimensions": [{"Name", "Value"}], "Unit",
     "Value" | "StatisticValues": {"SampleCount", "Sum", "Minimum", "Maximum"}}

With a dimension `Endpoint` a line goes to `ENDPOINT_NAMESPACE`, else to `BATCH_NAMESPACE`. A line
without a time has the job's `end_time`, the end of the window that was analysed; if it has none,
the time of the taking. Lines that are no metric are counted by what is wrong, told in the job's log
and passed over. At most `BYTES_MAX` are read of a job.

Once: the points go in with the mark that this job's are in, in one transaction, before the job is
concluded. Who is killed between and finishes the job again finds the mark.
"""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from modeltap.clock import Clock
from modeltap.control.alarms import metric_of
from modeltap.control.datapoints import UNIT, check_time, statistic_set
from modeltap.control.jobs import Job
from modeltap.hosting.guests import read_bytes
from modeltap.nouns import Document
from modeltap.state.points import Metric, Point, Points, minute_of
from modeltap.wire.catalog import service

FOLDER = Path("output", "metrics", "cloudwatch")
ENDPOINT_NAMESPACE = "/aws/sagemaker/Endpoints/data-metrics"
BATCH_NAMESPACE = "/aws/sagemaker/ModelMonitoring/data-metrics"
BYTES_MAX = 16 * 1024 * 1024
REASONS_TOLD_MAX = 10
_TIME_VARIABLES = ("metric_time", "end_time")


@dataclass(frozen=True, slots=True)
class Taken:
    """The points of some lines, and how many lines were refused for which reason."""

    points: list[Point]
    refused: Counter[str]


class MetricFiles:
    """Takes the metrics of jobs into the points."""

    def __init__(self, points: Points, clock: Clock) -> None:
        self._points = points
        self._clock = clock

    def take(self, job: Job, ml: Path) -> list[str]:
        """Take a job's metrics, once; give what its log is to be told.

        Raise `StateUnusable`, `OSError`.
        """
        data, told = _contents(ml / FOLDER)
        if not data.strip():
            return told
        now = self._clock.now_ns()
        taken = points_of(data, _default_time(job, now), now)
        new = self._points.put(taken.points, job.arn, now)
        return [*told, *_told(taken)] if new else []


def points_of(data: bytes, default_ns: int, now_ns: int) -> Taken:
    """Read lines of a metrics file."""
    points: list[Point] = []
    refused: Counter[str] = Counter()
    for line in data.splitlines():
        if not line.strip():
            continue
        try:
            points.append(_point(line, default_ns, now_ns))
        except ValueError as error:
            refused[str(error)] += 1
    return Taken(points, refused)


# ---------------------------------------------------------------- one line


def _point(line: bytes, default_ns: int, now_ns: int) -> Point:
    try:
        datum = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise ValueError("no JSON") from None
    if not isinstance(datum, dict):
        raise ValueError("no JSON object")
    time_ns = _time(datum.get("Timestamp"), default_ns)
    check_time(time_ns, now_ns)
    unit = datum.get("Unit") or UNIT
    if unit not in service("cloudwatch").shape_for("StandardUnit").enum:
        raise ValueError("Unit: must be a unit of CloudWatch")
    return Point(_metric(datum), unit, minute_of(time_ns), statistic_set(datum))


def _metric(datum: Document) -> Metric:
    given = datum.get("Dimensions") or []
    if not isinstance(given, list) or len(given) > 30 or not all(map(_is_dimension, given)):
        raise ValueError("Dimensions: must be at most 30 objects with the texts Name and Value")
    if not _is_text(datum.get("MetricName"), 255):
        raise ValueError("MetricName: must be a text of 1 to 255 characters")
    of_endpoint = any(each["Name"] == "Endpoint" for each in given)
    namespace = ENDPOINT_NAMESPACE if of_endpoint else BATCH_NAMESPACE
    return metric_of({**datum, "Dimensions": given, "Namespace": namespace})


def _is_dimension(given: Any) -> bool:
    return (
        isinstance(given, dict)
        and _is_text(given.get("Name"), 255)
        and _is_text(given.get("Value"), 1024)
    )


def _is_text(given: Any, chars_max: int) -> bool:
    return isinstance(given, str) and 1 <= len(given) <= chars_max


def _time(given: Any, default_ns: int) -> int:
    """Read ISO 8601, or seconds since the epoch. Raise `ValueError`."""
    if given is None or given == "":
        return default_ns
    try:
        if isinstance(given, int | float) and not isinstance(given, bool):
            return int(given * 10**9)
        moment = datetime.fromisoformat(given)
        return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 10**6) * 1000
    except (TypeError, ValueError, OverflowError):
        raise ValueError("Timestamp: must be ISO 8601") from None


def _default_time(job: Job, now_ns: int) -> int:
    variables = job.spec.get("Environment", {})
    given = next((variables[each] for each in _TIME_VARIABLES if variables.get(each)), None)
    try:
        return _time(given, now_ns)
    except ValueError:
        return now_ns


# ---------------------------------------------------------------- files, and what is told


def _contents(folder: Path) -> tuple[bytes, list[str]]:
    """Read the files, as far as they fit, and tell of what does not. Links and pipes are none."""
    read: list[bytes] = []
    left = BYTES_MAX
    for path in _files(folder):
        data = read_bytes(path, left + 1)
        left -= len(data)
        if left < 0:
            rest = (
                f"metrics: {path.name} and what follows was left out: more than {BYTES_MAX} bytes"
            )
            return b"\n".join(read), [rest]
        read.append(data)
    return b"\n".join(read), []


def _files(folder: Path) -> list[Path]:
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(path for path in folder.glob("*.jsonl") if stat.S_ISREG(os.lstat(path).st_mode))


def _told(taken: Taken) -> Iterator[str]:
    namespaces = Counter(point.metric.namespace for point in taken.points)
    for namespace, count in sorted(namespaces.items()):
        yield f"metrics: {count} points -> {namespace}"
    for reason, count in taken.refused.most_common(REASONS_TOLD_MAX):
        yield f"metrics: {count} lines refused: {reason}"
