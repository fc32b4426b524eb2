"""HTTP/1.1 as a server, with deadlines: one object a connection, one `Turn` a request.

Why our own: an invocation must cost microseconds, and every limit must be ours. The application is
one function, `Serve`: it gets a turn and answers it, at once, later, or from a coroutine
(`waiting.run`). An invocation takes the second way, from callback to callback: a task of its own
would cost it as much as its routing.

Constraints:
* one request runs at a time; up to `PIPELINED_MAX` wait, with reading paused, and are answered in
  order; whoever sends more is cut off after the answers to those;
* a body that came whole with its head is bytes; another waits in `Body` within its bound, with
  reading paused beyond it;
* an answer before the body's end closes the connection: the end of writing is sent, and what still
  comes is thrown away for `LINGER_SECONDS`, so that the answer is not lost to a reset;
* a client that was told to come again later (`Turn.rest`) and comes at once is not read before:
  to refuse the same clients again and again would take the time of those that are served;
* deadlines, looked at by one sweep over all connections (`connections.py`): the headers, idleness,
  a least body rate, and a client that does not read;
* a client that ends its side is taken to have left, as nginx and uvicorn do: what is done for it is
  cancelled;
* a malformed message gets a plain-text answer and the connection's end.

`_start` is one of this process's borders for `except Exception`: whatever the application did not
name becomes an event and a 500.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, cast, final

from modeltap.errors import BadRequest
from modeltap.gateway.connections import Connections
from modeltap.gateway.events import RequestFailed
from modeltap.gateway.reader import Arrival, Reader
from modeltap.gateway.response import (
    CONTINUE,
    Framing,
    encode_head,
    framing,
    plain,
)
from modeltap.nouns import Cancellable, HttpResponse
from modeltap.telemetry import emit

PIPELINED_MAX: Final = 16
LINGER_SECONDS: Final = 5.0
KEEP_ALIVE_SECONDS: Final = 60.0
BODY_WINDOW_SECONDS: Final = 10.0
BODY_WINDOW_BYTES_MIN: Final = 10 * 1024
WRITE_SECONDS_MAX: Final = 30.0


@final
class Turn:
    """One request and the way to its answer.

    Whoever serves it calls `respond`, now or later, or has it streamed (`waiting.stream`); who will
    answer later leaves in `work` what is to be cancelled if the client does not wait for it.
    """

    def __init__(self, connection: "Connection", arrival: Arrival) -> None:
        self.request: Final = arrival.request
        self.work: Cancellable | None = None
        self.started = False
        self.ended = False
        self.keep_alive = arrival.keep_alive
        self._connection = connection
        self._version = arrival.version
        self._body = arrival.body

    @property
    def is_read(self) -> bool:
        """Tell whether the whole request has come."""
        return self._body is None or self._body.complete

    @property
    def is_arriving(self) -> bool:
        """Tell whether the client is sending the body, and does not wait to be asked for it."""
        return self._body is not None and not self._body.complete and not self._body.is_awaited

    def respond(self, response: HttpResponse) -> None:
        """Answer with a body of bytes; to a client that has left, nothing is said.

        Raise `ValueError` on a header that would break the line it is on.
        """
        body = response.body
        assert isinstance(body, bytes)
        if self.ended:
            return
        frame, head = self._head(response)
        self._connection.write(head if frame is Framing.NONE else head + body)
        self.ended = True
        self.work = None  # which holds this turn: together they would wait for the collector
        self._connection.finish(self)

    def rest(self, seconds: float) -> None:
        """Read no more of this client for so long; what was read is still answered."""
        self._connection.rest(seconds)

    def begin(self, response: HttpResponse) -> Framing:
        """Send the head of an answer whose body will be written in parts; tell how it ends."""
        frame, head = self._head(response)
        self._connection.write(head)
        return frame

    def write(self, part: bytes) -> None:
        self._connection.write(part)

    @property
    def writable(self) -> "asyncio.Future[None] | None":
        """Give what to wait for before the next part; None if the client takes more at once."""
        return self._connection.writable

    def finish(self) -> None:
        """End the turn; one that was not answered to its end breaks the connection off."""
        self._connection.finish(self)

    def fail(self, error: Exception) -> None:
        """End the turn by an error: one of the request's own, or a fault of ours."""
        response = HttpResponse(500)
        if isinstance(error, BadRequest):
            response = plain(error)
        else:
            emit(RequestFailed(type(error).__name__))
        self.keep_alive = False
        if self.started:
            self.finish()
        else:
            self.respond(response)

    def cancel(self) -> None:
        """The client has left."""
        self.ended = True
        if self.work is not None:
            self.work.cancel()

    def _head(self, response: HttpResponse) -> tuple[Framing, bytes]:
        connection = self._connection
        frame = framing(response, self.request.method, self._version)
        if frame is Framing.CLOSE or not self.is_read or connection.is_last:
            self.keep_alive = False
        date = connection.connections.date
        head = encode_head(response, frame, keep_alive=self.keep_alive, date=date)
        self.started = True
        return frame, head


