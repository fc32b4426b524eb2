"""Which operations the house serves, by service; known without opening any state."""

from collections.abc import Mapping

from modeltap.front import cloudwatch, iam, logs, sagemaker, sts
from modeltap.front.s3 import service as s3
from modeltap.gateway import invocations

SERVED: Mapping[str, tuple[str, ...]] = {
    "sagemaker": tuple(sorted(sagemaker.SERVED)),
    invocations.SERVICE: (invocations.SERVED,),
    "sts": tuple(sts.SERVED),
    "iam": tuple(iam.SERVED),
    "logs": tuple(logs.SERVED),
    "cloudwatch": tuple(cloudwatch.SERVED),
    "s3": tuple(sorted(s3.SERVED)),
}
"""Botocore's name of a service → AWS's names of its operations, from the tables that serve them."""
