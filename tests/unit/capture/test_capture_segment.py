"""The segment's format: every flipped bit is seen, and only its record is lost."""

from dataclasses import replace
from errno import EIO, ENOSPC, EROFS
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeltap.capture.disk import SystemDisk
from modeltap.capture.faults import FaultyDisk
from modeltap.capture.frame import FRAME_BYTES, MAGIC, REC, Record, pack, salt_of, scan
from modeltap.capture.segment import (
    Content,
    Label,
    Segment,
    SegmentFile,
    SegmentId,
    content,
    read,
    segment_files,
)
from modeltap.capture.simdisk import SimulatedDisk

WRITER = "0123abcd-0000-4000-8000-000000000000"
IDENTITY = SegmentId(WRITER, 3, 7)
LABEL = Label(1_600_000_000_123_456_789, 444_444, b'{"endpoint":"churn"}')
SALT = salt_of(WRITER, 3, LABEL.hour)
MARK = MAGIC.to_bytes(4, "little")
RECORDS = [(7, b"first"), (9, b""), (10, MARK + b" third")]


def folder(root: Path) -> Path:
    made = root / WRITER
    made.mkdir()
    return made


def append(segment: Segment, *records: Record) -> None:
    frames = [pack(SALT, REC, sequence, payload) for sequence, payload in records]
    segment.append(b"".join(frames), len(records), records[-1][0])


def sealed(root: Path, records: list[tuple[int, bytes]]) -> SegmentFile:
    segment = Segment.create(folder(root), IDENTITY, LABEL, SystemDisk())
    append(segment, *records)
    segment.sync()
    segment.mark()
    segment.seal()
    (file,) = segment_files(SystemDisk(), root / WRITER)
    return file


def test_a_sealed_segment_reads_as_written(tmp_path: Path) -> None:
    file = sealed(tmp_path, RECORDS)
    assert file.path.name == "00003-0444444-000000000007-000000003.seal"
    assert (file.id, file.count) == (IDENTITY, 3)
    found = content(SystemDisk(), file)
    assert (found.label, list(found.records)) == (LABEL, RECORDS)


def test_every_flipped_bit_is_seen_and_costs_one_frame(tmp_path: Path) -> None:
    file = sealed(tmp_path, RECORDS)
    good = file.path.read_bytes()
    head = FRAME_BYTES + len(LABEL.encode())
    end = len(good) - head  # the END frame holds the label once more
    assert read(good, file).intact_bytes == end
    for bit in range(len(good) * 8):
        at = bit // 8
        damaged = bytearray(good)
        damaged[at] ^= 1 << bit % 8
        found = read(bytes(damaged), file)
        assert found.label == LABEL
        assert set(found.records) <= set(RECORDS)
        assert len(found.records) == (2 if head <= at < end else 3)
        assert (found.intact_bytes == 0) == (at < head)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": SegmentId(WRITER[::-1], 3, 7)},
        {"id": SegmentId(WRITER, 4, 7)},
        {"hour": LABEL.hour + 1},
    ],
)
def test_frames_of_another_salt_never_pass(tmp_path: Path, changes: dict[str, Any]) -> None:
    file = sealed(tmp_path, RECORDS)
    assert read(file.path.read_bytes(), replace(file, **changes)) == Content(None, (), 0, 0)


def test_records_before_the_first_of_a_segment_never_pass(tmp_path: Path) -> None:
    """A stale block of an older segment of the same slot and hour: its sequences are lower."""
    file = sealed(tmp_path, RECORDS)
    later = replace(file, id=SegmentId(WRITER, 3, 10))
    assert read(file.path.read_bytes(), later).records == (RECORDS[2],)


def test_a_record_that_stands_twice_is_read_once() -> None:
    frames = [pack(SALT, REC, sequence, b"x") for sequence in (7, 8, 7, 8, 9)]
    assert [sequence for sequence, _ in scan(b"".join(frames), SALT, 7).records] == [7, 8, 9]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 200), st.binary(max_size=60))
