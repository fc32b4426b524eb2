"""The schedules' loop: from a scheduled hour to one report, whatever happens between."""

import asyncio
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path

import pytest
from schedule_world import ANALYZER, DEFINITION, Life, World, turn

from modeltap.clock import stamp
from modeltap.control import endpoints
from modeltap.control.jobs import KIND, NEW, JobEvent
from modeltap.control.schedules import schedule_of
from modeltap.nouns import Document
from modeltap.objects.simulated import Fault
from modeltap.state.store import Resource

HOUR = 3600


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


def begin(world: World, seconds: float = 1800, turns: int = 1) -> None:
    """Take a schedule up, and let the hour strike."""
    world.schedule()
    turn(world)
    world.clock.advance(seconds)
    turn(world, turns)


def test_an_hour_gets_its_job(world: World) -> None:
    world.put("A/2024/02/29/21/1.jsonl", "B/2024/02/29/21/1.jsonl", "A/2024/02/29/22/1.jsonl")
    begin(world)
    execution = world.execution()
    assert (execution.status, stamp(execution.scheduled_ns)) == (
        "InProgress",
        "2024-02-29T22:00:00Z",
    )
    (job,) = world.requests()
    assert job["ProcessingJobName"] == execution.job
    assert job["MonitoringScheduleArn"] == (
        "arn:aws:sagemaker:us-east-1:123456789012:monitoring-schedule/hourly"
    )
    assert job["AppSpecification"] == {"ImageUri": ANALYZER}
    (output,) = job["ProcessingOutputConfig"]["Outputs"]
    assert output["S3Output"] == {
        "S3Uri": "s3://bucket/reports/Churn/Hourly/2024/02/29/22",
        "LocalPath": "/opt/ml/processing/output",
        "S3UploadMode": "Continuous",
    }
    inputs = {
        each["InputName"]: (each["S3Input"]["S3Uri"], each["S3Input"]["LocalPath"])
        for each in job["ProcessingInputs"]
    }
    source = "/opt/ml/processing/input/endpoint/Churn"
    assert inputs == {
        "endpoint_input_1": (
            "s3://bucket/capture/Churn/A/2024/02/29/21",
            f"{source}/A/2024/02/29/21",
        ),
        "endpoint_input_2": (
            "s3://bucket/capture/Churn/B/2024/02/29/21",
            f"{source}/B/2024/02/29/21",
        ),
        "baseline": ("s3://bucket/baseline/statistics.json", "/opt/ml/processing/baseline/stats"),
        "constraints": (
            "s3://bucket/baseline/constraints.json",
            "/opt/ml/processing/baseline/constraints",
        ),
        "record_preprocessor_script_input": (
            "s3://bucket/code/pre.py",
            "/opt/ml/processing/input/record_preprocessor_script_input",
        ),
    }
    assert job["Environment"] == {
        "dataset_format": (
            '{"sagemakerCaptureJson": {"captureIndexNames": ["endpointInput", "endpointOutput"]}}'
        ),
        "dataset_source": "/opt/ml/processing/input/endpoint",
        "output_path": "/opt/ml/processing/output",
        "publish_cloudwatch_metrics": "Enabled",
        "start_time": "2024-02-29T21:00:00Z",
        "end_time": "2024-02-29T22:00:00Z",
        "metric_time": "2024-02-29T22:00:00Z",
        "sagemaker_endpoint_name": "Churn",
        "sagemaker_monitoring_schedule_name": "Hourly",
        "sagemaker_endpoint_datacapture_prefix": "s3://bucket/capture",
        "baseline_constraints": "/opt/ml/processing/baseline/constraints/constraints.json",
        "baseline_statistics": "/opt/ml/processing/baseline/stats/statistics.json",
        "record_preprocessor_script": (
            "/opt/ml/processing/input/record_preprocessor_script_input/pre.py"
        ),
    }
    assert (job["RoleArn"], job["StoppingCondition"]) == (
        DEFINITION["RoleArn"],
        {"MaxRuntimeInSeconds": 3600},
    )
    assert world.wakes == 1


