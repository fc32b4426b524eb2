"""IAM: the one role there is, the execution role named in the settings (contract §2.2).

SDK 3 looks whether its trust policy names sagemaker.amazonaws.com, and simulates what it may do.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from modeltap.errors import NoSuchEntity, ValidationError
from modeltap.front.app import Call, Service, bound
from modeltap.nouns import Document, Partition
from modeltap.wire.catalog import service

CREATED = datetime(2017, 11, 29, tzinfo=UTC)
"""The role is a setting and not a resource: it is as old as SageMaker itself."""

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}

POLICIES = frozenset({"PolicyInputList", "PermissionsBoundaryPolicyInputList", "ResourcePolicy"})


@dataclass(frozen=True, slots=True)
class ExecutionRole:
    """The role for which every caller stands."""

    partition: Partition
    name: str

    @property
    def arn(self) -> str:
        return self.partition.role_arn(self.name)

    @property
    def id(self) -> str:
        """Give a stable id of AWS's form: `AROA` and 17 capitals or digits."""
        digest = hashlib.sha256(self.arn.encode()).digest()
        return f"AROA{base64.b32encode(digest).decode()[:17]}"


async def get_role(role: ExecutionRole, call: Call) -> Document:
    name = call.params["RoleName"]
    if name != role.name:
        raise NoSuchEntity(f"The role with name {name} cannot be found.")
    description = {
        "Path": "/",
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": role.arn,
        "CreateDate": CREATED,
        "AssumeRolePolicyDocument": quote(json.dumps(TRUST), safe=""),
    }
    return {"Role": description}


async def simulate_principal_policy(role: ExecutionRole, call: Call) -> Document:
    """Allow every action on every resource: nothing here is judged by a policy.

    Raise `ValidationError` for policies to judge by, which would be left out of account.
    """
    if call.params["PolicySourceArn"] != role.arn:
        raise NoSuchEntity(f"The principal {call.params['PolicySourceArn']} cannot be found.")
    if judged := sorted(POLICIES & call.params.keys()):
        raise ValidationError(f"modeltap has no policies: leave out {', '.join(judged)}.")
    results = [
        {"EvalActionName": action, "EvalResourceName": resource, "EvalDecision": "allowed"}
        for action in call.params["ActionNames"]
        for resource in call.params.get("ResourceArns", ["*"])
    ]
    return {"EvaluationResults": results, "IsTruncated": False}


SERVED = {"GetRole": get_role, "SimulatePrincipalPolicy": simulate_principal_policy}


def iam_service(partition: Partition, role: str) -> Service:
    """Serve IAM for the one role of that name."""
    return Service(service("iam"), bound(SERVED, ExecutionRole(partition, role)))
