"""SageMaker's control API through a real boto3 client, over TCP."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from sagemaker_server import World, serving

from modeltap.control.lifecycle import Event

ARN = "arn:aws:sagemaker:us-east-1:123456789012"
ROLE_ARN = "arn:aws:iam::123456789012:role/ModeltapExecutionRole"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.0-5"
ARCHIVE = "s3://bucket/model.tar.gz"

CONTAINER = {"Image": IMAGE, "ModelDataUrl": ARCHIVE, "Environment": {"A": "b"}}
VARIANT = {
    "VariantName": "AllTraffic",
    "ModelName": "Churn",
    "InitialInstanceCount": 1,
    "InstanceType": "ml.m5.xlarge",
}
CAPTURE = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 20,
    "DestinationS3Uri": "s3://bucket/capture",
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
}


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving(tmp_path_factory.mktemp("home")) as opened:
        opened.archives.add(ARCHIVE)
        yield opened


@pytest.fixture
def client(world: World) -> Any:
    return world.client("sagemaker")


def model(client: Any, name: str = "Churn", **members: Any) -> str:
    arguments = {"ExecutionRoleArn": ROLE_ARN, "PrimaryContainer": CONTAINER, **members}
    return str(client.create_model(ModelName=name, **arguments)["ModelArn"])


def config(client: Any, name: str = "Config", **members: Any) -> str:
    arguments = {"ProductionVariants": [VARIANT], **members}
    answer = client.create_endpoint_config(EndpointConfigName=name, **arguments)
    return str(answer["EndpointConfigArn"])


def in_service(world: World, client: Any, name: str = "Live") -> None:
    client.create_endpoint(EndpointName=name, EndpointConfigName="Config")
    world.settle(name, Event.BUILT)


def refusal(function: Any, **arguments: Any) -> str:
    """Give the text of a ValidationException."""
    with pytest.raises(ClientError) as caught:
        function(**arguments)
    error = caught.value.response["Error"]
    assert error["Code"] == "ValidationException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return str(error["Message"])


def told(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


# ---------------------------------------------------------------- models


def test_a_model_is_echoed(client: Any) -> None:
    assert model(client) == f"{ARN}:model/churn"
    answer = told(client.describe_model(ModelName="Churn"))
    created = answer.pop("CreationTime")
    assert abs(created - datetime.now(UTC)) < timedelta(minutes=1)
    assert answer == {
        "ModelName": "Churn",
        "ModelArn": f"{ARN}:model/churn",
        "PrimaryContainer": CONTAINER,
        "ExecutionRoleArn": ROLE_ARN,
    }


def test_harmless_members_are_kept(client: Any) -> None:
    vpc = {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}
    model(client, VpcConfig=vpc, EnableNetworkIsolation=True)
    answer = client.describe_model(ModelName="Churn")
    assert (answer["VpcConfig"], answer["EnableNetworkIsolation"]) == (vpc, True)


def test_model_data_is_looked_for(world: World, client: Any) -> None:
    missing, away = "s3://bucket/none.tar.gz", "s3://far/model.tar.gz"
    world.unreachable.add(away)
    container = {**CONTAINER, "ModelDataUrl": missing}
    text = refusal(client.create_model, ModelName="m", PrimaryContainer=container)
    assert text == f"Could not find model data at {missing}."
    text = refusal(
        client.create_model, ModelName="m", PrimaryContainer={**CONTAINER, "ModelDataUrl": away}
    )
    assert text == f"Could not access model data at {away}: no answer."
    assert "Could not find" in refusal(client.describe_model, ModelName="m")


def test_one_container_given_as_a_list_or_a_data_source_is_one_model(client: Any) -> None:
    source = {"S3Uri": ARCHIVE, "S3DataType": "S3Object", "CompressionType": "Gzip"}
    container = {"Image": IMAGE, "ModelDataSource": {"S3DataSource": source}}
    client.create_model(ModelName="m", Containers=[container])
    assert client.describe_model(ModelName="m")["Containers"] == [container]


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({}, "Exactly one of PrimaryContainer and Containers"),
        ({"PrimaryContainer": CONTAINER, "Containers": [CONTAINER]}, "Exactly one"),
        ({"Containers": [CONTAINER, CONTAINER]}, "inference pipeline"),
        ({"PrimaryContainer": {**CONTAINER, "Mode": "MultiModel"}}, "Mode MultiModel"),
        ({"PrimaryContainer": {"ModelPackageName": "p"}}, "PrimaryContainer.ModelPackageName"),
        ({"PrimaryContainer": {**CONTAINER, "Environment": {"A": "a\0b"}}}, "value of A"),
        (
            {"PrimaryContainer": {"ModelDataUrl": ARCHIVE}},
            "Value null at 'primaryContainer.image' failed to satisfy constraint: "
            "Member must not be null",
        ),
        (
            {
                "PrimaryContainer": {
                    "Image": IMAGE,
                    "ModelDataSource": {
                        "S3DataSource": {
                            "S3Uri": "s3://bucket/folder/",
                            "S3DataType": "S3Prefix",
                            "CompressionType": "None",
                        }
                    },
                }
            },
            "ModelDataSource",
        ),
    ],
)
def test_a_model_that_is_not_served_is_refused(
    client: Any, members: dict[str, Any], named: str
) -> None:
    assert named in refusal(client.create_model, ModelName="m", **members)


# ---------------------------------------------------------------- endpoint configs


def test_a_config_is_echoed_with_its_default_weight(client: Any) -> None:
    model(client)
    assert config(client, DataCaptureConfig=CAPTURE) == f"{ARN}:endpoint-config/config"
    answer = told(client.describe_endpoint_config(EndpointConfigName="Config"))
    del answer["CreationTime"]
    assert answer == {
        "EndpointConfigName": "Config",
        "EndpointConfigArn": f"{ARN}:endpoint-config/config",
        "ProductionVariants": [{**VARIANT, "InitialVariantWeight": 1.0}],
        "DataCaptureConfig": CAPTURE,
    }


def test_a_config_can_be_made_from_its_description(client: Any) -> None:
    """As `create_endpoint_config_from_existing` does (contract §1.2)."""
    model(client)
    routing = {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}
    variant = {**VARIANT, "InitialVariantWeight": 0.5, "RoutingConfig": routing}
    config(client, ProductionVariants=[variant], DataCaptureConfig=CAPTURE, KmsKeyId="key")
    first = told(client.describe_endpoint_config(EndpointConfigName="Config"))
    members = ("ProductionVariants", "DataCaptureConfig", "KmsKeyId")
    config(client, "Copy", **{name: first[name] for name in members})
    second = told(client.describe_endpoint_config(EndpointConfigName="Copy"))
    assert [second[name] for name in members] == [first[name] for name in members]
    assert "AsyncInferenceConfig" not in second


SHADOW = {**VARIANT, "VariantName": "Shadow", "InitialVariantWeight": 1.0}


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"ShadowProductionVariants": [SHADOW]}, "ShadowProductionVariants"),
        (
            {"AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://bucket/out"}}},
            "AsyncInferenceConfig",
        ),
        (
            {"ProductionVariants": [VARIANT, {**VARIANT, "VariantName": "b", "ServerlessConfig": {
                "MemorySizeInMB": 1024, "MaxConcurrency": 1}}]},
            "ProductionVariants[2].ServerlessConfig",
        ),
        ({"ProductionVariants": [VARIANT, VARIANT]}, "VariantName"),
        (
            {"ProductionVariants": [{"VariantName": "a", "ModelName": "Churn"}]},
            "Value null at 'productionVariants.1.member.instanceType'",
        ),
        (
            {"ProductionVariants": [{**VARIANT, "ModelName": "Unknown"}]},
            f'Could not find model "{ARN}:model/unknown".',
        ),
    ],
)  # fmt: skip
def test_a_config_that_is_not_served_is_refused(
    client: Any, members: dict[str, Any], named: str
) -> None:
    model(client)
    arguments = {"ProductionVariants": [VARIANT], **members}
    assert named in refusal(client.create_endpoint_config, EndpointConfigName="c", **arguments)


# ---------------------------------------------------------------- what all kinds have in common


def test_what_is_unknown_is_named(client: Any) -> None:
    model(client)
    config(client)
    unknown_model = f'Could not find model "{ARN}:model/none".'
    unknown_config = f'Could not find endpoint configuration "{ARN}:endpoint-config/none".'
    unknown_endpoint = f'Could not find endpoint "{ARN}:endpoint/none".'
    assert refusal(client.describe_model, ModelName="None") == unknown_model
    assert refusal(client.delete_model, ModelName="None") == unknown_model
    for function in (client.describe_endpoint_config, client.delete_endpoint_config):
        assert refusal(function, EndpointConfigName="None") == unknown_config
    for function in (client.describe_endpoint, client.delete_endpoint):
        assert refusal(function, EndpointName="None") == unknown_endpoint
    both = {"EndpointName": "None", "EndpointConfigName": "None"}
    assert refusal(client.create_endpoint, **both) == unknown_config
    assert refusal(client.update_endpoint, **both) == unknown_endpoint


def test_names_are_taken_once(world: World, client: Any) -> None:
    model(client)
    config(client)
    in_service(world, client)
    taken = "Cannot create already existing"
    arguments = {"ExecutionRoleArn": ROLE_ARN, "PrimaryContainer": CONTAINER}
    text = refusal(client.create_model, ModelName="cHURN", **arguments)
    assert text == f'{taken} model "{ARN}:model/churn".'
    text = refusal(
        client.create_endpoint_config, EndpointConfigName="config", ProductionVariants=[VARIANT]
    )
    assert text == f'{taken} endpoint configuration "{ARN}:endpoint-config/config".'
    arguments = {"EndpointName": "LIVE", "EndpointConfigName": "Config"}
    assert (
        refusal(client.create_endpoint, **arguments) == f'{taken} endpoint "{ARN}:endpoint/live".'
    )


def test_deleting_twice_is_told(client: Any) -> None:
    model(client)
    config(client)
    client.delete_endpoint_config(EndpointConfigName="Config")
    assert "Could not find" in refusal(client.delete_endpoint_config, EndpointConfigName="Config")
    client.delete_model(ModelName="Churn")
    assert "Could not find" in refusal(client.delete_model, ModelName="Churn")


def test_tags_are_kept_apart_from_what_is_described(client: Any) -> None:
    arn = model(client, Tags=[{"Key": "b", "Value": "1"}])
    assert "Tags" not in client.describe_model(ModelName="Churn")
    added = client.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "2"}])
    both = [{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "1"}]
    assert added["Tags"] == both
    assert told(client.list_tags(ResourceArn=arn, MaxResults=50)) == {"Tags": both}
    client.delete_tags(ResourceArn=arn, TagKeys=["b"])
    assert client.list_tags(ResourceArn=arn)["Tags"] == both[:1]
    client.delete_model(ModelName="Churn")
    assert refusal(client.list_tags, ResourceArn=arn) == f'Could not find model "{arn}".'


def test_a_tag_that_is_obeyed_must_say_something(client: Any) -> None:
    text = (
        "The value of the tag modeltap:capture-durability must be one of "
        "besteffort, durable, strict."
    )
    tag = {"Key": "modeltap:capture-durability", "Value": "Strict"}
    assert refusal(model, client=client, Tags=[tag]) == text
    arn = model(client)
    assert refusal(client.add_tags, ResourceArn=arn, Tags=[tag]) == text
    assert client.list_tags(ResourceArn=arn)["Tags"] == []


def test_lists_come_newest_first_in_pages_of_ten(client: Any) -> None:
    for number in range(12):
        model(client, f"model-{number:02}")
    first = client.list_models()
    assert [each["ModelName"] for each in first["Models"]] == [
        f"model-{number:02}" for number in range(11, 1, -1)
    ]
    rest = client.list_models(NextToken=first["NextToken"])
    assert [each["ModelName"] for each in rest["Models"]] == ["model-01", "model-00"]
    assert "NextToken" not in rest
    assert set(rest["Models"][0]) == {"ModelName", "ModelArn", "CreationTime"}
    pages = client.get_paginator("list_models").paginate(SortBy="Name", SortOrder="Ascending")
    assert len([each for page in pages for each in page["Models"]]) == 12
    assert "NextToken" in refusal(client.list_models, NextToken="nonsense")


def test_lists_are_filtered(world: World, client: Any) -> None:
    model(client)
    config(client)
    in_service(world, client)
    client.create_endpoint(EndpointName="Other", EndpointConfigName="Config")
    other = client.describe_endpoint(EndpointName="Other")["CreationTime"]

    def names(**arguments: Any) -> list[str]:
        return [each["EndpointName"] for each in client.list_endpoints(**arguments)["Endpoints"]]

    assert names() == ["Other", "Live"]
    assert names(StatusEquals="InService") == ["Live"]
    assert names(NameContains="the") == ["Other"]
    assert names(CreationTimeAfter=other) == ["Other"]
    assert names(CreationTimeBefore=other) == ["Live"]
    assert names(LastModifiedTimeBefore=datetime(2000, 1, 1, tzinfo=UTC)) == []
    assert names(SortBy="Status", SortOrder="Ascending") == ["Other", "Live"]
    assert [
        each["EndpointConfigName"] for each in client.list_endpoint_configs()["EndpointConfigs"]
    ] == ["Config"]
    (summary,) = client.list_endpoints(NameContains="Live")["Endpoints"]
    assert set(summary) == {
        "EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus",
    }  # fmt: skip
