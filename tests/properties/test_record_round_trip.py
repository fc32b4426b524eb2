"""Any record, written and read, is itself; and a line is one line (threat S19)."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from modeltap.capture.batch import Gathering, open_batch
from modeltap.capture.frame import HOUR_NS, open_parcel, salt_of, scan
from modeltap.capture.stream import Stream
from modeltap.nouns import (
    Answer,
    CapturedRecord,
    CaptureEncoding,
    CapturePlan,
    Exchange,
    Half,
    Invocation,
)
from modeltap.record import decode, encode

SECOND_NS = 1_000_000_000

texts = st.text(st.characters(exclude_categories=["Cs"]))
halves = st.builds(
    Half,
    st.none() | texts,
    st.binary() | texts.map(str.encode) | st.just(b"a\nb\r\n\x00\xe2\x80\xa8"),
)
times = st.integers(0, 4_102_444_800 * SECOND_NS)
records = st.builds(
    CapturedRecord,
    event_id=st.uuids().map(str),
    inference_ns=times,
    input=st.none() | halves,
    output=st.none() | halves,
    inference_id=st.none() | texts,
    custom_attributes=st.none() | texts,
)


@given(records, st.sampled_from(CaptureEncoding))
def test_decode_of_encode_is_the_record_to_the_second(
    record: CapturedRecord, chosen: CaptureEncoding
) -> None:
    line = encode(record, lambda _: chosen)
    seconds = record.inference_ns // SECOND_NS * SECOND_NS
    assert decode(line) == replace(record, inference_ns=seconds)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")


@given(records, st.booleans(), st.booleans(), st.integers(1, 2**63), st.text())
def test_a_batch_carries_the_record_untouched(
    record: CapturedRecord, asked: bool, answered: bool, sequence: int, variant: str
) -> None:
    left, right = record.input or Half(None, b""), record.output or Half("", b"x")
    plan = CapturePlan(100, "s3://bucket", input=asked, output=answered)
    stream = Stream("churn", variant, plan)
    exchange = Exchange(
        Invocation(
            record.event_id,
            "churn",
            left.body,
            content_type=left.content_type,
            custom_attributes=record.custom_attributes,
            inference_id=record.inference_id,
            received_ns=record.inference_ns,
        ),
        Answer(200, right.content_type, right.body),
        variant,
        plan,
    )
    gathering = Gathering("writer", 7, stream)
    frame = gathering.frame(sequence, exchange)
    gathering.add(sequence, frame, sum(map(len, frame)))
    batch = open_batch(b"".join(gathering.take()))
    hour = record.inference_ns // HOUR_NS
    assert (batch.slot, batch.hour, batch.count) == (7, hour, 1)
    assert (batch.first, batch.last) == (sequence, sequence)
    assert batch.stream == stream.encode()
    ((found, parcel),) = scan(batch.frames, salt_of("writer", 7, hour), sequence).records
    assert found == sequence
    assert open_parcel(parcel) == replace(
        record, input=left if asked else None, output=right if answered else None
    )
