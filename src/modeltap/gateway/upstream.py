"""One exchange with a backend (control or store) over its Unix socket: an HTTP/1.1 client.

The backend is a process of ours behind a socket that the supervisor holds, so a call queues while
it restarts; its death with a call in hand is `BackendGone`. Reading from it is paused while the
client does not take its answer, writing to it waits while it does not take the request.
"""

import asyncio
from pathlib import Path
from typing import cast

import httptools

from modeltap.errors import BackendGone
from modeltap.gateway.body import Body
from modeltap.nouns import Headers
from modeltap_worker.socketpath import short_path

STALL_SECONDS_MAX = 60.0
"""Longest time that a backend may leave a request's bytes untaken, or an expectation unanswered."""


class Upstream(asyncio.Protocol):
    """A connection for one exchange.

    `head` is a future of the final answer's status and headers, or of what `abort` was given;
    `body` streams the answer's body.
    """

    def __init__(self, method: str) -> None:
        loop = asyncio.get_running_loop()
        self.body = Body(self._flow, None)
        self.head: asyncio.Future[tuple[int, Headers]] = loop.create_future()
        self._go_ahead = asyncio.Event()
        self._method = method
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._headers: list[tuple[bytes, bytes]] = []
        self._writable = asyncio.Event()
        self._writable.set()
        self._paused = False

    async def write(self, data: bytes) -> None:
        """Send bytes of the request, when there is room. Raise `BackendGone`."""
        await self._wait(self._writable)
        self._transport.write(data)

    async def continued(self) -> None:
        """Wait until the backend asks for the body (`100 Continue`). Raise `BackendGone`."""
        await self._wait(self._go_ahead)

    def abort(self, error: Exception) -> None:
        """End the exchange: whoever waits for the answer gets this error."""
        if not self.head.done():
            self.head.set_exception(error)
        if not self.body.complete:
            self.body.fail(error)
        self.close()

    def close(self) -> None:
        self.head.cancel()
        self._transport.abort()

    async def _wait(self, event: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(STALL_SECONDS_MAX):
                await event.wait()
        except TimeoutError as error:
            raise BackendGone("the backend does not take the request") from error
        if self._transport.is_closing():
            raise BackendGone("the backend closed the connection within a request")

    # ------------------------------------------------------------ the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass

    def data_received(self, data: bytes) -> None:
        if self.body.complete:
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.abort(BackendGone("the backend's answer is not well-formed HTTP"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._writable.set()
        self._go_ahead.set()
        if exc is None and self._ends_with_connection():
            self.body.end()
        elif not self.body.complete:
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
            self._go_ahead.set()
        elif status > 199 and not self.head.done():
            self.head.set_result((status, headers))
            if self._method == "HEAD":
                self.body.end()

    def on_body(self, part: bytes) -> None:
        self.body.feed(part)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() > 199:
            self.body.end()

    # ------------------------------------------------------------ pace

    def _ends_with_connection(self) -> bool:
        """Tell whether the end of the connection is the answer's end."""
        if not self.head.done() or self.head.cancelled() or self.head.exception() is not None:
            return False
        names = {name for name, _ in self.head.result()[1]}
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
