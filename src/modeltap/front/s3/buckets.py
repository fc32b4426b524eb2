"""S3's operations on buckets."""

import asyncio

from modeltap.clock import utc
from modeltap.errors import BucketAlreadyOwnedByYou, IllegalLocationConstraint
from modeltap.front.app import Call
from modeltap.nouns import Document, HttpResponse, Partition
from modeltap.objects.buckets import Buckets

BUCKETS_MAX = 10_000  # of one page of ListBuckets, as the model has it


class BucketOperations:
    """One coroutine function an operation, named like it."""

    def __init__(self, buckets: Buckets, partition: Partition) -> None:
        self._buckets = buckets
        self._partition = partition

    async def list_buckets(self, call: Call) -> Document:
        prefix, after = call.params.get("Prefix", ""), call.params.get("ContinuationToken", "")
        limit = min(call.params.get("MaxBuckets", BUCKETS_MAX), BUCKETS_MAX)
        names = await asyncio.to_thread(self._buckets.names)
        found = [each for each in names if each[0].startswith(prefix) and each[0] > after]
        shown = [
            {
                "Name": name,
                "CreationDate": utc(created_ns),
                "BucketRegion": self._partition.region,
            }
            for name, created_ns in found[:limit]
        ]
        more = {"ContinuationToken": shown[-1]["Name"]} if len(found) > limit else {}
        return {"Buckets": shown, "Owner": owner(self._partition), **more}

    async def create_bucket(self, call: Call) -> Document:
        """Make a bucket; in us-east-1 making one's own again is no error (S3 API reference)."""
        bucket, region = call.params["Bucket"], self._partition.region
        configuration = call.params.get("CreateBucketConfiguration", {})
        if configuration.get("LocationConstraint", region) != region:
            raise IllegalLocationConstraint(
                f"This modeltap stands for {region}; no bucket can be made elsewhere."
            )
        try:
            await asyncio.to_thread(self._buckets.create, bucket)
        except BucketAlreadyOwnedByYou:
            if region != "us-east-1":
                raise
        return {"Location": f"/{bucket}"}

    async def head_bucket(self, call: Call) -> Document:
        await asyncio.to_thread(self._buckets.check, call.params["Bucket"])
        return {"BucketRegion": self._partition.region}

    async def delete_bucket(self, call: Call) -> Document | HttpResponse:
        await asyncio.to_thread(self._buckets.drop, call.params["Bucket"])
        return {}

    async def get_bucket_location(self, call: Call) -> Document:
        await asyncio.to_thread(self._buckets.check, call.params["Bucket"])
        region = self._partition.region
        return {} if region == "us-east-1" else {"LocationConstraint": region}

    async def get_bucket_versioning(self, call: Call) -> Document:
        """Say what is true: versioning was never switched on."""
        await asyncio.to_thread(self._buckets.check, call.params["Bucket"])
        return {}


def owner(partition: Partition) -> Document:
    """Name the one account, in the shape of S3's canonical user ids (64 hex digits)."""
    return {"ID": partition.account.zfill(64), "DisplayName": "modeltap"}
