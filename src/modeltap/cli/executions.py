"""Executions of schedules, as the command line names, finds and follows them.

SCHEDULE                    its execution with the latest scheduled time
SCHEDULE@2026-11-27T10      the one of that hour, UTC; minutes and seconds may follow
NAME or ARN                 the one of that processing job
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from modeltap.cli.asked import CannotRun
from modeltap.cli.calling import Api, CallRefused, NoAnswer
from modeltap.clock import SystemClock
from modeltap.nouns import EXECUTION_ACTIVE, Document

POLL_SECONDS = 0.5
SILENCE_SECONDS_MAX = 90.0
"""For which a server that does not answer is asked again: it may be restarting."""

_JOB = re.compile(r"[a-z-]*-monitoring-(?P<minute>\d{12})-[0-9a-f]{24}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d(?P<minute>:\d\d(?P<second>:\d\d)?)?Z?")
_SUMMARIES = "MonitoringExecutionSummaries"


@dataclass(frozen=True, slots=True)
class ExecutionSummary:
    """One member of `MonitoringExecutionSummaries`."""

    document: Document

    @property
    def schedule(self) -> str:
        return str(self.document["MonitoringScheduleName"])

    @property
    def endpoint(self) -> str:
        return str(self.document.get("EndpointName", "-"))

    @property
    def scheduled(self) -> datetime:
        return utc_of(self.document["ScheduledTime"])

    @property
    def status(self) -> str:
        return str(self.document["MonitoringExecutionStatus"])

    @property
    def failure(self) -> str:
        return str(self.document.get("FailureReason", ""))

    @property
    def job(self) -> str | None:
        arn = self.document.get("ProcessingJobArn")
        return None if arn is None else str(arn).rpartition("/")[2]

    @property
    def name(self) -> str:
        return f"{self.schedule}@{self.hour}"

    @property
    def hour(self) -> str:
        """Name its time: by the hour, but one of a NOW schedule by the second."""
        return f"{self.scheduled:%Y-%m-%dT%H}" if self._is_regular else _second(self.scheduled)

    @property
    def again(self) -> str:
        """Give the command that runs it again."""
        hour = f" --hour {self.hour}" if self._is_regular else ""
        return f"modeltap monitor run {self.schedule}{hour}"

    @property
    def _is_regular(self) -> bool:
        return not (self.scheduled.second or self.scheduled.microsecond)


def utc_of(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _second(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}"


def span_of(text: str) -> tuple[datetime, datetime]:
    """Read an hour, a minute or a second, UTC; give its start and end. Raise `CannotRun`."""
    match = _TIME.fullmatch(text)
    try:
        start = datetime.fromisoformat(text.rstrip("Z")).replace(tzinfo=UTC) if match else None
    except ValueError:
        start = None
    if match is None or start is None:
        raise CannotRun(f"{text} is no hour: write it in UTC, as 2026-11-27T10")
    unit = "seconds" if match["second"] else "minutes" if match["minute"] else "hours"
    return start, start + timedelta(**{unit: 1})


# ---------------------------------------------------------------- finding


def find(api: Api, named: str) -> ExecutionSummary:
    """Find the execution that a user named. Raise `CannotRun`."""
    name = named.rpartition("/")[2] if named.startswith("arn:") else named
    if ":monitoring-schedule/" not in named and (named != name or _JOB.fullmatch(name)):
        return _of_job(api, name)
    schedule, _, hour = name.partition("@")
    if hour:
        return _of_hour(api, schedule, hour)
    found = latest(api, schedule, 1)
    if not found:
        raise CannotRun(_no_execution(api, schedule))
    return found[0]


def latest(api: Api, schedule: str, count: int) -> list[ExecutionSummary]:
    """Give the last executions of a schedule by their scheduled times, the latest first."""
    answer = api.call(
        "ListMonitoringExecutions",
        MonitoringScheduleName=schedule,
        SortBy="ScheduledTime",
        SortOrder="Descending",
        MaxResults=count,
    )
    return list(map(ExecutionSummary, answer[_SUMMARIES]))


def _no_execution(api: Api, schedule: str) -> str:
    try:
        api.call("DescribeMonitoringSchedule", MonitoringScheduleName=schedule)
    except CallRefused:
        return f"there is no schedule {schedule}; modeltap monitor ls lists all"
    return f"{schedule} has not run yet; modeltap monitor run {schedule} runs it"


def _between(api: Api, schedule: str, start: datetime, end: datetime) -> list[ExecutionSummary]:
    """Give the executions of start ≤ scheduled time < end, the one that was made last first."""
    found = api.pages(
        "ListMonitoringExecutions",
        _SUMMARIES,
        MonitoringScheduleName=schedule,
        ScheduledTimeAfter=start.timestamp(),
        ScheduledTimeBefore=end.timestamp(),
        SortBy="CreationTime",
        SortOrder="Descending",
    )
    return list(map(ExecutionSummary, found))


def _of_hour(api: Api, schedule: str, hour: str) -> ExecutionSummary:
    found = _between(api, schedule, *span_of(hour))
    if not found:
        raise CannotRun(
            f"{schedule} has no execution of {hour} (UTC); modeltap monitor describe {schedule} "
            f"lists the last ones, modeltap monitor run {schedule} --hour {hour} makes one"
        )
    return found[0]


def _of_job(api: Api, job: str) -> ExecutionSummary:
    try:
        described = api.call("DescribeProcessingJob", ProcessingJobName=job)
    except CallRefused as error:
        raise CannotRun(f"{error}; modeltap monitor describe SCHEDULE lists jobs") from None
    if "MonitoringScheduleArn" not in described:
        raise CannotRun(f"{job} is no schedule's; its log: modeltap logs --job {job}")
    schedule = described["MonitoringScheduleArn"].rpartition("/")[2]
    if match := _JOB.fullmatch(job):
        minute = datetime.strptime(match["minute"], "%Y%m%d%H%M").replace(tzinfo=UTC)
        for each in _between(api, schedule, minute, minute + timedelta(minutes=1)):
            if each.job == job:
                return each
    raise CannotRun(
        f"{job} is an earlier try of a run that was made again; its log: modeltap logs --job {job}"
    )


# ---------------------------------------------------------------- following


def follow(
    api: Api, schedule: str, scheduled: float, told: Callable[[ExecutionSummary], object]
) -> None:
    """Wait for the end of an execution; `told` hears of each look. Raise `CannotRun`."""
    start, edge = utc_of(scheduled), timedelta(milliseconds=0.5)  # times are whole milliseconds
    clock = SystemClock()
    heard = clock.monotonic()
    while True:
        try:
            found = _between(api, schedule, start - edge, start + edge)
            heard = clock.monotonic()
            if not found:
                raise CannotRun(f"the execution of {schedule} of {_second(start)} is gone")
            told(found[0])
            if found[0].status not in EXECUTION_ACTIVE:
                return
        except NoAnswer:
            if clock.monotonic() - heard > SILENCE_SECONDS_MAX:
                raise
        time.sleep(POLL_SECONDS)
