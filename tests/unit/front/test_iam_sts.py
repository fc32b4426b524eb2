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


def test_the_role_may_do_everything(world: World) -> None:
    """As SDK 3's `ModelBuilder` asks before it makes a model."""
    iam = world.client("iam")
    role = iam.get_role(RoleName=ROLE)["Role"]["Arn"]
    actions = ["ecr:GetAuthorizationToken", "s3:ListAllMyBuckets"]
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=role, ActionNames=actions
    )
    results = [each for page in pages for each in page["EvaluationResults"]]
    assert [each["EvalActionName"] for each in results] == actions
    assert {each["EvalDecision"] for each in results} == {"allowed"}
    assert {each["EvalResourceName"] for each in results} == {"*"}


def test_no_other_principal_and_no_policy_is_simulated(world: World) -> None:
    iam = world.client("iam")
    role = iam.get_role(RoleName=ROLE)["Role"]["Arn"]
    with pytest.raises(iam.exceptions.NoSuchEntityException, match=r"role/Other cannot be found"):
        iam.simulate_principal_policy(
            PolicySourceArn=role.replace(ROLE, "Other"), ActionNames=["s3:GetObject"]
        )
    with pytest.raises(ClientError, match="leave out PolicyInputList"):
        iam.simulate_principal_policy(
            PolicySourceArn=role, ActionNames=["s3:GetObject"], PolicyInputList=["{}"]
        )


def test_what_is_not_served_says_so(world: World) -> None:
    with pytest.raises(ClientError, match="DescribeModel"):
        world.client("sagemaker").list_training_jobs()
