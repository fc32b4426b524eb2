"""Who am I, and what is my role: as the SDK asks (contract §2.2)."""

from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError
from sagemaker_server import ROLE, World, serving


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving(tmp_path_factory.mktemp("home")) as opened:
        yield opened


def test_the_caller_is_the_execution_role(world: World) -> None:
    answer = world.client("sts").get_caller_identity()
    assert answer["Account"] == "123456789012"
    assert answer["Arn"] == f"arn:aws:sts::123456789012:assumed-role/{ROLE}/modeltap"
    role = world.client("iam").get_role(RoleName=ROLE)["Role"]
    assert answer["UserId"] == f"{role['RoleId']}:modeltap"


def test_the_role_trusts_sagemaker(world: World) -> None:
    role = world.client("iam").get_role(RoleName=ROLE)["Role"]
    assert role["Arn"] == f"arn:aws:iam::123456789012:role/{ROLE}"
    assert (role["Path"], role["RoleName"]) == ("/", ROLE)
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    assert role["RoleId"].startswith("AROA") and len(role["RoleId"]) == 21
    assert role["CreateDate"].year == 2017


def test_there_is_no_other_role(world: World) -> None:
    iam = world.client("iam")
    with pytest.raises(iam.exceptions.NoSuchEntityException) as caught:
        iam.get_role(RoleName="Other")
    assert caught.value.response["Error"]["Message"] == (
        "The role with name Other cannot be found."
    )


def test_what_is_not_served_says_so(world: World) -> None:
    with pytest.raises(ClientError, match="DescribeModel"):
        world.client("sagemaker").list_training_jobs()
