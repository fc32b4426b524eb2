"""S3's operations on objects."""

import asyncio
from datetime import datetime
from urllib.parse import unquote

from modeltap.clock import utc
from modeltap.errors import (
    InvalidArgument,
    InvalidRequest,
    MalformedXML,
    MetadataTooLarge,
    NotImplementedByStore,
)
from modeltap.front.app import Call
from modeltap.front.s3 import conditions
from modeltap.front.s3.payload import Payload, checksums_of
from modeltap.nouns import Document
from modeltap.objects.buckets import Buckets
from modeltap.objects.index import Attributes, Object
from modeltap.wire.chunked import stored_encoding

METADATA_BYTES_MAX = 2048  # S3's limit on user metadata
DELETES_MAX = 1000

SHOWN = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Metadata",
)
KEPT = (
    *(name for name in SHOWN if name != "ContentEncoding"),
    "Expires",
    "SSEKMSKeyId",  # what was asked for; never shown, since nothing is encrypted with it
)
OVERRIDES = (*(name for name in SHOWN if name != "Metadata"), "Expires")


class ObjectOperations:
    """One coroutine function an operation, named like it."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    async def put_object(self, call: Call) -> Document:
        bucket, key, payload = call.params["Bucket"], call.params["Key"], call.body
        assert isinstance(payload, Payload)
        attributes, condition = kept(call.params), conditions.for_write(call.params)
        payload.require_length(self._buckets.object_bytes_max)
        await asyncio.to_thread(self._buckets.check, bucket)
        blob = await self._buckets.receive(payload)
        checksums = payload.checksums(call.params)
        row = await asyncio.to_thread(
            self._buckets.put, bucket, key, blob, attributes | checksums, condition
        )
        return {"ETag": quoted(row.etag), **checksums}

    async def get_object(self, call: Call) -> Document:
        params = call.params
        reading = await asyncio.to_thread(self._buckets.read, params["Bucket"], params["Key"])
        try:
            told, reading.span = _told(params, reading.object)
        except BaseException:
            await reading.aclose()
            raise
        return told | {"Body": reading}

    async def head_object(self, call: Call) -> Document:
        params = call.params
        row = await asyncio.to_thread(self._buckets.head, params["Bucket"], params["Key"])
        return _told(params, row)[0]

    async def copy_object(self, call: Call) -> Document:
        """Copy bytes; metadata come along unless `MetadataDirective` says REPLACE."""
        params, (bucket, key) = call.params, source_of(call.params["CopySource"])
        replaces = params.get("MetadataDirective") == "REPLACE"
        if (bucket, key) == (params["Bucket"], params["Key"]) and not replaces:
            raise InvalidRequest(
                "This copy request is illegal because it is trying to copy an object to itself "
                "without changing the object's metadata, storage class, website redirect "
                "location or encryption attributes."
            )
        condition = conditions.for_write(params)
        reading = await asyncio.to_thread(self._buckets.read, bucket, key)
        try:
            source = reading.object
            conditions.check_read(params, source, "CopySource")
            blob = await self._buckets.receive(reading)
        finally:
            await reading.aclose()
        checksums = {} if source.parts else checksums_of(source.attributes)
        attributes = kept(params) | checksums if replaces else source.attributes
        row = await asyncio.to_thread(
            self._buckets.put, params["Bucket"], params["Key"], blob, attributes, condition
        )
        result = {"ETag": quoted(row.etag), "LastModified": utc(row.modified_ns)}
        return {"CopyObjectResult": result | checksums}

    async def delete_object(self, call: Call) -> Document:
        bucket, key = call.params["Bucket"], call.params["Key"]
        condition = conditions.for_write(call.params)
        await asyncio.to_thread(self._buckets.remove, bucket, [key], condition)
        return {}

    async def delete_objects(self, call: Call) -> Document:
        named = call.params["Delete"]["Objects"]
        if len(named) > DELETES_MAX:
            raise MalformedXML(f"At most {DELETES_MAX} objects can be deleted at once.")
        if any(each.keys() != {"Key"} for each in named):
            raise NotImplementedByStore("Objects are deleted by their keys alone here.")
        keys = [each["Key"] for each in named]
        await asyncio.to_thread(self._buckets.remove, call.params["Bucket"], keys)
        quiet = call.params["Delete"].get("Quiet", False)
        return {} if quiet else {"Deleted": [{"Key": key} for key in keys]}


def kept(params: Document) -> Attributes:
    """Pick what is stored beside an object's bytes. Raise `MetadataTooLarge` beyond 2 KiB."""
    metadata = params.get("Metadata", {})
    if sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items()) > (
        METADATA_BYTES_MAX
    ):
        raise MetadataTooLarge("Your metadata headers exceed the maximum allowed metadata size")
    encoding = stored_encoding(params.get("ContentEncoding"))
    attributes = {name: params[name] for name in KEPT if name in params}
    return attributes | ({"ContentEncoding": encoding} if encoding else {})


def quoted(etag: str) -> str:
    return f'"{etag}"'


def source_of(text: str) -> tuple[str, str]:
    """Read the bucket and the key that a copy names."""
    path, _, version = text.partition("?versionId=")
    bucket, _, key = unquote(path).removeprefix("/").partition("/")
    if not bucket or not key:
        raise InvalidArgument("Copy Source must mention the source bucket and key: bucket/key")
    if version not in ("", "null"):
        raise NotImplementedByStore("modeltap's buckets do not serve versions.")
    return bucket, key


def _told(params: Document, row: Object) -> tuple[Document, tuple[int, int]]:
    """Tell what GET and HEAD tell alike, and which bytes are asked for, if the conditions hold."""
    if "PartNumber" in params:
        raise NotImplementedByStore("modeltap's buckets do not serve PartNumber on reads.")
    conditions.check_read(params, row)
    span = conditions.span_of(params.get("Range"), row.size)
    told = (
        {
            "AcceptRanges": "bytes",
            "ContentType": "binary/octet-stream",
            "ETag": quoted(row.etag),
            "LastModified": utc(row.modified_ns),
        }
        | _shown(row.attributes)
        | _overrides(params)
    )
    if span is not None:
        start, stop = span
        told["ContentRange"] = f"bytes {start}-{stop - 1}/{row.size}"
    elif params.get("ChecksumMode") == "ENABLED" and not row.parts:
        told |= checksums_of(row.attributes)
    start, stop = span or (0, row.size)
    return told | {"ContentLength": stop - start}, (start, stop)


def _shown(attributes: Attributes) -> Document:
    shown = {name: attributes[name] for name in SHOWN if name in attributes}
    if "Expires" in attributes:
        shown["Expires"] = datetime.fromisoformat(attributes["Expires"])
    return shown


def _overrides(params: Document) -> Document:
    """Pick the headers that the reader wants to see; none of them may break out of its line."""
    wanted = {name: params[f"Response{name}"] for name in OVERRIDES if f"Response{name}" in params}
    if any(isinstance(value, str) and not value.isprintable() for value in wanted.values()):
        raise InvalidArgument("A header value holds a character that is not printable.")
    return wanted
