"""The segment's format: every flipped bit is seen, and only its record is lost."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeltap.capture.disk import SystemDisk
from modeltap.capture.segment import (
    FRAME_BYTES,
    Label,
    Scanned,
    Segment,
    SegmentFile,
    SegmentId,
    scan,
    segment_files,
)

WRITER = "0123abcd-0000-4000-8000-000000000000"
IDENTITY = SegmentId(WRITER, 3, 7)
LABEL = Label(1_600_000_000_123_456_789, 444_444, b'{"endpoint":"churn"}')
RECORDS = [(7, b"first"), (9, b""), (10, b"MTS1 third")]


def folder(root: Path) -> Path:
    made = root / WRITER
    made.mkdir()
    return made


def sealed(root: Path, records: list[tuple[int, bytes]]) -> SegmentFile:
    segment = Segment.create(folder(root), IDENTITY, LABEL, SystemDisk())
    segment.append(records)
    segment.sync()
    segment.mark()
    segment.seal()
    (file,) = segment_files(root / WRITER)
    return file


def test_a_sealed_segment_reads_as_written(tmp_path: Path) -> None:
    file = sealed(tmp_path, RECORDS)
    assert file.path.name == "00003-000000000007-000000003.seal"
    assert (file.id, file.count) == (IDENTITY, 3)
    found = scan(file.path.read_bytes(), IDENTITY.salt)
    assert (found.label, list(found.records)) == (LABEL, RECORDS)


def test_every_flipped_bit_is_seen_and_costs_one_frame(tmp_path: Path) -> None:
    good = sealed(tmp_path, RECORDS).path.read_bytes()
    head = FRAME_BYTES + len(LABEL.encode())
    end = len(good) - head  # the END frame holds the label once more
    assert scan(good, IDENTITY.salt).intact_bytes == end
    for bit in range(len(good) * 8):
        at = bit // 8
        damaged = bytearray(good)
        damaged[at] ^= 1 << bit % 8
        found = scan(bytes(damaged), IDENTITY.salt)
        assert found.label == LABEL
        assert set(found.records) <= set(RECORDS)
        assert len(found.records) == (2 if head <= at < end else 3)
        assert (found.intact_bytes == 0) == (at < head)


def test_frames_of_another_segment_never_pass(tmp_path: Path) -> None:
    data = sealed(tmp_path, RECORDS).path.read_bytes()
    other = SegmentId(WRITER, 3, 8)
    assert scan(data, other.salt) == Scanned(None, (), 0, 0)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 200), st.binary(max_size=60))
def test_any_bytes_can_be_scanned(before: bytes, cut: int, after: bytes) -> None:
    records = (9).to_bytes(4, "little") + b"MTS1\x02" + before
    found = scan(before + records[cut:] + b"MTS1" + after, IDENTITY.salt)
    assert found.records == ()


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_an_open_segment_is_adopted_to_its_last_whole_record(tmp_path: Path, kept: int) -> None:
    segment = Segment.create(folder(tmp_path), IDENTITY, LABEL, SystemDisk())
    ends = []
    for record in RECORDS:
        ends.append(segment.size)
        segment.append([record])
    ends.append(segment.size)
    segment.close()
    cut = ends[kept] + (5 if kept < 3 else 0)
    segment.path.write_bytes(segment.path.read_bytes()[:cut])
    (file,) = segment_files(tmp_path / WRITER)
    adopted = Segment.adopt(file, SystemDisk())
    if adopted is None:
        assert kept == 0
        assert not file.path.exists()
        return
    assert (adopted.count, adopted.last) == (kept, RECORDS[kept - 1][0])
    adopted.append([(11, b"next")])
    adopted.sync()
    adopted.mark()
    adopted.seal()
    (after,) = segment_files(tmp_path / WRITER)
    found = scan(after.path.read_bytes(), IDENTITY.salt)
    assert list(found.records) == [*RECORDS[:kept], (11, b"next")]
    assert after.count == kept + 1


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    first = Segment.create(folder(tmp_path), IDENTITY, LABEL, SystemDisk())
    with pytest.raises(FileExistsError):
        Segment.create(tmp_path / WRITER, IDENTITY, LABEL, SystemDisk())
    first.discard()
    assert list(segment_files(tmp_path / WRITER)) == []
