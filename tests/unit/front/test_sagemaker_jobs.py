"""Processing jobs of SageMaker's API through a real boto3 client, over TCP."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from sagemaker_server import JOBS_MAX, World, serving

from modeltap.clock import SystemClock
from modeltap.control.job_states import JobStates
from modeltap.control.jobs import JobEvent, Outcome, concluded
from modeltap.hosting.job_images import KNOWN_FOR_JOBS

ARN = "arn:aws:sagemaker:us-east-1:123456789012"
ROLE_ARN = "arn:aws:iam::123456789012:role/ModeltapExecutionRole"
REGISTRY = "683313688378.dkr.ecr.us-east-1.amazonaws.com"
ANALYZER = "156813124566.dkr.ecr.us-east-1.amazonaws.com/sagemaker-model-monitor-analyzer"

INPUT = {
    "InputName": "baseline_dataset_input",
    "S3Input": {
        "S3Uri": "s3://bucket/data.csv",
        "LocalPath": "/opt/ml/processing/input/baseline_dataset_input",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
        "S3DataDistributionType": "FullyReplicated",
        "S3CompressionType": "None",
    },
}
OUTPUT = {
    "OutputName": "monitoring_output",
    "S3Output": {
        "S3Uri": "s3://bucket/results",
        "LocalPath": "/opt/ml/processing/output",
        "S3UploadMode": "EndOfJob",
    },
}
REQUEST: dict[str, Any] = {
    "AppSpecification": {"ImageUri": ANALYZER},
    "Environment": {"publish_cloudwatch_metrics": "Disabled"},
    "ProcessingInputs": [INPUT],
    "ProcessingOutputConfig": {"Outputs": [OUTPUT]},
    "ProcessingResources": {
        "ClusterConfig": {
            "InstanceCount": 2,
            "InstanceType": "ml.m5.xlarge",
            "VolumeSizeInGB": 20,
        }
    },
    "RoleArn": ROLE_ARN,
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    "NetworkConfig": {"EnableNetworkIsolation": False},
    "ExperimentConfig": {"ExperimentName": "e"},
}
"""As the SDK's `suggest_baseline` asks, and a little more (`spec/clients.md`)."""


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving(tmp_path_factory.mktemp("home")) as opened:
        yield opened


@pytest.fixture
def client(world: World) -> Any:
    return world.client("sagemaker")


def create(client: Any, name: str = "Baseline-Job", **members: Any) -> str:
    answer = client.create_processing_job(ProcessingJobName=name, **{**REQUEST, **members})
    return str(answer["ProcessingJobArn"])


def conclude(world: World, name: str, came: Outcome) -> None:
    """Do as control does when a job has ended."""
    now = SystemClock().now_ns()
    JobStates(world.store, SystemClock()).change(name, lambda job: concluded(job, came, now))


def refused(client: Any, code: str = "ValidationException", **members: Any) -> str:
    with pytest.raises(ClientError) as failed:
        create(client, **members)
    assert failed.value.response["Error"]["Code"] == code
    return str(failed.value.response["Error"]["Message"])


def with_input(**members: Any) -> dict[str, Any]:
    return {"ProcessingInputs": [{**INPUT, "S3Input": {**INPUT["S3Input"], **members}}]}  # type: ignore[dict-item]


def with_output(**members: Any) -> dict[str, Any]:
    output = {**OUTPUT, "S3Output": {**OUTPUT["S3Output"], **members}}  # type: ignore[dict-item]
    return {"ProcessingOutputConfig": {"Outputs": [output]}}


# ---------------------------------------------------------------- what is served


def test_describe_echoes_the_request_and_tells_the_status(world: World, client: Any) -> None:
    assert create(client) == f"{ARN}:processing-job/baseline-job"
    told = client.describe_processing_job(ProcessingJobName="Baseline-Job")
    assert {name: told[name] for name in REQUEST} == REQUEST
    assert told["ProcessingJobName"] == "Baseline-Job"
    assert told["ProcessingJobArn"] == f"{ARN}:processing-job/baseline-job"
    assert told["ProcessingJobStatus"] == "InProgress"
    absent = {"ExitMessage", "FailureReason", "ProcessingStartTime", "ProcessingEndTime"}
    assert not absent & told.keys()
    assert world.wakes == 1


