"""One POST against small servers that say, word for word, what a test tells them."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop

from modeltap.auth.authority import Authority
from modeltap.clock import SystemClock, utc
from modeltap.link.post import ANSWER_BYTES_MAX, Post

FINE = b"HTTP/1.1 204 No Content\r\n\r\n"


class Receiver:
    def __init__(self, answer: bytes, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[bytes] = []
        self._answer = answer
        self._tls = tls

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            self.asked.append(await reader.read(1 << 16))
            writer.write(self._answer)
            await writer.drain()
            if not self._answer:
                await reader.read()  # says nothing until the caller goes


def posted(receiver: Receiver, target: str = "/hook?a=1", seconds_max: float = 10) -> str | None:
    async def post() -> str | None:
        async with receiver.running() as port:
            url = f"http://127.0.0.1:{port}{target}"
            return await Post(url, SystemClock(), seconds_max)({"webhook-id": "1"}, b"{}")

    return uvloop.run(post())


def test_a_post_is_a_post() -> None:
    receiver = Receiver(FINE)
    assert posted(receiver) is None
    head, _, body = receiver.asked[0].partition(b"\r\n\r\n")
    first, *fields = head.split(b"\r\n")
    assert (first, body) == (b"POST /hook?a=1 HTTP/1.1", b"{}")
    assert fields[0].startswith(b"host: 127.0.0.1:")
    assert {b"webhook-id: 1", b"content-length: 2", b"connection: close"} <= set(fields)


@pytest.mark.parametrize("status", [301, 307, 400, 410, 500, 503])
def test_only_2xx_is_taken_and_no_redirect_is_followed(status: int) -> None:
    line = f"HTTP/1.1 {status} X\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"
    receiver = Receiver(line.encode())
    assert posted(receiver) == f"status {status}"
    assert len(receiver.asked) == 1


def test_a_long_answer_is_cut_off_and_its_status_counts() -> None:
    long = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (1 << 30)
    assert posted(Receiver(long + b"x" * (ANSWER_BYTES_MAX + 1))) is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "no answer within 0.2 s"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", "closed before an answer"),
        (b"SMTP ready\r\n\r\n", "no HTTP/1.1"),
    ],
)
def test_no_answer_is_told_with_its_reason(answer: bytes, reason: str) -> None:
    told = posted(Receiver(answer), seconds_max=0.2)
    assert reason in (told or "")


@pytest.mark.parametrize("host", ["127.0.0.1:1", "no-such-host.invalid", f"{'a' * 70}.invalid"])
def test_nobody_there_is_told_without_the_address(host: str) -> None:
    async def post() -> str | None:
        return await Post(f"http://{host}/secret-path", SystemClock())({}, b"{}")

    told = uvloop.run(post())
    assert told
    assert "secret-path" not in told


def test_https_is_verified(tmp_path: Path) -> None:
    """Not known to the system, a certificate is no reason to send."""
    now = utc(SystemClock().now_ns())
    certificate, key = Authority.open(tmp_path, now=now).tls_files("localhost", now=now)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    receiver = Receiver(FINE, context)

    async def post(trust: Path | None) -> str | None:
        async with receiver.running() as port:
            with pytest.MonkeyPatch.context() as patch:
                if trust is not None:
                    patch.setenv("SSL_CERT_FILE", str(trust))
                sender = Post(f"https://localhost:{port}/", SystemClock())
            return await sender({}, b"{}")

    assert "certificate verify failed" in (uvloop.run(post(None)) or "")
    assert receiver.asked == []
    assert uvloop.run(post(tmp_path / "ca.pem")) is None
