"""Monitoring alerts of SageMaker's API through a real boto3 client, over TCP."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from monitoring_requests import HOURLY, INLINE
from sagemaker_server import PARTITION, World, serving

from modeltap.clock import SystemClock
from modeltap.control.schedules import schedule_of
from modeltap.state.executions import Execution
from modeltap.state.store import Resource

SCHEDULE = {"MonitoringScheduleName": "Hourly"}
ALERT = {**SCHEDULE, "MonitoringAlertName": "default-alert"}
HOUR = 3600 * 10**9
VIOLATED = "CompletedWithViolations"


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving(tmp_path_factory.mktemp("home")) as opened:
        arn = PARTITION.arn("endpoint", "Churn")
        status = {"EndpointStatus": "Failed"}
        opened.store.create(Resource("endpoint", "Churn", arn, {}, status, 1, 1, 1))
        yield opened


@pytest.fixture
def client(world: World) -> Any:
    client = world.client("sagemaker")
    create(client)
    return client


def create(client: Any, name: str = "Hourly") -> None:
    expression = {"ScheduleExpression": HOURLY}
    client.create_monitoring_schedule(
        MonitoringScheduleName=name,
        MonitoringScheduleConfig={"MonitoringJobDefinition": INLINE, "ScheduleConfig": expression},
    )


def ran(world: World, hour: int, status: str, name: str = "Hourly") -> None:
    """Let a run of a schedule end in this status."""
    resource = world.store.get("monitoring-schedule", name)
    assert resource is not None
    now_ns, id_, kind = SystemClock().now_ns(), schedule_of(resource).id, "DataQuality"
    pending = Execution(id_, hour * HOUR, name, "Churn", None, kind, "Pending", {}, now_ns, now_ns)
    world.schedules.executions.add(pending)
    world.schedules.executions.put(pending, now_ns, status=status)


def alert(client: Any) -> dict[str, Any]:
    (summary,) = client.list_monitoring_alerts(**SCHEDULE)["MonitoringAlertSummaries"]
    return dict(summary)


def history(client: Any, **query: Any) -> list[str]:
    """Walk all pages with the client's own paginator."""
    pages = client.get_paginator("list_monitoring_alert_history").paginate(**query)
    return [each["AlertStatus"] for page in pages for each in page["MonitoringAlertHistory"]]


def refused(call: Any, code: str, **asked: Any) -> str:
    with pytest.raises(ClientError) as failed:
        call(**asked)
    assert failed.value.response["Error"]["Code"] == code
    return str(failed.value.response["Error"]["Message"])


def test_a_new_schedule_has_one_alert(client: Any) -> None:
    told = alert(client)
    assert told.pop("CreationTime") == told.pop("LastModifiedTime")
    assert told == {
        "MonitoringAlertName": "default-alert",
        "AlertStatus": "OK",
        "DatapointsToAlert": 1,
        "EvaluationPeriod": 1,
        "Actions": {"ModelDashboardIndicator": {"Enabled": True}},
    }
    refused(client.list_monitoring_alerts, "ValidationException", **SCHEDULE, NextToken="x")


def test_violations_put_it_in_alert_and_the_history_says_so(world: World, client: Any) -> None:
    ran(world, 1, VIOLATED)
    assert alert(client)["AlertStatus"] == "InAlert"
    (item,) = client.list_monitoring_alert_history(**SCHEDULE)["MonitoringAlertHistory"]
    assert item.pop("CreationTime") == alert(client)["LastModifiedTime"]
    assert item == {**ALERT, "AlertStatus": "InAlert"}
    ran(world, 2, "Completed")
    assert alert(client)["AlertStatus"] == "OK"


def test_an_update_changes_the_criterion(world: World, client: Any) -> None:
    ran(world, 1, VIOLATED)
    answer = client.update_monitoring_alert(**ALERT, DatapointsToAlert=2, EvaluationPeriod=3)
    assert answer["MonitoringScheduleArn"].endswith(":monitoring-schedule/hourly")
    assert answer["MonitoringAlertName"] == "default-alert"
    told = alert(client)
    assert (told["DatapointsToAlert"], told["EvaluationPeriod"]) == (2, 3)
    assert told["AlertStatus"] == "OK"
    assert told["LastModifiedTime"] > told["CreationTime"]
    ran(world, 2, VIOLATED)
    assert history(client, **ALERT) == ["InAlert", "OK", "InAlert"]


def test_a_criterion_that_can_never_be_met_is_refused(client: Any) -> None:
    call = client.update_monitoring_alert
    asked = {**ALERT, "DatapointsToAlert": 3, "EvaluationPeriod": 2}
    assert "DatapointsToAlert (3)" in refused(call, "ValidationException", **asked)
    too_many = {**ALERT, "DatapointsToAlert": 1, "EvaluationPeriod": 101}
    refused(call, "ValidationException", **too_many)


def test_what_is_not_there_is_named(client: Any) -> None:
    nobody = {"MonitoringScheduleName": "Nobody"}
    more = {"MonitoringAlertName": "default-alert", "DatapointsToAlert": 1, "EvaluationPeriod": 1}
    for call, asked in (
        (client.list_monitoring_alerts, nobody),
        (client.list_monitoring_alert_history, nobody),
        (client.update_monitoring_alert, {**nobody, **more}),
    ):
        assert "Could not find monitoring schedule" in refused(call, "ResourceNotFound", **asked)
    other = {**more, "MonitoringAlertName": "other"}
    told = refused(client.update_monitoring_alert, "ResourceNotFound", **SCHEDULE, **other)
    assert 'Could not find monitoring alert "other"' in told
    asked = {**SCHEDULE, "MonitoringAlertName": "other"}
    refused(client.list_monitoring_alert_history, "ResourceNotFound", **asked)


def test_the_history_filters_sorts_and_pages(world: World, client: Any) -> None:
    create(client, "Daily")
    for hour, status in ((1, VIOLATED), (2, "Completed"), (3, VIOLATED)):
        ran(world, hour, status)
    ran(world, 1, VIOLATED, "Daily")
    mine = ["InAlert", "OK", "InAlert"]
    for size in (1, 2, 100):
        page = {"PaginationConfig": {"PageSize": size}}
        assert history(client, **SCHEDULE, **page) == mine
        assert history(client, SortBy="Status", SortOrder="Ascending", **page) == [
            "InAlert",
            "InAlert",
            "InAlert",
            "OK",
        ]
    assert history(client, StatusEquals="OK") == ["OK"]
    assert len(history(client, MonitoringAlertName="default-alert")) == 4
    assert history(client, MonitoringAlertName="other") == []
    now = datetime.now(UTC)
    assert history(client, CreationTimeAfter=now + timedelta(hours=1)) == []
    assert len(history(client, CreationTimeBefore=now + timedelta(hours=1))) == 4


def test_it_goes_with_its_schedule(world: World, client: Any) -> None:
    ran(world, 1, VIOLATED)
    client.delete_monitoring_schedule(**SCHEDULE)
    assert history(client) == []
    create(client)
    assert alert(client)["AlertStatus"] == "OK"
    assert history(client, **SCHEDULE) == []