def test_a_job_is_found_by_its_name_in_any_case(client: Any) -> None:
    """The SDK cuts the name out of an ARN, which is in lower case (contract §2.3)."""
    create(client)
    told = client.describe_processing_job(ProcessingJobName="baseline-job")
    assert told["ProcessingJobName"] == "Baseline-Job"


def test_describe_tells_the_end(world: World, client: Any) -> None:
    create(client, "Good")
    conclude(world, "Good", Outcome(JobEvent.COMPLETED, None, "Completed: well"))
    told = client.describe_processing_job(ProcessingJobName="Good")
    assert (told["ProcessingJobStatus"], told["ExitMessage"]) == ("Completed", "Completed: well")
    assert told["CreationTime"] <= told["ProcessingEndTime"]
    create(client, "Bad")
    conclude(world, "Bad", Outcome(JobEvent.FAILED, "AlgorithmError: no"))
    told = client.describe_processing_job(ProcessingJobName="Bad")
    assert (told["ProcessingJobStatus"], told["FailureReason"]) == ("Failed", "AlgorithmError: no")


def test_lists_filter_sort_and_page(world: World, client: Any) -> None:
    for name in ("One", "Two", "Three"):
        create(client, name)
    conclude(world, "Two", Outcome(JobEvent.FAILED, "why"))

    def names(**query: Any) -> list[str]:
        found = client.list_processing_jobs(**query)["ProcessingJobSummaries"]
        return [each["ProcessingJobName"] for each in found]

    assert names(SortOrder="Ascending") == ["One", "Two", "Three"]
    assert names(SortBy="Name") == ["Two", "Three", "One"]
    assert names(StatusEquals="Failed") == ["Two"]
    assert names(SortBy="Status", SortOrder="Ascending")[0] == "Two"
    assert names(NameContains="t", SortBy="Name", SortOrder="Ascending") == ["Three", "Two"]
    (told,) = client.list_processing_jobs(StatusEquals="Failed")["ProcessingJobSummaries"]
    assert (told["FailureReason"], told["ProcessingJobStatus"]) == ("why", "Failed")
    pages = client.get_paginator("list_processing_jobs").paginate(
        SortBy="Status", PaginationConfig={"PageSize": 1}
    )
    found = [each["ProcessingJobName"] for page in pages for each in page["ProcessingJobSummaries"]]
    assert sorted(found) == ["One", "Three", "Two"]


def test_stop_asks_for_the_end(world: World, client: Any) -> None:
    create(client)
    for _ in range(2):
        client.stop_processing_job(ProcessingJobName="Baseline-Job")
        told = client.describe_processing_job(ProcessingJobName="Baseline-Job")
        assert told["ProcessingJobStatus"] == "Stopping"
    conclude(world, "Baseline-Job", Outcome(JobEvent.COMPLETED))
    with pytest.raises(ClientError, match=r"rejected because the processing job .* is in status"):
        client.stop_processing_job(ProcessingJobName="Baseline-Job")
    assert world.wakes == 3


def test_a_name_is_taken_once_and_for_all(world: World, client: Any) -> None:
    create(client)
    conclude(world, "Baseline-Job", Outcome(JobEvent.COMPLETED))
    assert refused(client, "ResourceInUse", name="baseline-job") == (
        "Job name must be unique within an AWS account and region, and a job with this name "
        f"already exists ({ARN}:processing-job/baseline-job)"
    )


@pytest.mark.parametrize("operation", ["describe_processing_job", "stop_processing_job"])
def test_an_unknown_job_is_named(client: Any, operation: str) -> None:
    with pytest.raises(ClientError) as failed:
        getattr(client, operation)(ProcessingJobName="Nobody")
    assert failed.value.response["Error"] == {
        "Code": "ValidationException",
        "Message": "Could not find requested job with name: Nobody",
    }


def test_jobs_have_tags(client: Any) -> None:
    arn = create(client, Tags=[{"Key": "a", "Value": "b"}])
    client.add_tags(ResourceArn=arn, Tags=[{"Key": "c", "Value": "d"}])
    tags = client.list_tags(ResourceArn=arn)["Tags"]
    assert tags == [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}]


