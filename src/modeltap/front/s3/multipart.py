"""S3's operations on multipart uploads."""

import asyncio

from modeltap.clock import utc
from modeltap.errors import InvalidArgument, NotImplementedByStore
from modeltap.front.app import Call
from modeltap.front.s3 import conditions
from modeltap.front.s3.buckets import owner
from modeltap.front.s3.listing import encoding, page_size
from modeltap.front.s3.objects import kept, quoted, source_of
from modeltap.front.s3.payload import Payload, checksums_of
from modeltap.nouns import Document, Partition
from modeltap.objects.buckets import Buckets
from modeltap.objects.multipart import NamedPart, Uploads

BEHIND_ALL_IDS = "~"  # sorts behind every upload id


class MultipartOperations:
    """One coroutine function an operation, named like it."""

    def __init__(self, buckets: Buckets, uploads: Uploads, partition: Partition) -> None:
        self._buckets = buckets
        self._uploads = uploads
        self._owner = owner(partition)

    async def create_multipart_upload(self, call: Call) -> Document:
        bucket, key = call.params["Bucket"], call.params["Key"]
        upload_id = await asyncio.to_thread(self._uploads.start, bucket, key, kept(call.params))
        algorithm = {"ChecksumAlgorithm": call.params.get("ChecksumAlgorithm")}
        return {"Bucket": bucket, "Key": key, "UploadId": upload_id, **algorithm}

    async def upload_part(self, call: Call) -> Document:
        payload, place = call.body, _place(call.params)
        assert isinstance(payload, Payload)
        payload.require_length(self._buckets.object_bytes_max)
        await asyncio.to_thread(self._uploads.get, *place)
        blob = await self._buckets.receive(payload)
        checksums = payload.checksums(call.params)
        number = call.params["PartNumber"]
        await asyncio.to_thread(self._uploads.put_part, *place, number, blob, checksums)
        return {"ETag": quoted(blob.md5), **checksums}

    async def upload_part_copy(self, call: Call) -> Document:
        """Take a part's bytes from an object, all or `CopySourceRange`."""
        params, place = call.params, _place(call.params)
        await asyncio.to_thread(self._uploads.get, *place)
        reading = await asyncio.to_thread(self._buckets.read, *source_of(params["CopySource"]))
        try:
            conditions.check_read(params, reading.object, "CopySource")
            size = reading.object.size
            reading.span = conditions.span_of_copy(params.get("CopySourceRange"), size)
            blob = await self._buckets.receive(reading)
        finally:
            await reading.aclose()
        await asyncio.to_thread(self._uploads.put_part, *place, params["PartNumber"], blob, {})
        modified = utc(self._buckets.clock.now_ns())
        return {"CopyPartResult": {"ETag": quoted(blob.md5), "LastModified": modified}}

    async def complete_multipart_upload(self, call: Call) -> Document:
        place, condition = _place(call.params), conditions.for_write(call.params)
        parts = call.params.get("MultipartUpload", {}).get("Parts", [])
        named = [_named(part) for part in parts]
        row = await asyncio.to_thread(self._uploads.complete, *place, named, condition)
        bucket, key, _ = place
        return {
            "Bucket": bucket,
            "Key": key,
            "Location": f"/{bucket}/{key}",
            "ETag": quoted(row.etag),
        }

    async def abort_multipart_upload(self, call: Call) -> Document:
        await asyncio.to_thread(self._uploads.abort, *_place(call.params))
        return {}

    async def list_parts(self, call: Call) -> Document:
        params, place = call.params, _place(call.params)
        marker, limit = params.get("PartNumberMarker", 0), page_size(params, "MaxParts")
        pieces = await asyncio.to_thread(self._uploads.parts, *place)
        rest = [piece for piece in pieces if piece.number > marker]
        shown = rest[:limit]
        bucket, key, upload_id = place
        return {
            "Bucket": bucket,
            "Key": key,
            "UploadId": upload_id,
            "PartNumberMarker": marker,
            "NextPartNumberMarker": shown[-1].number if shown else marker,
            "MaxParts": limit,
            "IsTruncated": len(rest) > limit > 0,
            "StorageClass": "STANDARD",
            "Owner": self._owner,
            "Initiator": self._owner,
            "Parts": [
                {
                    "PartNumber": piece.number,
                    "LastModified": utc(piece.modified_ns),
                    "ETag": quoted(piece.etag),
                    "Size": piece.size,
                    **piece.attributes,
                }
                for piece in shown
            ],
        }

    async def list_multipart_uploads(self, call: Call) -> Document:
        params = call.params
        if params.get("Delimiter"):
            raise NotImplementedByStore("modeltap lists uploads without a delimiter.")
        prefix, limit = params.get("Prefix", ""), page_size(params, "MaxUploads")
        key_marker, id_marker = params.get("KeyMarker", ""), params.get("UploadIdMarker")
        after = max((key_marker, id_marker or (BEHIND_ALL_IDS if key_marker else "")), (prefix, ""))
        found = await asyncio.to_thread(self._uploads.under_way, params["Bucket"], after, limit + 1)
        rest = [upload for upload in found if upload.key.startswith(prefix)]
        shown, encode = rest[:limit], encoding(params)
        page: Document = {
            "Bucket": params["Bucket"],
            "Prefix": encode(prefix),
            "KeyMarker": encode(key_marker),
            "MaxUploads": limit,
            "IsTruncated": len(rest) > limit > 0,
            "Uploads": [
                {
                    "Key": encode(upload.key),
                    "UploadId": upload.content,
                    "Initiated": utc(upload.started_ns),
                    "StorageClass": "STANDARD",
                    "Owner": self._owner,
                    "Initiator": self._owner,
                }
                for upload in shown
            ],
        }
        if "EncodingType" in params:
            page["EncodingType"] = params["EncodingType"]
        if page["IsTruncated"]:
            page |= {
                "NextKeyMarker": encode(shown[-1].key),
                "NextUploadIdMarker": shown[-1].content,
            }
        return page


def _place(params: Document) -> tuple[str, str, str]:
    return params["Bucket"], params["Key"], params["UploadId"]


def _named(part: Document) -> NamedPart:
    if "PartNumber" not in part or "ETag" not in part:
        raise InvalidArgument("Each part is named by its PartNumber and its ETag.")
    return NamedPart(part["PartNumber"], part["ETag"].strip('"'), checksums_of(part))
