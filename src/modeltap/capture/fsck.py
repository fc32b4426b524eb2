"""`fsck`: every file of a spool, and what of it could be read back. It changes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from modeltap.capture.folder import SpoolFolder
from modeltap.capture.mirror import SUFFIX, mirrors
from modeltap.capture.segment import SegmentFile, content, segment_named


class Health(StrEnum):
    GOOD = "good"
    DAMAGED = "damaged"  # records are lost, or a mirror says nothing
    QUARANTINED = "quarantined"
    FOREIGN = "foreign"  # none of ours, left alone
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Examined:
    """One file: how it is, how many records can be read, and how many its name tells of more."""

    path: Path
    health: Health
    records: int = 0
    lost: int = 0


def fsck(spool: SpoolFolder) -> Iterator[Examined]:
    """Examine the segments, the mirrors, and what was put aside."""
    disk = spool.disk
    for folder in spool.writer_folders():
        for name in disk.files(folder):
            yield _examined(spool, folder / name, folder.name)
    whole = {writer for writer, _ in mirrors(disk, spool.counters)}
    for name in disk.files(spool.counters):
        path = spool.counters / name
        if not name.endswith(SUFFIX):
            yield Examined(path, Health.FOREIGN)
        else:
            health = Health.GOOD if name.removesuffix(SUFFIX) in whole else Health.DAMAGED
            yield Examined(path, health)
    for name in disk.files(spool.quarantine):
        path = spool.quarantine / name
        file = quarantined_segment(spool, path)
        records = 0 if file is None else _examined_segment(spool, file).records
        yield Examined(path, Health.QUARANTINED, records)


def quarantined_segment(spool: SpoolFolder, path: Path) -> SegmentFile | None:
    """Read which segment a file was before it was put aside."""
    writer, name = spool.quarantined(path)
    file = segment_named(path.with_name(name or "-"), writer)
    return None if file is None else SegmentFile(path, file.id, file.hour, file.count)


def _examined(spool: SpoolFolder, path: Path, writer: str) -> Examined:
    file = segment_named(path, writer)
    return Examined(path, Health.FOREIGN) if file is None else _examined_segment(spool, file)


def _examined_segment(spool: SpoolFolder, file: SegmentFile) -> Examined:
    try:
        found = content(spool.disk, file)
    except OSError:
        return Examined(file.path, Health.UNREADABLE, lost=file.count or 0)
    records = len(found.records)
    lost = 0 if file.count is None else max(0, file.count - records)
    damaged = lost or (found.label is None and records)
    return Examined(file.path, Health.DAMAGED if damaged else Health.GOOD, records, lost)
