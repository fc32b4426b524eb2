"""IAM: the one role there is, the execution role named in the settings (contract §2.2).

SDK 3 looks whether its trust policy names sagemaker.amazonaws.com.
"""

import base64
import hashlib
import json
from datetime import UTC, datetime
from urllib.parse import quote

from modeltap.errors import NoSuchEntity
from modeltap.front.app import Call, Service
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


def iam_service(partition: Partition, role: str) -> Service:
    """Serve IAM for the one role of that name."""

    async def get_role(call: Call) -> Document:
        name = call.params["RoleName"]
        if name != role:
            raise NoSuchEntity(f"The role with name {name} cannot be found.")
        description = {
            "Path": "/",
            "RoleName": role,
            "RoleId": role_id(partition, role),
            "Arn": partition.role_arn(role),
            "CreateDate": CREATED,
            "AssumeRolePolicyDocument": quote(json.dumps(TRUST), safe=""),
        }
        return {"Role": description}

    return Service(service("iam"), {"GetRole": get_role})


def role_id(partition: Partition, role: str) -> str:
    """Give the role a stable id of AWS's form: `AROA` and 17 capitals or digits."""
    digest = hashlib.sha256(partition.role_arn(role).encode()).digest()
    return f"AROA{base64.b32encode(digest).decode()[:17]}"
