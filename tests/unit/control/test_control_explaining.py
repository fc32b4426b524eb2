"""Every failure text that our code produces has its sentence; the code itself is asked for them."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path

import pytest
from schedule_world import DEFINITION, World, turn

from modeltap.clock import SystemClock
from modeltap.control import endpoints
from modeltap.control.definitions import KIND as DEFINITIONS
from modeltap.control.delivery import Delivery
from modeltap.control.explaining import CAUSES, Ended, explain
from modeltap.control.jobs import KIND, Job, JobEvent, JobStatus, Outcome, outcome
from modeltap.control.patience import Patience
from modeltap.control.staging import Staging
from modeltap.errors import LaunchFailed
from modeltap.hosting.commands import Commands
from modeltap.hosting.containers import Containers, Limits
from modeltap.hosting.job_images import JobImages
from modeltap.hosting.jobs import Stand
from modeltap.monitor.job import run
from modeltap.nouns import Document
from modeltap.objects.port import ObjectStore
from modeltap.objects.remote import split_uri
from modeltap.objects.simulated import Fault, SimulatedStore
from modeltap_worker.jobspec import Cause, Exit

AGAIN = "modeltap monitor run Hourly --hour 2024-02-29T22"
CAPTURE = json.dumps({"sagemakerCaptureJson": {}})


def ended(reason: str, status: str = "Failed", job: str | None = "job") -> Ended:
    window = "2024-02-29 21:00 to 22:00 UTC"
    return Ended("Hourly@2024-02-29T22", "Hourly", "Churn", window, AGAIN, status, reason, job)


# ---------------------------------------------------------------- of the execution itself


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


def due(world: World, definition: Document | None = None, seconds: float = 2102) -> str:
    """Let an hour strike and its grace pass; give why it failed."""
    world.schedule(definition=definition)
    turn(world)
    world.clock.advance(seconds)
    turn(world)
    return world.execution().failure or ""


def empty(world: World) -> str:
    return due(world)


def late(world: World) -> str:
    world.undelivered = 7
    world.schedule()
    turn(world)
    world.clock.advance(1800)
    turn(world)
    world.clock.advance(301)
    turn(world)
    return world.execution().failure or ""


def endpoint_gone(world: World) -> str:
    world.store.delete(endpoints.KIND, "Churn")
    return due(world)


def nothing_captured(world: World) -> str:
    world.deploy({"EndpointConfigName": "c", "ProductionVariants": []})
    return due(world)


def definition_gone(world: World) -> str:
    world.schedule()
    resource = world.store.get("monitoring-schedule", "Hourly")
    assert resource is not None
    config = {**resource.status["MonitoringScheduleConfig"], "MonitoringJobDefinitionName": "Gone"}
    del config["MonitoringJobDefinition"]
    status = {**resource.status, "MonitoringScheduleConfig": config}
    status["MonitoringJobDefinitionName"] = "Gone"
    world.store.put_status(resource, status, 1)
    assert world.store.get(DEFINITIONS, "Gone") is None
    turn(world)
    world.clock.advance(1800)
    turn(world)
    return world.execution().failure or ""


def unlisted(world: World, fault: Fault = Fault.DOWN) -> str:
    world.bucket.fault = lambda _: fault
    world.schedule()
    turn(world)
    for seconds in (1800, 301):
        world.clock.advance(seconds)
        turn(world)
    return world.execution().failure or ""


def uncleared(world: World) -> str:
    world.put("A/2024/02/29/21/1")
    asyncio.run(world.bucket.put("reports/Churn/Hourly/2024/02/29/22/old", b"{}"))
    world.bucket.fault = lambda verb: Fault.DENIED if verb == "delete" else None
    return due(world)


def baselining_gone(world: World) -> str:
    world.put("A/2024/02/29/21/1")
    definition = {**deepcopy(DEFINITION), "BaselineConfig": {"BaseliningJobName": "nobody"}}
    return due(world, definition)


def broken(world: World) -> str:
    world.put("A/2024/02/29/21/1")
    definition = deepcopy(DEFINITION)
    del definition["MonitoringResources"]
    return due(world, definition)


def job_gone(world: World) -> str:
    world.put("A/2024/02/29/21/1")
    due(world)
    world.store.delete(KIND, world.execution().job or "")
    turn(world)
    return world.execution().failure or ""


OF_EXECUTIONS: dict[Callable[[World], str], str] = {
    empty: "Churn left no record from 2024-02-29 21:00 to 22:00 UTC (below s3://bucket/capture/",
    late: "No record of Churn from 2024-02-29 21:00 to 22:00 UTC was delivered when the run began",
    endpoint_gone: "The endpoint Churn was deleted: create it again, or delete the",
    nothing_captured: "The endpoint Churn captures nothing: update it to a config with",
    definition_gone: "The schedule's job definition gone was deleted: update the schedule",
    unlisted: "The bucket of the captured records refused or did not answer (no answer)",
    lambda world: unlisted(world, Fault.DENIED): (
        "The bucket of the captured records refused or did not answer (the store answered 403 "
        "AccessDenied)"
    ),
    uncleared: "The folder of the report, s3://bucket/reports/Churn/Hourly/2024/02/29/22, could",
    baselining_gone: "The baselining job nobody is not known here, so there is no baseline",
    broken: "This machine could not go on with the run ('MonitoringResources'): see to its disk",
    job_gone: f"The run was cut off, and nothing is known to be wrong with it: {AGAIN}",
}


@pytest.mark.parametrize("happens", OF_EXECUTIONS, ids=lambda each: each.__name__)
def test_why_an_execution_failed(world: World, happens: Callable[[World], str]) -> None:
    reason = happens(world)
    assert explain(ended(reason, job=None)).startswith(OF_EXECUTIONS[happens]), reason


# ---------------------------------------------------------------- of its job


def reason_of(came: Outcome, message: str = "") -> str:
    """Join what `monitor_jobs.came_to` joins."""
    return " ".join(each for each in (message or came.exit_message, came.failure) if each)


def a_job(**spec: object) -> Job:
    image = {"ImageUri": "i"}
    sized = {"ClusterConfig": {"VolumeSizeInGB": 1}}
    given = {"AppSpecification": image, "ProcessingResources": sized, "RoleArn": "arn:r", **spec}
    return Job("job", "arn:job", given, JobStatus.IN_PROGRESS, 1)


def at_end(cause: Cause, status: int = 1, error: str = "", message: bytes = b"") -> str:
    stop = {"MaxRuntimeInSeconds": 60}
    came = outcome(a_job(StoppingCondition=stop), Exit(status, cause, error), Stand.ENDED, message)
    return reason_of(came)


ENDS = {
    at_end(Cause.ITSELF, -9): "The run was killed, most often for want of memory: lower the",
    at_end(Cause.ITSELF, -11): "The schedule's program was ended by SIGSEGV: mend it by",
    at_end(Cause.ITSELF, 3): "The schedule's program ended with exit code 3: mend it by what it",
    at_end(Cause.ITSELF, 0, message=b"\xff"): "The schedule's program wrote a message that is no",
    at_end(Cause.TIME): "The run was not done after 60 s: give the schedule a larger",
    at_end(Cause.HOUSE): "The run was cut off, and nothing is known to be wrong with it",
    at_end(Cause.UNSTARTED, error="no such file"): "The schedule's program could not be started",
    reason_of(outcome(a_job(), None, Stand.LOST)): "The run was cut off, and nothing is known",
    reason_of(
        Outcome(JobEvent.FAILED, "InternalServerError: Its outputs are unreadable: [Errno 5] x.")
    ): "This machine could not read the report that the run wrote ([Errno 5] x): see to its disk",
    reason_of(
        Outcome(
            JobEvent.FAILED,
            "InternalServerError: This machine could not go on with the job: [Errno 28] full.",
        )
    ): "This machine could not go on with the run ([Errno 28] full): see to its disk",
    "The environment of image sagemaker-xgboost:1.7-1 could not be built (xgboost on Python 3.11): "
    "x Check that": "The environment of sagemaker-xgboost:1.7-1 could not be built: see to it",
}


@pytest.mark.parametrize("reason", ENDS)
def test_why_a_job_ended_badly(reason: str) -> None:
    assert explain(ended(reason)).startswith(ENDS[reason]), reason


@pytest.mark.parametrize(
    "image", ["1.dkr.ecr.x.amazonaws.com/mine:1", "x/sagemaker-scikit-learn:0.20.0-cpu-py3"]
)
def test_an_image_that_cannot_be_run(image: str) -> None:
    images = JobImages(Commands([]), Containers("no-such-engine", Limits()))
    with pytest.raises(LaunchFailed) as failed:
        images.resolve(image)
    assert explain(ended(str(failed.value))).startswith(f"The image {image} cannot be run here")


@pytest.mark.parametrize("allowed", [True, False])
def test_a_program_that_cannot_be_run(tmp_path: Path, allowed: bool) -> None:
    program = tmp_path / "monitor"
    with pytest.raises(LaunchFailed) as failed:
        Commands([program] if allowed else []).checked(str(program))
    said = explain(ended(str(failed.value)))
    words = "is not there" if allowed else f"Jobs may not run the program {program}: whoever"
    assert words in said and str(program) in said


class Buckets:
    """One bucket that is there; others are not."""

    def __init__(self) -> None:
        self.store = SimulatedStore()

    def at(self, uri: str) -> tuple[ObjectStore, str]:
        bucket, key = split_uri(uri)
        return self.store if bucket == "bucket" else SimulatedStore(lambda _: Fault.NO_BUCKET), key


def unstaged(buckets: Buckets, folder: Path, uri: str, kind: str = "S3Prefix") -> str:
    """Stage one input; give why it could not be."""
    source = {"S3Uri": uri, "LocalPath": "/opt/ml/processing/in", "S3DataType": kind}
    job = a_job(ProcessingInputs=[{"InputName": "baseline", "S3Input": source}])
    staging = Staging(buckets.at, Patience(SystemClock(), 0), "us-east-1")
    with pytest.raises(LaunchFailed) as failed:
        asyncio.run(staging.stage(job, folder, lambda _: None))
    return str(failed.value)


def test_why_an_input_is_not_there(tmp_path: Path) -> None:
    buckets = Buckets()
    asyncio.run(buckets.store.put("manifest", b"{}"))
    asyncio.run(buckets.store.put("list", b'[{"prefix": "s3://bucket/"}, "gone", "x"]'))
    nothing = unstaged(buckets, tmp_path, "s3://bucket/nowhere")
    told = {
        nothing: "There is nothing at s3://bucket/nowhere, which the schedule names",
        unstaged(buckets, tmp_path, "s3://bucket/list", "ManifestFile"): (
            "The input baseline was gone when it was fetched"
        ),
        unstaged(buckets, tmp_path, "s3://bucket/manifest", "ManifestFile"): (
            "An input of the run cannot be fetched as files (ClientError: s3://bucket/manifest is"
        ),
    }
    buckets.store.fault = lambda _: Fault.DENIED
    told[unstaged(buckets, tmp_path, "s3://bucket/list", "ManifestFile")] = (
        "The input baseline could not be fetched from s3://bucket/list (the store answered 403"
    )
    for reason, sentence in told.items():
        assert explain(ended(reason)).startswith(sentence), reason


def test_inputs_that_are_too_large(tmp_path: Path) -> None:
    buckets = Buckets()
    asyncio.run(buckets.store.put("data/1", b"x" * 100))
    source = {
        "S3Uri": "s3://bucket/data/",
        "LocalPath": "/opt/ml/processing/in",
        "S3DataType": "S3Prefix",
    }
    job = a_job(
        ProcessingInputs=[{"InputName": "data", "S3Input": source}],
        ProcessingResources={"ClusterConfig": {"VolumeSizeInGB": 0}},
    )
    staging = Staging(buckets.at, Patience(SystemClock(), 0), "us-east-1")
    with pytest.raises(LaunchFailed) as failed:
        asyncio.run(staging.stage(job, tmp_path, lambda _: None))
    assert explain(ended(str(failed.value))).startswith("The window's records are larger than the")


def test_a_report_that_cannot_be_uploaded(tmp_path: Path) -> None:
    target = {
        "S3Uri": "s3://elsewhere/out",
        "LocalPath": "/opt/ml/processing/out",
        "S3UploadMode": "EndOfJob",
    }
    outputs = {"Outputs": [{"OutputName": "report", "S3Output": target}]}
    (tmp_path / "processing" / "out").mkdir(parents=True)
    (tmp_path / "processing" / "out" / "statistics.json").write_text("{}")
    delivery = Delivery(
        a_job(ProcessingOutputConfig=outputs),
        tmp_path,
        Buckets().at,
        Patience(SystemClock(), 0),
        lambda _: None,
    )
    reason = asyncio.run(delivery.complete()) or ""
    assert explain(ended(reason)).startswith(
        "The report could not be uploaded to s3://elsewhere/out"
    )


# ---------------------------------------------------------------- of the analyzer


class Analyzer:
    """The analyzer over a folder of captured records."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "in").mkdir()
        self.variables = {
            "MODELTAP_ML_ROOT": str(root / "ml"),
            "dataset_format": CAPTURE,
            "dataset_source": str(root / "in"),
            "output_path": str(root / "out"),
        }

    def put(self, text: str) -> None:
        (self.root / "in" / "part.jsonl").write_text(text)

    def write(self, name: str, text: str) -> str:
        (self.root / name).write_text(text)
        return str(self.root / name)

    def reason(self, **variables: str) -> str:
        """Run it; give the reason of an execution whose job ended so."""
        status = run({**self.variables, **variables})
        assert status == 1
        message = (self.root / "ml" / "output" / "message").read_bytes()
        return reason_of(outcome(a_job(), Exit(1, Cause.ITSELF), Stand.ENDED, message))


