"""One exchange with a backend (control or store) over its Unix socket: an HTTP/1.1 client.

The backend is a process of ours behind a socket that the supervisor holds, so a call queues while
it restarts; its death with a call in hand is `BackendGone`. Reading from it is paused while the
client does not take its answer, writing to it waits while it does not take the request.
"""

import asyncio
from pathlib import Path

import httptools

from modeltap.errors import BackendGone
from modeltap.gateway.body import Body
from modeltap.nouns import Headers
from modeltap_worker.socketpath import short_path

STALL_SECONDS_MAX = 60.0
"""Longest time that a backend may leave a request's bytes untaken, or an expectation unanswered."""


class Upstream(asyncio.Protocol):
    """A connection for one exchange; `body` streams the answer's body."""

    def __init__(self, method: str) -> None:
        loop = asyncio.get_running_loop()
        self.body = Body(self._flow, None)
        self.go_ahead = asyncio.Event()
        self._method = method
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._headers: list[tuple[bytes, bytes]] = []
        self._head: asyncio.Future[tuple[int, Headers]] = loop.create_future()
        self._writable = asyncio.Event()
        self._writable.set()
        self._paused = False

    async def head(self) -> tuple[int, Headers]:
        """Give status and headers of the final answer. Raise what `abort` was given."""
        return await self._head

    async def write(self, data: bytes) -> None:
        """Send bytes of the request, when there is room. Raise `BackendGone`."""
        async with asyncio.timeout(STALL_SECONDS_MAX):
            await self._writable.wait()
        if self._transport.is_closing():
            raise BackendGone("the backend closed the connection within a request")
        self._transport.write(data)

    def abort(self, error: Exception) -> None:
        """End the exchange: whoever waits for the answer gets this error."""
        if not self._head.done():
            self._head.set_exception(error)
        if not self.body.complete:
            self.body.fail(error)
        self.close()

    def close(self) -> None:
        # Nobody may be left to hear of an error that came with the end.
        if self._head.done() and not self._head.cancelled():
            self._head.exception()
        self._transport.abort()

    # ------------------------------------------------------------ the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self.body.complete:
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.abort(BackendGone("the backend's answer is not well-formed HTTP"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._writable.set()
        self.go_ahead.set()
        if self._head.done() and exc is None and self._ends_with_connection():
            self.body.end()
        else:
            self.abort(BackendGone("the backend closed the connection within its answer"))

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # ------------------------------------------------------------ the parser's calls

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        headers, self._headers = tuple(self._headers), []
        if status == 100:
            self.go_ahead.set()
        elif status > 199 and not self._head.done():
            self._head.set_result((status, headers))
            if self._method == "HEAD":
                self.body.end()

    def on_body(self, part: bytes) -> None:
        self.body.feed(part)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() > 199:
            self.body.end()

    # ------------------------------------------------------------ pace

    def _ends_with_connection(self) -> bool:
        names = {name for name, _ in self._head.result()[1]}
        return not names & {b"content-length", b"transfer-encoding"}

    def _flow(self) -> None:
        if self.body.is_full == self._paused or self._transport.is_closing():
            return
        self._paused = self.body.is_full
        if self._paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()


async def connect(path: Path, method: str) -> Upstream:
    """Open a connection for one exchange. Raise `BackendGone`."""
    loop = asyncio.get_running_loop()
    try:
        with short_path(path) as name:
            async with asyncio.timeout(STALL_SECONDS_MAX):
                _, upstream = await loop.create_unix_connection(lambda: Upstream(method), name)
    except OSError as error:
        raise BackendGone("the backend does not answer") from error
    return upstream
