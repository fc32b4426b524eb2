"""The codec between gateway and worker: what is written is read again, however the reads split."""

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeltap_worker import frames
from modeltap_worker.frames import Call, Decoder, Frame, FrameError, Reply

ids = st.integers(0, 2**32 - 1)
texts = st.none() | st.text(max_size=50)
sizes = st.sampled_from([0, 1, 65535, 65536, 65537, 131072, 200_000])
bodies = st.binary(max_size=100) | sizes.map(lambda size: bytes(range(256)) * (size // 256 + 1))
calls = st.builds(Call, texts, texts, texts, bodies)
replies = st.builds(Reply, st.integers(100, 599), texts, texts, bodies)


def read(stream: bytes, cuts: list[int]) -> list[Frame]:
    decoder = Decoder()
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [
        frame
        for start, stop in itertools.pairwise(edges)
        for frame in decoder.feed(stream[start:stop])
    ]


def body_of(first: bytes, rest: list[Frame]) -> bytes:
    return first + b"".join(frame.payload for frame in rest)


@given(ids, calls, st.lists(st.integers(0), max_size=8))
def test_a_call_survives_any_split(number: int, call: Call, cuts: list[int]) -> None:
    first, *rest = read(b"".join(frames.encode_call(number, call)), cuts)
    head = frames.decode_call(first)
    assert (head.content_type, head.accept, head.custom_attributes) == (
        call.content_type,
        call.accept,
        call.custom_attributes,
    )
    assert body_of(head.body, rest) == call.body
    assert first.kind == frames.OPEN
    assert {frame.kind for frame in rest} <= {frames.CHUNK}
    assert {frame.id for frame in (first, *rest)} == {number}
    assert [frame.end for frame in (first, *rest)] == [False] * len(rest) + [True]
    assert all(len(frame.payload) <= frames.PART_BYTES_MAX for frame in rest)


@given(ids, replies, st.lists(st.integers(0), max_size=8))
def test_a_reply_survives_any_split(number: int, reply: Reply, cuts: list[int]) -> None:
    first, *rest = read(b"".join(frames.encode_reply(number, reply)), cuts)
    head = frames.decode_reply(first)
    whole = Reply(head.status, head.content_type, head.custom_attributes, body_of(head.body, rest))
    assert whole == reply


@given(st.lists(st.tuples(ids, calls.filter(lambda call: len(call.body) < 200)), max_size=6))
def test_many_calls_come_out_of_single_bytes_in_order(many: list[tuple[int, Call]]) -> None:
    stream = b"".join(part for number, call in many for part in frames.encode_call(number, call))
    seen = read(stream, list(range(len(stream))))
    assert [(frame.id, frames.decode_call(frame)) for frame in seen] == many


@given(st.binary(max_size=300), st.lists(st.integers(0), max_size=8))
def test_noise_is_frames_or_a_frame_error(noise: bytes, cuts: list[int]) -> None:
    try:
        for frame in read(noise, cuts):
            frames.decode_call(frame)
            frames.decode_reply(frame)
    except FrameError as error:
        assert str(error)


@given(ids, st.text(max_size=40))
def test_ping_pong_cancel(number: int, text: str) -> None:
    stream = (
        frames.encode_ping(number) + frames.encode_pong(number, text) + frames.encode_cancel(number)
    )
    ping, pong, cancel = Decoder().feed(stream)
    assert (ping.kind, pong.kind, cancel.kind) == (frames.PING, frames.PONG, frames.CANCEL)
    assert frames.decode_pong(pong) == text


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ((frames.FRAME_BYTES_MAX + 1, 1, frames.OPEN, 0), "longer than"),
        ((0, 1, 0, 0), "no kind"),
        ((0, 1, 8, 0), "no kind"),
        ((0, 1, frames.PING, 2), "flags"),
    ],
)
def test_a_bad_header_is_refused_at_once(header: tuple[int, int, int, int], says: str) -> None:
    with pytest.raises(FrameError, match=says):
        Decoder().feed(struct.pack("!IIBB", *header))


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"", "within a field"),
        (b"\x00", "within a field"),
        (b"\x00\x05abc", "longer than its frame"),
        (b"\x00\x01\xff", "not UTF-8"),
        (b"\xff\xff\xff\xff", "within a field"),
    ],
)
def test_a_bad_field_is_refused(payload: bytes, says: str) -> None:
    with pytest.raises(FrameError, match=says):
        frames.decode_call(Frame(frames.OPEN, 1, True, payload))


def test_a_reply_with_no_http_status_is_refused() -> None:
    with pytest.raises(FrameError, match="no HTTP status"):
        frames.decode_reply(Frame(frames.ANSWER, 1, True, struct.pack("!HHH", 99, 0xFFFF, 0xFFFF)))


def test_a_field_over_the_bound_is_not_written() -> None:
    call = Call("x" * (frames.FIELD_BYTES_MAX + 1), None, None, b"")
    with pytest.raises(FrameError, match="longer than"):
        list(frames.encode_call(1, call))
