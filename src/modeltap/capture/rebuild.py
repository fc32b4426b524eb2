"""Rebuild a ledger from the bucket: every object tells of the segment that it was.

What has no object has no trace there: rows of segments that were given up (`corrupt` as a whole,
`poison`, `key_taken`) do not come back, their files may still lie in quarantine. Nor do the numbers
of an object come back that were too long for its metadata; its records do.
"""

import re
from collections.abc import Mapping

from modeltap.capture.counters import Drop
from modeltap.capture.ledger import Delivery, Ledger
from modeltap.capture.numbers import Numbers
from modeltap.capture.segment import SegmentId
from modeltap.capture.shipment import object_id
from modeltap.errors import ObjectNotFound
from modeltap.objects.port import ObjectInfo, ObjectStore

_KEY = re.compile(
    r"(?:.*/)?(?P<endpoint>[^/]+)/(?P<variant>[^/]+)/\d{4}/\d\d/\d\d/\d\d/"
    r"\d\d-\d\d-\d{3}-(?P<id>[0-9a-f-]{36})\.jsonl",
    re.DOTALL,
)
"""What the shipper names (`shipment.object_uri`)."""


async def rebuild(ledger: Ledger, store: ObjectStore, bucket: str, prefix: str) -> int:
    """Write the rows that the ledger lacks of the objects under a prefix; tell how many.

    Objects that no shipper wrote, or not under this name, are passed over. It may run while the
    shipper does. Raise `ObjectStoreError`; what was written until then stays.
    """
    known = {delivery.uri for delivery in ledger.deliveries()}
    added = 0
    async for listed in store.list(prefix):
        name = _KEY.fullmatch(listed.key)
        if name is None or f"s3://{bucket}/{listed.key}" in known:
            continue
        try:
            row = _row(await store.head(listed.key), bucket, name)
        except ObjectNotFound:
            continue  # deleted since it was listed
        if row is not None and ledger.row(SegmentId(row.writer, row.slot, row.first)) is None:
            ledger.add(row)
            added += 1
    return added


def _row(info: ObjectInfo, bucket: str, name: re.Match[str]) -> Delivery | None:
    """Read an object's metadata; None where they are not those of the shipper's object there."""
    told = info.metadata
    try:
        writer, slot, first = told["modeltap-segment"].split(":")
        if object_id(SegmentId(writer, int(slot), int(first))) != name["id"]:
            return None  # a copy
        lost = int(told.get("modeltap-lost", "0"))
        return Delivery(
            writer=writer,
            slot=int(slot),
            first=int(first),
            last=int(told["modeltap-last"]),
            endpoint=name["endpoint"],
            variant=name["variant"],
            uri=f"s3://{bucket}/{info.key}",
            etag=info.etag,
            bytes=info.size,
            records=int(told["modeltap-records"]),
            lost=lost,
            delivered_ns=info.modified_ns,
            numbers=str(_numbers(told)),
            reason=Drop.CORRUPT.value if lost else "",
        )
    except (KeyError, ValueError):
        return None


def _numbers(told: Mapping[str, str]) -> Numbers:
    """Read the numbers of an object; none where they are not all there."""
    numbers = Numbers.parse(told.get("modeltap-numbers", ""))
    return numbers if len(numbers) == int(told["modeltap-records"]) else Numbers()