@pytest.fixture
def analyzer(tmp_path: Path) -> Analyzer:
    return Analyzer(tmp_path)


RECORD = json.dumps(
    {
        "captureData": {
            "endpointInput": {
                "observedContentType": "text/csv",
                "mode": "INPUT",
                "data": "1,2",
                "encoding": "CSV",
            }
        },
        "eventMetadata": {"eventId": "e", "inferenceTime": "2024-02-29T21:10:00Z"},
        "eventVersion": "0",
    }
)


def test_what_the_analyzer_could_not_use(analyzer: Analyzer) -> None:
    odd = analyzer.write("odd.json", '{"features": [{}]}')
    cut = analyzer.write("cut.json", "{")
    script = analyzer.write("pre.py", "def other(): pass\n")
    told = {analyzer.reason(): "Of the records that the run was given none is from 2024-02-29"}
    analyzer.put(RECORD[:40] + "\n")
    told[analyzer.reason()] = "No record from 2024-02-29 21:00 to 22:00 UTC could be used (refused"
    analyzer.put(RECORD + "\n")
    told |= {
        analyzer.reason(start_time="2030-01-01T00:00:00Z", end_time="2030-01-01T01:00:00Z"): (
            "Of the records that the run was given none is from 2024-02-29"
        ),
        analyzer.reason(baseline_constraints=odd): (
            "The baseline's constraints cannot be read as a constraints.json: put back the file"
        ),
        analyzer.reason(baseline_constraints=cut): "The baseline's constraints are no JSON",
        analyzer.reason(baseline_statistics=cut): "The baseline's statistics are no JSON",
        analyzer.reason(record_preprocessor_script="/nowhere/pre.py"): "The script pre.py is not",
        analyzer.reason(record_preprocessor_script=script): (
            "The script pre.py could not be loaded (it has no function preprocess_handler"
        ),
        analyzer.reason(dataset_format="x"): "The job definition's Environment misleads the",
        analyzer.reason(analysis_type="BIAS"): "The job definition's Environment misleads the",
        analyzer.reason(output_path=""): (
            "The job definition's Environment misleads the analyzer (at output_path)"
        ),
        analyzer.reason(MODELTAP_MEMORY_BYTES_MAX="much"): (
            "The analyzer has a fault of its own (ValueError): please report it"
        ),
    }
    for reason, sentence in told.items():
        assert explain(ended(reason)).startswith(sentence), reason


