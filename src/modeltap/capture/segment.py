"""A segment: the records of one slot, one hour and one plan, on their way to one object.

Invariants
    * A record is whole or absent. A sealed segment never changes.
    * What stands in a name is true: `{slot}-{first}.open` is being written;
      `{slot}-{first}-{count}.seal` holds that many records, durable, name and all.
    * (writer, slot, first sequence number) names a segment for ever: a sequence number is in one
      segment only, so the object key that is made from it cannot belong to another.
    * Data are synced before the rename, the folder after it; nothing is rewritten in place but the
      torn tail of an `.open` segment, which is cut off.

Format: frames, little-endian, no gaps.

    frame    magic u32 · type u8 · pad 3 · length u32 · sequence u64 · CRC32C u32 · payload
    HEAD     payload: the label, `first inference_ns i64 · hour u32 · stream` (`frame.py`)
    REC      payload: a parcel (`frame.py`)
    END      payload: the label once more, so that a damaged HEAD costs no record

The checksum covers frame head and payload and is seeded with the segment's name, so that a stale
block of another file can never pass (SQLite's salt).

Constraints: a payload is at most 64 MiB, checked before anything is allocated.
"""

import os
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from crc32c import crc32c

from modeltap.capture.disk import Disk
from modeltap.capture.folder import sync_folder

MAGIC: Final = 0x3153_544D  # "MTS1"
PAYLOAD_BYTES_MAX: Final = 64 * 1024 * 1024

HEAD: Final = 1
REC: Final = 2
END: Final = 3

_HEAD: Final = struct.Struct("<IBxxxIQ")
_CRC: Final = struct.Struct("<I")
_HEAD_BYTES: Final = 20
FRAME_BYTES: Final = 24
_LABEL: Final = struct.Struct("<qI")
_MAGIC_BYTES: Final = MAGIC.to_bytes(4, "little")
_NAME = re.compile(r"(?P<slot>\d{5})-(?P<first>\d{12,20})(?:-(?P<count>\d{9}))?\.(?:open|seal)")

Record = tuple[int, bytes]
"""A sequence number and a parcel."""


@dataclass(frozen=True)
class SegmentId:
    """A segment's name for ever."""

    writer: str
    slot: int
    first: int

    def __str__(self) -> str:
        return f"{self.writer}:{self.slot}:{self.first}"

    @property
    def salt(self) -> int:
        return int(crc32c(str(self).encode()))


@dataclass(frozen=True)
class Label:
    """What all records of a segment share."""

    first_ns: int
    hour: int
    stream: bytes

    def encode(self) -> bytes:
        return _LABEL.pack(self.first_ns, self.hour) + self.stream

    @classmethod
    def decode(cls, data: bytes) -> Self:
        first_ns, hour = _LABEL.unpack_from(data)
        return cls(first_ns, hour, data[_LABEL.size :])


@dataclass(frozen=True)
class SegmentFile:
    """A segment as its name tells it; `count` is None while it is open."""

    path: Path
    id: SegmentId
    count: int | None


@dataclass(frozen=True)
class Scanned:
    """What a scan found: records in order, the label if one is left, and where good bytes end."""

    label: Label | None
    records: tuple[Record, ...]
    intact_records: int  # how many of them stand before the first damage
    intact_bytes: int  # from the start to the first damage, or to the END frame


def pack(salt: int, kind: int, sequence: int, payload: bytes) -> bytes:
    """Write one frame."""
    return _frame_head(salt, kind, sequence, payload) + payload


def _frame_head(salt: int, kind: int, sequence: int, payload: bytes) -> bytes:
    head = _HEAD.pack(MAGIC, kind, len(payload), sequence)
    return head + _CRC.pack(crc32c(payload, crc32c(head, salt)))


def scan(data: bytes, salt: int) -> Scanned:
    """Read all good frames of any bytes whatever; what is damaged is passed over."""
    label: Label | None = None
    records: list[Record] = []
    intact_records = intact_bytes = 0
    intact = True
    at = data.find(_MAGIC_BYTES)
    while at >= 0:
        found = _frame_at(data, at, salt)
        if found is None:
            at = data.find(_MAGIC_BYTES, at + 1)
            continue
        end, kind, sequence, payload = found
        intact = intact and at == intact_bytes and kind != END
        if kind == REC:
            records.append((sequence, payload))
        elif label is None:
            label = Label.decode(payload)
        if intact:
            intact_records, intact_bytes = len(records), end
        at = data.find(_MAGIC_BYTES, end)
    return Scanned(label, tuple(records), intact_records, intact_bytes)


def _frame_at(data: bytes, at: int, salt: int) -> tuple[int, int, int, bytes] | None:
    """Read the frame that begins here: where it ends, type, sequence, payload."""
    start = at + FRAME_BYTES
    if start > len(data):
        return None
    _, kind, length, sequence = _HEAD.unpack_from(data, at)
    if length > min(PAYLOAD_BYTES_MAX, len(data) - start) or not HEAD <= kind <= END:
        return None
    payload = data[start : start + length]
    (crc,) = _CRC.unpack_from(data, at + _HEAD_BYTES)
    if crc != crc32c(payload, crc32c(data[at : at + _HEAD_BYTES], salt)):
        return None
    return start + length, kind, sequence, payload


