"""Monitoring schedules and executions of SageMaker's API through a real boto3 client, over TCP."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from monitoring_requests import BATCH, DEFINITION, HOURLY, INLINE, INPUT
from sagemaker_server import PARTITION, World, serving

from modeltap.clock import SystemClock
from modeltap.state.executions import Execution
from modeltap.state.store import Resource

ARN = "arn:aws:sagemaker:us-east-1:123456789012"
SECOND = 10**9
HOUR = 3600 * SECOND


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving(tmp_path_factory.mktemp("home")) as opened:
        for name in ("Churn", "Other"):
            arn = PARTITION.arn("endpoint", name)
            status = {"EndpointStatus": "Failed"}
            opened.store.create(Resource("endpoint", name, arn, {}, status, 1, 1, 1))
        yield opened


@pytest.fixture
def client(world: World) -> Any:
    return world.client("sagemaker")


def define(client: Any, name: str = "Def", **members: Any) -> dict[str, Any]:
    """Create a definition; give a config that names it, as SDK 2 does."""
    asked = {**DEFINITION, **members}
    client.create_data_quality_job_definition(JobDefinitionName=name, **asked)
    return {
        "MonitoringJobDefinitionName": name,
        "MonitoringType": "DataQuality",
        "ScheduleConfig": {"ScheduleExpression": HOURLY},
    }


def batched() -> dict[str, Any]:
    return {"MonitoringJobDefinition": {**INLINE, "MonitoringInputs": [BATCH]}}


def written(expression: str = HOURLY, endpoint: str = "Churn", **more: Any) -> dict[str, Any]:
    """Give a config as SDK 1 does."""
    given = {"EndpointInput": {**INPUT["EndpointInput"], "EndpointName": endpoint}}
    asked = {"ScheduleExpression": expression, **more}
    return {
        "MonitoringJobDefinition": {**INLINE, "MonitoringInputs": [given]},
        "ScheduleConfig": asked,
    }


def create(client: Any, config: dict[str, Any], name: str = "Hourly") -> str:
    answer = client.create_monitoring_schedule(
        MonitoringScheduleName=name, MonitoringScheduleConfig=config
    )
    return str(answer["MonitoringScheduleArn"])


def describe(client: Any, name: str = "Hourly") -> dict[str, Any]:
    answer: dict[str, Any] = client.describe_monitoring_schedule(MonitoringScheduleName=name)
    return answer


def status(client: Any) -> str:
    return str(describe(client)["MonitoringScheduleStatus"])


def refused(call: Any, code: str = "ValidationException", **asked: Any) -> str:
    with pytest.raises(ClientError) as failed:
        call(**asked)
    assert failed.value.response["Error"]["Code"] == code
    return str(failed.value.response["Error"]["Message"])


@pytest.mark.parametrize("by_name", [True, False])
def test_describe_gives_back_the_form_that_was_sent(client: Any, by_name: bool) -> None:
    config = define(client) if by_name else written()
    assert create(client, config) == f"{ARN}:monitoring-schedule/hourly"
    told = describe(client)
    assert told["MonitoringScheduleConfig"] == config
    assert (told["MonitoringScheduleName"], told["MonitoringScheduleStatus"]) == (
        "Hourly",
        "Pending",
    )
    assert (told["EndpointName"], told["MonitoringType"]) == ("Churn", "DataQuality")
    assert told["MonitoringScheduleArn"] == f"{ARN}:monitoring-schedule/hourly"
    assert not {"LastMonitoringExecutionSummary", "FailureReason", "Id"} & told.keys()


@pytest.mark.parametrize("by_name", [True, False])
def test_a_schedule_over_batch_transforms_has_no_endpoint(
    world: World, client: Any, by_name: bool
) -> None:
    config = define(client, DataQualityJobInput=BATCH) if by_name else batched()
    create(client, config)
    assert describe(client)["MonitoringScheduleConfig"] == config
    world.schedules.settle()
    resource = world.store.get("monitoring-schedule", "Hourly")
    assert resource is not None
    since_ns = SystemClock().now_ns() - 24 * HOUR
    world.store.put_status(resource, {**resource.status, "SinceNs": since_ns}, 1)
    world.schedules.make(world.schedules.every())
    told = describe(client)
    (listed,) = client.list_monitoring_schedules()["MonitoringScheduleSummaries"]
    (run, *_) = client.list_monitoring_executions()["MonitoringExecutionSummaries"]
    assert told["LastMonitoringExecutionSummary"] == run
    assert run["MonitoringExecutionStatus"] == "Pending"
    assert not any("EndpointName" in each for each in (told, listed, run))


def test_an_update_changes_what_is_looked_at(world: World, client: Any) -> None:
    create(client, written())
    for config, names in ((batched(), []), (written(), ["Hourly"])):
        asked = {"MonitoringScheduleName": "Hourly", "MonitoringScheduleConfig": config}
        client.update_monitoring_schedule(**asked)
        assert describe(client)["MonitoringScheduleConfig"] == config
        found = client.list_monitoring_schedules(EndpointName="Churn")
        listed = found["MonitoringScheduleSummaries"]
        assert [each["MonitoringScheduleName"] for each in listed] == names


def test_a_schedule_is_taken_up_stopped_started_and_deleted(world: World, client: Any) -> None:
    create(client, written())
    world.schedules.settle()
    assert status(client) == "Scheduled"
    client.stop_monitoring_schedule(MonitoringScheduleName="Hourly")
    assert status(client) == "Stopped"
    client.start_monitoring_schedule(MonitoringScheduleName="hourly")
    assert status(client) == "Pending"
    world.schedules.settle()
    assert status(client) == "Scheduled"
    assert world.wakes >= 3
    client.delete_monitoring_schedule(MonitoringScheduleName="Hourly")
    for operation in ("describe", "delete", "start", "stop"):
        call = getattr(client, f"{operation}_monitoring_schedule")
        refused(call, "ResourceNotFound", MonitoringScheduleName="Hourly")


def test_an_update_replaces_the_config(world: World, client: Any) -> None:
    create(client, define(client))
    world.schedules.settle()
    config = written("cron(0 6 ? * * *)", "Other")
    asked = {"MonitoringScheduleName": "Hourly", "MonitoringScheduleConfig": config}
    answer = client.update_monitoring_schedule(**asked)
    assert answer["MonitoringScheduleArn"] == f"{ARN}:monitoring-schedule/hourly"
    told = describe(client)
    assert (told["MonitoringScheduleConfig"], told["EndpointName"]) == (config, "Other")
    assert told["MonitoringScheduleStatus"] == "Pending"
    gone = {**asked, "MonitoringScheduleName": "Nobody"}
    refused(client.update_monitoring_schedule, "ResourceNotFound", **gone)


def test_lists_filter(world: World, client: Any) -> None:
    create(client, define(client), "One")
    create(client, written(endpoint="Other"), "Two")
    world.schedules.settle()
    client.stop_monitoring_schedule(MonitoringScheduleName="Two")

    def names(**query: Any) -> list[str]:
        asked = {"SortBy": "Name", "SortOrder": "Ascending", "MaxResults": 100, **query}
        found = client.list_monitoring_schedules(**asked)["MonitoringScheduleSummaries"]
        return [each["MonitoringScheduleName"] for each in found]

    assert names() == ["One", "Two"]
    assert names(EndpointName="Other") == ["Two"]
    assert names(MonitoringJobDefinitionName="Def") == ["One"]
    assert names(MonitoringTypeEquals="ModelBias") == []
    assert names(StatusEquals="Stopped") == ["Two"]
    assert names(NameContains="o", SortBy="Status", SortOrder="Descending") == ["Two", "One"]
    (told,) = client.list_monitoring_schedules(EndpointName="Churn")["MonitoringScheduleSummaries"]
    assert told["MonitoringType"] == "DataQuality"
    assert told["MonitoringJobDefinitionName"] == "Def"
    assert told["MonitoringScheduleStatus"] == "Scheduled"


# ---------------------------------------------------------------- executions


def run(world: World, scheduled_ns: int, **more: Any) -> None:
    """Do as control does when a run is due."""
    (schedule,) = world.schedules.every()
    values = {"status": "InProgress", "job": "model-monitoring-1", **more}
    now_ns = SystemClock().now_ns()
    execution = Execution(
        schedule.id,
        scheduled_ns,
        schedule.name,
        schedule.endpoint,
        schedule.definition_name,
        "DataQuality",
        spec={},
        created_ns=now_ns,
        modified_ns=now_ns,
        **values,
    )
    assert world.schedules.executions.add(execution)


def test_executions_are_listed_and_the_last_is_described(world: World, client: Any) -> None:
    create(client, define(client))
    now_ns = SystemClock().now_ns() // HOUR * HOUR
    run(world, now_ns - HOUR, status="CompletedWithViolations")
    run(world, now_ns - 2 * HOUR, status="Failed", job=None, failure="Job inputs had no data")
    told = describe(client)["LastMonitoringExecutionSummary"]
    assert told["MonitoringExecutionStatus"] == "CompletedWithViolations"
    assert told["ProcessingJobArn"] == f"{ARN}:processing-job/model-monitoring-1"
    assert told["ScheduledTime"] == datetime.fromtimestamp(now_ns // SECOND, UTC) - timedelta(
        hours=1
    )
    assert told["MonitoringJobDefinitionName"] == "Def"

    def found(**query: Any) -> list[str]:
        asked = {"MonitoringScheduleName": "Hourly", "SortBy": "ScheduledTime", "MaxResults": 100}
        answer = client.list_monitoring_executions(**{**asked, **query})
        return [
            each["MonitoringExecutionStatus"] for each in answer["MonitoringExecutionSummaries"]
        ]

    assert found() == ["CompletedWithViolations", "Failed"]
    assert found(SortOrder="Ascending") == ["Failed", "CompletedWithViolations"]
    assert found(StatusEquals="Failed") == ["Failed"]
    moment = datetime.fromtimestamp(now_ns // SECOND, UTC) - timedelta(minutes=90)
    assert found(ScheduledTimeAfter=moment) == ["CompletedWithViolations"]
    assert found(ScheduledTimeBefore=moment) == ["Failed"]
    assert found(CreationTimeBefore=moment) == []
    assert found(EndpointName="Other") == []
    (failed,) = client.list_monitoring_executions(StatusEquals="Failed")[
        "MonitoringExecutionSummaries"
    ]
    assert failed["FailureReason"] == "Job inputs had no data"
    assert "ProcessingJobArn" not in failed
    pages = client.get_paginator("list_monitoring_executions").paginate(
        PaginationConfig={"PageSize": 1}
    )
    assert sum(len(page["MonitoringExecutionSummaries"]) for page in pages) == 2


def test_a_schedule_with_a_run_is_not_deleted_and_its_history_outlives_it(
    world: World, client: Any
) -> None:
    create(client, written())
    run(world, HOUR)
    message = refused(client.delete_monitoring_schedule, MonitoringScheduleName="Hourly")
    assert message.startswith("can't delete schedule as it has in-progress executions")
    executions = world.schedules.executions
    (active,) = executions.in_status(["InProgress"])
    executions.put(active, 1, status="Completed")
    client.delete_monitoring_schedule(MonitoringScheduleName="Hourly")
    assert len(client.list_monitoring_executions()["MonitoringExecutionSummaries"]) == 1
    create(client, written())
    assert "LastMonitoringExecutionSummary" not in describe(client)


def test_what_is_due_is_made_before_a_schedule_changes(world: World, client: Any) -> None:
    """The hour had struck when the schedule was stopped: its run is made all the same."""
    create(client, written())
    world.schedules.settle()
    resource = world.store.get("monitoring-schedule", "Hourly")
    assert resource is not None
    since_ns = SystemClock().now_ns() - HOUR
    world.store.put_status(resource, {**resource.status, "SinceNs": since_ns}, 1)
    client.stop_monitoring_schedule(MonitoringScheduleName="Hourly")
    assert len(client.list_monitoring_executions()["MonitoringExecutionSummaries"]) == 1


def test_a_definition_that_was_deleted_fails_its_runs_and_names_it(
    world: World, client: Any
) -> None:
    create(client, define(client))
    world.schedules.settle()
    client.delete_data_quality_job_definition(JobDefinitionName="Def")
    resource = world.store.get("monitoring-schedule", "Hourly")
    assert resource is not None
    since_ns = SystemClock().now_ns() - HOUR
    world.store.put_status(resource, {**resource.status, "SinceNs": since_ns}, 1)
    world.schedules.make(world.schedules.every())
    (told,) = client.list_monitoring_executions()["MonitoringExecutionSummaries"]
    assert told["MonitoringExecutionStatus"] == "Failed"
    assert "data-quality-job-definition/def" in told["FailureReason"]


# ---------------------------------------------------------------- what is refused

NOW_TIMES = {"DataAnalysisStartTime": "-PT1H", "DataAnalysisEndTime": "-PT0H"}


@pytest.mark.parametrize(
    ("config", "word"),
    [
        (written("rate(1 hour)"), "six fields"),
        (written("cron(0/5 * ? * * *)"), "once an hour"),
        (written("NOW"), "DataAnalysisStartTime"),
        (written("NOW", **NOW_TIMES | {"DataAnalysisStartTime": "-P3D"}), "24 hours"),
        (written(endpoint="Nobody"), 'Could not find endpoint "arn:'),
        (written(endpoint="churn"), 'Could not find endpoint "arn:'),
        ({}, "give one of"),
        ({**written(), "MonitoringJobDefinitionName": "Def"}, "give one of"),
        (
            {"MonitoringJobDefinitionName": "D", "MonitoringType": "ModelQuality"},
            "ModelQuality is not served",
        ),
    ],
)
def test_what_is_not_served_is_refused_by_its_name(
    client: Any, config: dict[str, Any], word: str
) -> None:
    message = refused(
        client.create_monitoring_schedule,
        MonitoringScheduleName="Hourly",
        MonitoringScheduleConfig=config,
    )
    assert word in message


def test_a_definition_that_is_not_there_and_a_name_that_is_taken(client: Any) -> None:
    config = {"MonitoringJobDefinitionName": "Nobody", "MonitoringType": "DataQuality"}
    asked = {"MonitoringScheduleName": "Hourly", "MonitoringScheduleConfig": config}
    refused(client.create_monitoring_schedule, "ResourceNotFound", **asked)
    create(client, written())
    again = {**asked, "MonitoringScheduleConfig": written()}
    refused(client.create_monitoring_schedule, "ResourceInUse", **again)


def test_now_and_daily_are_served(client: Any) -> None:
    create(client, written("NOW", **NOW_TIMES), "Now")
    config = written()
    del config["ScheduleConfig"]
    create(client, config, "Daily")
    assert "ScheduleConfig" not in describe(client, "Daily")["MonitoringScheduleConfig"]


@pytest.mark.parametrize(
    ("expression", "longest"),
    [(HOURLY, 3600), ("cron(0 0/5 ? * * *)", 4 * 3600), ("cron(0 6 ? * * *)", 86_400)],
)
@pytest.mark.parametrize("by_name", [True, False])
def test_a_run_must_end_before_the_next_is_due(
    client: Any, expression: str, longest: int, by_name: bool
) -> None:
    """At create and at update; a job definition of its own may be for any schedule."""

    def config(seconds: int) -> dict[str, Any]:
        stop = {"StoppingCondition": {"MaxRuntimeInSeconds": seconds}}
        schedule = {"ScheduleConfig": {"ScheduleExpression": expression}}
        if not by_name:
            return {"MonitoringJobDefinition": {**INLINE, **stop}, **schedule}
        name = f"For-{seconds}"
        client.create_data_quality_job_definition(JobDefinitionName=name, **{**DEFINITION, **stop})
        named = {"MonitoringJobDefinitionName": name, "MonitoringType": "DataQuality"}
        return {**named, **schedule}

    create(client, config(longest))
    if longest == 86_400:
        return  # AWS's model allows no more
    too_long: dict[str, Any] = {"MonitoringScheduleConfig": config(longest + 1)}
    for call, name in (
        (client.create_monitoring_schedule, "Other"),
        (client.update_monitoring_schedule, "Hourly"),
    ):
        message = refused(call, MonitoringScheduleName=name, **too_long)
        assert f"MaxRuntimeInSeconds {longest + 1} is more than the {longest} seconds" in message