@pytest.mark.parametrize(
    ("event", "told", "status", "failure"),
    [
        (JobEvent.COMPLETED, {"exit_message": "Completed: Job …"}, "Completed", None),
        (
            JobEvent.COMPLETED,
            {"exit_message": "CompletedWithViolations: Job … with 3 violations."},
            "CompletedWithViolations",
            None,
        ),
        (JobEvent.FAILED, {"failure": "why", "exit_message": "Error: x"}, "Failed", "Error: x why"),
        (JobEvent.STOPPED, {}, "Stopped", None),
    ],
)
def test_its_status_is_what_the_job_came_to(
    world: World, event: JobEvent, told: dict[str, str], status: str, failure: str | None
) -> None:
    world.put("A/2024/02/29/21/1.jsonl")
    begin(world)
    world.end_jobs(event, **told)
    turn(world)
    assert (world.execution().status, world.execution().failure) == (status, failure)


def test_an_empty_window_fails_without_a_job(world: World) -> None:
    world.put("A/2024/02/29/20/1.jsonl", "A/2024/02/29/211/1.jsonl")
    begin(world)
    execution = world.execution()
    assert (execution.status, execution.job) == ("Failed", None)
    assert (execution.failure or "").startswith("Job inputs had no data")
    assert world.requests() == []


def test_each_hour_has_one_report_wherever_control_is_killed(world: World) -> None:
    """A life of one step more each time, until one is long enough to see an hour begun."""
    world.put(*(f"A/2024/{day}/{hour:02}/1" for day in ("02/29", "03/01") for hour in range(24)))
    world.schedule()
    turn(world)
    for steps in range(1, 200):
        world.clock.advance(HOUR)
        whole = turn(world, 1, steps)
        turn(world)
        executions = world.executions()
        assert len(executions) == len(world.requests()) == steps
        assert {each.status for each in executions[:-1]} == {"Completed"} or steps == 1
        assert executions[-1].status == "InProgress"
        world.end_jobs()
        turn(world, 1, steps)
        turn(world)
        if whole:
            break
        world.put(*(f"A/2024/03/{2 + steps // 24:02}/{hour:02}/1" for hour in range(24)))
    else:
        raise AssertionError("no life was long enough")
    assert steps > 5
    targets = [
        each["ProcessingOutputConfig"]["Outputs"][0]["S3Output"] for each in world.requests()
    ]
    assert len({each["S3Uri"] for each in targets}) == steps


# ---------------------------------------------------------------- asked for by hand


def by_hand(world: World, *hour: int, again: bool = False) -> bool:
    """Do as RunMonitoringSchedule does."""
    resource = world.store.get("monitoring-schedule", "Hourly")
    assert resource is not None
    hour_ns = int(datetime(*hour, tzinfo=UTC).timestamp()) * 10**9 if hour else None  # type: ignore[arg-type,misc]
    return world.schedules.run(schedule_of(resource), hour_ns, again=again)[1]


def reported(world: World) -> list[str]:
    async def listed() -> list[str]:
        return [info.key async for info in world.bucket.list("reports/")]

    return asyncio.run(listed())


def test_a_missed_hour_is_run_by_hand_once(world: World) -> None:
    """One from before the schedule; how far it has come stays as it was."""
    world.put("A/2024/02/29/11/1.jsonl", "A/2024/02/29/21/1.jsonl")
    world.schedule()
    turn(world)
    assert [by_hand(world, 2024, 2, 29, 12), by_hand(world, 2024, 2, 29, 12)] == [True, False]
    turn(world)
    (job,) = world.requests()
    assert job["Environment"]["start_time"] == "2024-02-29T11:00:00Z"
    world.clock.advance(1800)
    turn(world)
    assert [stamp(each.scheduled_ns) for each in world.executions()] == [
        "2024-02-29T12:00:00Z",
        "2024-02-29T22:00:00Z",
    ]


def test_what_is_due_comes_before_what_is_asked_for(world: World) -> None:
    world.schedule()
    turn(world)
    world.clock.advance(3 * HOUR)
    assert not by_hand(world)  # the hour has just struck: it is made as it is due
    assert [stamp(each.scheduled_ns)[11:13] for each in world.executions()] == ["22", "23", "00"]