def test_one_job_too_many_is_refused(world: World, client: Any) -> None:
    for number in range(JOBS_MAX):
        create(client, f"Job-{number}")
    message = refused(client, "ResourceLimitExceeded", name="More")
    assert "processing_jobs_max" in message
    conclude(world, "Job-0", Outcome(JobEvent.COMPLETED))
    create(client, "More")


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (with_input(S3InputMode="Pipe"), ("ProcessingInputs[1].S3Input.S3InputMode", "File")),
        (with_input(S3CompressionType="Gzip"), ("ProcessingInputs[1].S3Input.S3CompressionType",)),
        (with_input(LocalPath="/tmp/x"), ("ProcessingInputs[1].S3Input.LocalPath", "'/tmp/x'")),
        (with_input(LocalPath="/opt/ml"), ("LocalPath",)),
        (with_input(LocalPath="/opt/ml/../../etc"), ("LocalPath",)),
        (with_input(LocalPath="opt/ml/x"), ("LocalPath",)),
        (with_input(S3Uri="https://example.com/x"), ("ProcessingInputs[1].S3Input.S3Uri",)),
        (with_output(LocalPath="/etc"), ("ProcessingOutputConfig.Outputs[1].S3Output.LocalPath",)),
        (with_output(S3Uri="s3://B/x"), ("ProcessingOutputConfig.Outputs[1].S3Output.S3Uri",)),
        ({"ProcessingInputs": [{"InputName": "i"}]}, ("ProcessingInputs[1].S3Input is missing",)),
        ({"ProcessingInputs": [INPUT, INPUT]}, ("InputName", "baseline_dataset_input")),
        (
            {"ProcessingOutputConfig": {"Outputs": [OUTPUT, OUTPUT]}},
            ("OutputName", "monitoring_output"),
        ),
        (
            {"ProcessingOutputConfig": {"Outputs": [{"OutputName": "o"}]}},
            ("ProcessingOutputConfig.Outputs[1].S3Output is missing",),
        ),
        (
            {
                "ProcessingOutputConfig": {
                    "Outputs": [
                        {"OutputName": "o", "FeatureStoreOutput": {"FeatureGroupName": "f"}}
                    ]
                }
            },
            ("FeatureStoreOutput",),
        ),
        (
            {
                "ProcessingInputs": [
                    {"InputName": "i", "DatasetDefinition": {"LocalPath": "/opt/ml/x"}}
                ]
            },
            ("ProcessingInputs[1].DatasetDefinition",),
        ),
        ({"Environment": {"a": "b\0c"}}, ("Environment", "'a'")),
        (
            {"AppSpecification": {"ImageUri": ANALYZER, "ContainerArguments": ["a\0b"]}},
            ("AppSpecification",),
        ),
        (
            {"AppSpecification": {"ImageUri": f"{REGISTRY}/sagemaker-xgboost:3.0-5"}},
            ("ContainerEntrypoint", "no entrypoint"),
        ),
        (
            {"AppSpecification": {"ImageUri": f"{REGISTRY}/sagemaker-scikit-learn:0.23-1-cpu-py3"}},
            ("no wheel", "1.2-1", "1.4-2"),
        ),
        (
            {"AppSpecification": {"ImageUri": "nginx"}},
            ("nginx", "container_program", "modeltap://command", *KNOWN_FOR_JOBS),
        ),
        (
            {"AppSpecification": {"ImageUri": "modeltap://command/bin/ls"}},
            ("AppSpecification.ImageUri", "/bin/ls", "job_commands", "/bin/sh"),
        ),
        (
            {
                "AppSpecification": {
                    "ImageUri": "modeltap://command/bin/sh",
                    "ContainerEntrypoint": ["/bin/ls"],
                }
            },
            ("/bin/ls", "job_commands"),
        ),
    ],
)
def test_what_is_not_served_is_refused_by_its_name(
    client: Any, members: dict[str, Any], words: tuple[str, ...]
) -> None:
    message = refused(client, **members)
    assert all(word in message for word in words), message


def test_a_program_of_this_machine_is_an_image(client: Any) -> None:
    app = {"ImageUri": "modeltap://command/bin/sh", "ContainerArguments": ["-c", "true"]}
    create(client, AppSpecification=app)
    told = client.describe_processing_job(ProcessingJobName="Baseline-Job")
    assert told["AppSpecification"] == app


def test_what_the_program_sees_to_needs_no_address(client: Any) -> None:
    create(
        client,
        ProcessingInputs=[{"InputName": "i", "AppManaged": True}],
        ProcessingOutputConfig={"Outputs": [{"OutputName": "o", "AppManaged": True}]},
    )
