"""The CONNECT detour, with real TLS clients on one side and real servers on the other."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from gateway_tls import certified
from gateway_world import KEY_ID, SECRET, listening, run, running
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

from modeltap.clock import SystemClock
from modeltap.gateway import accept
from modeltap.gateway.asgi import UvicornProtocol
from modeltap.gateway.detour import Detour, is_s3

IDENTITY = b"""<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<GetCallerIdentityResult><Account>000000000000</Account></GetCallerIdentityResult>
</GetCallerIdentityResponse>"""


class App:
    """An ASGI application that remembers what it was asked, and answers one thing."""

    def __init__(self, body: bytes) -> None:
        self.seen: list[tuple[str, bytes, bytes]] = []
        self._body = body

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        assert scope["type"] == "http"
        host = dict(scope["headers"])[b"host"]
        self.seen.append((scope["scheme"], host, scope["raw_path"]))
        await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": False})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})


@dataclass
class Port:
    number: int
    store: App
    gateway: App
    certificate: Path

    @property
    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))

    async def connect(self, sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.number)
        writer.write(sent)
        return reader, writer

    async def refused(self, sent: bytes) -> bytes:
        reader, writer = await self.connect(sent)
        with contextlib.closing(writer):
            return await reader.read()


@contextlib.asynccontextmanager
async def port(folder: Path, *, tunnels: bool = True) -> AsyncIterator[Port]:
    """Serve a store's port as house does, and something that stands for the gateway's."""
    clock = SystemClock()
    certificate, key = certified(folder)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    store, gateway = App(b""), App(IDENTITY)
    store_protocol, gateway_protocol = (
        UvicornProtocol(store, clock),
        UvicornProtocol(gateway, clock),
    )
    with contextlib.closing(listening()) as here, contextlib.closing(listening()) as there:
        detour = Detour(store_protocol, tls, there.getsockname(), tunnels=tunnels)
        async with running(
            accept.serve(here, store_protocol, clock=clock, tls=tls, taker=detour),
            accept.serve(there, gateway_protocol, clock=clock),
        ):
            yield Port(here.getsockname()[1], store, gateway, certificate)
            await gateway_protocol.drain()
            await store_protocol.drain()


def client(it: Port, service: str) -> object:
    """Make a client that knows nothing of us but the proxy and the CA."""
    return boto3.client(
        service,
        region_name="us-east-1",
        endpoint_url="https://sts.us-east-1.amazonaws.com" if service == "sts" else None,
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
        verify=str(it.certificate),
        config=Config(
            proxies={"https": f"http://127.0.0.1:{it.number}"}, retries={"total_max_attempts": 1}
        ),
    )


def test_sts_reaches_the_gateway_as_it_was_signed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with port(tmp_path) as it:
            sts = client(it, "sts")
            answer = await asyncio.to_thread(sts.get_caller_identity)  # type: ignore[attr-defined]
            sts.close()  # type: ignore[attr-defined]
        assert answer["Account"] == "000000000000"
        assert it.gateway.seen == [("http", b"sts.us-east-1.amazonaws.com", b"/")]

    run(scenario())


def test_s3_reaches_the_store_over_tls(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with port(tmp_path) as it:
            s3 = client(it, "s3")
            await asyncio.to_thread(
                s3.head_object,  # type: ignore[attr-defined]
                Bucket="bucket",
                Key="key",
            )
            s3.close()  # type: ignore[attr-defined]
        assert it.store.seen == [("https", b"bucket.s3.amazonaws.com", b"/key")]
        assert it.gateway.seen == []

    run(scenario())


def test_the_port_speaks_http_and_tls_beside(tmp_path: Path) -> None:
    request = b"GET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

    async def scenario() -> None:
        async with port(tmp_path) as it:
            assert (await it.refused(request)).startswith(b"HTTP/1.1 200 ")
            reader, writer = await asyncio.open_connection("localhost", it.number, ssl=it.trusting)
            writer.write(request)
            assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
            writer.close()
        assert [scheme for scheme, _, _ in it.store.seen] == ["http", "https"]

    run(scenario())


def test_other_hosts_are_tunnelled_unread(tmp_path: Path) -> None:
    async def reverse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            writer.write((await reader.readexactly(6))[::-1])
            await writer.drain()

    async def scenario() -> None:
        server = await asyncio.start_server(reverse, "127.0.0.1", 0)
        async with server, port(tmp_path) as it:
            there = server.sockets[0].getsockname()[1]
            # The head comes in pieces, and what follows it at once is not swallowed.
            reader, writer = await it.connect(b"CONNECT 127.0.0.1:%d HT" % there)
            await asyncio.sleep(0.01)
            writer.write(b"TP/1.1\r\nHost: x\r\n\r\n\x16\x00abcd")
            received = await reader.read()
            writer.close()
        assert received == b"HTTP/1.1 200 Connection established\r\n\r\ndcba\x00\x16"

    run(scenario())


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"CONNECT example.org:443 HTTP/1.1\r\n\r\n", b"403"),
        (b"CONNECT sts.amazonaws.com:80 HTTP/1.1\r\n\r\n", b"403"),
        (b"CONNECT amazonaws.com.example.org:443 HTTP/1.1\r\n\r\n", b"403"),
        (b"CONNECT notamazonaws.com:443 HTTP/1.1\r\n\r\n", b"403"),
        (b"CONNECT 127.0.0.1:99999 HTTP/1.1\r\n\r\n", b"400"),
        (b"CONNECT nowhere HTTP/1.1\r\n\r\n", b"400"),
        (b"CONNECT a b:443 HTTP/1.1\r\n\r\n", b"400"),
        (b"CONNECT http://a:443 HTTP/1.1\r\n\r\n", b"400"),
    ],
)
def test_an_open_port_tunnels_nowhere(tmp_path: Path, sent: bytes, status: bytes) -> None:
    async def scenario() -> None:
        async with port(tmp_path, tunnels=False) as it:
            assert (await it.refused(sent)).startswith(b"HTTP/1.1 " + status)

    run(scenario())


def test_a_host_that_cannot_be_reached(tmp_path: Path) -> None:
    async def scenario() -> None:
        with contextlib.closing(listening()) as closed:
            nobody = closed.getsockname()[1]
        async with port(tmp_path) as it:
            said = await it.refused(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % nobody)
            assert said.startswith(b"HTTP/1.1 502 ")
            said = await it.refused(b"CONNECT %s:443 HTTP/1.1\r\n\r\n" % (b"a" * 70))
            assert said.startswith(b"HTTP/1.1 502 ")

    run(scenario())


def test_a_head_without_an_end_is_dropped(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with port(tmp_path) as it:
            with contextlib.suppress(ConnectionResetError):
                assert await it.refused(b"CONNECT a:443 HTTP/1.1\r\n" + b"x" * 9000) == b""

    run(scenario())


def test_s3_hosts_are_told_from_others() -> None:
    s3 = [
        "s3.amazonaws.com",
        "bucket.s3.amazonaws.com",
        "s3.us-east-1.amazonaws.com",
        "a.b.s3.us-gov-west-1.amazonaws.com",
        "s3-us-west-2.amazonaws.com",
        "bucket.s3.dualstack.eu-west-1.amazonaws.com",
    ]
    others = [
        "sts.us-east-1.amazonaws.com",
        "iam.amazonaws.com",
        "my-s3.iam.amazonaws.com",
        "s3.example.org",
        "xs3.amazonaws.com",
    ]
    assert [host for host in s3 + others if is_s3(host)] == s3
