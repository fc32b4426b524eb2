"""The table of S3's operations, and how an S3 address is read."""

import re
from collections.abc import Mapping
from dataclasses import replace

from modeltap.errors import AccessDenied, NotImplementedByStore
from modeltap.front.app import Call, Operation, Service
from modeltap.front.s3.buckets import BucketOperations
from modeltap.front.s3.listing import ListingOperations
from modeltap.front.s3.multipart import MultipartOperations
from modeltap.front.s3.objects import ObjectOperations
from modeltap.front.s3.payload import Payload
from modeltap.nouns import Document, HttpRequest, HttpResponse, Partition
from modeltap.objects.buckets import Buckets
from modeltap.objects.multipart import Uploads
from modeltap.wire import catalog

BUCKET_HOST = re.compile(
    rb"(?P<bucket>[a-z0-9.-]+)\.s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com(?::443)?"
)

PRIVATE = frozenset({"private", "bucket-owner-full-control", "bucket-owner-read"})
REFUSED = frozenset(
    {
        "BypassGovernanceRetention",
        "CopySourceSSECustomerAlgorithm",
        "GrantFullControl",
        "GrantRead",
        "GrantReadACP",
        "GrantWrite",
        "GrantWriteACP",
        "IfMatchLastModifiedTime",
        "IfMatchSize",
        "MFA",
        "ObjectLockEnabledForBucket",
        "ObjectLockLegalHoldStatus",
        "ObjectLockMode",
        "ObjectLockRetainUntilDate",
        "SSECustomerAlgorithm",
        "Tagging",
        "WebsiteRedirectLocation",
        "WriteOffsetBytes",
    }
)
"""Members that ask for what the embedded buckets do not do."""


def s3_service(buckets: Buckets, partition: Partition) -> Service:
    """Serve S3 from the embedded buckets, for the one account and region."""
    uploads = Uploads(buckets)
    of_buckets = BucketOperations(buckets, partition)
    of_objects = ObjectOperations(buckets)
    of_listings = ListingOperations(buckets, partition)
    of_uploads = MultipartOperations(buckets, uploads, partition)
    table: Mapping[str, Operation] = {
        "ListBuckets": of_buckets.list_buckets,
        "CreateBucket": of_buckets.create_bucket,
        "HeadBucket": of_buckets.head_bucket,
        "DeleteBucket": of_buckets.delete_bucket,
        "GetBucketLocation": of_buckets.get_bucket_location,
        "GetBucketVersioning": of_buckets.get_bucket_versioning,
        "PutObject": of_objects.put_object,
        "GetObject": of_objects.get_object,
        "HeadObject": of_objects.head_object,
        "CopyObject": of_objects.copy_object,
        "DeleteObject": of_objects.delete_object,
        "DeleteObjects": of_objects.delete_objects,
        "ListObjects": of_listings.list_objects,
        "ListObjectsV2": of_listings.list_objects_v2,
        "CreateMultipartUpload": of_uploads.create_multipart_upload,
        "UploadPart": of_uploads.upload_part,
        "CompleteMultipartUpload": of_uploads.complete_multipart_upload,
        "AbortMultipartUpload": of_uploads.abort_multipart_upload,
        "ListParts": of_uploads.list_parts,
        "ListMultipartUploads": of_uploads.list_multipart_uploads,
    }
    guarded = {name: _guarded(operation, partition.account) for name, operation in table.items()}
    return Service(catalog.service("s3"), guarded, view=_view)


def _guarded(operation: Operation, account: str) -> Operation:
    """Refuse what no operation here does, and callers who expect another owner."""

    async def guarded(call: Call) -> Document | HttpResponse:
        owners = {
            call.params.get("ExpectedBucketOwner"),
            call.params.get("ExpectedSourceBucketOwner"),
        }
        if owners - {None, account}:
            raise AccessDenied("Access Denied")
        unserved = sorted(name for name in REFUSED if call.params.get(name))
        if call.params.get("ACL", "private") not in PRIVATE:
            unserved.append("ACL")
        if call.params.get("VersionId", "null") != "null":
            unserved.append("VersionId")
        if unserved:
            raise NotImplementedByStore(f"modeltap's buckets do not serve {', '.join(unserved)}.")
        return await operation(call)

    return guarded


def _view(request: HttpRequest) -> HttpRequest:
    """Read a request path style and its payload decoded and checked."""
    target, host = request.target, request.header(b"host") or b""
    if named := BUCKET_HOST.fullmatch(host.lower()):
        target = b"/" + named["bucket"] + target
    return replace(request, target=target, body=Payload(request))