def test_scripts_that_fail(analyzer: Analyzer) -> None:
    analyzer.put((RECORD + "\n") * 30)
    dies = analyzer.write("pre.py", "import os\ndef preprocess_handler(record): os._exit(3)\n")
    raises = analyzer.write("post.py", "def postprocess_handler(): raise OSError\n")
    ended_process = analyzer.reason(record_preprocessor_script=dies)
    assert explain(ended(ended_process)).startswith(
        "The preprocessor script pre.py crashed at record after record: mend it by what it said "
        "(modeltap logs --job job)"
    )
    assert explain(ended(analyzer.reason(post_analytics_processor_script=raises))).startswith(
        "The report was made, and then the postprocessor script post.py failed (OSError): mend it"
    )


def test_what_only_the_text_of_the_analyzer_says(analyzer: Analyzer) -> None:
    csv = json.dumps({"csv": {"header": True}})
    (analyzer.root / "in" / "data.csv").write_text("a,a\n1,2\n")
    sentence = explain(ended(analyzer.reason(dataset_format=csv)))
    assert sentence.startswith("The analyzer could not do its work (data.csv has more than one")


# ---------------------------------------------------------------- how else an execution stands


@pytest.mark.parametrize(
    ("status", "reason", "sentence"),
    [
        ("Pending", "", "It waits until all records from 2024-02-29 21:00 to 22:00 UTC are"),
        ("InProgress", "", "It is running: what it says is in modeltap logs --job job"),
        ("Stopping", "", "It is being stopped."),
        ("Stopped", "", "Its processing job was stopped by hand: to have the report all the same"),
        ("Completed", "", "Nothing is wrong: the records from 2024-02-29 21:00 to 22:00 UTC keep"),
        ("CompletedWithViolations", "", "The records from 2024-02-29 21:00 to 22:00 UTC do not"),
        ("Failed", "", "It failed, and no reason is known; its log: modeltap logs --job job"),
        ("Failed", "{odd}", "It failed: {odd}; its log: modeltap logs --job job"),
    ],
)
def test_how_an_execution_stands(status: str, reason: str, sentence: str) -> None:
    assert explain(ended(reason, status)).startswith(sentence)


def test_violations_are_counted_by_kind() -> None:
    found = Ended(
        "S@h", "S", "E", "w", AGAIN, "CompletedWithViolations", violations={"drift": 2, "values": 1}
    )
    assert "do not keep to the baseline, 3 violations (2 drift, 1 values): look at them" in explain(
        found
    )
    assert "(modeltap monitor report S@h)" in explain(found)


@pytest.mark.parametrize("at", range(len(CAUSES)))
def test_every_sentence_can_be_said(at: int) -> None:
    """With whatever the pattern found, and what is known of every execution."""
    pattern, sentence = CAUSES[at]
    groups = dict.fromkeys(re.compile(pattern).groupindex, "X")
    known = dict.fromkeys(Ended.__slots__, "Y")
    said = sentence.format(**{**known, **groups})
    assert "{" not in said
    assert said.rstrip(".").count(". ") == 0
