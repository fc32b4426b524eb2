"""How the real client reads what a store says: real bytes on a socket, row by row.

The simulated store answers by the same table (`objects/port.py`), so both are asked alike.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from modeltap.capture.outcome import Outcome, outcome_of
from modeltap.errors import ObjectExists, ObjectStoreError, StoreRefused, StoreUnavailable
from modeltap.objects.port import ObjectStore, Stored
from modeltap.objects.remote import Stores, s3_bucket
from modeltap.objects.simulated import ANSWERS, Fault, SimulatedStore
from modeltap.settings import ExternalBucket, load

T = TypeVar("T")


@dataclass
class Asked:
    """One request, as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Bytes:
    """A store that answers each request with the next of its bytes; None resets the connection."""

    answers: list[bytes | None]
    asked: list[Asked] = field(default_factory=list)
    connections: list[asyncio.Task[None]] = field(default_factory=list)

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        task = asyncio.current_task()
        assert task is not None
        self.connections.append(task)
        try:
            await self.serve(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def end(self) -> None:
        """End what is left: a client may hold a connection that it asked nothing on."""
        for task in self.connections:
            task.cancel()
        await asyncio.gather(*self.connections, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        method, path, _ = head[0].split(" ")
        self.asked.append(Asked(method, path, headers, body))
        answer = self.answers.pop(0)
        if answer is None:
            writer.transport.abort()
        else:
            writer.write(answer)
            await writer.drain()


def answer(status: int, code: str = "", *, headers: str = "", body: bytes | None = None) -> bytes:
    """Write an answer as S3 does: an error's code stands in a document."""
    if body is None:
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode() if code else b""
    head = f"HTTP/1.1 {status} Reason\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    return f"{head}{headers}\r\n".encode() + body


def meeting(store: Bytes, work: Callable[[str], Awaitable[T]]) -> T:
    """Serve while the work runs; it is told the address."""

    async def main() -> T:
        server = await asyncio.start_server(store.meet, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            try:
                return await work(f"http://127.0.0.1:{port}")
            finally:
                await store.end()

    return asyncio.run(main())


def at(url: str, **changed: str) -> ExternalBucket:
    keys = {"access_key_id": "AKIAEXAMPLE", "secret_access_key": "secret"}
    return ExternalBucket(endpoint=url, allow_http=True, **(keys | changed))


def put(store: Bytes, *, create_only: bool = True, kms_key_id: str | None = None) -> Stored:
    async def work(url: str) -> Stored:
        bucket = s3_bucket("bucket", at(url))
        return await bucket.put("k", b"data", create_only=create_only, kms_key_id=kms_key_id)

    return meeting(store, work)


DONE = answer(200, headers='ETag: "abc"\r\n')


@pytest.mark.parametrize("fault", ANSWERS)
def test_an_answer_means_what_the_simulated_store_means_by_it(fault: Fault) -> None:
    simulated: ObjectStore = SimulatedStore(lambda _: fault)
    with pytest.raises(ObjectStoreError) as meant:
        asyncio.run(simulated.put("k", b"data", create_only=True))
    with pytest.raises(ObjectStoreError) as read:
        put(Bytes([answer(*ANSWERS[fault])]))
    for each in (meant, read):
        assert type(each.value) is type(meant.value)
        assert (each.value.status, each.value.code) == ANSWERS[fault]
    assert str(read.value) == str(meant.value)
    assert "AKIAEXAMPLE" not in str(read.value)


CONDITIONAL = [(501, "NotImplemented"), (400, "InvalidArgument"), (413, "EntityTooLarge")]


@pytest.mark.parametrize(("status", "code"), CONDITIONAL)
def test_a_store_without_conditions_is_told(status: int, code: str) -> None:
    store = Bytes([answer(status, code)])
    with pytest.raises(StoreRefused) as refused:
        put(store)
    assert store.asked[0].headers["if-none-match"] == "*"
    assert outcome_of(refused.value, create_only=True) is Outcome.NO_CONDITIONS
    store = Bytes([DONE])
    assert put(store, create_only=False) == Stored("abc")
    assert "if-none-match" not in store.asked[0].headers


def test_what_exists_is_told_from_a_race() -> None:
    with pytest.raises(ObjectExists):
        put(Bytes([answer(412, "PreconditionFailed")]))
    with pytest.raises(StoreUnavailable) as raced:
        put(Bytes([answer(409, "ConditionalRequestConflict")]))
    assert outcome_of(raced.value, create_only=True) is Outcome.CONFLICT


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (500, "InternalError", Outcome.UNAVAILABLE),
        (502, "", Outcome.UNAVAILABLE),
        (504, "", Outcome.UNAVAILABLE),
        (429, "", Outcome.UNAVAILABLE),
        (400, "RequestTimeout", Outcome.UNAVAILABLE),
        (400, "ExpiredToken", Outcome.CREDENTIALS),
        (403, "InvalidToken", Outcome.CREDENTIALS),
        (403, "InvalidAccessKeyId", Outcome.CREDENTIALS),
        (403, "SignatureDoesNotMatch", Outcome.CREDENTIALS),
        (403, "", Outcome.HELD),
        (401, "", Outcome.HELD),
        (404, "", Outcome.HELD),
        (307, "TemporaryRedirect", Outcome.HELD),
        (400, "AuthorizationHeaderMalformed", Outcome.HELD),
        (400, "KMS.NotFoundException", Outcome.HELD),
        (422, "", Outcome.REFUSED),
    ],
)
def test_an_answer_and_its_outcome(status: int, code: str, outcome: Outcome) -> None:
    with pytest.raises(ObjectStoreError) as error:
        put(Bytes([answer(status, code)]))
    assert outcome_of(error.value, create_only=True) is outcome


@pytest.mark.parametrize(
    "said",
    [
        None,
        answer(200)[:12],  # not even a whole status line
        answer(503, "SlowDown")[:-20],  # the document is cut
        answer(200),  # done, without an ETag
    ],
    ids=["reset", "cut head", "cut body", "no etag"],
)
def test_an_answer_that_is_none_is_unavailable(said: bytes | None) -> None:
    store = Bytes([said])
    with pytest.raises(StoreUnavailable) as error:
        put(store)
    assert outcome_of(error.value, create_only=True) is Outcome.UNAVAILABLE
    assert store.asked[0].body == b"data"  # it may have been written
    assert len(store.asked) == 1  # the client made no try of its own


@dataclass
class Slow(Bytes):
    """A store that never comes to an end."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200")
        await reader.read()  # until the client gives up


def test_an_answer_that_goes_on_for_ever_ends_with_the_request() -> None:
    async def work(url: str) -> Stored:
        return await s3_bucket("bucket", at(url), request_seconds_max=1).put("k", b"data")

    with pytest.raises(StoreUnavailable):
        meeting(Slow([]), work)


def test_a_head_without_permission_is_a_refusal() -> None:
    async def work(url: str) -> object:
        return await s3_bucket("bucket", at(url)).head("k")

    with pytest.raises(StoreRefused) as refused:
        meeting(Bytes([answer(403)]), work)
    assert outcome_of(refused.value, create_only=True) is Outcome.HELD


# ---------------------------------------------------------------- encryption under a key


def test_a_key_is_asked_for_on_the_wire_and_signed() -> None:
    store = Bytes([DONE])
    put(store, kms_key_id="arn:aws:kms:us-east-1:000000000000:key/k-1")
    headers = store.asked[0].headers
    assert headers["x-amz-server-side-encryption"] == "aws:kms"
    assert headers["x-amz-server-side-encryption-aws-kms-key-id"].endswith(":key/k-1")
    assert "x-amz-server-side-encryption-aws-kms-key-id" in headers["authorization"]


def test_each_put_has_its_own_key_or_none() -> None:
    store = Bytes([DONE] * 4)

    async def work(url: str) -> None:
        bucket = s3_bucket("bucket", at(url))
        for kms_key_id in ("one", None, "two", "one"):
            await bucket.put("k", b"data", kms_key_id=kms_key_id)

    meeting(store, work)
    name = "x-amz-server-side-encryption-aws-kms-key-id"
    assert [each.headers.get(name) for each in store.asked] == ["one", None, "two", "one"]
    assert "x-amz-server-side-encryption" not in store.asked[1].headers


# ---------------------------------------------------------------- credentials that are renewed

FILE = """
[default]
aws_access_key_id = {}
aws_secret_access_key = secret
aws_session_token = token-of-{}
"""


def test_credentials_of_a_file_are_read_anew_when_they_are_renewed(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    store = Bytes([answer(403, "ExpiredToken"), answer(403, "ExpiredToken"), DONE])

    async def work(url: str) -> None:
        buckets = {"bucket": at(url, credentials_file=str(path))}
        stores = Stores(load(home=tmp_path, external_buckets=buckets), ("AKIA", "own"))
        path.write_text(FILE.format("AKIAOLD", "old"))
        for renewed in (False, False, True):
            if renewed:
                path.write_text(FILE.format("AKIANEW", "new"))
                stores.renew("s3://bucket/k")
            bucket, key = stores.at("s3://bucket/k")
            try:
                await bucket.put(key, b"data")
            except StoreRefused as error:
                assert outcome_of(error, create_only=True) is Outcome.CREDENTIALS

    meeting(store, work)
    tokens = [each.headers["x-amz-security-token"] for each in store.asked]
    assert tokens == ["token-of-old", "token-of-old", "token-of-new"]
    assert "akianew/" in store.asked[2].headers["authorization"]


@pytest.mark.parametrize("text", [None, "", "[other]\na = b", "[default]\n", "junk", "\0\xff"])
def test_a_file_without_credentials_is_held(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "credentials"
    if text is not None:
        path.write_text(text)
    with pytest.raises(StoreRefused, match="holds no credentials") as refused:
        s3_bucket("bucket", at("http://127.0.0.1:9", credentials_file=str(path)))
    assert outcome_of(refused.value, create_only=True) is Outcome.HELD