Serve = Callable[[Turn], None]


@final
class Connection:
    """Queues, serves and answers the requests of one connection. An `asyncio.Protocol` by shape."""

    def __init__(self, serve: Serve, connections: Connections) -> None:
        self.connections: Final = connections
        self.writable: asyncio.Future[None] | None = None  # while the client does not read
        self._serve = serve
        self._transport: asyncio.Transport
        self._reader: Reader
        self._turn: Turn | None = None
        self._waiting: deque[Arrival]
        self._refusal: BadRequest | None = None  # the answer after all that wait
        self._deaf = False
        self._draining = False
        self._paused = False
        self._rest_until: float | None = None
        self._read_deadline: float | None = None
        self._write_deadline: float | None = None

    @property
    def is_last(self) -> bool:
        """Tell whether the answer that is about to be given is the last one here."""
        return self._draining and not self._waiting

    # ------------------------------------------------------------ the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass
        secure = transport.get_extra_info("ssl_object") is not None
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else ""
        self._reader = Reader(self._flow, self._proceed, secure, address)
        self._waiting = self._reader.arrived
        if self.connections.add(self):
            self._expect_head()
        else:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        reader = self._reader
        was_in_head, had_body = reader.in_head, reader.body is not None
        try:
            reader.feed(data, PIPELINED_MAX + (self._turn is None))
        except BadRequest as error:
            self._refuse(error)
        self._deaf = self._deaf or reader.ended
        if had_body and reader.body is None:
            self._read_deadline = None
        if self._turn is not None:
            self._flow()
        elif self._waiting or self._refusal is not None:
            self._next()
        elif reader.in_head and not was_in_head:
            self._read_deadline = self.connections.now() + self.connections.header_seconds_max

    def eof_received(self) -> bool:
        return False  # it has left: the transport closes itself

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections.remove(self)
        self._read_deadline = self._write_deadline = None
        self._deaf = True
        self._waiting.clear()
        if self._turn is not None:
            self._turn.cancel()

    def pause_writing(self) -> None:
        self.writable = asyncio.get_running_loop().create_future()
        self._write_deadline = self.connections.now() + WRITE_SECONDS_MAX

    def resume_writing(self) -> None:
        self._write_deadline = None
        if self.writable is not None and not self.writable.done():
            self.writable.set_result(None)
        self.writable = None

    # ------------------------------------------------------------ one after the other

    def _next(self) -> None:
        """Serve what waits, unless something is served; with nothing left, wait for the client."""
        if self._turn is None and self._waiting:
            self._turn = turn = Turn(self, self._waiting.popleft())
            self._read_deadline = None
            if turn.is_arriving:
                self._open_window()
            self._flow()
            self._start(turn)
        elif self._turn is None and self._refusal is not None:
            self._turn_away(self._refusal)
        elif self._turn is None and self._draining:
            self._close(unread=False)
        elif self._turn is None:
            self._expect_head()
            self._flow()

    def _start(self, turn: Turn) -> None:
        try:
            self._serve(turn)
        except Exception as error:  # border
            turn.fail(error)

    def finish(self, turn: Turn) -> None:
        """End a turn and go on; one that was not answered to its end breaks the connection off."""
        if self._turn is not turn:
            return
        self._turn = None
        if not turn.ended:
            self._transport.abort()
        elif turn.keep_alive:
            self._next()
        else:
            self._close(unread=not turn.is_read)

    def write(self, data: bytes) -> None:
        # A transport that is closing may raise; its loss, on its way, ends the turn.
        if not self._transport.is_closing():
            self._transport.write(data)

    def _proceed(self) -> None:
        if self._turn is not None and not self._turn.started:
            self.write(CONTINUE)
            self._open_window()

    # ------------------------------------------------------------ ends

    def _refuse(self, error: BadRequest) -> None:
        """The client broke the protocol: answer what came before, then this, then close."""
        self._deaf = True
        body = self._reader.body
        self._reader.stop()
        if body is not None:
            body.fail(error)  # the request that the body belongs to fails with it
        else:
            self._refusal = error

    def _turn_away(self, error: BadRequest) -> None:
        response = plain(error)
        head = encode_head(response, Framing.LENGTH, keep_alive=False, date=self.connections.date)
        assert isinstance(response.body, bytes)
        self.write(head + response.body)
        self._refusal = None
        self._close(unread=True)

    def _close(self, *, unread: bool) -> None:
        """Close once all is written; where the client may still be sending, hear it out first."""
        self._deaf = True
        self._reader.stop()
        self._waiting.clear()
        if unread and not self._transport.is_closing():
            if self._transport.can_write_eof():
                self._transport.write_eof()
            self._read_deadline = self.connections.now() + LINGER_SECONDS
            self._flow()
        else:
            self._transport.close()
            self._write_deadline = self.connections.now() + WRITE_SECONDS_MAX

    def drain(self) -> None:
        """Finish what is served and waits, take nothing more."""
        self._draining = True
        if self._turn is None and not self._reader.in_head:
            self._close(unread=False)

    # ------------------------------------------------------------ pace and deadlines

    def _flow(self) -> None:
        """Pause reading while requests wait or the body is not taken; else read on."""
        body = self._reader.body
        full = body is not None and body.is_full
        pause = (bool(self._waiting) or full or self._rest_until is not None) and not self._deaf
        if pause == self._paused or self._transport.is_closing():
            return
        self._paused = pause
        if pause:
            self._transport.pause_reading()
            self._read_deadline = None
        else:
            self._transport.resume_reading()
            if body is not None and not body.is_awaited:
                self._open_window()

    def rest(self, seconds: float) -> None:
        """Pause reading for so long."""
        self._rest_until = self.connections.swept + seconds
        self._flow()

    def _expect_head(self) -> None:
        in_head = self._reader.in_head
        seconds = self.connections.header_seconds_max if in_head else KEEP_ALIVE_SECONDS
        self._read_deadline = self.connections.swept + seconds

    def _open_window(self) -> None:
        self._reader.window_bytes = 0
        self._read_deadline = self.connections.now() + BODY_WINDOW_SECONDS

    def expire(self, now: float) -> None:
        """Act on the deadlines that have passed; whoever rested has rested."""
        if self._rest_until is not None and now >= self._rest_until:
            self._rest_until = None
            self._flow()
        if self._write_deadline is not None and now >= self._write_deadline:
            self._transport.abort()
        elif self._read_deadline is not None and now >= self._read_deadline:
            self._read_deadline = None
            self._read_expired()

    def _read_expired(self) -> None:
        reader = self._reader
        if reader.body is not None and reader.window_bytes >= BODY_WINDOW_BYTES_MIN:
            self._open_window()
        elif reader.body is not None or reader.in_head:
            self._refuse(BadRequest("the request came too slowly", status=408))
            self._next()
        else:
            self._close(unread=False)
