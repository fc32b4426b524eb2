"""A segment: the records of one slot, one hour and one plan, on their way to one object.

Invariants
    * A record is whole or absent. A sealed segment never changes.
    * What stands in a name is true: `{slot}-{hour}-{first}.open` is being written;
      `{slot}-{hour}-{first}-{count}.seal` holds that many records, durable, name and all.
    * (writer, slot, first sequence number) names a segment for ever: a sequence number is in one
      segment only, so the object key that is made from it cannot belong to another.
    * Data are synced before the rename, the folder after it; nothing is rewritten in place but the
      torn tail of an `.open` segment, which is cut off.

Format: frames (`frame.py`): HEAD, REC…, END. HEAD and END hold the label.
"""

import math
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from modeltap.capture.disk import Disk, File
from modeltap.capture.frame import END, FRAME_BYTES, HEAD, Record, pack, salt_of, scan

_LABEL = struct.Struct("<qI")
_NAME = re.compile(
    r"(?P<slot>\d{5})-(?P<hour>\d{7,10})-(?P<first>\d{12,20})(?:-(?P<count>\d{9}))?\.(?:open|seal)"
)


Held = Mapping[tuple[bytes, int], int]
"""What a ring has not released: the first sequence number, by stream and hour."""


@dataclass(frozen=True, slots=True)
class SegmentId:
    """A segment's name for ever."""

    writer: str
    slot: int
    first: int

    def __str__(self) -> str:
        return f"{self.writer}:{self.slot}:{self.first}"


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """A segment as its name tells it; `count` is None while it is open."""

    path: Path
    id: SegmentId
    hour: int
    count: int | None

    @property
    def salt(self) -> int:
        return salt_of(self.id.writer, self.id.slot, self.hour)


@dataclass(frozen=True, slots=True)
class Content:
    """What a segment's file holds: records in order, and the label if one is left."""

    label: Label | None
    records: tuple[Record, ...]
    intact_records: int  # how many of them stand before the first damage
    intact_bytes: int  # from the start to the first damage, or to the END frame


def content(disk: Disk, file: SegmentFile) -> Content:
    """Read a segment. Raise `OSError`."""
    return read(disk.read(file.path), file)


def read(data: bytes, file: SegmentFile) -> Content:
    """Read what of a segment's bytes is good, whatever they are."""
    found = scan(data, file.salt, file.id.first)
    labels = (Label.decode(label) for label in found.labels)
    return Content(
        next((label for label in labels if label.hour == file.hour), None),
        tuple(found.records),
        found.intact_records,
        found.intact_bytes,
    )


def segment_files(disk: Disk, folder: Path) -> Iterator[SegmentFile]:
    """Give a writer's segments in order of slot and sequence; other entries are passed over."""
    for name in disk.files(folder):
        file = segment_named(folder / name, folder.name)
        if file is not None:
            yield file


def segment_named(path: Path, writer: str) -> SegmentFile | None:
    """Read a writer's segment from its file's name; None for another name."""
    match = _NAME.fullmatch(path.name)
    if match is None or (match["count"] is None) != path.name.endswith(".open"):
        return None
    identity = SegmentId(writer, int(match["slot"]), int(match["first"]))
    count = match["count"]
    return SegmentFile(path, identity, int(match["hour"]), None if count is None else int(count))


def _name(identity: SegmentId, hour: int) -> str:
    return f"{identity.slot:05d}-{hour:07d}-{identity.first:012d}"


def _released(found: Content, held: Held) -> tuple[tuple[Record, ...], int]:
    """Give the intact records that no ring holds any more, and where they end."""
    if found.label is None:
        return found.records[: found.intact_records], found.intact_bytes
    first_held = held.get((found.label.stream, found.label.hour), math.inf)
    intact = found.records[: found.intact_records]
    kept = tuple(record for record in intact if record[0] < first_held)
    cut = sum(FRAME_BYTES + len(payload) for _, payload in intact[len(kept) :])
    return kept, found.intact_bytes - cut


def _created(path: Path, disk: Disk) -> File:
    """Make a segment's file, in the place of one that could not be removed.

    The ring still holds the record that the name tells of, so that one holds nothing of worth.
    """
    with suppress(FileExistsError):
        return disk.create(path)
    disk.unlink(path)
    return disk.create(path)


