"""One connection to one model worker, in frames (`modeltap_worker/frames.py`).

Constraints: all frames of a loop turn leave in one write, because the worker predicts in one call
all that one read brings. Calls are kept in the order they came, and all have the same time limit,
so that the oldest is always the first: one sweep looks at those that have expired and no further.
An answer is at most `ANSWER_BYTES_MAX` long and its fields are fit for an HTTP header: the worker
runs a stranger's model and is not trusted. A worker that breaks the frame format is cut off.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast, final

from modeltap.errors import AnswerUnreadable, HouseError, InstanceGone, InvocationTimedOut
from modeltap.link.bounds import ANSWER_BYTES_MAX, fits_header
from modeltap.nouns import Answer, Instance, Invocation
from modeltap_worker import frames

CallSoon = Callable[[Callable[[], None]], object]
"""Has a function called at the end of the loop's turn."""

Done = Callable[[Answer | HouseError], None]
"""Told a call's outcome, once: its answer, or why there is none."""


@final
class Flight:
    """A call in flight: when it began, whether its frames left, and what came back so far."""

    def __init__(self, link: "Link", number: int, began: float, done: Done) -> None:
        self.began: Final = began
        self.done: Final = done
        self.sent = False
        self.reply: frames.Reply | None = None
        self.parts: list[bytes] = []
        self.part_bytes = 0
        self._link = link
        self._number = number

    def cancel(self) -> None:
        """Withdraw the call: its caller is told nothing more."""
        self._link.withdraw(self._number)


@final
class Link:
    """The client's end, an `asyncio.Protocol` by shape.

    `lost` is called once, when the connection is of no more use.
    """

    def __init__(
        self, instance: Instance, call_soon: CallSoon, lost: Callable[["Link"], None]
    ) -> None:
        self.instance: Final = instance
        self.in_flight = 0  # once it is lost: the calls that were lost with it
        self._lost = lost
        self._call_soon = call_soon
        self._transport: asyncio.WriteTransport | None = None
        self._decoder = frames.Decoder()
        self._outbox: list[bytes] = []
        self._flights: dict[int, Flight] = {}
        self._pings: dict[int, Callable[[str | HouseError], None]] = {}
        self._number = 0

    @property
    def alive(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def send(self, invocation: Invocation, began: float, done: Done) -> Flight:
        """Make one call. `done` gets its answer, or `InstanceGone`, `InvocationTimedOut` or
        `AnswerUnreadable`. Raise `InstanceGone` if the connection is dead.

        `began` is the monotonic time that `expire` measures from.
        """
        number = self._next()
        call = frames.Call(
            invocation.content_type,
            invocation.accept,
            invocation.custom_attributes,
            invocation.body,
        )
        encoded = frames.encode_call(number, call)
        flight = self._flights[number] = Flight(self, number, began, done)
        self._post(encoded)
        return flight

    def ping(self, done: Callable[[str | HouseError], None]) -> None:
        """Ask whether the model is loaded: `done` gets its load error, "", or `InstanceGone`.

        Raise `InstanceGone` if the connection is dead.
        """
        number = self._next()
        self._pings[number] = done
        self._post([frames.encode_ping(number)])

    def expire(self, latest: float) -> None:
        """Give up the calls that began at `latest` or before."""
        for number, flight in list(self._flights.items()):
            if flight.began > latest:
                return
            self._fail(number, InvocationTimedOut("the model did not answer in time"))

    def withdraw(self, number: int) -> None:
        """Tell the worker that nobody waits for a call any more."""
        if self._flights.pop(number, None) is not None and self._transport is not None:
            self._post([frames.encode_cancel(number)])

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
            self._call_soon(self._flush)
        self._outbox.extend(encoded)

    def _flush(self) -> None:
        if self._transport is None:
            return
        outbox, self._outbox = self._outbox, []
        self._transport.write(outbox[0] if len(outbox) == 1 else b"".join(outbox))
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

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        """What is in flight bounds what waits to be written."""

    def resume_writing(self) -> None:
        """See `pause_writing`."""

    def connection_lost(self, exc: Exception | None) -> None:
        flights, self._flights = self._flights, {}
        self.in_flight = len(flights)
        self._transport = None
        self._outbox.clear()
        self._lost(self)
        pings, self._pings = self._pings, {}
        for ping in pings.values():
            ping(InstanceGone(self.instance.id, sent=True))
        for flight in flights.values():
            flight.done(InstanceGone(self.instance.id, sent=flight.sent))

    def _take(self, frame: frames.Frame) -> None:
        if frame.kind == frames.PONG:
            self._take_pong(frame)
            return
        flight = self._flights.get(frame.id)
        if flight is None:
            return  # it was withdrawn or has expired; its last words may still be on their way
        if frame.kind == frames.ANSWER and flight.reply is None:
            reply = frames.decode_reply(frame)
            if frame.end and _fits_headers(reply):
                self._finish(frame.id, flight, reply, reply.body)  # whole: as nearly all are
                return
            flight.reply = reply
            self._take_part(frame, flight, reply, reply.body)
        elif frame.kind == frames.CHUNK and flight.reply is not None:
            self._take_part(frame, flight, flight.reply, frame.payload)
        else:
            raise frames.FrameError("a frame that no caller expects")

    def _take_pong(self, frame: frames.Frame) -> None:
        ping = self._pings.pop(frame.id, None)
        if ping is not None:
            ping(frames.decode_pong(frame))

    def _take_part(
        self, frame: frames.Frame, flight: Flight, reply: frames.Reply, part: bytes
    ) -> None:
        flight.parts.append(part)
        flight.part_bytes += len(part)
        if flight.part_bytes > ANSWER_BYTES_MAX:
            self._fail(frame.id, AnswerUnreadable("the answer is too long", status=reply.status))
        elif frame.end and not _fits_headers(reply):
            self._fail(frame.id, AnswerUnreadable("a field is no header", status=reply.status))
        elif frame.end:
            self._finish(frame.id, flight, reply, b"".join(flight.parts))

    def _finish(self, number: int, flight: Flight, reply: frames.Reply, body: bytes) -> None:
        del self._flights[number]
        flight.done(Answer(reply.status, reply.content_type, body, reply.custom_attributes))

    def _fail(self, number: int, error: HouseError) -> None:
        """End a call before its answer did, and tell the worker that nobody waits for it."""
        done = self._flights[number].done
        self.withdraw(number)
        done(error)


def _fits_headers(reply: frames.Reply) -> bool:
    return fits_header(reply.content_type) and fits_header(reply.custom_attributes)
