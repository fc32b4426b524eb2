"""Schedules as the command line tells of them: what they run, when next, and how they ran."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from modeltap.cli.calling import Api, CallRefused
from modeltap.cli.executions import ExecutionSummary, utc_of
from modeltap.clock import SystemClock, utc
from modeltap.control.cron import BadExpression, parse
from modeltap.control.definitions import inline
from modeltap.control.explaining import violations_told
from modeltap.control.windows import DAILY, NOW, BadWindow, timing_of
from modeltap.nouns import WITH_VIOLATIONS, Document

LAST = "LastMonitoringExecutionSummary"
FAILURE_CHARS_MAX = 100
_COLOURS = {"Completed": "green", WITH_VIOLATIONS: "yellow", "Failed": "red"}


@dataclass(frozen=True, slots=True)
class Schedule:
    """What Describe says of a schedule, and the definition that it runs, as written in place."""

    document: Document
    definition: Document | None = None

    @property
    def name(self) -> str:
        return str(self.document["MonitoringScheduleName"])

    @property
    def status(self) -> str:
        return str(self.document["MonitoringScheduleStatus"])

    @property
    def config(self) -> Document:
        given: Document = self.document["MonitoringScheduleConfig"]
        return given

    @property
    def expression(self) -> str:
        asked: Document = self.config.get("ScheduleConfig", {})
        return str(asked.get("ScheduleExpression", DAILY))

    @property
    def last(self) -> ExecutionSummary | None:
        return ExecutionSummary(self.document[LAST]) if LAST in self.document else None

    @property
    def next_run(self) -> datetime | None:
        """Tell when it runs next; None: it is stopped, or NOW, or its times are over."""
        if self.status not in ("Scheduled", "Pending") or self.expression.strip() == NOW:
            return None
        try:
            found = parse(self.expression).after(SystemClock().now_ns())
        except BadExpression:
            return None
        return None if found is None else utc(found)

    @property
    def told(self) -> Document:
        """Give what Describe says, and when it runs next."""
        when = self.next_run
        return {**self.document, "NextRunTime": None if when is None else when.timestamp()}

    def window(self, scheduled: datetime) -> tuple[datetime, datetime] | None:
        """Give the window of the run of a scheduled time, if the definition is there."""
        if self.definition is None:
            return None
        try:
            timing = timing_of(self.config, self.definition)
        except (BadExpression, BadWindow, LookupError):
            return None
        window = timing.window(int(scheduled.timestamp() * 1000) * 1_000_000)
        return utc(window.start_ns), utc(window.end_ns)

    def lines(self) -> Iterator[str]:
        """Tell it as people read it, a member a line."""
        yield f"{self.name}: {self.status}, {self.expression}"
        if reason := self.document.get("FailureReason"):
            yield f"  failed     {reason}"
        yield f"  endpoint   {self.document.get('EndpointName', '-')}"
        when = self.next_run
        if when is not None and (window := self.window(when)):
            yield f"  next run   {_minute(when)}, on records {between(*window)}"
        elif when is not None:
            yield f"  next run   {_minute(when)}"
        if named := self.config.get("MonitoringJobDefinitionName"):
            gone = "" if self.definition else " (it was deleted)"
            yield f"  definition {named}{gone}"
        yield from _definition_lines(self.definition or {})


def _definition_lines(definition: Document) -> Iterator[str]:
    app = definition.get("MonitoringAppSpecification", {})
    for title, value in (
        ("image", app.get("ImageUri")),
        ("baseline", _baseline(definition.get("BaselineConfig", {}))),
        ("preprocess", app.get("RecordPreprocessorSourceUri")),
        ("postproc.", app.get("PostAnalyticsProcessorSourceUri")),
        ("output", _output(definition)),
        ("at most", _seconds(definition.get("StoppingCondition", {}))),
    ):
        if value:
            yield f"  {title:<10} {value}"


def _baseline(config: Document) -> str:
    found = [
        config.get(each, {}).get("S3Uri") for each in ("ConstraintsResource", "StatisticsResource")
    ]
    named = [uri for uri in found if uri]
    return ", ".join(named) or str(config.get("BaseliningJobName", "none"))


def _output(definition: Document) -> str | None:
    outputs = definition.get("MonitoringOutputConfig", {}).get("MonitoringOutputs", [])
    return outputs[0]["S3Output"]["S3Uri"] if outputs else None


def _seconds(condition: Document) -> str | None:
    seconds = condition.get("MaxRuntimeInSeconds")
    return None if seconds is None else f"{seconds} s"


# ---------------------------------------------------------------- asking


def every(api: Api) -> list[Schedule]:
    """Describe all schedules, by name."""
    listed = api.pages(
        "ListMonitoringSchedules",
        "MonitoringScheduleSummaries",
        SortBy="Name",
        SortOrder="Ascending",
    )
    found = []
    for each in listed:
        with suppress(CallRefused):  # it has just been deleted
            found.append(one(api, each["MonitoringScheduleName"], whole=False))
    return found


def one(api: Api, name: str, *, whole: bool = True) -> Schedule:
    """Describe a schedule, with `whole` also what it runs. Raise `CallRefused`."""
    found = Schedule(api.call("DescribeMonitoringSchedule", MonitoringScheduleName=name))
    return Schedule(found.document, _definition(api, found.config)) if whole else found


def _definition(api: Api, config: Document) -> Document | None:
    written: Document | None = config.get("MonitoringJobDefinition")
    if written is not None or config.get("MonitoringType", "DataQuality") != "DataQuality":
        return written
    name = config["MonitoringJobDefinitionName"]
    try:
        return inline(api.call("DescribeDataQualityJobDefinition", JobDefinitionName=name))
    except CallRefused:
        return None


def window_of(api: Api, execution: ExecutionSummary) -> str:
    """Tell which time an execution looks at: by its job, else by its schedule."""
    if execution.job is not None:
        job = api.call("DescribeProcessingJob", ProcessingJobName=execution.job)
        told = job.get("Environment", {})
        if "start_time" in told and "end_time" in told:
            return between(*(datetime.fromisoformat(told[each]) for each in _TIMES))
    try:
        window = one(api, execution.schedule).window(execution.scheduled)
    except CallRefused:
        window = None
    return between(*window) if window else f"the window of {execution.name}"


_TIMES = ("start_time", "end_time")


def violation_count(api: Api, job: str) -> int | None:
    """Read from a job's last word how many violations it found."""
    told = api.call("DescribeProcessingJob", ProcessingJobName=job).get("ExitMessage", "")
    return violations_told(told)