def test_any_bytes_can_be_scanned(before: bytes, cut: int, after: bytes) -> None:
    frame = MARK + b"\x02" + before
    assert scan(before + frame[cut:] + MARK + after, SALT, 0).records == []


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_an_open_segment_is_adopted_to_its_last_whole_record(tmp_path: Path, kept: int) -> None:
    segment = Segment.create(folder(tmp_path), IDENTITY, LABEL, SystemDisk())
    ends = []
    for record in RECORDS:
        ends.append(segment.size)
        append(segment, record)
    ends.append(segment.size)
    segment.close()
    cut = ends[kept] + (5 if kept < 3 else 0)
    segment.path.write_bytes(segment.path.read_bytes()[:cut])
    (file,) = segment_files(SystemDisk(), tmp_path / WRITER)
    adopted = Segment.adopt(file, {}, SystemDisk())
    if adopted is None:
        assert kept == 0
        assert not file.path.exists()
        return
    assert (adopted.count, adopted.last) == (kept, RECORDS[kept - 1][0])
    append(adopted, (11, b"next"))
    adopted.sync()
    adopted.mark()
    adopted.seal()
    (after,) = segment_files(SystemDisk(), tmp_path / WRITER)
    found = content(SystemDisk(), after)
    assert list(found.records) == [*RECORDS[:kept], (11, b"next")]
    assert after.count == kept + 1


@pytest.mark.parametrize(("first_held", "kept"), [(7, 0), (8, 1), (9, 1), (10, 2), (11, 3)])
def test_what_the_ring_holds_is_cut_off_at_adoption(
    tmp_path: Path, first_held: int, kept: int
) -> None:
    segment = Segment.create(folder(tmp_path), IDENTITY, LABEL, SystemDisk())
    append(segment, *RECORDS)
    segment.close()
    (file,) = segment_files(SystemDisk(), tmp_path / WRITER)
    adopted = Segment.adopt(file, {(LABEL.stream, LABEL.hour): first_held}, SystemDisk())
    if adopted is None:
        assert kept == 0
        assert not file.path.exists()
        return
    adopted.abandon()  # gives up nothing that the ring has released
    (after,) = segment_files(SystemDisk(), tmp_path / WRITER)
    assert list(content(SystemDisk(), after).records) == RECORDS[:kept]


def test_a_file_that_could_not_be_removed_is_taken_over(tmp_path: Path) -> None:
    """Its first write was refused, and its removal, too: the ring still holds all of it."""
    disk = FaultyDisk(SystemDisk(), write_faults=[ENOSPC])
    place = folder(tmp_path)
    disk.plan = lambda kind: EROFS if kind == "unlink" else None
    with pytest.raises(OSError, match="No space"):
        Segment.create(place, IDENTITY, LABEL, disk)
    assert len(list(segment_files(disk, place))) == 1
    disk.plan = lambda _: None
    segment = Segment.create(place, IDENTITY, LABEL, disk)
    append(segment, *RECORDS)
    segment.sync()
    segment.mark()
    segment.seal()
    (file,) = segment_files(disk, place)
    assert list(content(disk, file).records) == RECORDS


@pytest.mark.parametrize("refused", ["cut", "sync", "rename", "folder"])
def test_what_was_given_up_is_let_go_once_the_disk_allows(tmp_path: Path, refused: str) -> None:
    disk = FaultyDisk(SystemDisk())
    segment = Segment.create(folder(tmp_path), IDENTITY, LABEL, disk)
    append(segment, *RECORDS[:2])
    segment.sync()
    segment.mark()
    append(segment, RECORDS[2])
    disk.plan = lambda kind: EIO if kind == refused else None
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output"):
            segment.abandon()
    disk.plan = lambda _: None
    segment.abandon()
    (file,) = segment_files(disk, tmp_path / WRITER)
    assert file.count == 2
    assert list(content(disk, file).records) == RECORDS[:2]


def test_what_is_adopted_is_written_again(tmp_path: Path) -> None:
    """A predecessor's sync was refused: what it covered is in the cache, and counts as clean."""
    disk = SimulatedDisk()
    place = tmp_path / WRITER
    disk.make_folder(place)
    faulty = FaultyDisk(disk, sync_faults=[EIO])
    segment = Segment.create(place, IDENTITY, LABEL, faulty)
    records = [(number, b"x" * 10_000) for number in range(7, 10)]  # of many pages
    append(segment, *records)
    with pytest.raises(OSError, match="Input/output"):
        segment.sync()
    segment.close()
    (file,) = segment_files(disk, place)
    adopted = Segment.adopt(file, {}, disk)
    assert adopted is not None
    adopted.sync()
    adopted.seal()
    disk.lose_power(Random(0))
    (after,) = segment_files(disk, place)
    assert list(content(disk, after).records) == records
