"""One connection to one model worker, in frames (`modeltap_worker/frames.py`).

Constraints: all frames of a loop turn leave in one write, because the worker predicts in one call
all that one read brings. Calls are kept in the order they came, and all have the same time limit,
so that the oldest is always the first: one sweep looks at those that have expired and no further.
An answer is at most `ANSWER_BYTES_MAX` long and its fields are fit for an HTTP header: the worker
runs a stranger's model and is not trusted. A worker that breaks the frame format is cut off.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from modeltap.errors import AnswerUnreadable, InstanceGone, InvocationTimedOut
from modeltap.link.bounds import ANSWER_BYTES_MAX, fits_header
from modeltap.nouns import Answer, Instance, Invocation
from modeltap_worker import frames


@dataclass(slots=True, eq=False)
class _Flight:
    """A call in flight: when it began, whether its frames left, and what came back so far."""

    began: float
    done: asyncio.Future[Answer]
    sent: bool = False
    reply: frames.Reply | None = None
    parts: list[bytes] = field(default_factory=list)
    part_bytes: int = 0


class Link(asyncio.Protocol):
    """The client's end. `lost` is called once, when the connection is of no more use."""

    def __init__(self, instance: Instance, lost: Callable[["Link"], None]) -> None:
        self.instance = instance
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.WriteTransport | None = None
        self._decoder = frames.Decoder()
        self._outbox: list[bytes] = []
        self._flights: dict[int, _Flight] = {}
        self._pings: dict[int, asyncio.Future[str]] = {}
        self._number = 0

    @property
    def alive(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def in_flight(self) -> int:
        return len(self._flights)

    async def send(self, invocation: Invocation, began: float) -> Answer:
        """Make one call. Raise `InstanceGone`, `InvocationTimedOut` or `AnswerUnreadable`.

        `began` is the monotonic time that `expire` measures from. A caller that is cancelled
        withdraws its call.
        """
        number = self._next()
        call = frames.Call(
            invocation.content_type,
            invocation.accept,
            invocation.custom_attributes,
            invocation.body,
        )
        encoded = frames.encode_call(number, call)
        flight = self._flights[number] = _Flight(began, self._loop.create_future())
        self._post(encoded)
        try:
            return await flight.done
        except asyncio.CancelledError:
            self._withdraw(number)
            raise

    async def ping(self) -> str:
        """Ask whether the model is loaded; give its load error, or "". Raise `InstanceGone`."""
        number = self._next()
        pong: asyncio.Future[str] = self._loop.create_future()
        self._pings[number] = pong
        self._post([frames.encode_ping(number)])
        try:
            return await pong
        finally:
            self._pings.pop(number, None)

    def expire(self, latest: float) -> None:
        """Give up the calls that began at `latest` or before."""
        for number, flight in list(self._flights.items()):
            if flight.began > latest:
                return
            self._fail(number, InvocationTimedOut("the model did not answer in time"))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------------------ out

    def _next(self) -> int:
        if not self.alive:
            raise InstanceGone(self.instance.id, sent=False)
        self._number = (self._number + 1) & 0xFFFF_FFFF
        return self._number

    def _post(self, encoded: list[bytes]) -> None:
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox += encoded

    def _flush(self) -> None:
        if self._transport is None:
            return
        self._transport.writelines(self._outbox)
        self._outbox.clear()
        for flight in reversed(self._flights.values()):
            if flight.sent:
                break
            flight.sent = True

    # ------------------------------------------------------------ in

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's own is no subclass

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._decoder.feed(data):
                self._take(frame)
        except frames.FrameError:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._outbox.clear()
        for flight in self._flights.values():
            if not flight.done.done():
                flight.done.set_exception(InstanceGone(self.instance.id, sent=flight.sent))
        for pong in self._pings.values():
            if not pong.done():
                pong.set_exception(InstanceGone(self.instance.id, sent=True))
        self._lost(self)
        self._flights.clear()

    def _take(self, frame: frames.Frame) -> None:
        if frame.kind is frames.Kind.PONG:
            self._take_pong(frame)
            return
        flight = self._flights.get(frame.id)
        if flight is None:
            return  # it was withdrawn or has expired; its last words may still be on their way
        if frame.kind is frames.Kind.ANSWER and flight.reply is None:
            flight.reply = frames.decode_reply(frame)
            self._take_part(frame, flight, flight.reply, flight.reply.body)
        elif frame.kind is frames.Kind.CHUNK and flight.reply is not None:
            self._take_part(frame, flight, flight.reply, frame.payload)
        else:
            raise frames.FrameError("a frame that no caller expects")

    def _take_pong(self, frame: frames.Frame) -> None:
        pong = self._pings.pop(frame.id, None)
        if pong is not None and not pong.done():
            pong.set_result(frames.decode_pong(frame))

    def _take_part(
        self, frame: frames.Frame, flight: _Flight, reply: frames.Reply, part: bytes
    ) -> None:
        flight.parts.append(part)
        flight.part_bytes += len(part)
        if flight.part_bytes > ANSWER_BYTES_MAX:
            self._fail(frame.id, AnswerUnreadable("the answer is too long", status=reply.status))
        elif frame.end and not _fits_headers(reply):
            self._fail(frame.id, AnswerUnreadable("a field is no header", status=reply.status))
        elif frame.end:
            del self._flights[frame.id]
            if not flight.done.done():
                flight.done.set_result(_answer(flight, reply))

    def _fail(self, number: int, error: Exception) -> None:
        """End a call before its answer did, and tell the worker that nobody waits for it."""
        flight = self._flights[number]
        if not flight.done.done():
            flight.done.set_exception(error)
        self._withdraw(number)

    def _withdraw(self, number: int) -> None:
        if self._flights.pop(number, None) is not None and self._transport is not None:
            self._post([frames.encode_cancel(number)])


def _answer(flight: _Flight, reply: frames.Reply) -> Answer:
    body = flight.parts[0] if len(flight.parts) == 1 else b"".join(flight.parts)
    return Answer(reply.status, reply.content_type, body, reply.custom_attributes)


def _fits_headers(reply: frames.Reply) -> bool:
    return fits_header(reply.content_type) and fits_header(reply.custom_attributes)
