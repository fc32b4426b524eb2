"""HTTP/1.1 as a server, on httptools, with deadlines: one object a connection.

Why our own: an invocation must cost microseconds, and every limit must be ours. The application is
one coroutine function, `Serve`: it gets the request and a `respond` to hand the answer to, so that
it can go on (capture) once the answer's bytes are with the transport.

Constraints:
* one request runs at a time; up to `PIPELINED_MAX` wait, with reading paused, and are answered in
  order; whoever sends more is cut off after the answers to those;
* a body that came whole with its head is bytes; another waits in `Body` within its bound, with
  reading paused beyond it;
* an answer before the body's end closes the connection: the end of writing is sent, and what still
  comes is thrown away for `LINGER_SECONDS`, so that the answer is not lost to a reset;
* deadlines, looked at by one sweep over all connections (`connections.py`): the headers, idleness,
  a least body rate, and a client that does not read;
* a client that ends its side is taken to have left, as nginx and uvicorn do: what runs for it is
  cancelled;
* a malformed message gets a plain-text answer and the connection's end.

The task that runs a request belongs to its connection and is cancelled with it: with the reconciler
the exception to "only house starts tasks". `_run` is this process's border for `except Exception`:
whatever the application did not name becomes an event and a 500.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, cast

import httptools

from modeltap.errors import BadRequest
from modeltap.gateway.body import Body
from modeltap.gateway.connections import Connections
from modeltap.gateway.guard import HEADERS_BYTES_MAX, LINE_BYTES_MAX, Head, reason
from modeltap.gateway.response import (
    CONTINUE,
    LAST_CHUNK,
    Framing,
    encode_chunk,
    encode_head,
    framing,
    plain,
)
from modeltap.nouns import HttpRequest, HttpResponse
from modeltap.telemetry import Event, emit

PIPELINED_MAX = 16
LINGER_SECONDS = 5.0
KEEP_ALIVE_SECONDS = 60.0
BODY_WINDOW_SECONDS = 10.0
BODY_WINDOW_BYTES_MIN = 10 * 1024
WRITE_SECONDS_MAX = 30.0

Respond = Callable[[HttpResponse], Awaitable[None]]
Serve = Callable[[HttpRequest, Respond], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class RequestFailed(Event):
    """A request ended in an error that nobody named: a fault of modeltap's own."""

    level: ClassVar[int] = logging.ERROR
    error: str


@dataclass(slots=True, eq=False)
class _Turn:
    """One request and what its answer needs to know of it."""

    request: HttpRequest
    version: str
    body: Body | None
    keep_alive: bool
    started: bool = False
    ended: bool = False


