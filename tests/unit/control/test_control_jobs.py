"""The life cycle of a job, its plan and its end: values only."""

import itertools

import pytest

from modeltap.control.job_config import job_config
from modeltap.control.jobs import (
    ACTIVE,
    MESSAGE_BYTES_MAX,
    TABLE,
    IllegalJobStep,
    Job,
    JobEvent,
    JobStatus,
    Move,
    Outcome,
    concluded,
    exit_message,
    job_document,
    job_of,
    outcome,
    plan,
    step,
    stopping,
)
from modeltap.hosting.jobs import Stand
from modeltap.nouns import Document
from modeltap.state.store import Resource
from modeltap_worker.jobspec import Cause, Exit

URI = "s3://bucket/in"
SPEC: Document = {
    "ProcessingJobName": "Job",
    "AppSpecification": {"ImageUri": "an-image"},
    "ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.m5.large", "VolumeSizeInGB": 20}},
    "RoleArn": "arn:aws:iam::123456789012:role/R",
    "ProcessingInputs": [
        {"InputName": "i", "S3Input": {"S3Uri": URI, "LocalPath": "/opt/ml/processing/in"}}
    ],
}
ARN = "arn:aws:sagemaker:us-east-1:123456789012:processing-job/job"


def job(status: JobStatus = JobStatus.IN_PROGRESS) -> Job:
    return Job("Job", ARN, SPEC, status, 1_600_000_000_123_456_789)


# ---------------------------------------------------------------- the table


def test_every_path_of_a_job_ends_for_good() -> None:
    for status, event in itertools.product(JobStatus, JobEvent):
        if status in ACTIVE:
            assert step(status, event) is TABLE[status, event]
        else:
            with pytest.raises(IllegalJobStep):
                step(status, event)


def test_a_job_that_is_stopping_ends_stopped_however_it_ends() -> None:
    for event in JobEvent:
        if event is not JobEvent.STOP:
            assert step(JobStatus.STOPPING, event) is JobStatus.STOPPED


def test_there_is_a_move_for_every_status_and_stand() -> None:
    told = {
        (status, stand): plan(status, stand)
        for status, stand in itertools.product((*JobStatus, None), Stand)
    }
    for (status, stand), move in told.items():
        if status not in ACTIVE:
            assert move is (Move.END if stand is Stand.RUNNING else Move.CLEAR)
    assert told[JobStatus.IN_PROGRESS, Stand.ABSENT] is Move.PREPARE
    assert told[JobStatus.IN_PROGRESS, Stand.RUNNING] is Move.ATTEND
    assert told[JobStatus.STOPPING, Stand.RUNNING] is Move.END
    assert list(told.values()).count(Move.PREPARE) == 1  # a program runs once
    ended = {told[status, stand] for status in ACTIVE for stand in (Stand.ENDED, Stand.LOST)}
    assert ended == {Move.FINISH}


# ---------------------------------------------------------------- the end


@pytest.mark.parametrize(
    ("told", "event", "words"),
    [
        (Exit(0, Cause.ITSELF), JobEvent.COMPLETED, ()),
        (Exit(3, Cause.ITSELF), JobEvent.FAILED, ("exit code 3", "modeltap logs --job Job")),
        (Exit(-9, Cause.ITSELF), JobEvent.FAILED, ("SIGKILL", "memory")),
        (Exit(-11, Cause.ITSELF), JobEvent.FAILED, ("SIGSEGV",)),
        (Exit(-99, Cause.ITSELF), JobEvent.FAILED, ("signal 99",)),
        (Exit(-15, Cause.STOPPED), JobEvent.STOPPED, ()),
        (Exit(0, Cause.STOPPED), JobEvent.STOPPED, ()),
        (Exit(-15, Cause.TIME), JobEvent.STOPPED, ("MaxRuntimeInSeconds", "86400 s")),
        (Exit(-9, Cause.HOUSE), JobEvent.FAILED, ("modeltap was stopped",)),
        (
            Exit(127, Cause.UNSTARTED, "[Errno 2] No such file"),
            JobEvent.FAILED,
            ("No such file", "ContainerEntrypoint"),
        ),
    ],
)
def test_an_end_is_judged_by_its_cause(told: Exit, event: JobEvent, words: tuple[str, ...]) -> None:
    came = outcome(job(), told, Stand.ENDED)
    assert came.event is event
    assert (came.failure is None) == (not words)
    assert all(word in (came.failure or "") for word in words)


def test_a_lost_shim_fails_a_job_unless_it_was_to_stop() -> None:
    came = outcome(job(), None, Stand.LOST)
    assert came.event is JobEvent.FAILED
    assert "killed" in (came.failure or "")
    assert outcome(job(JobStatus.STOPPING), None, Stand.LOST) == Outcome(JobEvent.STOPPED)
    assert outcome(job(JobStatus.STOPPING), None, Stand.ABSENT) == Outcome(JobEvent.STOPPED)


