"""The embedded buckets from inside: what is on disk, who holds it, and what a failure leaves."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from modeltap.clock import SimulatedClock
from modeltap.errors import (
    BucketsInUse,
    EntityTooLarge,
    IncompleteBody,
    InvalidArgument,
    KeyTooLong,
    NoSuchBucket,
    NoSuchKey,
    PreconditionFailed,
)
from modeltap.objects.blobs import Blob
from modeltap.objects.buckets import Buckets, Condition, Reading
from modeltap.objects.multipart import UPLOAD_SECONDS_MAX, NamedPart, Uploads

SIZE_MAX = 20 * 1024 * 1024


@pytest.fixture
def buckets(tmp_path: Path) -> Iterator[Buckets]:
    opened = open_at(tmp_path)
    opened.create("bucket")
    yield opened
    opened.close()


def open_at(home: Path) -> Buckets:
    return Buckets.open(home / "buckets", SimulatedClock(), object_bytes_max=SIZE_MAX)


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def broken() -> AsyncIterator[bytes]:
    yield b"x" * 3_000_000
    raise IncompleteBody("the client went away")


def receive(buckets: Buckets, *chunks: bytes) -> Blob:
    return asyncio.run(buckets.receive(stream(*chunks)))


def put(buckets: Buckets, key: str, body: bytes, condition: Condition | None = None) -> str:
    blob = receive(buckets, body)
    return buckets.put("bucket", key, blob, {}, condition or Condition()).etag


async def drained(reading: Reading) -> bytes:
    try:
        return b"".join([chunk async for chunk in reading])
    finally:
        await reading.aclose()


def blobs(home: Path) -> list[Path]:
    return [path for path in (home / "buckets/blobs").rglob("*") if path.is_file()]


def test_everything_on_disk_is_private(buckets: Buckets, tmp_path: Path) -> None:
    put(buckets, "k", b"secret")
    root = tmp_path / "buckets"
    for path in [root, *root.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
    with sqlite3.connect(root / "index.db") as index:
        assert index.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    index.close()


def test_one_process_holds_the_folder(buckets: Buckets, tmp_path: Path) -> None:
    with pytest.raises(BucketsInUse):
        open_at(tmp_path)


def test_an_opened_folder_knows_what_it_held(tmp_path: Path) -> None:
    first = open_at(tmp_path)
    first.create("bucket")
    put(first, "k", b"kept")
    first.close()
    again = open_at(tmp_path)
    assert asyncio.run(drained(again.read("bucket", "k"))) == b"kept"
    again.close()


def test_orphans_are_swept_at_the_start(tmp_path: Path) -> None:
    first = open_at(tmp_path)
    first.create("bucket")
    put(first, "k", b"kept")
    orphan = receive(first, b"never named")
    assert len(blobs(tmp_path)) == 2
    first.close()
    open_at(tmp_path).close()
    assert [path.read_bytes() for path in blobs(tmp_path)] == [b"kept"]
    assert orphan.size == 11


def test_a_stream_that_breaks_leaves_nothing(buckets: Buckets, tmp_path: Path) -> None:
    with pytest.raises(IncompleteBody):
        asyncio.run(buckets.receive(broken()))
    with pytest.raises(EntityTooLarge):
        receive(buckets, *[b"x" * 1_000_000] * 30)
    assert blobs(tmp_path) == []


def test_a_put_that_is_refused_drops_its_bytes(buckets: Buckets, tmp_path: Path) -> None:
    for key, error in (("", InvalidArgument), ("k" * 1025, KeyTooLong), ("é" * 513, KeyTooLong)):
        with pytest.raises(error):
            put(buckets, key, b"x")
    with pytest.raises(NoSuchBucket):
        buckets.put("nothing", "k", receive(buckets, b"x"), {})
    assert blobs(tmp_path) == []


def test_what_is_replaced_or_removed_leaves_the_disk(buckets: Buckets, tmp_path: Path) -> None:
    put(buckets, "k", b"1")
    put(buckets, "k", b"2")
    assert [path.read_bytes() for path in blobs(tmp_path)] == [b"2"]
    buckets.remove("bucket", ["k", "nothing"])
    assert blobs(tmp_path) == []


def test_a_reader_keeps_what_was_replaced_until_it_is_done(
    buckets: Buckets, tmp_path: Path
) -> None:
    put(buckets, "k", b"old")
    first, second = buckets.read("bucket", "k"), buckets.read("bucket", "k")
    put(buckets, "k", b"new")
    assert asyncio.run(drained(first)) == b"old"
    assert len(blobs(tmp_path)) == 2
    second.span = (1, 2)
    assert asyncio.run(drained(second)) == b"l"
    assert [path.read_bytes() for path in blobs(tmp_path)] == [b"new"]


def test_conditions_are_judged_at_the_write(buckets: Buckets, tmp_path: Path) -> None:
    absent = Condition(if_absent=True)
    etag = put(buckets, "k", b"1", absent)
    with pytest.raises(PreconditionFailed):
        put(buckets, "k", b"2", absent)
    with pytest.raises(PreconditionFailed):
        buckets.remove("bucket", ["k"], Condition(if_match="other"))
    with pytest.raises(NoSuchKey):
        put(buckets, "other", b"2", Condition(if_match=etag))
    put(buckets, "k", b"3", Condition(if_match=etag))
    assert [path.read_bytes() for path in blobs(tmp_path)] == [b"3"]


def test_one_of_many_wins_a_conditional_put(buckets: Buckets) -> None:
    async def race() -> list[object]:
        received = [await buckets.receive(stream(b"%d" % n)) for n in range(12)]
        condition = Condition(if_absent=True)
        puts = (
            asyncio.to_thread(buckets.put, "bucket", "k", blob, {}, condition) for blob in received
        )
        return await asyncio.gather(*puts, return_exceptions=True)

    results = asyncio.run(race())
    assert sum(not isinstance(result, Exception) for result in results) == 1
    assert sum(isinstance(result, PreconditionFailed) for result in results) == 11


def test_parts_that_are_replaced_unnamed_or_aborted_leave_the_disk(
    buckets: Buckets, tmp_path: Path
) -> None:
    uploads = Uploads(buckets)
    upload = uploads.start("bucket", "k", {})
    for number, body in ((1, b"first"), (2, b"unnamed"), (1, b"again")):
        blob = receive(buckets, body)
        uploads.put_part("bucket", "k", upload, number, blob, {})
    again = uploads.parts("bucket", "k", upload)[0]
    row = uploads.complete("bucket", "k", upload, [NamedPart(1, again.etag)])
    assert (row.size, row.parts, row.etag[-2:]) == (5, 1, "-1")
    other = uploads.start("bucket", "k", {})
    uploads.put_part("bucket", "k", other, 1, receive(buckets, b"aborted"), {})
    uploads.abort("bucket", "k", other)
    assert [path.read_bytes() for path in blobs(tmp_path)] == [b"again"]


def test_an_upload_that_nobody_completes_ends_and_leaves_the_disk(
    buckets: Buckets, tmp_path: Path
) -> None:
    uploads, clock = Uploads(buckets), buckets.clock
    assert isinstance(clock, SimulatedClock)
    old = uploads.start("bucket", "old", {})
    uploads.put_part("bucket", "old", old, 1, receive(buckets, b"old"), {})
    done = uploads.start("bucket", "done", {})
    part = receive(buckets, b"done")
    uploads.put_part("bucket", "done", done, 1, part, {})
    uploads.complete("bucket", "done", done, [NamedPart(1, part.md5)])
    clock.advance(UPLOAD_SECONDS_MAX)
    young = uploads.start("bucket", "young", {})
    uploads.put_part("bucket", "young", young, 1, receive(buckets, b"young"), {})
    assert uploads.expire() == 0
    clock.advance(1)
    assert uploads.expire() == 1
    assert [each.key for each in uploads.under_way("bucket", ("", ""), 9)] == ["young"]
    assert {path.read_bytes() for path in blobs(tmp_path)} == {b"done", b"young"}


def test_the_sum_of_the_parts_is_bounded(buckets: Buckets) -> None:
    uploads = Uploads(buckets)
    upload = uploads.start("bucket", "k", {})
    named = []
    for number in (1, 2, 3):
        blob = receive(buckets, *[b"x" * 1_000_000] * 8)
        uploads.put_part("bucket", "k", upload, number, blob, {})
        named.append(NamedPart(number, blob.md5))
    with pytest.raises(EntityTooLarge):
        uploads.complete("bucket", "k", upload, named)