# ---------------------------------------------------------------- printing


def harmless(text: str) -> str:
    """Spell out what does not print: an address or a reason may hold anything."""
    if text.isprintable():
        return text
    from modeltap.monitor.report.text import printable  # noqa: PLC0415 - half a second, seldom

    return printable(text)


def between(start: datetime, end: datetime) -> str:
    """Write a window: `2026-11-27 09:00 to 10:00 UTC`."""
    last = f"{end:%H:%M}" if start.date() == end.date() else _short(end)
    return f"{_short(start)} to {last} UTC"


def _short(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _minute(moment: datetime) -> str:
    return f"{_short(moment)} UTC"


def table(schedules: Sequence[Schedule]) -> Table:
    """Show schedules, a row each."""
    shown = _table("Schedule", "Endpoint", "Status", "Expression", "Last run", "", "Next run")
    for each in schedules:
        last, when = each.last, each.next_run
        shown.add_row(
            each.name,
            str(each.document.get("EndpointName", "-")),
            each.status,
            each.expression,
            _short(last.scheduled) if last else "-",
            _status(last) if last else Text(""),
            _short(when) if when else "-",
        )
    return shown


def executions_table(runs: Sequence[tuple[ExecutionSummary, int | None]]) -> Table:
    """Show executions with their counts of violations, a row each."""
    shown = _table("Execution", "Status", "Violations", "Job, or why there is none")
    for each, count in runs:
        why = harmless(each.failure if each.job is None else each.job)[:FAILURE_CHARS_MAX]
        shown.add_row(each.hour, _status(each), "-" if count is None else str(count), Text(why))
    return shown


def _status(execution: ExecutionSummary) -> Text:
    return Text(execution.status, _COLOURS.get(execution.status, "default"))


def _table(*titles: str) -> Table:
    shown = Table(box=None, pad_edge=False)
    for title in titles:
        shown.add_column(title, no_wrap=title != "Job, or why there is none")
    return shown


def readable(document: Any) -> Any:
    """Give a document with its times as people and programs read them, ISO 8601."""
    if isinstance(document, list):
        return [readable(each) for each in document]
    if not isinstance(document, dict):
        return document
    return {name: _readable(name, value) for name, value in document.items()}


def _readable(name: str, value: Any) -> Any:
    if name.endswith("Time") and isinstance(value, int | float):
        return utc_of(value).astimezone(UTC).isoformat().replace("+00:00", "Z")
    return readable(value)