def test_what_cannot_be_uploaded_fails_a_job_that_had_succeeded() -> None:
    good, bad, stopped = Exit(0, Cause.ITSELF), Exit(1, Cause.ITSELF), Exit(0, Cause.STOPPED)
    assert outcome(job(), good, Stand.ENDED, b"", "lost") == Outcome(JobEvent.FAILED, "lost")
    assert "exit code 1" in (outcome(job(), bad, Stand.ENDED, b"", "lost").failure or "")
    assert outcome(job(), stopped, Stand.ENDED, b"", "lost") == Outcome(JobEvent.STOPPED, "lost")


def test_the_message_is_told_also_where_the_program_failed() -> None:
    assert outcome(job(), Exit(0, Cause.ITSELF), Stand.ENDED, b"well").exit_message == "well"
    assert outcome(job(), Exit(1, Cause.ITSELF), Stand.ENDED, b"why").exit_message == "why"
    assert outcome(job(), Exit(0, Cause.ITSELF), Stand.ENDED, b"").exit_message is None


def test_a_message_that_is_no_text_is_a_client_error() -> None:
    came = outcome(job(), Exit(0, Cause.ITSELF), Stand.ENDED, b"\xff\xfe")
    assert came.event is JobEvent.FAILED
    assert (came.failure or "").startswith("ClientError: ")
    assert "exit code 2" in (
        outcome(job(), Exit(2, Cause.ITSELF), Stand.ENDED, b"\xff").failure or ""
    )


@pytest.mark.parametrize("shift", range(4))
def test_a_long_message_is_cut_between_two_characters(shift: int) -> None:
    data = b"x" * (MESSAGE_BYTES_MAX - 4 + shift) + "€€€".encode()
    text = exit_message(data[: MESSAGE_BYTES_MAX + 1])
    assert text is not None
    assert set(text) <= {"x", "€"}
    assert MESSAGE_BYTES_MAX - 3 < len(text.encode()) <= MESSAGE_BYTES_MAX


def test_a_message_that_ends_within_a_character_is_no_text() -> None:
    assert exit_message("€".encode()[:2]) is None
    assert exit_message(b"\xff" + b"x" * 2000) is None


def test_reasons_fit_into_what_describe_can_tell() -> None:
    done = concluded(job(), Outcome(JobEvent.FAILED, "x" * 5000), 7)
    assert (done.status, done.ended_ns, len(done.failure or "")) == (JobStatus.FAILED, 7, 1024)
    with pytest.raises(IllegalJobStep):
        concluded(done, Outcome(JobEvent.COMPLETED), 8)
    with pytest.raises(IllegalJobStep):
        stopping(done)
    assert stopping(stopping(job())).status is JobStatus.STOPPING


# ---------------------------------------------------------------- documents


def test_a_job_comes_back_from_state_as_it_was() -> None:
    done = concluded(job(), Outcome(JobEvent.COMPLETED, None, "well"), 7)
    status = job_document(done)
    resource = Resource(
        "processing-job", "Job", ARN, SPEC, status, 1, done.created_ns, done.created_ns
    )
    assert job_of(resource) == done


def test_the_stream_is_named_as_sagemaker_names_it() -> None:
    assert job().log_stream == "Job/algo-1-1600000000123"


def test_a_program_finds_every_member_of_its_request_with_nulls_for_what_is_unset() -> None:
    told = job_config(job())
    assert told["ProcessingJobArn"] == ARN
    assert told["AppSpecification"] == {
        "ImageUri": "an-image",
        "ContainerEntrypoint": None,
        "ContainerArguments": None,
    }
    assert told["ProcessingInputs"] == [
        {
            "InputName": "i",
            "AppManaged": False,
            "S3Input": {
                "S3Uri": URI,
                "LocalPath": "/opt/ml/processing/in",
                "S3DataDistributionType": "FullyReplicated",
                "S3InputMode": "File",
                "S3CompressionType": "None",
                "S3DownloadMode": "StartOfJob",
            },
            "DatasetDefinition": None,
        }
    ]
    assert told["ProcessingOutputConfig"] == {"Outputs": [], "KmsKeyId": None}
    assert told["ProcessingResources"]["ClusterConfig"] == {
        "InstanceCount": 1,
        "InstanceType": "ml.m5.large",
        "VolumeSizeInGB": 20,
        "VolumeKmsKeyId": None,
    }
    assert told["StoppingCondition"] == {"MaxRuntimeInSeconds": 86_400}
