"""Any bytes of request and response come back from the bucket as they were (threat S19)."""

import os
import tempfile
from operator import attrgetter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture_world import PLAN, World
from modeltap.nouns import Answer, CapturedRecord, Exchange, Half, Invocation

SECOND_NS = 1_000_000_000
LARGE_BYTES = 25_000_000

HOSTILE = (
    b"",
    b"\n",
    b"\n\r\n" * 50,
    b"\x00",
    b"\xff\xfe",
    "\u2028\u2029\u0085".encode(),
    "\ud800".encode("utf-8", "surrogatepass"),
    '"\\\u0000\u001f\u007f\U0001f600'.encode(),
    b'{"eventVersion":"0"}\n{"captureData":{}}\n',
)
"""Line feeds, all that some reader calls a line's end, what is no UTF-8, what JSON must escape."""

bodies = st.sampled_from(HOSTILE) | st.binary(max_size=3000) | st.text().map(str.encode)
content_types = st.sampled_from(
    [None, "", "text/csv", "text/csv; charset=utf-8", "application/json", "application/x-npy"]
)
texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
halves = st.builds(Half, content_types, bodies)


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    asked, answered = draw(halves), draw(halves)
    invocation = Invocation(
        str(draw(st.uuids())),
        draw(st.sampled_from(["churn", "fraud"])),
        asked.body,
        content_type=asked.content_type,
        custom_attributes=draw(texts),
        inference_id=draw(texts),
        received_ns=draw(st.integers(0, 100_000)) * SECOND_NS,
    )
    return Exchange(invocation, Answer(200, answered.content_type, answered.body), "A", PLAN)


def expected(exchange: Exchange) -> CapturedRecord:
    asked, answer = exchange.invocation, exchange.answer
    return CapturedRecord(
        event_id=asked.id,
        inference_ns=asked.received_ns,
        input=Half(asked.content_type, bytes(asked.body)),
        output=Half(answer.content_type, bytes(answer.body)),
        inference_id=asked.inference_id,
        custom_attributes=asked.custom_attributes,
    )


def captured(*turns: list[Exchange], ring_mib: int = 1) -> list[CapturedRecord]:
    """Take exchanges from the gateway's offer to the bucket, and read them there."""
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as name,
        World(Path(name), ring_bytes=ring_mib << 20) as world,
    ):
        for turn in turns:
            world.offer(*turn)
            world.pump()
            world.turn()
        world.deliver()
        assert all(data.endswith(b"\n") for data in world.objects().values())
        return world.records()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(exchanges(), max_size=4), max_size=4))
def test_the_bucket_gives_back_what_was_offered(turns: list[list[Exchange]]) -> None:
    offered = [expected(exchange) for turn in turns for exchange in turn]
    by_id = attrgetter("event_id")
    assert sorted(captured(*turns), key=by_id) == sorted(offered, key=by_id)


@pytest.mark.parametrize("content_type", ["text/csv", "application/json", "application/x-npy"])
def test_25_mb_each_way(content_type: str) -> None:
    text = ("1.5,é\n" * (LARGE_BYTES // 7 + 1)).encode()[:LARGE_BYTES]
    asked = Invocation("0" * 36, "churn", text, content_type=content_type, received_ns=0)
    answer = Answer(200, content_type, os.urandom(LARGE_BYTES))
    exchange = Exchange(asked, answer, "A", PLAN)
    assert captured([exchange], ring_mib=64) == [expected(exchange)]