def test_what_failed_is_run_anew_under_another_job(world: World) -> None:
    world.put("A/2024/02/29/21/1.jsonl")
    begin(world)
    world.end_jobs(JobEvent.FAILED, failure="why")
    turn(world)
    first = world.execution()
    world.clock.advance(7)
    assert by_hand(world, 2024, 2, 29, 22)
    assert (world.execution().status, world.execution().failure) == ("Pending", None)
    turn(world)
    second = world.execution()
    assert second.status == "InProgress"
    assert second.created_ns > first.created_ns
    assert {each["ProcessingJobName"] for each in world.requests()} == {first.job, second.job}


def test_a_report_is_replaced_on_demand_and_nothing_of_it_stays(world: World) -> None:
    world.put("A/2024/02/29/21/1.jsonl")
    begin(world)
    world.end_jobs()
    turn(world)
    folder = "reports/Churn/Hourly/2024/02/29/22"
    beside = "reports/Churn/Hourly/2024/02/29/220/statistics.json"
    for key in (f"{folder}/constraint_violations.json", beside):
        asyncio.run(world.bucket.put(key, b"{}"))
    assert not by_hand(world, 2024, 2, 29, 22)
    turn(world)
    assert len(reported(world)) == 2
    assert by_hand(world, 2024, 2, 29, 22, again=True)
    turn(world)
    assert reported(world) == [beside]
    assert len(world.requests()) == 2


def test_a_run_by_hand_goes_by_the_schedule_as_it_is_now(world: World) -> None:
    world.put("A/2024/02/29/21/1.jsonl")
    begin(world)
    world.end_jobs()
    turn(world)
    resource = world.store.get("monitoring-schedule", "Hourly")
    assert resource is not None
    config = deepcopy(resource.status["MonitoringScheduleConfig"])
    config["MonitoringJobDefinition"]["StoppingCondition"] = {"MaxRuntimeInSeconds": 77}
    world.store.put_status(resource, {**resource.status, "MonitoringScheduleConfig": config}, 1)
    by_hand(world, 2024, 2, 29, 22, again=True)
    turn(world)
    seconds = [each["StoppingCondition"]["MaxRuntimeInSeconds"] for each in world.requests()]
    assert sorted(seconds) == [77, 3600]


def test_a_run_by_hand_has_one_report_wherever_control_is_killed(world: World) -> None:
    world.put(*(f"A/2024/02/{day}/21/1" for day in ("28", "29")))
    begin(world)
    world.end_jobs()
    turn(world)
    for steps in range(1, 200):
        assert by_hand(world, 2024, 2, 29, 22, again=True)
        key = "reports/Churn/Hourly/2024/02/29/22/constraint_violations.json"
        asyncio.run(world.bucket.put(key, b"{}"))
        whole = turn(world, 1, steps)
        turn(world)
        assert world.execution().status == "InProgress"
        assert len(world.requests()) == steps + 1
        assert reported(world) == []
        world.end_jobs()
        turn(world)
        if whole:
            break
    else:
        raise AssertionError("no life was long enough")
    assert steps > 5


def test_a_folder_that_cannot_be_cleared_fails_the_run(world: World) -> None:
    world.put("A/2024/02/29/21/1.jsonl")
    asyncio.run(world.bucket.put("reports/Churn/Hourly/2024/02/29/22/old", b"{}"))
    world.bucket.fault = lambda verb: Fault.DOWN if verb == "delete" else None
    begin(world)
    assert (world.execution().status, world.requests()) == ("Pending", [])
    world.clock.advance(301)
    turn(world)
    assert "could not be cleared" in (world.execution().failure or "")


# ---------------------------------------------------------------- the window is complete


def test_a_run_waits_for_what_is_on_its_way(world: World) -> None:
    world.put("A/2024/02/29/21/1.jsonl")
    world.undelivered = 7
    begin(world, turns=3)
    assert (world.execution().status, world.requests()) == ("Pending", [])
    assert world.seals == 1  # asked once a second, by one that waits
    world.undelivered = 0
    turn(world)
    (job,) = world.requests()
    assert "modeltap_note" not in job["Environment"]


