"""Objects to records, records to batches."""

import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeltap.transform.records import Batch, RecordRefused, batches, by_lines, one_batch, whole

MIB = 1024**2


def _is_record(line: bytes) -> bool:
    return bool(line.strip()) and b"\n" not in line and not line.endswith(b"\r")


def as_is(record: bytes) -> bytes:
    return record


def gathered(lines: Sequence[bytes], bytes_max: int, *, single: bool = False) -> list[Batch]:
    return list(batches(lines, as_is, bytes_max, single=single))


def test_lines_end_as_they_like_and_blank_ones_are_none() -> None:
    assert list(by_lines(io.BytesIO(b"a,b\r\n\n  \nc,d\ne"), 10)) == [b"a,b", b"c,d", b"e"]
    assert list(by_lines(io.BytesIO(b""), 10)) == []


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_record_may_fill_the_payload_and_no_more(end: bytes) -> None:
    fits, over = b"x" * MIB + end, b"x" * (MIB + 1) + end
    assert list(by_lines(io.BytesIO(b"1\n" + fits), MIB)) == [b"1", b"x" * MIB]
    with pytest.raises(RecordRefused, match=r"record 2 is larger than 1 MB \(MaxPayloadInMB\)"):
        list(by_lines(io.BytesIO(b"1\n" + over), MIB))


def test_as_many_records_as_fit_go_together() -> None:
    found = gathered([b"aa", b"bb", b"cc", b"dddd", b"e"], 5)
    assert [each.body for each in found] == [b"aa\nbb", b"cc", b"dddd", b"e"]
    assert [each.first for each in found] == [1, 3, 4, 5]
    assert [each.title for each in found[:2]] == ["records 1 to 2", "record 3"]


def test_a_single_record_is_a_batch() -> None:
    assert [each.body for each in gathered([b"a", b"b"], 10, single=True)] == [b"a", b"b"]


def test_a_batch_is_bounded_before_and_after_its_filter() -> None:
    short = list(batches([b"aaa", b"bbb"], lambda record: record[:1], 5, single=False))
    assert [each.body for each in short] == [b"a", b"b"]
    with pytest.raises(RecordRefused, match="record 1 is larger"):
        list(batches([b"a"], lambda record: record * 9, 5, single=False))


def test_an_unsplit_object_is_sent_as_it_is() -> None:
    assert [each.body for each in one_batch(b"a\r\nb\n", as_is, lines=False)] == [b"a\r\nb\n"]
    (batch,) = one_batch(b"a\r\nb\n", as_is, lines=True)
    assert (batch.body, batch.records) == (b"a\r\nb\n", (b"a", b"b"))
    (batch,) = one_batch(b"ax\nbx\n", lambda record: record[:1], lines=True)
    assert (batch.body, batch.records) == (b"a\nb", (b"ax", b"bx"))
    assert list(one_batch(b"", as_is, lines=False)) == []
    with pytest.raises(RecordRefused, match="SplitType"):
        whole(io.BytesIO(b"x" * (MIB + 1)), MIB)


def test_a_refused_record_is_numbered() -> None:
    def refuse(record: bytes) -> bytes:
        raise RecordRefused("it is odd")

    with pytest.raises(RecordRefused, match="record 1: it is odd"):
        gathered_by = list(batches([b"a"], refuse, 10, single=True))
        assert gathered_by == []


@given(st.lists(st.binary(min_size=1, max_size=8).filter(_is_record)), st.booleans())
def test_every_record_goes_once_in_order_and_within_bounds(
    records: list[bytes], single: bool
) -> None:
    given_lines = io.BytesIO(b"\r\n".join(records))
    found = list(batches(by_lines(given_lines, 8), as_is, 16, single=single))
    assert [record for batch in found for record in batch.records] == records
    assert all(len(batch.body) <= 16 for batch in found)
    assert b"\n".join(batch.body for batch in found) == b"\n".join(records)
    assert [batch.first for batch in found] == [
        1 + sum(len(batch.records) for batch in found[:number]) for number in range(len(found))
    ]
