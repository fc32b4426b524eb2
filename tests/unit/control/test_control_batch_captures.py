"""Schedules over batch transforms: which jobs are of a window, and what the analyzer is given."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from schedule_world import DEFINITION, SECOND, World, turn

from modeltap.control import jobs
from modeltap.control.jobs import TRANSFORM, JobEvent
from modeltap.nouns import Document
from modeltap.objects.simulated import Fault
from modeltap.state.store import Resource
from modeltap.transform.captured import SIDES, capture_id, manifest_key

HOUR = 3600
BATCH: Document = {
    "DataCapturedDestinationS3Uri": "s3://bucket/batch/",
    "DatasetFormat": {"Csv": {"Header": False}},
    "LocalPath": "/opt/ml/processing/input/batch",
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


def at(hour: int, minute: int = 0) -> int:
    return int(datetime(2024, 2, 29, hour, minute, tzinfo=UTC).timestamp()) * SECOND


def definition(**members: Any) -> Document:
    return {**DEFINITION, "MonitoringInputs": [{"BatchTransformInput": {**BATCH, **members}}]}


def transform(
    world: World,
    name: str,
    started_ns: int | None,
    *,
    ended: bool = True,
    to: str = "s3://bucket/batch",
    captures: bool = True,
    **members: Any,
) -> str:
    """Have a transform job run; give the id of its manifests."""
    capture = {"DataCaptureConfig": {"DestinationS3Uri": to}} if captures else {}
    spec: Document = {
        "TransformJobName": name,
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/in/"}},
            "ContentType": "text/csv",
        },
        "TransformOutput": {"S3OutputPath": "s3://bucket/out"},
        "TransformResources": {"InstanceCount": 1},
        **capture,
        **members,
    }
    created_ns, arn = at(20), f"arn:aws:sagemaker:::transform-job/{name}"
    status = {**jobs.new_transform({}), "StartedNs": started_ns}
    if ended:
        status[jobs.STATUS_MEMBERS[TRANSFORM]] = "Completed"
    world.store.create(Resource(TRANSFORM, name, arn, spec, status, 1, created_ns, created_ns))
    found = capture_id(arn, created_ns)
    if ended and captures and started_ns is not None:
        for side in SIDES:
            put(world, manifest_key("batch", side, started_ns, found))
    return found


def put(world: World, key: str) -> None:
    asyncio.run(world.bucket.put(key, b"[]"))


def begin(world: World, **members: Any) -> None:
    """Take a schedule up, and let 22:00 strike."""
    world.schedule(definition=definition(**members))
    turn(world)
    world.clock.advance(1800)
    turn(world)


def inputs(job: Document) -> dict[str, tuple[str, str, str]]:
    return {
        each["InputName"]: tuple(
            each["S3Input"][member] for member in ("S3DataType", "S3Uri", "LocalPath")
        )
        for each in job["ProcessingInputs"]
        if each["InputName"].startswith("batch")
    }


def test_an_hour_gets_its_job(world: World) -> None:
    """All that is of the hour, laid out as in the bucket; its report's folder has no endpoint."""
    found = transform(world, "One", at(21, 10))
    begin(world)
    (job,) = world.requests()
    source = "/opt/ml/processing/input/batch"
    manifests = {side: f"s3://bucket/batch/{side}/2024/02/29/21/{found}.json" for side in SIDES}
    folders = {side: f"{source}/{side}/2024/02/29/21" for side in SIDES}
    assert inputs(job) == {
        name: told
        for side in SIDES
        for name, told in {
            f"batch_{side}_manifest_1": ("S3Prefix", manifests[side], folders[side]),
            f"batch_{side}_1": ("ManifestFile", manifests[side], f"{folders[side]}/{found}"),
        }.items()
    }
    told = job["Environment"]
    assert told["dataset_format"] == '{"csv": {"header": false}}'
    assert told["dataset_source"] == source
    assert told["sagemaker_batch_transform_datacapture_prefix"] == "s3://bucket/batch"
    assert (told["start_time"], told["end_time"]) == (
        "2024-02-29T21:00:00Z",
        "2024-02-29T22:00:00Z",
    )
    assert not {"sagemaker_endpoint_name", "sagemaker_endpoint_datacapture_prefix"} & set(told)
    (output,) = job["ProcessingOutputConfig"]["Outputs"]
    assert output["S3Output"]["S3Uri"] == "s3://bucket/reports/Hourly/2024/02/29/22"
    assert world.execution().endpoint == ""
    assert world.seals == 0


def test_a_job_is_of_the_window_in_which_it_started(world: World) -> None:
    """Of a window from half past to half past, hours are shared: no job is in two, or in none."""
    early, mine = transform(world, "Early", at(20, 29)), transform(world, "Mine", at(20, 30))
    late, after = transform(world, "Late", at(21, 29)), transform(world, "After", at(21, 30))
    strange = "0-0"
    for side in SIDES:  # of a job that nobody here knows
        put(world, manifest_key("batch", side, at(21), strange))
        put(world, manifest_key("batch", side, at(20), "before"))
    world.schedule("NOW", definition=definition())
    turn(world, 2)
    (job,) = world.requests()
    named = {told[1].rpartition("/")[2].removesuffix(".json") for told in inputs(job).values()}
    assert named == {mine, late, strange}
    assert not {early, after} & named