def segment_files(folder: Path) -> Iterator[SegmentFile]:
    """Give a writer's segments in order of slot and sequence; other entries are passed over."""
    names: list[str] = []
    with suppress(FileNotFoundError), os.scandir(folder) as entries:  # a dead writer's may go
        names = sorted(e.name for e in entries if e.is_file(follow_symlinks=False))
    for name in names:
        match = _NAME.fullmatch(name)
        if match is not None and (match["count"] is None) == name.endswith(".open"):
            identity = SegmentId(folder.name, int(match["slot"]), int(match["first"]))
            count = match["count"]
            yield SegmentFile(folder / name, identity, None if count is None else int(count))


def _name(identity: SegmentId) -> str:
    return f"{identity.slot:05d}-{identity.first:012d}"


class Segment:
    """A segment that is being written. All calls raise `OSError` when the disk refuses."""

    def __init__(self, file: SegmentFile, label: Label, disk: Disk, fd: int) -> None:
        """Use `create` or `adopt`."""
        self.path = file.path
        self.id = file.id
        self.label = label
        self.last = 0  # sequence number of the last record
        self.count = self.size = 0
        self.dirty = False
        self._safe = (0, 0)  # count and size when the ring was last released
        self._salt = file.id.salt
        self._disk = disk
        self._fd = fd

    @classmethod
    def create(cls, folder: Path, identity: SegmentId, label: Label, disk: Disk) -> Self:
        """Begin a segment; its name is durable before its first record is."""
        path = folder / f"{_name(identity)}.open"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        segment = cls(SegmentFile(path, identity, None), label, disk, fd)
        try:
            segment._write(pack(identity.salt, HEAD, identity.first, label.encode()))
            sync_folder(folder)
        except OSError:
            segment.discard()
            raise
        return segment

    @classmethod
    def adopt(cls, file: SegmentFile, disk: Disk) -> Self | None:
        """Go on with what a dead predecessor left; None if no whole record can be placed.

        A file without any record is removed; one whose records have lost their label stays. The
        tail is cut at the first frame that is not whole, and so is an END that its rename did not
        follow. What is cut is still in the ring, or died with it (`crash`).
        """
        scanned = scan(file.path.read_bytes(), file.id.salt)
        if not scanned.records:
            file.path.unlink()
        if scanned.label is None or not scanned.intact_records:
            return None
        fd = os.open(file.path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW)
        segment = cls(file, scanned.label, disk, fd)
        segment._cut(scanned.intact_records, scanned.intact_bytes)
        segment.last = scanned.records[scanned.intact_records - 1][0]
        segment.dirty = True
        return segment

    def append(self, records: list[Record]) -> None:
        """Append records, in order, in one write: all of them or none."""
        salt = self._salt
        parts: list[bytes] = []
        for sequence, parcel in records:
            parts.append(_frame_head(salt, REC, sequence, parcel))
            parts.append(parcel)
        self._write(b"".join(parts))
        self.count += len(records)
        self.last = records[-1][0]

    def sync(self) -> None:
        """Make all that was appended durable. After an error only `abandon` may follow."""
        if self.dirty:
            self._disk.sync(self._fd)
            self.dirty = False

    def mark(self) -> None:
        """Note that the ring has released all that is in here."""
        self._safe = self.count, self.size

    def seal(self) -> None:
        """Close a segment that is marked and hand it to the shipper."""
        self._write(pack(self.id.salt, END, self.last, self.label.encode()))
        self.sync()
        self._hand_over()

    def abandon(self) -> None:
        """Hand over what was marked, and no more: the rest is still in the ring.

        A failed sync loses data for good, and a second one of the same file answers "ok"
        (fsyncgate): so it is never tried, and this file takes no more records.
        """
        count, size = self._safe
        if count:
            self._cut(count, size)
            self._hand_over()
        else:
            self.discard()

    def discard(self) -> None:
        """Remove a segment of which the ring has released nothing."""
        os.close(self._fd)
        self.path.unlink()

    def close(self) -> None:
        """Leave the segment as it is, for an adopter."""
        os.close(self._fd)

    def _hand_over(self) -> None:
        os.close(self._fd)
        self.path.rename(self.path.with_name(f"{_name(self.id)}-{self.count:09d}.seal"))
        sync_folder(self.path.parent)

    def _write(self, data: bytes) -> None:
        try:
            self._disk.write(self._fd, data)
        except OSError:
            self._cut(self.count, self.size)
            raise
        self.size += len(data)
        self.dirty = True

    def _cut(self, count: int, size: int) -> None:
        os.ftruncate(self._fd, size)
        self.count, self.size = count, size
