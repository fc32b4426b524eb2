"""STS: who the caller is. Every key of ours acts in one role (contract §2.2).

The SDK turns the assumed-role ARN into the ARN of the execution role, and the account into the
name of the default bucket; a user's ARN would end in its `ValueError`.
"""

from modeltap.front.app import Call, Service, bound
from modeltap.front.iam import ExecutionRole
from modeltap.nouns import Document, Partition
from modeltap.wire.catalog import service


async def get_caller_identity(role: ExecutionRole, call: Call) -> Document:
    return {
        "UserId": f"{role.id}:{call.caller.arn.rpartition('/')[2]}",
        "Account": call.caller.account,
        "Arn": call.caller.arn,
    }


SERVED = {"GetCallerIdentity": get_caller_identity}


def sts_service(partition: Partition, role: str) -> Service:
    """Serve STS for the one role of that name."""
    return Service(service("sts"), bound(SERVED, ExecutionRole(partition, role)))
