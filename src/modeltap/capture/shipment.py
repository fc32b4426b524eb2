"""What a segment becomes: one object. Its key and its bytes follow from the segment alone.

JSON and base64 happen here, far from any inference.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from uuid_utils import NAMESPACE_URL, uuid5

from modeltap.capture.counters import Drop
from modeltap.capture.disk import Disk
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.ledger import Delivery
from modeltap.capture.lines import lines
from modeltap.capture.mirror import slot_names
from modeltap.capture.numbers import Numbers
from modeltap.capture.segment import Content, Label, SegmentFile, SegmentId, content, read
from modeltap.capture.stream import Stream
from modeltap.clock import utc
from modeltap.errors import MalformedRecord

NUMBERS_BYTES_MAX = 1024  # of the object's metadata, which S3 bounds at 2 KB
LABEL_BYTES = 64 * 1024  # more than any HEAD frame: read to learn a destination
NO_NUMBERS = Numbers()


@dataclass(frozen=True, slots=True)
class Shipment:
    """A segment as one object, ready to be put; without records there is none."""

    file: SegmentFile
    endpoint: str
    variant: str
    uri: str = ""
    data: bytes = b""
    numbers: Numbers = NO_NUMBERS
    last: int = 0
    kms_key_id: str | None = None

    @property
    def records(self) -> int:
        return len(self.numbers)

    @property
    def lost(self) -> int:
        """Count the records that the segment held, by its name, and that are not in the object."""
        return max(0, (self.file.count or 0) - self.records)

    @property
    def metadata(self) -> Mapping[str, str]:
        """Tell enough of the segment that its row can be written again (`rebuild.py`)."""
        numbers = str(self.numbers)
        known = {"modeltap-numbers": numbers} if len(numbers) <= NUMBERS_BYTES_MAX else {}
        return known | {
            "modeltap-segment": str(self.file.id),
            "modeltap-records": str(self.records),
            "modeltap-lost": str(self.lost),
            "modeltap-last": str(self.last),
            "modeltap-sha256": hashlib.sha256(self.data).hexdigest(),
        }

    def without_object(self) -> "Shipment":
        """Give what is left of a segment that is given up: all its records are lost."""
        return Shipment(self.file, self.endpoint, self.variant, last=self.last)

    def row(self, etag: str, reason: Drop, delivered_ns: int) -> Delivery:
        """Give the ledger's row; `reason` is that of the lost records, if there are any."""
        identity = self.file.id
        return Delivery(
            writer=identity.writer,
            slot=identity.slot,
            first=identity.first,
            last=self.last,
            endpoint=self.endpoint,
            variant=self.variant,
            uri=self.uri,
            etag=etag,
            bytes=len(self.data),
            records=self.records,
            lost=self.lost,
            delivered_ns=delivered_ns,
            numbers=str(self.numbers),
            reason=reason.value if self.lost else "",
        )


def shipment_of(spool: SpoolFolder, file: SegmentFile) -> Shipment:
    """Decode a segment, to no object where no record or no label is left. Raise `OSError`."""
    held = content(spool.disk, file)
    found = _place(held)
    if found is None:
        names = slot_names(spool.disk, spool.counters, file.id.writer, file.id.slot)
        return Shipment(file, *names)
    label, stream = found
    written = lines(held.records, stream)
    return Shipment(
        file,
        stream.endpoint,
        stream.variant,
        uri=object_uri(file, label, stream),
        data=b"".join(written.values()),
        numbers=Numbers.of(written),
        last=held.records[-1][0] if held.records else 0,
        kms_key_id=stream.plan.kms_key_id,
    )


def object_uri(file: SegmentFile, label: Label, stream: Stream) -> str:
    """Name a segment's object (contract §1.5): the time is that of its first record, UTC.

    `{destination}/{endpoint}/{variant}/yyyy/mm/dd/HH/MM-SS-mmm-{uuid}.jsonl`; the id is made from
    the segment's name for ever, so that a retry cannot name another object.
    """
    moment = utc(label.first_ns)
    name = f"{moment:%M-%S}-{moment.microsecond // 1000:03d}-{object_id(file.id)}"
    place = f"{stream.plan.destination}/{stream.endpoint}/{stream.variant}"
    return f"{place}/{moment:%Y/%m/%d/%H}/{name}.jsonl"


def object_id(segment: SegmentId) -> str:
    return str(uuid5(NAMESPACE_URL, str(segment)))


def placed(disk: Disk, file: SegmentFile) -> tuple[Label, Stream] | None:
    """Read where a segment goes, from its beginning or, where that is damaged, from its end."""
    found = _place(read(disk.read(file.path, LABEL_BYTES), file))
    return found or _place(content(disk, file))


def _place(held: Content) -> tuple[Label, Stream] | None:
    """Give where records go, or None where no label is left that says so."""
    if held.label is None:
        return None
    try:
        return held.label, Stream.decode(held.label.stream)
    except MalformedRecord:
        return None