class Connection(asyncio.Protocol):
    """Parses, queues, runs and answers the requests of one connection."""

    def __init__(self, serve: Serve, connections: Connections) -> None:
        self._serve = serve
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._head: Head | None = None
        self._head_bytes = 0
        self._incoming: Head | None = None
        self._parts: list[bytes] = []
        self._body: Body | None = None
        self._turn: _Turn | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiting: deque[_Turn | BadRequest] = deque()
        self._deaf = False
        self._draining = False
        self._paused = False
        self._writable: asyncio.Future[None] | None = None
        self._window_bytes = 0
        self._read_deadline: float | None = None
        self._write_deadline: float | None = None

    # ------------------------------------------------------------ the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass
        self._secure = self._transport.get_extra_info("ssl_object") is not None
        peer = self._transport.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) else ""
        if self._connections.add(self):
            self._expect_head()
        else:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        head = self._head
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._deaf = True  # the offer of another protocol is passed over; RFC 9110 §7.8
        except httptools.HttpParserError as error:
            self._refuse(reason(error))
        if self._incoming is not None:
            self._begin_stream(self._incoming)
        if self._head is not None:
            self._bound_head(len(data), begun=head is not self._head)

    def _bound_head(self, count: int, *, begun: bool) -> None:
        """Bound a head that is not whole yet, in time and in bytes."""
        if begun and self._turn is None:
            self._read_deadline = self._connections.now() + self._connections.header_seconds_max
        # The parser holds an unfinished token back, so the bytes that it holds are counted here.
        self._head_bytes = 0 if begun else self._head_bytes + count
        if self._head_bytes > LINE_BYTES_MAX + HEADERS_BYTES_MAX:
            self._refuse(BadRequest("the headers are too long or too many", status=431))

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.remove(self)
        self._read_deadline = self._write_deadline = None
        self._deaf = True
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()
        self._write_deadline = self._connections.now() + WRITE_SECONDS_MAX

    def resume_writing(self) -> None:
        self._write_deadline = None
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # ------------------------------------------------------------ the parser's calls

    def on_message_begin(self) -> None:
        self._head = Head()

    def on_url(self, part: bytes) -> None:
        assert self._head is not None
        self._head.add_target(part)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head is None:
            raise BadRequest("trailers are not taken")
        self._head.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        assert self._head is not None
        self._head.check(self._parser.get_http_version())
        if len(self._waiting) >= PIPELINED_MAX:
            raise BadRequest("too many requests wait on this connection", status=503)
        self._incoming, self._head = self._head, None

    def on_body(self, part: bytes) -> None:
        if self._body is None:
            self._parts.append(part)
        else:
            self._window_bytes += len(part)
            self._body.feed(part)

    def on_message_complete(self) -> None:
        if self._body is not None:
            self._body.end()
            self._body = None
            self._read_deadline = None
        elif self._incoming is not None:
            parts = self._taken()
            self._begin(self._incoming, parts[0] if len(parts) == 1 else b"".join(parts))
        if not self._parser.should_keep_alive():
            self._deaf = True

    def _begin_stream(self, head: Head) -> None:
        """Begin a request whose body is still to come."""
        expects = b"expect" in head.fields and head.version == "1.1"
        self._body = Body(self._flow, self._proceed if expects else None)
        for part in self._taken():
            self._body.feed(part)
        self._begin(head, self._body)

    def _taken(self) -> list[bytes]:
        parts, self._parts = self._parts, []
        self._window_bytes = sum(map(len, parts))
        return parts

    def _begin(self, head: Head, body: Body | bytes) -> None:
        self._incoming = None
        request = HttpRequest(
            self._parser.get_method().decode(),
            head.target,
            tuple(head.headers),
            body,
            self._secure,
            self._peer,
        )
        stream = None if isinstance(body, bytes) else body
        self._waiting.append(_Turn(request, head.version, stream, self._keeps_alive(head.version)))
        self._next()

    def _keeps_alive(self, version: str) -> bool:
        parser = self._parser
        return version == "1.1" and parser.should_keep_alive() and not parser.should_upgrade()

    # ------------------------------------------------------------ one after the other

    def _next(self) -> None:
        """Run what waits, unless something runs; with nothing left, wait for the client."""
        if self._turn is None and self._waiting:
            following = self._waiting.popleft()
            if isinstance(following, BadRequest):
                self._turn_away(following)
            else:
                self._turn = following
                self._expect_body(following)
                self._task = self._loop.create_task(self._run(following))
        elif self._turn is None and self._draining:
            self._close(unread=False)
        elif self._turn is None:
            self._expect_head()
        self._flow()

    async def _run(self, turn: _Turn) -> None:
        try:
            await self._serve(turn.request, partial(self._respond, turn))
        except BadRequest as error:
            await self._give_up(turn, plain(error))
        except Exception as error:
            emit(RequestFailed(type(error).__name__))
            await self._give_up(turn, HttpResponse(500))
        self._finish(turn)

    async def _give_up(self, turn: _Turn, response: HttpResponse) -> None:
        turn.keep_alive = False
        if not turn.started:
            await self._respond(turn, response)

    def _finish(self, turn: _Turn) -> None:
        self._turn = self._task = None
        if not turn.ended:
            self._transport.abort()
        elif turn.keep_alive:
            self._next()
        else:
            self._close(unread=turn.body is not None and not turn.body.complete)

    async def _respond(self, turn: _Turn, response: HttpResponse) -> None:
        """Hand an answer's bytes to the transport, as fast as the client takes them."""
        frame = framing(response, turn.request.method, turn.version)
        unread = turn.body is not None and not turn.body.complete
        last = self._draining and not self._waiting
        if frame is Framing.CLOSE or unread or last:
            turn.keep_alive = False
        date = self._connections.date()
        head = encode_head(response, frame, keep_alive=turn.keep_alive, date=date)
        turn.started = True
        if isinstance(response.body, bytes):
            self._write(head if frame is Framing.NONE else head + response.body)
        else:
            self._write(head)
            await self._stream(response.body, frame)
        turn.ended = True

    async def _stream(self, body: AsyncIterable[bytes], frame: Framing) -> None:
        async for part in body:
            if part and frame is not Framing.NONE:
                self._write(encode_chunk(part) if frame is Framing.CHUNKED else part)
            if self._writable is not None:
                await self._writable
        if frame is Framing.CHUNKED:
            self._write(LAST_CHUNK)

    def _proceed(self) -> None:
        if self._turn is not None and not self._turn.started:
            self._write(CONTINUE)
            self._open_window()

    def _write(self, data: bytes) -> None:
        # A transport that is closing may raise; its loss, on its way, ends the turn.
        if not self._transport.is_closing():
            self._transport.write(data)

    # ------------------------------------------------------------ ends

    def _refuse(self, error: BadRequest) -> None:
        """The client broke the protocol: answer what came before, then this, then close."""
        if self._deaf:
            return
        self._deaf = True
        self._head = self._incoming = None
        if self._body is not None:
            self._body.fail(error)  # the request that the body belongs to fails with it
        else:
            self._waiting.append(error)
            self._next()

    def _turn_away(self, error: BadRequest) -> None:
        response = plain(error)
        head = encode_head(
            response, Framing.LENGTH, keep_alive=False, date=self._connections.date()
        )
        assert isinstance(response.body, bytes)
        self._write(head + response.body)
        self._close(unread=True)

    def _close(self, *, unread: bool) -> None:
        """Close once all is written; where the client may still be sending, hear it out first."""
        self._deaf = True
        self._head = self._body = None
        self._waiting.clear()
        if unread and not self._transport.is_closing():
            if self._transport.can_write_eof():
                self._transport.write_eof()
            self._read_deadline = self._connections.now() + LINGER_SECONDS
            self._flow()
        else:
            self._transport.close()
            self._write_deadline = self._connections.now() + WRITE_SECONDS_MAX

    def drain(self) -> None:
        """Finish what runs and waits, take nothing more."""
        self._draining = True
        if self._turn is None and self._head is None:
            self._close(unread=False)

    # ------------------------------------------------------------ pace and deadlines

    def _flow(self) -> None:
        """Pause reading while requests wait or the body is not taken; else read on."""
        full = self._body is not None and self._body.is_full
        pause = (bool(self._waiting) or full) and not self._deaf
        if pause == self._paused or self._transport.is_closing():
            return
        self._paused = pause
        if pause:
            self._transport.pause_reading()
            self._read_deadline = None
        else:
            self._transport.resume_reading()
            if self._body is not None and not self._body.is_awaited:
                self._open_window()

    def _expect_head(self) -> None:
        idle = self._head is None and self._turn is None
        seconds = KEEP_ALIVE_SECONDS if idle else self._connections.header_seconds_max
        self._read_deadline = self._connections.swept + seconds

    def _expect_body(self, turn: _Turn) -> None:
        self._read_deadline = None
        if turn.body is not None and not turn.body.complete and not turn.body.is_awaited:
            self._open_window()

    def _open_window(self) -> None:
        self._window_bytes = 0
        self._read_deadline = self._connections.now() + BODY_WINDOW_SECONDS

    def expire(self, now: float) -> None:
        """Act on the deadlines that have passed."""
        if self._write_deadline is not None and now >= self._write_deadline:
            self._transport.abort()
        elif self._read_deadline is not None and now >= self._read_deadline:
            self._read_deadline = None
            self._read_expired()

    def _read_expired(self) -> None:
        if self._body is not None and self._window_bytes >= BODY_WINDOW_BYTES_MIN:
            self._open_window()
        elif self._body is not None or self._head is not None:
            self._refuse(BadRequest("the request came too slowly", status=408))
        else:
            self._close(unread=False)