def test_a_run_waits_for_calls_that_were_received_in_its_window(world: World) -> None:
    world.put("A/2024/02/29/21/1.jsonl")
    world.flying = True
    begin(world)
    world.clock.advance(200)
    turn(world)
    assert world.requests() == []
    world.flying = False
    turn(world)
    (job,) = world.requests()
    assert "modeltap_note" not in job["Environment"]


def test_after_the_grace_it_goes_on_without_a_call_that_has_no_answer(world: World) -> None:
    world.put("A/2024/02/29/21/1.jsonl")
    world.flying = True
    begin(world)
    world.clock.advance(301)
    turn(world)
    (job,) = world.requests()
    assert "calls that were received before had no answer" in job["Environment"]["modeltap_note"]


def test_after_the_grace_it_goes_on_and_says_what_is_missing(world: World) -> None:
    world.put("A/2024/02/29/21/1.jsonl")
    world.undelivered = 7
    begin(world)
    world.clock.advance(299)
    turn(world)
    assert world.requests() == []
    world.clock.advance(2)
    turn(world)
    (job,) = world.requests()
    assert "7 of its records were not delivered" in job["Environment"]["modeltap_note"]


def test_an_empty_window_that_is_not_complete_says_both(world: World) -> None:
    world.undelivered = 7
    begin(world)
    world.clock.advance(301)
    turn(world)
    failure = world.execution().failure or ""
    assert failure.startswith("Job inputs had no data")
    assert "7 of its records were not delivered" in failure


def test_now_waits_for_its_second_to_end(world: World) -> None:
    world.put("A/2024/02/29/21/1.jsonl", "A/2024/02/29/20/1.jsonl")
    world.clock.advance(0.3)
    world.schedule("NOW")
    turn(world, 2)
    assert (world.execution().status, world.requests()) == ("Pending", [])
    world.clock.advance(0.7)
    turn(world)
    (job,) = world.requests()
    told = job["Environment"]
    assert (told["start_time"], told["end_time"]) == (
        "2024-02-29T20:30:01Z",
        "2024-02-29T21:30:01Z",
    )
    assert [each["InputName"] for each in job["ProcessingInputs"]][:2] == [
        "endpoint_input_1",
        "endpoint_input_2",
    ]
    target = job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
    assert target == "s3://bucket/reports/Churn/Hourly/2024/02/29/21"
    world.end_jobs()
    world.clock.advance(10 * HOUR)
    turn(world, 3)
    assert world.execution().status == "Completed"


# ---------------------------------------------------------------- what goes wrong


def test_a_schedule_whose_endpoint_is_gone_says_so(world: World) -> None:
    world.store.delete(endpoints.KIND, "Churn")
    begin(world)
    assert "Could not find endpoint" in (world.execution().failure or "")


def test_an_endpoint_that_captures_nothing_is_named(world: World) -> None:
    world.deploy({"EndpointConfigName": "c", "ProductionVariants": []})
    begin(world)
    assert "DataCaptureConfig" in (world.execution().failure or "")


def test_a_bucket_that_is_away_is_waited_for(world: World) -> None:
    world.put("A/2024/02/29/21/1.jsonl")
    world.bucket.fault = lambda _: Fault.DOWN
    begin(world)
    assert world.execution().status == "Pending"
    world.bucket.fault = lambda _: None
    turn(world)
    assert world.execution().status == "InProgress"


def test_a_bucket_that_is_away_for_good_fails_the_run(world: World) -> None:
    world.bucket.fault = lambda _: Fault.DOWN
    begin(world)
    world.clock.advance(301)
    turn(world)
    assert "could not be listed" in (world.execution().failure or "")


def test_no_more_jobs_run_at_once_than_may(world: World) -> None:
    world.jobs_max = 2
    world.put(*(f"A/2024/02/29/{hour}/1" for hour in (20, 21, 22, 23)), "A/2024/03/01/00/1")
    begin(world, 4 * HOUR)
    assert sorted(each.status for each in world.executions()) in (
        ["InProgress", "InProgress", "Pending", "Pending"],
    )
    world.end_jobs()
    turn(world, 2)
    assert len(world.requests()) == 4


