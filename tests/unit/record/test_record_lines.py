"""The record line, byte by byte (contract §1.6, §1.7)."""

import pytest

from modeltap.errors import MalformedRecord
from modeltap.nouns import CapturedRecord, CaptureEncoding, Half
from modeltap.record import decode, encode

CSV, JSON, BASE64 = CaptureEncoding.CSV, CaptureEncoding.JSON, CaptureEncoding.BASE64

# 2022-02-14T17:25:49Z
TIME_NS = 1_644_859_549_000_000_000
EVENT = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"

# The first record that the 2022 document prints, on the one line that it is in a file.
SEED_INPUT = b"69,0,153.7,109,194.0,105,256.1,114,14.1,6,1" + b",0" * 33 + b",1" + b",0" * 18
SEED_INPUT += b",1,0,1,0,1,0\n"
SEED_LINE = (
    b'{"captureData":{"endpointInput":{"observedContentType":"text/csv","mode":"INPUT",'
    b'"data":"69,0,153.7,109,194.0,105,256.1,114,14.1,6,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,'
    b"0,0,0,0,0,0,0,0,0,0,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,0,1,0,1,0\\n"
    b'","encoding":"CSV"},"endpointOutput":{"observedContentType":"text/csv; charset=utf-8",'
    b'"mode":"OUTPUT","data":"0.0254181120544672","encoding":"CSV"}},'
    b'"eventMetadata":{"eventId":"aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",'
    b'"inferenceTime":"2022-02-14T17:25:49Z"},"eventVersion":"0"}\n'
)
SEED_RECORD = CapturedRecord(
    EVENT,
    TIME_NS + 123_456_789,
    Half("text/csv", SEED_INPUT),
    Half("text/csv; charset=utf-8", b"0.0254181120544672"),
)


def csv(_: str | None) -> CaptureEncoding:
    return CSV


def line(record: CapturedRecord, encoding: CaptureEncoding = CSV) -> bytes:
    return encode(record, lambda _: encoding)


def test_the_seed_s_printed_record_to_the_byte() -> None:
    assert encode(SEED_RECORD, csv) == SEED_LINE


def test_a_line_of_amazon_s_reads_back() -> None:
    found = decode(SEED_LINE)
    assert (found.event_id, found.inference_ns) == (EVENT, TIME_NS)
    assert (found.input, found.output) == (SEED_RECORD.input, SEED_RECORD.output)


def test_metadata_in_their_places() -> None:
    record = CapturedRecord(EVENT, TIME_NS, None, None, "my-id", 'a="1"')
    assert line(record) == (
        b'{"captureData":{},"eventMetadata":{"eventId":"aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",'
        b'"customAttributes":["a=\\"1\\""],"inferenceId":"my-id",'
        b'"inferenceTime":"2022-02-14T17:25:49Z"},"eventVersion":"0"}\n'
    )


def data(half: Half, encoding: CaptureEncoding) -> bytes:
    return line(CapturedRecord(EVENT, TIME_NS, half), encoding).split(b'"endpointInput":')[1]


@pytest.mark.parametrize(
    ("half", "encoding", "side"),
    [
        (
            Half("application/json", b'{"a": 1}'),
            JSON,
            b'{"observedContentType":"application/json","mode":"INPUT",'
            b'"data":"{\\"a\\": 1}","encoding":"JSON"}',
        ),
        (
            Half("text/csv", b"a\r\n\x00"),
            BASE64,
            b'{"observedContentType":"text/csv","mode":"INPUT","data":"YQ0KAA==","encoding":"BASE64"}',
        ),
        (
            Half("text/csv", b"\xff\xfe"),  # listed, and no UTF-8
            CSV,
            b'{"observedContentType":"text/csv","mode":"INPUT","data":"//4=","encoding":"BASE64"}',
        ),
        (Half(None, b""), CSV, b'{"mode":"INPUT","data":"","encoding":"CSV"}'),
    ],
)
def test_sides(half: Half, encoding: CaptureEncoding, side: bytes) -> None:
    assert data(half, encoding).startswith(side + b"}")


def test_what_other_writers_add_is_passed_over() -> None:
    added = SEED_LINE.replace(
        b'"eventVersion"',
        b'"groundTruthData":{"data":"1","encoding":"CSV"},"eventVersion"',
    ).replace(b'"inferenceTime"', b'"invocationSource":"ShadowExperiment","inferenceTime"')
    assert decode(added) == decode(SEED_LINE)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        SEED_LINE.replace(b"captureData", b"captureDatum"),
        SEED_LINE.replace(b'"encoding":"CSV"', b'"encoding":"XML"'),
        SEED_LINE.replace(b'"encoding":"CSV"', b'"encoding":"BASE64"'),
        SEED_LINE.replace(b"2022-02-14T17:25:49Z", b"yesterday"),
        SEED_LINE.replace(b'"data":"0.0254181120544672"', b'"data":1'),
    ],
)
def test_what_is_no_record_says_so_and_quotes_nothing(bad: bytes) -> None:
    with pytest.raises(MalformedRecord) as raised:
        decode(bad)
    assert "0.02" not in str(raised.value)