class Segment:
    """A segment that is being written. All calls raise `OSError` when the disk refuses."""

    def __init__(self, file: SegmentFile, label: Label, disk: Disk, opened: File) -> None:
        """Use `create` or `adopt`."""
        self.path = file.path
        self.id = file.id
        self.label = label
        self.last = 0  # sequence number of the last record
        self.count = self.size = 0
        self._dirty = False
        self._safe = (0, 0)  # count and size when the ring was last released
        self._salt = file.salt
        self._disk = disk
        self._opened = opened

    @classmethod
    def create(cls, folder: Path, identity: SegmentId, label: Label, disk: Disk) -> Self:
        """Begin a segment; its name is durable before its first record is."""
        path = folder / f"{_name(identity, label.hour)}.open"
        opened = _created(path, disk)
        segment = cls(SegmentFile(path, identity, label.hour, None), label, disk, opened)
        try:
            segment._write(pack(segment._salt, HEAD, identity.first, label.encode()))
            disk.sync_folder(folder)
        except OSError:
            segment.close()
            with suppress(OSError):
                disk.unlink(path)
            raise
        return segment

    @classmethod
    def adopt(cls, file: SegmentFile, held: Held, disk: Disk) -> Self | None:
        """Go on with what a dead predecessor left; None if no whole record can be placed.

        What the ring still holds is cut off: it will be read again, and what is left is what the
        ring has released, so that a sync that fails later can give up nothing else. The tail is
        cut at the first frame that is not whole, too, and so is an END that its rename did not
        follow. A file without any record is removed; one whose records have lost their label stays.

        What is kept is written again: if the predecessor was refused a sync, the cache may be all
        that has it, and a sync of pages that count as clean would say "done".
        """
        data = disk.read(file.path)
        found = read(data, file)
        kept, size = _released(found, held)
        if not kept and (found.intact_records or not found.records):
            disk.unlink(file.path)
        if found.label is None or not kept:
            return None
        segment = cls(file, found.label, disk, disk.open(file.path))
        try:
            segment._cut(len(kept), size)
            segment._opened.write_at(0, data[:size])
        except OSError:
            segment.close()
            raise
        segment.last = kept[-1][0]
        segment._dirty = True
        segment.mark()
        return segment

    def append(self, frames: bytes, count: int, last: int) -> None:
        """Append REC frames of this segment's salt, in one write: all of them or none."""
        self._write(frames)
        self.count += count
        self.last = last

    def sync(self) -> None:
        """Make all that was appended durable. After an error only `abandon` may follow."""
        if self._dirty:
            self._opened.sync()
            self._dirty = False

    def mark(self) -> None:
        """Note that the ring has released all that is in here."""
        self._safe = self.count, self.size

    def seal(self) -> None:
        """Close a segment that is marked and hand it to the shipper."""
        self._write(pack(self._salt, END, self.last, self.label.encode()))
        self.sync()
        self._hand_over()
        self._opened.close()

    def abandon(self) -> None:
        """Hand over what was marked, and no more: the rest is still in the ring.

        A failed sync loses data for good, and a second one of the same file answers "ok"
        (fsyncgate): so this file takes no more records. What was marked had been synced; the sync
        here is for the cut. Where the disk refuses this, too, it must be asked again, and before
        the ring is read again: what is not cut off would be there twice.
        """
        if not self._safe[0]:
            self.discard()
            return
        if self.path.suffix == ".open":
            self._cut(*self._safe)
            self._opened.sync()
        self._hand_over()
        self._opened.close()

    def discard(self) -> None:
        """Remove a segment of which the ring has released nothing; may be asked again."""
        with suppress(FileNotFoundError):
            self._disk.unlink(self.path)
        self._disk.sync_folder(self.path.parent)
        self._opened.close()

    def close(self) -> None:
        """Leave the segment as it is, for an adopter."""
        self._opened.close()

    def _hand_over(self) -> None:
        if self.path.suffix == ".open":
            name = _name(self.id, self.label.hour)
            sealed = self.path.with_name(f"{name}-{self.count:09d}.seal")
            self._disk.rename(self.path, sealed)
            self.path = sealed
        self._disk.sync_folder(self.path.parent)

    def _write(self, data: bytes) -> None:
        try:
            # At the end that we know of: a refused write may have left some of its bytes behind,
            # and a disk that refuses to cut them off, too, must not have them in the middle.
            self._opened.write_at(self.size, data)
        except OSError:
            self._cut(self.count, self.size)
            raise
        self.size += len(data)
        self._dirty = True

    def _cut(self, count: int, size: int) -> None:
        self._opened.cut(size)
        self.count, self.size = count, size
