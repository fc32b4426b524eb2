"""Transform jobs of SageMaker's API through a real boto3 client, over TCP."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from sagemaker_server import INSTANCES_MAX, World, serving

from modeltap.clock import SystemClock
from modeltap.control.job_states import JobStates
from modeltap.control.jobs import TRANSFORM, JobEvent, Outcome

ARN = "arn:aws:sagemaker:us-east-1:123456789012"
ROLE_ARN = "arn:aws:iam::123456789012:role/ModeltapExecutionRole"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1"
MODEL_URL = "s3://bucket/model.tar.gz"

SOURCE = {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/in"}
INPUT: dict[str, Any] = {
    "DataSource": {"S3DataSource": SOURCE},
    "ContentType": "text/csv",
    "SplitType": "Line",
}
OUTPUT = {"S3OutputPath": "s3://bucket/out", "Accept": "text/csv", "AssembleWith": "Line"}
REQUEST: dict[str, Any] = {
    "ModelName": "Model",
    "TransformInput": INPUT,
    "TransformOutput": OUTPUT,
    "TransformResources": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2},
    "BatchStrategy": "MultiRecord",
    "MaxPayloadInMB": 6,
    "MaxConcurrentTransforms": 4,
    "Environment": {"A": "b"},
    "ModelClientConfig": {"InvocationsTimeoutInSeconds": 60, "InvocationsMaxRetries": 1},
    "DataProcessing": {"InputFilter": "$[1:]", "OutputFilter": "$", "JoinSource": "Input"},
    "DataCaptureConfig": {"DestinationS3Uri": "s3://bucket/cap", "GenerateInferenceId": True},
    "ExperimentConfig": {"ExperimentName": "e"},
}


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving(tmp_path_factory.mktemp("home")) as opened:
        opened.archives.add(MODEL_URL)
        opened.client("sagemaker").create_model(
            ModelName="Model",
            ExecutionRoleArn=ROLE_ARN,
            PrimaryContainer={"Image": IMAGE, "ModelDataUrl": MODEL_URL},
        )
        yield opened


@pytest.fixture
def client(world: World) -> Any:
    return world.client("sagemaker")


def create(client: Any, name: str = "Score-Job", **members: Any) -> str:
    answer = client.create_transform_job(TransformJobName=name, **{**REQUEST, **members})
    return str(answer["TransformJobArn"])


def conclude(world: World, name: str, came: Outcome) -> None:
    """Do as control does when a job has ended."""
    JobStates(world.store, SystemClock(), TRANSFORM).conclude(name, came)


def refused(client: Any, code: str = "ValidationException", **members: Any) -> str:
    with pytest.raises(ClientError) as failed:
        create(client, **members)
    assert failed.value.response["Error"]["Code"] == code
    return str(failed.value.response["Error"]["Message"])


def given(source: dict[str, str] | None = None, **members: Any) -> dict[str, Any]:
    if source is not None:
        members["DataSource"] = {"S3DataSource": {**SOURCE, **source}}
    return {"TransformInput": {**INPUT, **members}}


def test_describe_echoes_the_request_and_tells_the_status(world: World, client: Any) -> None:
    assert create(client) == f"{ARN}:transform-job/score-job"
    told = client.describe_transform_job(TransformJobName="score-job")
    assert {name: told[name] for name in REQUEST} == REQUEST
    assert (told["TransformJobName"], told["TransformJobStatus"]) == ("Score-Job", "InProgress")
    assert not {"FailureReason", "TransformStartTime", "TransformEndTime"} & told.keys()
    assert world.wakes == 1
    conclude(world, "Score-Job", Outcome(JobEvent.FAILED, "AlgorithmError: no"))
    told = client.describe_transform_job(TransformJobName="Score-Job")
    assert (told["TransformJobStatus"], told["FailureReason"]) == ("Failed", "AlgorithmError: no")
    assert told["CreationTime"] <= told["TransformEndTime"]


def test_a_job_keeps_its_model(world: World, client: Any) -> None:
    create(client)
    client.delete_model(ModelName="Model")
    job = JobStates(world.store, SystemClock(), TRANSFORM).get("Score-Job")
    assert job is not None and job.model is not None
    assert job.model["PrimaryContainer"]["ModelDataUrl"] == MODEL_URL
    assert refused(client, name="Next") == f'Could not find model "{ARN}:model/model".'


def test_lists_filter_and_sort(world: World, client: Any) -> None:
    for name in ("One", "Two"):
        create(client, name)
    conclude(world, "Two", Outcome(JobEvent.COMPLETED))
    listed = client.list_transform_jobs(SortBy="Name", SortOrder="Ascending")
    names = [each["TransformJobName"] for each in listed["TransformJobSummaries"]]
    assert names == ["One", "Two"]
    (told,) = client.list_transform_jobs(StatusEquals="Completed")["TransformJobSummaries"]
    assert told["TransformJobArn"] == f"{ARN}:transform-job/two"
    assert "TransformEndTime" in told


def test_stop_asks_for_the_end(world: World, client: Any) -> None:
    create(client)
    for _ in range(2):
        client.stop_transform_job(TransformJobName="Score-Job")
        told = client.describe_transform_job(TransformJobName="Score-Job")
        assert told["TransformJobStatus"] == "Stopping"
    conclude(world, "Score-Job", Outcome(JobEvent.STOPPED))
    with pytest.raises(ClientError) as failed:
        client.stop_transform_job(TransformJobName="Score-Job")
    assert failed.value.response["Error"]["Message"] == (
        "The request was rejected because the transform job is in status Stopped."
    )
    with pytest.raises(ClientError, match="Could not find requested job with name: Nobody"):
        client.stop_transform_job(TransformJobName="Nobody")


def test_a_name_is_taken_once_and_for_all(client: Any) -> None:
    create(client)
    assert refused(client, "ResourceInUse", name="score-job") == (
        "Job name must be unique within an AWS account and region, and a job with this name "
        f"already exists ({ARN}:transform-job/score-job)"
    )


def test_jobs_have_tags(client: Any) -> None:
    arn = create(client, Tags=[{"Key": "a", "Value": "b"}])
    assert client.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]


def test_one_instance_too_many_is_refused(world: World, client: Any) -> None:
    resources = {"InstanceType": "ml.m5.xlarge", "InstanceCount": INSTANCES_MAX}
    create(client, "All", TransformResources=resources)
    assert "instances_max" in refused(client, "ResourceLimitExceeded", name="More")
    conclude(world, "All", Outcome(JobEvent.COMPLETED))
    create(client, "More")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (given({"S3DataType": "AugmentedManifestFile"}), ("S3DataSource.S3DataType", "S3Prefix")),
        (given({"S3Uri": "https://example.com/x"}), ("S3DataSource.S3Uri",)),
        (given(SplitType="RecordIO"), ("TransformInput.SplitType RecordIO", "Line")),
        (given(SplitType="TFRecord"), ("TransformInput.SplitType TFRecord",)),
        (given(ContentType="text/csv\x01"), ("TransformInput.ContentType", "header")),
        (given(ContentType="text/libsvm"), ("JoinSource Input needs TransformInput.ContentType",)),
        ({"TransformOutput": {**OUTPUT, "S3OutputPath": "s3://B/x"}}, ("S3OutputPath",)),
        ({"TransformOutput": {**OUTPUT, "Accept": "text/x"}}, ("needs TransformOutput.Accept",)),
        ({"MaxPayloadInMB": 0}, ("MaxPayloadInMB 0", "1 to 100")),
        ({"MaxPayloadInMB": 50}, ("200 MB", "at most 100")),
        (
            {"DataProcessing": {"InputFilter": "[0]"}},
            ("DataProcessing.InputFilter", "begin with $"),
        ),
        ({"DataProcessing": {"OutputFilter": "$.a"}}, ("DataProcessing.OutputFilter", "columns")),
        ({"DataCaptureConfig": {"DestinationS3Uri": "s3://B"}}, ("DataCaptureConfig.Dest",)),
        ({"Environment": {"A": "\0"}}, ("Environment", "'A'")),
    ],
)
def test_what_is_not_served_is_refused_by_name(
    client: Any, members: dict[str, Any], words: tuple[str, ...]
) -> None:
    message = refused(client, **members)
    assert all(word in message for word in words), message
