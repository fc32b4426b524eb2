"""What is no invocation, through a real gateway to real uvicorn backends on Unix sockets."""

import asyncio
import hashlib
import json
import ssl
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from gateway_tls import certified
from gateway_world import KEY_ID, SECRET, Worker, World, backend, run, table, until, world
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

from modeltap.gateway.passthrough import end_to_end
from modeltap.nouns import Instance

MIB = 1024 * 1024


class Backend:
    """An ASGI application: tells what it got, or does what its path says."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []
        self.received = 0
        self.sent = 0
        self.hold = asyncio.Event()

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        assert scope["type"] == "http"
        self.scopes.append(scope)
        match scope["path"].rsplit("/", 1)[-1]:
            case "refuse":
                await self._answer(send, 403, b"early")
            case "die":
                raise RuntimeError("the backend dies")
            case "large":
                await self._large(send)
            case "slow":
                await self.hold.wait()
                await self._echo(receive, send)
            case "none":
                await self._answer(send, 204, b"")
            case "unchanged":
                await self._start(send, 304, [(b"etag", b'"1"'), (b"content-length", b"7")])
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            case "silent":
                await self._digest(receive)
                await self._answer(send, 200, b"")
            case _:
                await self._echo(receive, send)

    async def _echo(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await self._answer(send, 200, await self._digest(receive))

    async def _digest(self, receive: ASGIReceiveCallable) -> bytes:
        digest = hashlib.sha256()
        more = True
        while more:
            event = await receive()
            assert event["type"] == "http.request"
            digest.update(event["body"])
            self.received += len(event["body"])
            more = event["more_body"]
        return digest.hexdigest().encode()

    async def _large(self, send: ASGISendCallable) -> None:
        await self._start(send, 200, [])
        for _ in range(20 * 16):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            self.sent += 65536
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _answer(self, send: ASGISendCallable, status: int, body: bytes) -> None:
        await self._start(send, status, [(b"x-backend", b"yes")])
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _start(
        self, send: ASGISendCallable, status: int, headers: list[tuple[bytes, bytes]]
    ) -> None:
        await send(
            {"type": "http.response.start", "status": status, "headers": headers, "trailers": False}
        )


def test_each_kind_of_request_finds_its_way(tmp_path: Path) -> None:
    async def scenario() -> None:
        control, store = Backend(), Backend()
        async with (
            world(tmp_path) as it,
            backend(it.paths.control, control),
            backend(it.paths.store, store),
        ):
            head = b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n"
            form = b"Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n"
            await it.raw(b"POST /" + head + b"X-Amz-Target: SageMaker.ListModels\r\n\r\n")
            await it.raw(b"POST /" + head + form + b"\r\n")
            await it.raw(b"PUT /bucket/key%20x?partNumber=1" + head + b"\r\n")
            await it.raw(b"GET /" + head + b"\r\n")
            await it.raw(b"POST /bucket?delete" + head + form + b"\r\n")
        assert [scope["path"] for scope in control.scopes] == ["/", "/"]
        assert [scope["raw_path"] for scope in store.scopes] == [
            b"/bucket/key%20x",
            b"/",
            b"/bucket",
        ]
        assert store.scopes[0]["query_string"] == b"partNumber=1"

    run(scenario())


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"Content-Length: 3\r\n\r\nabc", b"abc"),
        (b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\nabc", b"abc"),
        (b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", b"abc"),
        (b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b""),
        (b"\r\n", b""),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_a_body_goes_on_whether_it_comes_with_its_head_or_later(
    tmp_path: Path, framing: bytes, body: bytes, whole: bool
) -> None:
    head, rest = b"PUT /b/k HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + framing, b""
    if not whole:
        head, mark, rest = head.partition(b"\r\n\r\n")
        head += mark

    async def scenario() -> None:
        async with world(tmp_path) as it, backend(it.paths.store, Backend()):
            received = await it.raw(head, then=rest)
        assert b"HTTP/1.1 200 OK" in received
        assert hashlib.sha256(body).hexdigest().encode() in received

    run(scenario())


def test_headers_arrive_untouched_but_for_the_hop(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Backend()
        async with world(tmp_path) as it, backend(it.paths.store, store):
            answer = await it.raw(
                b"GET /b HTTP/1.1\r\nHost: bucket.s3.amazonaws.com\r\nAuthorization: AWS4 x\r\n"
                b"X-Amz-Meta-A:  b  c\r\nx-amz-meta-a: d\r\nX-Hop: 1\r\nTE: trailers\r\n"
                b"Connection: close, X-Hop, Host\r\nX-Modeltap-Peer: 6.6.6.6\r\n"
                b"X-Modeltap-Scheme: https\r\n\r\n"
            )
        assert store.scopes[0]["headers"] == [
            (b"host", b"bucket.s3.amazonaws.com"),
            (b"authorization", b"AWS4 x"),
            (b"x-amz-meta-a", b"b  c"),
            (b"x-amz-meta-a", b"d"),
            (b"x-modeltap-peer", b"127.0.0.1"),
            (b"x-modeltap-scheme", b"http"),
            (b"connection", b"close"),
        ]
        assert b"x-backend: yes\r\n" in answer
        assert answer.count(b"connection: close") == 1

    run(scenario())


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_20_mib_goes_through_in_small_turns(tmp_path: Path, chunked: bool) -> None:
    body = bytes(range(256)) * (20 * MIB // 256)

    async def scenario() -> None:
        store = Backend()
        async with world(tmp_path) as it, backend(it.paths.store, store):
            reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
            framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 20971520"
            writer.write(b"PUT /b/k HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + framing)
            writer.write(b"\r\n\r\n")
            for start in range(0, len(body), 100_000):
                part = body[start : start + 100_000]
                writer.write(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
                await writer.drain()
            writer.write(b"0\r\n\r\n" if chunked else b"")
            answer = await reader.read()
            writer.close()
        assert answer.endswith(hashlib.sha256(body).hexdigest().encode() + b"\r\n0\r\n\r\n")
        assert store.received == len(body)

    run(scenario())


def test_a_slow_backend_slows_the_client_and_not_an_inference(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Backend()
        async with (
            Worker(tmp_path / "w") as worker,
            world(tmp_path) as it,
            backend(it.paths.store, store),
        ):
            await it.publish(table(1, Instance("i-1", f"unix:{worker.path}")))
            reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
            writer.write(b"PUT /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 20971520\r\n\r\n")
            writer.write(b"x" * 20 * MIB)
            await until(lambda: len(store.scopes) == 1)
            for _ in range(10):
                assert (await it.invoke(it.client()))["Body"] == b"1,2"
            held = 20 * MIB - writer.transport.get_write_buffer_size()
            assert held < 16 * MIB  # the rest still waits at the client
            store.hold.set()
            await reader.readuntil(b"0\r\n\r\n")
            assert store.received == 20 * MIB
            writer.close()

    run(scenario())


def test_a_slow_reader_slows_the_backend(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Backend()
        async with world(tmp_path) as it, backend(it.paths.store, store):
            reader, writer = await asyncio.open_connection("127.0.0.1", it.port, limit=65536)
            writer.write(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            seen = -1
            while seen != store.sent or not seen:
                seen = store.sent
                await asyncio.sleep(0.05)
            assert store.sent < 19 * MIB  # it stands still long before its end
            received = 0
            while part := await reader.read(65536):
                received += part.count(b"x")
            assert received == 20 * MIB
            writer.close()

    run(scenario())


def test_continue_is_the_backends_to_say(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Backend()
        async with world(tmp_path) as it, backend(it.paths.store, store):
            expecting = b" HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
            reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
            writer.write(b"PUT /slow" + expecting)
            await until(lambda: len(store.scopes) == 1)
            assert store.received == 0
            store.hold.set()
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"abc")
            assert (await reader.readuntil(b"0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            writer.close()
            # The same connection could have gone on; a refusal ends it, and says no continue.
            refused = await it.raw(b"PUT /refuse" + expecting)
            assert refused.startswith(b"HTTP/1.1 403 ")
            assert b"connection: close" in refused

    run(scenario())


@pytest.mark.parametrize(
    ("request_line", "status", "length"),
    [
        (b"HEAD /b/k", b"200", None),
        (b"GET /none", b"204", None),
        (b"GET /unchanged", b"304", b"content-length: 7\r\n"),
    ],
)
def test_answers_without_a_body_end_with_their_head(
    tmp_path: Path, request_line: bytes, status: bytes, length: bytes | None
) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it, backend(it.paths.store, Backend()):
            sent = request_line + b" HTTP/1.1\r\nHost: a\r\n\r\n"
            reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
            for _ in range(2):  # the connection is fit for another
                writer.write(sent)
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 " + status)
                assert length is None or length in head
                assert b"transfer-encoding" not in head and b"connection: close" not in head
            writer.close()

    run(scenario())


def test_an_absent_backend_is_told_in_the_callers_own_words(tmp_path: Path) -> None:
    def code(it: World, service: str, operation: str) -> tuple[str, int]:
        client = boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{it.port}",
            region_name="us-east-1",
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            config=Config(retries={"total_max_attempts": 1}),
        )
        with pytest.raises(ClientError) as caught:
            getattr(client, operation)()
        response = caught.value.response
        return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]

    async def scenario() -> None:
        async with Worker(tmp_path / "w") as worker, world(tmp_path) as it:
            await it.publish(table(1, Instance("i-1", f"unix:{worker.path}")))
            for service, operation in (
                ("sagemaker", "list_models"),
                ("sts", "get_caller_identity"),
                ("s3", "list_buckets"),
            ):
                found = await asyncio.to_thread(code, it, service, operation)
                assert found == ("ServiceUnavailable", 503)
            head = await it.raw(b"HEAD /b/k HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ") and head.endswith(b"\r\n\r\n")
            assert (await it.invoke(it.client()))["Body"] == b"1,2"

    run(scenario())


def test_a_backend_that_dies_with_a_request_in_hand(tmp_path: Path) -> None:
    lasts = [
        b"",
        b"HTTP/1.1 200 OK\r\nconte",
        b"this is no HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nall of it",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart",
    ]
    said = iter(lasts)

    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(next(said))
        await writer.drain()
        writer.close()

    async def scenario() -> None:
        request = b"GET /b/k HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        async with (
            world(tmp_path) as it,
            await asyncio.start_unix_server(die, str(it.paths.store)),
        ):
            for _ in range(3):
                assert (await it.raw(request)).startswith(b"HTTP/1.1 503 ")
            whole = await it.raw(request)
            assert whole.endswith(b"9\r\nall of it\r\n0\r\n\r\n")
            # Within its answer there is no other sign left than the connection's early end.
            broken = await it.raw(request)
            assert b"content-length: 100\r\n" in broken and broken.endswith(b"\r\n\r\npart")

    run(scenario())


def test_a_client_that_breaks_its_body_off_reaches_the_backend_as_that(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Backend()
        async with world(tmp_path) as it, backend(it.paths.store, store):
            received = await it.raw(
                b"PUT /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
                then=b"zz\r\n",
            )
            assert received.startswith(b"HTTP/1.1 400 ")
            store.hold.set()

    run(scenario())


def test_no_list_of_hops_strips_the_framing_or_the_host() -> None:
    headers = (
        (b"host", b"a"),
        (b"content-length", b"5"),
        (b"x", b"y"),
        (b"connection", b"Host, Content-Length, X"),
    )
    assert end_to_end(headers) == headers[:2]


def test_boto3_uploads_through_the_gateway(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Backend()
        async with world(tmp_path) as it, backend(it.paths.store, store):
            client = boto3.client(
                "s3",
                endpoint_url=f"http://127.0.0.1:{it.port}",
                region_name="us-east-1",
                aws_access_key_id=KEY_ID,
                aws_secret_access_key=SECRET,
            )
            await asyncio.to_thread(
                client.put_object, Bucket="bucket", Key="a b/silent", Body=b"z" * 3 * MIB
            )
        names = dict(store.scopes[0]["headers"])
        assert store.scopes[0]["raw_path"] == b"/bucket/a%20b/silent"
        assert names[b"expect"] == b"100-continue"
        assert store.received == 3 * MIB

    run(scenario())


def test_tls_and_plain_share_the_port(tmp_path: Path) -> None:
    certificate, key = certified(tmp_path)

    async def scenario() -> None:
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server.load_cert_chain(certificate, key)
        store = Backend()
        async with (
            Worker(tmp_path / "w") as worker,
            world(tmp_path, tls=server) as it,
            backend(it.paths.store, store),
        ):
            await it.publish(table(1, Instance("i-1", f"unix:{worker.path}")))
            secure = it.client(scheme="https", verify=str(certificate))
            assert (await it.invoke(secure))["Body"] == b"1,2"
            assert (await it.invoke(it.client()))["Body"] == b"1,2"
            trusting = ssl.create_default_context(cafile=str(certificate))
            reader, writer = await asyncio.open_connection("localhost", it.port, ssl=trusting)
            writer.write(b"GET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
            writer.close()
        assert (b"x-modeltap-scheme", b"https") in store.scopes[0]["headers"]

    run(scenario())


def test_status_is_json_one_line_a_reload(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            await it.reload()
            reader, writer = await asyncio.open_unix_connection(str(it.paths.status))
            writer.write(b"reload\nreload\nreboot\n")
            lines = (await reader.read()).splitlines()
            writer.close()
        assert [json.loads(line)["generation"] for line in lines] == [0, 0]

    run(scenario())
