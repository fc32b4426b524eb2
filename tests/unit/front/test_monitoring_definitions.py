"""Data-quality job definitions of SageMaker's API through a real boto3 client, over TCP."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from monitoring_requests import ANALYZER, BASELINE, BATCH, DEFINITION, INLINE, INPUT, OUTPUT
from sagemaker_server import World, serving

from modeltap.control.definitions import inline

ARN = "arn:aws:sagemaker:us-east-1:123456789012:data-quality-job-definition"


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving(tmp_path_factory.mktemp("home")) as opened:
        yield opened


@pytest.fixture
def client(world: World) -> Any:
    return world.client("sagemaker")


def create(client: Any, name: str = "Def", **members: Any) -> str:
    asked = {**DEFINITION, **members}
    answer = client.create_data_quality_job_definition(JobDefinitionName=name, **asked)
    return str(answer["JobDefinitionArn"])


def refused(client: Any, code: str = "ValidationException", **members: Any) -> str:
    with pytest.raises(ClientError) as failed:
        create(client, **members)
    assert failed.value.response["Error"]["Code"] == code
    return str(failed.value.response["Error"]["Message"])


def test_both_forms_are_one() -> None:
    assert inline(DEFINITION) == INLINE


def test_describe_echoes_the_request(client: Any) -> None:
    arn = create(client)
    assert arn == f"{ARN}/def"
    told = client.describe_data_quality_job_definition(JobDefinitionName="Def")
    assert {name: told[name] for name in DEFINITION} == DEFINITION
    assert (told["JobDefinitionArn"], told["JobDefinitionName"]) == (arn, "Def")
    assert "CreationTime" in told


def test_one_of_batch_transforms_has_no_endpoint(client: Any) -> None:
    create(client, DataQualityJobInput=BATCH)
    told = client.describe_data_quality_job_definition(JobDefinitionName="Def")
    assert told["DataQualityJobInput"] == BATCH
    (listed,) = client.list_data_quality_job_definitions()["JobDefinitionSummaries"]
    assert listed["MonitoringJobDefinitionName"] == "Def"
    assert "EndpointName" not in listed


def test_lists_filter_by_endpoint(client: Any) -> None:
    create(client, "One")
    given = {"EndpointInput": {**INPUT["EndpointInput"], "EndpointName": "Other"}}
    create(client, "Two", DataQualityJobInput=given)

    def names(**query: Any) -> list[tuple[str, str]]:
        found = client.list_data_quality_job_definitions(**query)["JobDefinitionSummaries"]
        return [(each["MonitoringJobDefinitionName"], each["EndpointName"]) for each in found]

    assert names(SortBy="Name", SortOrder="Ascending") == [("One", "Churn"), ("Two", "Other")]
    assert names(EndpointName="Other") == [("Two", "Other")]
    assert names(NameContains="one") == [("One", "Churn")]


def test_what_is_not_there_has_awss_code(client: Any) -> None:
    create(client)
    client.delete_data_quality_job_definition(JobDefinitionName="Def")
    for operation in ("describe", "delete"):
        with pytest.raises(ClientError) as failed:
            getattr(client, f"{operation}_data_quality_job_definition")(JobDefinitionName="Def")
        assert failed.value.response["Error"]["Code"] == "ResourceNotFound"


def test_a_name_is_taken(client: Any) -> None:
    create(client)
    assert f"{ARN}/def" in refused(client, "ResourceInUse")


def test_definitions_have_tags(client: Any) -> None:
    arn = create(client, Tags=[{"Key": "a", "Value": "b"}])
    assert client.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]


def app(**members: Any) -> dict[str, Any]:
    return {"DataQualityAppSpecification": {"ImageUri": ANALYZER, **members}}


def endpoint(**members: Any) -> dict[str, Any]:
    return {"DataQualityJobInput": {"EndpointInput": {**INPUT["EndpointInput"], **members}}}


def output(**members: Any) -> dict[str, Any]:
    given = {**OUTPUT["MonitoringOutputs"][0]["S3Output"], **members}
    return {"DataQualityJobOutputConfig": {"MonitoringOutputs": [{"S3Output": given}]}}


def batch(**members: Any) -> dict[str, Any]:
    given = {**BATCH["BatchTransformInput"], **members}
    return {"DataQualityJobInput": {"BatchTransformInput": given}}


@pytest.mark.parametrize(
    ("members", "word"),
    [
        ({"DataQualityJobInput": {}}, "EndpointInput"),
        ({"DataQualityJobInput": {**INPUT, **BATCH}}, "exactly one input"),
        (batch(LocalPath="/tmp/x"), "BatchTransformInput.LocalPath"),
        (batch(S3InputMode="Pipe"), "BatchTransformInput.S3InputMode"),
        (batch(DataCapturedDestinationS3Uri="s3://B/x"), "DataCapturedDestinationS3Uri 's3://B/x'"),
        (batch(DatasetFormat={}), "BatchTransformInput.DatasetFormat"),
        (batch(DatasetFormat={"Csv": {}, "Parquet": {}}), "BatchTransformInput.DatasetFormat"),
        (batch(StartTimeOffset="-PT1H", EndTimeOffset="-PT2H"), "StartTimeOffset must lie before"),
        (endpoint(LocalPath="/tmp/x"), "EndpointInput.LocalPath"),
        (endpoint(S3InputMode="Pipe"), "EndpointInput.S3InputMode"),
        (output(LocalPath="/etc"), "MonitoringOutputs[1].S3Output.LocalPath"),
        (output(S3Uri="s3://B/x"), "MonitoringOutputs[1].S3Output.S3Uri"),
        (app(ImageUri="nginx"), "AppSpecification.ImageUri"),
        (app(RecordPreprocessorSourceUri="s3://bucket/"), "RecordPreprocessorSourceUri"),
        (
            {
                "DataQualityBaselineConfig": {
                    **BASELINE,
                    "StatisticsResource": {"S3Uri": "s3://bucket/baseline/"},
                }
            },
            "names no object",
        ),
    ],
)
def test_what_is_not_served_is_refused_by_its_name(
    client: Any, members: dict[str, Any], word: str
) -> None:
    assert word in refused(client, **members)
