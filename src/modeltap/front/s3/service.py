"""The table of S3's operations, and how an S3 address is read."""

import re
from dataclasses import replace

from modeltap.errors import AccessDenied, NotImplementedByStore
from modeltap.front.app import Call, Operation, Service, bound
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


OF_BUCKETS = {
    "ListBuckets": BucketOperations.list_buckets,
    "CreateBucket": BucketOperations.create_bucket,
    "HeadBucket": BucketOperations.head_bucket,
    "DeleteBucket": BucketOperations.delete_bucket,
    "GetBucketLocation": BucketOperations.get_bucket_location,
    "GetBucketVersioning": BucketOperations.get_bucket_versioning,
}
OF_OBJECTS = {
    "PutObject": ObjectOperations.put_object,
    "GetObject": ObjectOperations.get_object,
    "HeadObject": ObjectOperations.head_object,
    "CopyObject": ObjectOperations.copy_object,
    "DeleteObject": ObjectOperations.delete_object,
    "DeleteObjects": ObjectOperations.delete_objects,
}
OF_LISTINGS = {
    "ListObjects": ListingOperations.list_objects,
    "ListObjectsV2": ListingOperations.list_objects_v2,
}
OF_UPLOADS = {
    "CreateMultipartUpload": MultipartOperations.create_multipart_upload,
    "UploadPart": MultipartOperations.upload_part,
    "UploadPartCopy": MultipartOperations.upload_part_copy,
    "CompleteMultipartUpload": MultipartOperations.complete_multipart_upload,
    "AbortMultipartUpload": MultipartOperations.abort_multipart_upload,
    "ListParts": MultipartOperations.list_parts,
    "ListMultipartUploads": MultipartOperations.list_multipart_uploads,
}
SERVED = (*OF_BUCKETS, *OF_OBJECTS, *OF_LISTINGS, *OF_UPLOADS)


def s3_service(buckets: Buckets, partition: Partition) -> Service:
    """Serve S3 from the embedded buckets, for the one account and region."""
    uploads = Uploads(buckets)
    table = (
        bound(OF_BUCKETS, BucketOperations(buckets, partition))
        | bound(OF_OBJECTS, ObjectOperations(buckets))
        | bound(OF_LISTINGS, ListingOperations(buckets, partition))
        | bound(OF_UPLOADS, MultipartOperations(buckets, uploads, partition))
    )
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
