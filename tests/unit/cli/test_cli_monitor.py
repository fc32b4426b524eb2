"""What `modeltap monitor` makes of what the control APIs say."""

from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from rich.console import Console, RenderableType

from modeltap.cli.asked import CannotRun
from modeltap.cli.executions import ExecutionSummary, span_of
from modeltap.cli.scheduled import (
    Schedule,
    between,
    executions_table,
    harmless,
    readable,
    table,
)

AT = datetime(2026, 11, 27, 10, tzinfo=UTC)


def execution(at: datetime = AT, status: str = "Completed", **more: Any) -> ExecutionSummary:
    return ExecutionSummary(
        {
            "MonitoringScheduleName": "Hourly",
            "ScheduledTime": at.timestamp(),
            "MonitoringExecutionStatus": status,
            **more,
        }
    )


DEFINITION = {
    "MonitoringInputs": [{"EndpointInput": {"EndpointName": "Churn"}}],
    "MonitoringOutputConfig": {"MonitoringOutputs": [{"S3Output": {"S3Uri": "s3://b/reports"}}]},
    "MonitoringAppSpecification": {"ImageUri": "x/analyzer"},
    "BaselineConfig": {"ConstraintsResource": {"S3Uri": "s3://b/base/constraints.json"}},
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
}


def schedule(
    expression: str | None = "cron(0 6 ? * * *)", status: str = "Scheduled", **more: Any
) -> Schedule:
    asked = {} if expression is None else {"ScheduleConfig": {"ScheduleExpression": expression}}
    return Schedule(
        {
            "MonitoringScheduleName": "Hourly",
            "MonitoringScheduleStatus": status,
            "EndpointName": "Churn",
            "MonitoringScheduleConfig": {"MonitoringJobDefinition": DEFINITION, **asked},
            **more,
        },
        DEFINITION,
    )


def shown(told: RenderableType) -> str:
    text = StringIO()
    Console(file=text, width=160).print(told)
    return text.getvalue()


@pytest.mark.parametrize(
    ("text", "start", "seconds"),
    [
        ("2026-11-27T10", (10, 0, 0), 3600),
        ("2026-11-27T10Z", (10, 0, 0), 3600),
        ("2026-11-27T10:20", (10, 20, 0), 60),
        ("2026-11-27T10:20:07", (10, 20, 7), 1),
    ],
)
def test_an_hour_is_read(text: str, start: tuple[int, int, int], seconds: int) -> None:
    found = span_of(text)
    assert found[0] == AT.replace(hour=start[0], minute=start[1], second=start[2])
    assert (found[1] - found[0]).total_seconds() == seconds


@pytest.mark.parametrize(
    "text", ["", "10", "2026-11-27", "2026-13-01T10", "2026-11-27T24", "2026-11-27T10+02:00", "now"]
)
def test_what_is_no_hour_says_how_one_is_written(text: str) -> None:
    with pytest.raises(CannotRun, match="write it in UTC, as 2026-11-27T10"):
        span_of(text)


def test_an_execution_is_named_so_that_it_is_found_again() -> None:
    hourly, now = execution(), execution(AT.replace(minute=20, second=7, microsecond=5000))
    assert (hourly.name, hourly.again) == (
        "Hourly@2026-11-27T10",
        "modeltap monitor run Hourly --hour 2026-11-27T10",
    )
    assert execution(AT.replace(minute=20)).name == "Hourly@2026-11-27T10"  # cron(20 * …)
    assert (now.name, now.again) == ("Hourly@2026-11-27T10:20:07", "modeltap monitor run Hourly")
    for each in (hourly, now):
        start, end = span_of(each.hour)
        assert start <= each.scheduled < end


def test_when_a_schedule_runs_next() -> None:
    assert (schedule().next_run or AT).hour == 6
    assert (schedule(None).next_run or AT).hour == 0  # as control reads it: daily
    assert schedule(status="Stopped").next_run is None
    assert schedule("NOW").next_run is None
    assert schedule("cron(0 0 1 1 ? 1999)").next_run is None


def test_what_is_told_of_a_schedule() -> None:
    lines = list(schedule().lines())
    assert lines[0] == "Hourly: Scheduled, cron(0 6 ? * * *)"
    assert lines[1] == "  endpoint   Churn"
    assert lines[2].startswith("  next run   ")
    assert " 06:00 UTC, on records " in lines[2]
    assert lines[3:] == [
        "  image      x/analyzer",
        "  baseline   s3://b/base/constraints.json",
        "  output     s3://b/reports",
        "  at most    3600 s",
    ]


def test_a_window_is_the_schedules() -> None:
    window = schedule().window(AT.replace(hour=6))
    assert window is not None
    assert between(*window) == "2026-11-26 06:00 to 2026-11-27 06:00 UTC"
    assert between(AT, AT.replace(hour=11)) == "2026-11-27 10:00 to 11:00 UTC"


def test_a_definition_that_is_gone_is_said_to_be() -> None:
    config = {"MonitoringJobDefinitionName": "Gone"}
    gone = Schedule({**schedule().document, "MonitoringScheduleConfig": config})
    assert "  definition Gone (it was deleted)" in list(gone.lines())
    assert gone.window(AT) is None


def test_the_tables() -> None:
    last = execution(status="Failed").document
    ran = schedule(LastMonitoringExecutionSummary=last)
    row = shown(table([ran])).splitlines()[1].split()
    assert row[:2] == ["Hourly", "Churn"]
    assert row[-5:-2] == ["2026-11-27", "10:00", "Failed"]
    assert "Hourly" in shown(table([schedule("NOW", "Stopped")]))
    runs = [
        (execution(ProcessingJobArn="arn:aws:sagemaker:r:1:processing-job/job-1"), 3),
        (execution(status="Failed", FailureReason="[red]why\x1b[0m"), None),
    ]
    first, second = shown(executions_table(runs)).splitlines()[1:]
    assert first.split() == ["2026-11-27T10", "Completed", "3", "job-1"]
    assert second.split() == ["2026-11-27T10", "Failed", "-", "[red]why\\x1b[0m"]


def test_documents_have_times_that_are_read() -> None:
    told = {"CreationTime": AT.timestamp(), "Runs": [{"ScheduledTime": AT.timestamp(), "N": 1.5}]}
    assert readable(told) == {
        "CreationTime": "2026-11-27T10:00:00Z",
        "Runs": [{"ScheduledTime": "2026-11-27T10:00:00Z", "N": 1.5}],
    }


def test_what_does_not_print_is_spelled_out() -> None:
    assert harmless("s3://b/ä") == "s3://b/ä"
    assert harmless("s3://b/\x1b[2J") == "s3://b/\\x1b[2J"
