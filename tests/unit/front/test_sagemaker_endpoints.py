"""An endpoint's life, seen through a real boto3 client (contract §1.3, §1.4, §2.6)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError
from sagemaker_server import INSTANCES_MAX, World, serving

from modeltap.control.endpoints import endpoint_of, routes
from modeltap.control.fleets import DURABILITY_TAG
from modeltap.control.lifecycle import Event
from modeltap.nouns import CapturePlan, Durability

ENDPOINT_ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/live"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.0-5"
CAPTURE = {
    "InitialSamplingPercentage": 50,
    "DestinationS3Uri": "s3://bucket/capture",
    "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
}
BASE = {"EndpointName", "EndpointArn", "EndpointConfigName", "EndpointStatus"} | {
    "CreationTime",
    "LastModifiedTime",
}


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving(tmp_path_factory.mktemp("home")) as opened:
        opened.archives.add("s3://bucket/model.tar.gz")
        yield opened


@pytest.fixture
def client(world: World) -> Any:
    """Give a client that finds a model, two configs, and an endpoint being created."""
    made = world.client("sagemaker")
    made.create_model(
        ModelName="Churn",
        PrimaryContainer={"Image": IMAGE, "ModelDataUrl": "s3://bucket/model.tar.gz"},
    )
    config(made, "first", a=(1, 1.0), b=(1, 1.0))
    config(made, "second", a=(2, 0.5), c=(3, 2.0))
    made.create_endpoint(EndpointName="Live", EndpointConfigName="first", Tags=[])
    return made


def config(client: Any, name: str, **variants: tuple[int, float]) -> None:
    client.create_endpoint_config(
        EndpointConfigName=name,
        DataCaptureConfig=CAPTURE,
        ProductionVariants=[
            {
                "VariantName": variant,
                "ModelName": "Churn",
                "InitialInstanceCount": count,
                "InitialVariantWeight": weight,
                "InstanceType": "ml.m5.xlarge",
            }
            for variant, (count, weight) in variants.items()
        ],
    )


def describe(client: Any) -> dict[str, Any]:
    answer = client.describe_endpoint(EndpointName="Live")
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def shares(client: Any, prefix: str) -> dict[str, tuple[int, float]]:
    return {
        each["VariantName"]: (each[f"{prefix}InstanceCount"], each[f"{prefix}Weight"])
        for each in describe(client)["ProductionVariants"]
    }


def fleet_id(world: World) -> str:
    resource = world.store.get("endpoint", "Live")
    assert resource is not None
    fleet = endpoint_of(resource).serving
    assert fleet is not None
    return fleet.id


def plan(world: World) -> CapturePlan:
    resource = world.store.get("endpoint", "Live")
    assert resource is not None
    made = routes([endpoint_of(resource)], [])["Live"].capture
    assert made is not None
    return made


def refusal(function: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        function(**arguments)
    error = caught.value.response["Error"]
    assert error["Code"] == "ValidationException"
    return str(error["Message"])


def test_while_it_is_created_there_are_no_variants(world: World, client: Any) -> None:
    answer = describe(client)
    assert set(answer) == BASE
    assert (answer["EndpointStatus"], answer["EndpointArn"]) == ("Creating", ENDPOINT_ARN)
    assert world.wakes == 1


def test_in_service_it_tells_what_runs(world: World, client: Any) -> None:
    world.settle("Live", Event.BUILT)
    answer = describe(client)
    assert set(answer) == BASE | {"ProductionVariants", "DataCaptureConfig"}
    assert answer["EndpointStatus"] == "InService"
    assert answer["LastModifiedTime"] >= answer["CreationTime"]
    variant = answer["ProductionVariants"][0]
    (image,) = variant.pop("DeployedImages")
    assert image["SpecifiedImage"] == image["ResolvedImage"] == IMAGE
    assert variant == {
        "VariantName": "a",
        "CurrentWeight": 1.0,
        "DesiredWeight": 1.0,
        "CurrentInstanceCount": 1,
        "DesiredInstanceCount": 1,
    }
    assert answer["DataCaptureConfig"] == {
        "EnableCapture": True,
        "CaptureStatus": "Started",
        "CurrentSamplingPercentage": 50,
        "DestinationS3Uri": "s3://bucket/capture",
    }


def test_disabled_capture_is_stopped_and_its_key_is_told(world: World, client: Any) -> None:
    world.settle("Live", Event.BUILT)
    client.create_endpoint_config(
        EndpointConfigName="off",
        DataCaptureConfig={**CAPTURE, "EnableCapture": False, "KmsKeyId": "key"},
        ProductionVariants=client.describe_endpoint_config(EndpointConfigName="first")[
            "ProductionVariants"
        ],
    )
    client.update_endpoint(EndpointName="Live", EndpointConfigName="off")
    world.settle("Live", Event.BUILT)
    summary = describe(client)["DataCaptureConfig"]
    assert (summary["EnableCapture"], summary["CaptureStatus"]) == (False, "Stopped")
    assert summary["KmsKeyId"] == "key"


def test_a_tag_of_its_config_says_what_its_answers_wait_for(world: World, client: Any) -> None:
    world.settle("Live", Event.BUILT)
    assert plan(world).durability is Durability.BESTEFFORT  # the server's default
    arn = client.describe_endpoint_config(EndpointConfigName="first")["EndpointConfigArn"]
    client.add_tags(ResourceArn=arn, Tags=[{"Key": DURABILITY_TAG, "Value": "strict"}])
    assert plan(world).durability is Durability.BESTEFFORT  # an endpoint does not change under way
    client.update_endpoint(EndpointName="Live", EndpointConfigName="first")
    world.settle("Live", Event.BUILT)
    assert plan(world).durability is Durability.STRICT


def test_capture_that_stands_still_is_stopped(world: World, client: Any) -> None:
    world.settle("Live", Event.BUILT)
    world.stopped["Live"] = "disk_watermark"
    assert describe(client)["DataCaptureConfig"]["CaptureStatus"] == "Stopped"
    del world.stopped["Live"]
    assert describe(client)["DataCaptureConfig"]["CaptureStatus"] == "Started"


def test_a_failed_creation_says_why_and_can_only_be_deleted(world: World, client: Any) -> None:
    world.settle("Live", Event.BUILD_FAILED, "It did not load.")
    answer = describe(client)
    assert set(answer) == BASE | {"FailureReason"}
    assert (answer["EndpointStatus"], answer["FailureReason"]) == ("Failed", "It did not load.")
    arguments = {"EndpointName": "Live", "EndpointConfigName": "second"}
    assert "can only be deleted" in refusal(client.update_endpoint, **arguments)
    client.delete_endpoint(EndpointName="Live")
    assert describe(client)["EndpointStatus"] == "Deleting"


def test_in_progress_nothing_else_can_be_asked_for(world: World, client: Any) -> None:
    busy = f'Cannot update in-progress endpoint "{ENDPOINT_ARN}".'
    update = {"EndpointName": "Live", "EndpointConfigName": "second"}
    scale = {
        "EndpointName": "Live",
        "DesiredWeightsAndCapacities": [{"VariantName": "a", "DesiredWeight": 2.0}],
    }

    def all_refused() -> None:
        assert refusal(client.update_endpoint, **update) == busy
        assert refusal(client.delete_endpoint, EndpointName="Live") == busy
        assert refusal(client.update_endpoint_weights_and_capacities, **scale) == busy

    all_refused()
    world.settle("Live", Event.BUILT)
    client.update_endpoint(**update)
    all_refused()
    world.settle("Live", Event.BUILD_FAILED, "no")
    all_refused()
    world.settle("Live", Event.RESTORED)
    client.delete_endpoint(EndpointName="Live")
    all_refused()


def test_an_update_is_told_of_the_old_fleet_until_it_is_done(world: World, client: Any) -> None:
    world.settle("Live", Event.BUILT)
    answer = client.update_endpoint(EndpointName="live", EndpointConfigName="second")
    assert answer["EndpointArn"] == ENDPOINT_ARN
    assert describe(client)["EndpointStatus"] == "Updating"
    assert describe(client)["EndpointConfigName"] == "first"
    assert shares(client, "Current") == {"a": (1, 1.0), "b": (1, 1.0)}
    assert shares(client, "Desired") == {"a": (2, 0.5), "b": (1, 1.0)}
    world.settle("Live", Event.BUILT)
    assert describe(client)["EndpointConfigName"] == "second"
    assert shares(client, "Current") == {"a": (2, 0.5), "c": (3, 2.0)}


def test_a_failed_update_keeps_the_old_fleet_and_the_reason(world: World, client: Any) -> None:
    world.settle("Live", Event.BUILT)
    client.update_endpoint(EndpointName="Live", EndpointConfigName="second")
    world.settle("Live", Event.BUILD_FAILED, "It did not load.")
    assert describe(client)["EndpointStatus"] == "RollingBack"
    world.settle("Live", Event.RESTORED)
    answer = describe(client)
    assert (answer["EndpointStatus"], answer["EndpointConfigName"]) == ("InService", "first")
    assert answer["FailureReason"] == "It did not load."
    client.update_endpoint(EndpointName="Live", EndpointConfigName="second")
    assert "FailureReason" not in describe(client)


@pytest.mark.parametrize(
    ("excluded", "expected"),
    [
        ([], (1, 1.0)),
        (["DesiredWeight"], (1, 0.5)),
        (["DesiredInstanceCount", "DataCaptureConfig"], (2, 1.0)),
    ],
)
def test_an_update_can_keep_weights_and_counts(
    world: World, client: Any, excluded: list[str], expected: tuple[int, float]
) -> None:
    world.settle("Live", Event.BUILT)
    client.update_endpoint(
        EndpointName="Live",
        EndpointConfigName="second",
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=[{"VariantPropertyType": name} for name in excluded],
    )
    world.settle("Live", Event.BUILT)
    assert shares(client, "Current") == {"a": expected, "c": (3, 2.0)}


def test_weights_and_counts_can_be_changed_alone(world: World, client: Any) -> None:
    world.settle("Live", Event.BUILT)
    before = fleet_id(world)
    client.update_endpoint_weights_and_capacities(
        EndpointName="Live",
        DesiredWeightsAndCapacities=[{"VariantName": "b", "DesiredInstanceCount": 4}],
    )
    assert shares(client, "Desired") == {"a": (1, 1.0), "b": (4, 1.0)}
    world.settle("Live", Event.BUILT)
    assert shares(client, "Current") == {"a": (1, 1.0), "b": (4, 1.0)}
    assert fleet_id(world) == before  # the instances that there are stay
    text = refusal(
        client.update_endpoint_weights_and_capacities,
        EndpointName="Live",
        DesiredWeightsAndCapacities=[{"VariantName": "none", "DesiredWeight": 1.0}],
    )
    assert "none" in text


def test_an_endpoint_lives_on_without_its_config_and_model(world: World, client: Any) -> None:
    """The SDK deletes the config first (contract §2.5)."""
    world.settle("Live", Event.BUILT)
    client.delete_endpoint_config(EndpointConfigName="first")
    client.delete_model(ModelName="Churn")
    assert describe(client)["ProductionVariants"][0]["DeployedImages"][0]["SpecifiedImage"] == IMAGE
    text = refusal(client.create_endpoint, EndpointName="x", EndpointConfigName="second")
    assert text == f'Could not find model "{ENDPOINT_ARN.replace("endpoint/live", "model/churn")}".'


BLUE_GREEN = {"TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}}
CANARY = {
    "TrafficRoutingConfiguration": {
        "Type": "CANARY",
        "WaitIntervalInSeconds": 60,
        "CanarySize": {"Type": "INSTANCE_COUNT", "Value": 1},
    }
}


def test_only_deployments_at_once_are_taken(world: World, client: Any) -> None:
    world.settle("Live", Event.BUILT)
    update = {"EndpointName": "Live", "EndpointConfigName": "second"}
    canary = {"BlueGreenUpdatePolicy": CANARY}
    assert "CANARY" in refusal(client.update_endpoint, DeploymentConfig=canary, **update)
    alarms = {
        "BlueGreenUpdatePolicy": BLUE_GREEN,
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "a"}]},
    }
    text = refusal(client.update_endpoint, DeploymentConfig=alarms, **update)
    assert "AutoRollbackConfiguration" in text
    at_once = {"BlueGreenUpdatePolicy": BLUE_GREEN}
    client.update_endpoint(DeploymentConfig=at_once, **update)
    assert "LastDeploymentConfig" not in describe(client)
    world.settle("Live", Event.BUILT)
    assert describe(client)["LastDeploymentConfig"] == at_once


def limit(function: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        function(**arguments)
    error = caught.value.response["Error"]
    assert error["Code"] == "ResourceLimitExceeded"
    return str(error["Message"])


def told_limit(utilization: int, delta: int) -> str:
    return (
        f"The account-level service limit 'ml.m5.xlarge for endpoint usage' is {INSTANCES_MAX} "
        f"Instances, with current utilization of {utilization} Instances and a request delta of "
        f"{delta} Instances. Please contact AWS support to request an increase for this limit."
    )


def test_all_instances_together_have_a_limit(world: World, client: Any) -> None:
    """Contract §2.7; an update counts its new fleet beside the old."""
    config(client, "nine", a=(9, 1.0))
    config(client, "eight", a=(8, 1.0))
    more = {"EndpointName": "More", "EndpointConfigName": "nine"}
    assert limit(client.create_endpoint, **more).startswith(told_limit(2, 9))
    assert "Could not find" in refusal(client.describe_endpoint, EndpointName="More")
    client.create_endpoint(EndpointName="More", EndpointConfigName="eight")
    world.settle("Live", Event.BUILT)
    again = {"EndpointName": "Live", "EndpointConfigName": "first"}
    assert limit(client.update_endpoint, **again).startswith(told_limit(10, 2))
    wish = {"VariantName": "a", "DesiredInstanceCount": 2}
    wishes = {"EndpointName": "Live", "DesiredWeightsAndCapacities": [wish]}
    ask = client.update_endpoint_weights_and_capacities
    assert limit(ask, **wishes).startswith(told_limit(10, 1))
    world.settle("More", Event.BUILD_FAILED, "no")  # a failed endpoint has no instances
    ask(**wishes)
    world.settle("Live", Event.BUILT)
    client.delete_endpoint(EndpointName="Live")
    client.create_endpoint(EndpointName="Third", EndpointConfigName="nine")


def test_calls_at_once_do_not_pass_the_limit_together(world: World, client: Any) -> None:
    config(client, "five", a=(5, 1.0))

    def create(number: int) -> bool:
        try:
            client.create_endpoint(EndpointName=f"e{number}", EndpointConfigName="five")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ResourceLimitExceeded"
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(8))) == 1
