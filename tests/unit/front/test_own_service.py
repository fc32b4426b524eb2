"""modeltap's own operation, asked for by the command line's client, over TCP."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from monitoring_requests import HOURLY, INLINE
from sagemaker_server import KEY_ID, PARTITION, SECRET, World, serving

from modeltap.cli.calling import Api, CallRefused, NoAnswer
from modeltap.nouns import Document
from modeltap.state.executions import Execution
from modeltap.state.store import Resource

HOUR = 3600


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving(tmp_path_factory.mktemp("home")) as opened:
        arn = PARTITION.arn("endpoint", "Churn")
        status = {"EndpointStatus": "Failed"}
        opened.store.create(Resource("endpoint", "Churn", arn, {}, status, 1, 1, 1))
        yield opened


@pytest.fixture
def api(world: World) -> Api:
    made = Api("127.0.0.1", world.port, PARTITION.region, (KEY_ID, SECRET))
    made.call(
        "CreateMonitoringSchedule",
        MonitoringScheduleName="Hourly",
        MonitoringScheduleConfig={
            "MonitoringJobDefinition": INLINE,
            "ScheduleConfig": {"ScheduleExpression": HOURLY},
        },
    )
    return made


def run(api: Api, name: str = "Hourly", **members: object) -> Document:
    return api.call("RunMonitoringSchedule", "modeltap", MonitoringScheduleName=name, **members)


def executions(api: Api) -> list[Document]:
    return list(api.pages("ListMonitoringExecutions", "MonitoringExecutionSummaries"))


def fail(world: World, status: str = "Failed") -> Execution:
    (execution,) = world.schedules.executions.in_status(("Pending",))
    return world.schedules.executions.put(execution, 1, status=status)


def test_the_last_hour_is_run_once_and_control_is_woken(world: World, api: Api) -> None:
    wakes, before = world.wakes, time.time() // HOUR * HOUR
    told = run(api)
    assert before <= told["ScheduledTime"] <= time.time()
    assert told["ScheduledTime"] % HOUR == 0
    assert (told["Begun"], world.wakes) == (True, wakes + 1)
    assert run(api, Hour=told["ScheduledTime"], Again=True)["Begun"] is False  # it is on its way
    (made,) = executions(api)
    assert made["ScheduledTime"] == told["ScheduledTime"]
    assert made["MonitoringExecutionStatus"] == "Pending"


def test_a_past_hour_is_run_again_on_demand(world: World, api: Api) -> None:
    hour = datetime(2024, 2, 29, 22, 40, tzinfo=UTC).timestamp()
    assert run(api, Hour=hour)["ScheduledTime"] == hour - 2400
    fail(world)
    assert run(api, Hour=hour)["Begun"] is True  # what failed is, without being told to
    done = fail(world, "Completed")
    assert run(api, Hour=hour)["Begun"] is False
    assert run(api, Hour=hour, Again=True)["Begun"] is True
    (made,) = executions(api)
    assert made["MonitoringExecutionStatus"] == "Pending"
    (row,) = world.schedules.executions.in_status(("Pending",))
    assert row.spec["Attempt"] == done.spec["Attempt"] + 1 == 3


def test_what_cannot_be_run_is_refused_by_name(api: Api) -> None:
    with pytest.raises(CallRefused, match=r"^Hour: .* has not come yet") as refused:
        run(api, Hour=time.time() + 2 * HOUR)
    assert refused.value.code == "ValidationException"
    with pytest.raises(CallRefused, match="Could not find monitoring schedule") as refused:
        run(api, "Nobody")
    assert refused.value.code == "ResourceNotFound"
    with pytest.raises(CallRefused, match="monitoringScheduleName"):
        run(api, "not a name")


def test_a_key_that_is_none_of_the_home_is_refused(world: World) -> None:
    for key in ((KEY_ID, "wrong"), ("AKIANOBODY", SECRET)):
        stranger = Api("127.0.0.1", world.port, PARTITION.region, key)
        with pytest.raises(CallRefused):
            run(stranger)


def test_who_does_not_answer_is_named(world: World) -> None:
    with pytest.raises(NoAnswer, match=r"127\.0\.0\.1:1 does not answer"):
        Api("127.0.0.1", 1, PARTITION.region, (KEY_ID, SECRET)).call("ListModels")