def test_a_job_that_was_created_before_a_kill_is_followed(world: World) -> None:
    """Its data may be gone by now: what runs is not judged anew."""
    begin_at = "A/2024/02/29/21/1.jsonl"
    world.put(begin_at)
    begin(world)
    execution = world.execution()
    world.schedules.executions.put(execution, 1, status="Pending", job=None)
    world.undelivered = 5
    turn(world)
    assert (world.execution().status, world.execution().job) == ("InProgress", execution.job)
    assert len(world.requests()) == 1


def test_a_job_that_is_gone_fails_its_run(world: World) -> None:
    world.put("A/2024/02/29/21/1.jsonl")
    begin(world)
    world.store.delete(KIND, world.execution().job or "")
    turn(world)
    assert "is gone" in (world.execution().failure or "")


def with_baseline(baseline: Document) -> Document:
    definition = deepcopy(DEFINITION)
    definition["BaselineConfig"] = baseline
    return definition


def test_a_baseline_is_found_by_its_job(world: World) -> None:
    target = {"S3Output": {"S3Uri": "s3://bucket/base/"}}
    spec = {"ProcessingOutputConfig": {"Outputs": [target]}}
    world.store.create(Resource(KIND, "Base", "arn:base", spec, NEW, 1, 1, 1))
    world.put("A/2024/02/29/21/1.jsonl")
    world.schedule(definition=with_baseline({"BaseliningJobName": "base"}))
    turn(world)
    world.clock.advance(1800)
    turn(world)
    (job,) = [each for each in world.requests() if "MonitoringScheduleArn" in each]
    uris = {each["InputName"]: each["S3Input"]["S3Uri"] for each in job["ProcessingInputs"]}
    assert uris["constraints"] == "s3://bucket/base/constraints.json"
    assert uris["baseline"] == "s3://bucket/base/statistics.json"


def test_a_baselining_job_that_is_not_there_is_named(world: World) -> None:
    world.put("A/2024/02/29/21/1.jsonl")
    world.schedule(definition=with_baseline({"BaseliningJobName": "nobody"}))
    turn(world)
    world.clock.advance(1800)
    turn(world)
    assert "nobody" in (world.execution().failure or "")


def test_a_run_keeps_what_it_began_with(world: World) -> None:
    """The schedule is updated while it runs."""
    world.put("A/2024/02/29/21/1.jsonl")
    world.undelivered = 1
    begin(world)
    resource = world.store.get("monitoring-schedule", "Hourly")
    assert resource is not None
    config = deepcopy(resource.status["MonitoringScheduleConfig"])
    output = config["MonitoringJobDefinition"]["MonitoringOutputConfig"]["MonitoringOutputs"][0]
    output["S3Output"]["S3Uri"] = "s3://bucket/elsewhere"
    world.store.put_status(resource, {**resource.status, "MonitoringScheduleConfig": config}, 1)
    world.undelivered = 0
    turn(world)
    (job,) = world.requests()
    target = job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
    assert target.startswith("s3://bucket/reports/")


def test_what_breaks_a_step_fails_its_run_alone(world: World) -> None:
    world.put("A/2024/02/29/21/1.jsonl")
    odd = deepcopy(DEFINITION)
    del odd["MonitoringResources"]
    world.schedule(name="Odd", definition=odd)
    begin(world)
    by_name = {each.schedule: each for each in world.executions()}
    assert by_name["Hourly"].status == "InProgress"
    assert "could not go on" in (by_name["Odd"].failure or "")


def test_the_loop_wakes_by_itself(world: World) -> None:
    """When an hour strikes, when a job has ended, and when the clock was set back."""
    world.put("A/2024/02/29/21/1.jsonl", "A/2024/02/29/22/1.jsonl")
    world.schedule()

    async def live() -> None:
        life = Life(world)
        running = life.spawn(life.loop.run())
        for hour in (1, 2):
            world.clock.advance(HOUR / 2 if hour == 1 else HOUR)
            await until(lambda: bool(world.states.active()))
            world.end_jobs()
            await until(lambda: all(each.status == "Completed" for each in world.executions()))
            world.clock.step(-HOUR)
            world.clock.advance(HOUR)
        running.cancel()
        for task in life.tasks:
            task.cancel()

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                world.clock.advance(0.25)
                await asyncio.sleep(0.005)

    asyncio.run(live())
    assert len(world.executions()) == 2
