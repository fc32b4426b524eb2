"""S3's two listings of a bucket. Each page is at most 1,000 entries."""

import asyncio
import base64
from collections.abc import Callable
from urllib.parse import quote

from modeltap.clock import utc
from modeltap.errors import InvalidArgument
from modeltap.front.app import Call
from modeltap.front.s3.buckets import owner
from modeltap.front.s3.objects import quoted
from modeltap.nouns import Document, Partition
from modeltap.objects.buckets import Buckets
from modeltap.objects.index import Object
from modeltap.objects.listing import Listing, behind

KEYS_MAX = 1000

Encode = Callable[[str], str]


class ListingOperations:
    """One coroutine function an operation, named like it."""

    def __init__(self, buckets: Buckets, partition: Partition) -> None:
        self._buckets = buckets
        self._owner = {"Owner": owner(partition)}

    async def list_objects(self, call: Call) -> Document:
        prefix, delimiter, marker = (
            call.params.get(name, "") for name in ("Prefix", "Delimiter", "Marker")
        )
        start = behind(marker, prefix, delimiter) if marker else b""
        listing = await self._page(call, start)
        encode = encoding(call.params)
        page = self._shown(call, listing, encode, self._owner) | {"Marker": encode(marker)}
        if listing.position is not None and listing.last and delimiter:
            page["NextMarker"] = encode(listing.last)
        return page

    async def list_objects_v2(self, call: Call) -> Document:
        token, after = call.params.get("ContinuationToken"), call.params.get("StartAfter")
        start = _position(token) if token else after.encode() + b"\0" if after else b""
        listing = await self._page(call, start)
        encode = encoding(call.params)
        owned = self._owner if call.params.get("FetchOwner") else {}
        page = self._shown(call, listing, encode, owned)
        page["KeyCount"] = len(listing.objects) + len(listing.prefixes)
        if token:
            page["ContinuationToken"] = token
        if after:
            page["StartAfter"] = encode(after)
        if listing.position is not None:
            page["NextContinuationToken"] = base64.urlsafe_b64encode(listing.position).decode()
        return page

    async def _page(self, call: Call, start: bytes) -> Listing:
        return await asyncio.to_thread(
            self._buckets.listing,
            call.params["Bucket"],
            prefix=call.params.get("Prefix", ""),
            delimiter=call.params.get("Delimiter", ""),
            start=start,
            limit=page_size(call.params, "MaxKeys"),
        )

    def _shown(self, call: Call, listing: Listing, encode: Encode, owned: Document) -> Document:
        params = call.params
        page: Document = {
            "Name": params["Bucket"],
            "Prefix": encode(params.get("Prefix", "")),
            "MaxKeys": page_size(params, "MaxKeys"),
            "IsTruncated": listing.position is not None,
            "Contents": [_entry(row, encode) | owned for row in listing.objects],
            "CommonPrefixes": [{"Prefix": encode(prefix)} for prefix in listing.prefixes],
        }
        if params.get("Delimiter"):
            page["Delimiter"] = encode(params["Delimiter"])
        if "EncodingType" in params:
            page["EncodingType"] = params["EncodingType"]
        return page


def encoding(params: Document) -> Encode:
    """Give how names are written: percent-encoded where the caller asks for `url`."""
    if params.get("EncodingType") == "url":
        return lambda text: quote(text, safe="/")
    return str


def page_size(params: Document, member: str) -> int:
    """Give the size of a page: as asked, at most `KEYS_MAX`."""
    asked = int(params.get(member, KEYS_MAX))
    if asked < 0:
        raise InvalidArgument(f"{member} must be 0 or more.")
    return min(asked, KEYS_MAX)


def _entry(row: Object, encode: Encode) -> Document:
    return {
        "Key": encode(row.key),
        "LastModified": utc(row.modified_ns),
        "ETag": quoted(row.etag),
        "Size": row.size,
        "StorageClass": "STANDARD",
    }


def _position(token: str) -> bytes:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True)
    except ValueError:
        raise InvalidArgument("The continuation token provided is incorrect") from None