def test_a_manifest_without_its_other_is_passed_over(world: World) -> None:
    found = transform(world, "One", at(21, 10))
    put(world, manifest_key("batch", "input", at(21), "half"))
    put(world, manifest_key("batch", "output", at(21), "other"))
    put(world, f"batch/output/2024/02/29/21/{found}.json.tmp")
    begin(world)
    assert len(inputs(world.requests()[0])) == 4


@pytest.mark.parametrize(
    ("processing", "sides"),
    [
        ({}, {"input", "output"}),
        ({"JoinSource": "Input"}, {"input", "output"}),
        ({"OutputFilter": "$[0]"}, {"input", "output"}),
        ({"JoinSource": "Input", "OutputFilter": "$[-1,0]"}, {"output"}),
    ],
)
def test_an_output_that_was_filtered_of_both_is_not_joined_again(
    world: World, processing: Document, sides: set[str]
) -> None:
    transform(world, "One", at(21, 10), DataProcessing=processing)
    begin(world)
    assert {name.split("_")[1] for name in inputs(world.requests()[0])} == sides


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ({"Csv": {"Header": True}}, '{"csv": {"header": true}}'),
        ({"Csv": {}}, '{"csv": {"header": false}}'),
        ({"Json": {"Line": False}}, '{"json": {"line": false}}'),
        ({"Json": {}}, '{"json": {"line": true}}'),
        ({"Parquet": {}}, '{"parquet": {}}'),
    ],
)
def test_a_format_is_told_in_the_containers_words(
    world: World, given: Document, written: str
) -> None:
    transform(world, "One", at(21, 10))
    begin(world, DatasetFormat=given)
    assert world.requests()[0]["Environment"]["dataset_format"] == written


# ---------------------------------------------------------------- the window is complete


def test_a_running_job_of_the_window_is_awaited(world: World) -> None:
    transform(world, "Running", at(21, 50), ended=False)
    transform(world, "Later", at(22), ended=False)
    transform(world, "Elsewhere", at(21, 50), ended=False, to="s3://bucket/batch/2")
    transform(world, "Uncaptured", at(21, 50), ended=False, captures=False)
    transform(world, "Unbegun", None, ended=False)
    world.schedule(definition=definition())
    turn(world)
    world.clock.advance(1800)
    turn(world, 3)
    assert (world.execution().status, world.requests()) == ("Pending", [])
    (running,) = (each for each in world.store.every(TRANSFORM) if each.name == "Running")
    for side in SIDES:
        name = capture_id(running.arn, running.created_ns)
        put(world, manifest_key("batch", side, at(21, 50), name))
    came = jobs.Outcome(JobEvent.COMPLETED)
    done = jobs.job_document(jobs.concluded(jobs.job_of(running), came, 1))
    world.store.put_status(running, done, 1)
    turn(world)
    (job,) = world.requests()
    assert len(inputs(job)) == 4
    assert "modeltap_note" not in job["Environment"]


def test_after_the_grace_it_goes_on_and_says_what_is_missing(world: World) -> None:
    transform(world, "Running", at(21, 50), ended=False)
    transform(world, "One", at(21, 10))
    begin(world)
    world.clock.advance(299)
    turn(world)
    assert world.requests() == []
    world.clock.advance(2)
    turn(world)
    note = world.requests()[0]["Environment"]["modeltap_note"]
    assert "1 of its transform jobs were running, as Running: it is without" in note


def test_there_is_one_report_wherever_control_is_killed(tmp_path: Path) -> None:
    """A life of one step more each time, until one is long enough to see the hour begun."""
    for steps in range(1, 100):
        (tmp_path / str(steps)).mkdir()
        world = World(tmp_path / str(steps))
        transform(world, "One", at(21, 10))
        world.schedule(definition=definition())
        turn(world)
        world.clock.advance(1800)
        whole = turn(world, 1, steps)
        turn(world)
        assert (len(world.requests()), world.execution().status) == (1, "InProgress")
        assert len(inputs(world.requests()[0])) == 4
        world.store.close()
        if whole:
            break
    assert 5 < steps < 99


def test_an_empty_window_has_awss_text(world: World) -> None:
    transform(world, "One", at(20, 10))
    begin(world)
    assert (world.execution().status, world.execution().job) == ("Failed", None)
    assert (world.execution().failure or "") == (
        "Job inputs had no data: no transform job of the window captured to s3://bucket/batch."
    )


def test_a_bucket_that_is_away_is_waited_for(world: World) -> None:
    transform(world, "One", at(21, 10))
    world.bucket.fault = lambda _: Fault.DOWN
    begin(world)
    assert world.execution().status == "Pending"
    world.clock.advance(301)
    turn(world)
    assert "could not be listed" in (world.execution().failure or "")


def test_a_bucket_that_refuses_fails_the_run_and_names_the_destination(world: World) -> None:
    transform(world, "One", at(21, 10))
    world.bucket.fault = lambda _: Fault.DENIED
    begin(world)
    assert "at s3://bucket/batch" in (world.execution().failure or "")


def test_offsets_of_the_input_move_the_window(world: World) -> None:
    found = transform(world, "One", at(19, 10))
    transform(world, "Two", at(21, 10))
    begin(world, StartTimeOffset="-PT3H", EndTimeOffset="-PT2H")
    (job,) = world.requests()
    assert f"{found}.json" in inputs(job)["batch_output_1"][1]
    assert len(inputs(job)) == 4
