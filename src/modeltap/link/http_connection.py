"""One HTTP/1.1 connection to a container: one call at a time, its answer read within bounds.

An answer ends as its headers say (RFC 9112 §6.3): by its length, its last chunk, or the connection.
Interim answers (1xx) are passed over. The connection is kept if the container would keep it, had
taken the whole request, and has said nothing more.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import httptools

from modeltap.errors import AnswerUnreadable, InstanceGone
from modeltap.link.bounds import ANSWER_BYTES_MAX, fits_header
from modeltap.nouns import Answer

HEADERS_BYTES_MAX = 64 * 1024
"""Most bytes before the headers' end."""

ATTRIBUTES = b"x-amzn-sagemaker-custom-attributes"

_FRAMING = (b"content-length", b"transfer-encoding")


@dataclass(slots=True, eq=False)
class _Exchange:
    """A call on its way, and what came back so far."""

    done: asyncio.Future[Answer]
    headers: dict[bytes, bytes] = field(default_factory=dict)
    header_bytes: int = 0
    status: int = 0  # once the headers have ended
    parts: list[bytes] = field(default_factory=list)
    part_bytes: int = 0


class HttpConnection(asyncio.Protocol):
    """`lost` is called if the connection ends with a call on it."""

    def __init__(
        self, instance: str, lost: Callable[[], None], answer_bytes_max: int = ANSWER_BYTES_MAX
    ) -> None:
        self.began = 0.0
        self.idle_since = 0.0
        self._instance = instance
        self._lost = lost
        self._answer_bytes_max = answer_bytes_max
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.WriteTransport | None = None
        self._exchange: _Exchange | None = None

    @property
    def alive(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, head: bytes, body: bytes, began: float) -> Answer:
        """Send one request. Raise `InstanceGone`, `AnswerUnreadable` or what `fail` is given."""
        if self._transport is None or not self.alive:
            raise InstanceGone(self._instance, sent=False)
        self.began = began
        done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._exchange = _Exchange(done)
        self._transport.writelines([head, body])
        try:
            return await done
        except asyncio.CancelledError:
            self._exchange = None
            self.close()
            raise

    def fail(self, error: Exception) -> None:
        """End the call before its answer did, and with it the connection."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None and not exchange.done.done():
            exchange.done.set_exception(error)
        self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------------------ the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's own is no subclass

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            self.close()  # nobody asked
            return
        if exchange.status == 0:
            exchange.header_bytes += len(data)  # the parser holds an unfinished header back
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse("the answer is no HTTP/1.1")
        if exchange.status == 0 and exchange.header_bytes > HEADERS_BYTES_MAX:
            self._refuse("the answer's headers are too long")

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        exchange = self._exchange
        if exchange is None:
            return
        if (
            exc is None
            and exchange.status
            and not any(name in exchange.headers for name in _FRAMING)
        ):
            self._finish(exchange)  # the connection's end is the answer's end
            return
        self.fail(InstanceGone(self._instance, sent=True))
        self._lost()

    # ------------------------------------------------------------ the parser's calls

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._exchange is not None:
            self._exchange.headers.setdefault(name.lower(), value)

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self._exchange is None or status >= 200:
            self._begin(status)

    def _begin(self, status: int) -> None:
        if self._exchange is None:
            self.close()  # a second answer to one call
        elif status > 599:
            self._refuse("the answer has no status of HTTP")
        else:
            self._exchange.status = status

    def on_body(self, part: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        exchange.parts.append(part)
        exchange.part_bytes += len(part)
        if exchange.part_bytes > self._answer_bytes_max:
            self._refuse("the answer is too long")

    def on_message_complete(self) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        if exchange.status == 0:  # an interim answer
            exchange.headers.clear()
            return
        keep = self._parser.should_keep_alive()
        self._finish(exchange)
        # A container that answers before it has read all may not read on.
        if self._transport is not None and not (
            keep and not self._transport.get_write_buffer_size()
        ):
            self.close()

    def _finish(self, exchange: _Exchange) -> None:
        try:
            answer = _answer(exchange)
        except AnswerUnreadable as error:
            self.fail(error)
            return
        self._exchange = None
        if not exchange.done.done():
            exchange.done.set_result(answer)

    def _refuse(self, reason: str) -> None:
        status = self._exchange.status if self._exchange is not None else 0
        self.fail(AnswerUnreadable(reason, status=status))


def _answer(exchange: _Exchange) -> Answer:
    return Answer(
        status=exchange.status,
        content_type=_text(exchange, b"content-type"),
        body=exchange.parts[0] if len(exchange.parts) == 1 else b"".join(exchange.parts),
        custom_attributes=_text(exchange, ATTRIBUTES),
    )


def _text(exchange: _Exchange, name: bytes) -> str | None:
    """Read one header. Raise `AnswerUnreadable`."""
    value = exchange.headers.get(name)
    if value is None:
        return None
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = "\0"  # no header either
    if not fits_header(text):
        raise AnswerUnreadable("a field is no header", status=exchange.status)
    return text
