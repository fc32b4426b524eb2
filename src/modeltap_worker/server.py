"""A model's end of the link: it gathers calls from frames, has them answered, and writes replies.

One read may bring many frames. The calls that it made whole are answered together and leave in one
write, if the algorithm gains by that; nothing waits for company, so a call that comes alone is
answered alone. A batch is bounded in rows and bytes, and there is one a turn of the loop, so that
PING and CANCEL are heard between two. All runs on the loop's own thread, because a prediction is
CPU work that no thread would hasten. What waits here is bounded by what a gateway has in flight.
PING is answered with the model's load error, so that a launcher can tell its user why.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from modeltap_worker import frames
from modeltap_worker.frames import Call, Decoder, Frame, FrameError, Kind, Reply
from modeltap_worker.socketpath import short_path

BACKLOG = 128

BATCH_BYTES_MAX = 1024 * 1024
"""Most bytes of bodies that are answered together; a longer body is answered alone."""

FAULT = Reply(500, "text/html; charset=utf-8", None, b"Internal Server Error")
"""The answer to a call on which the algorithm itself failed."""


class Algorithm(Protocol):
    """A loaded model. `batches` tells whether it answers many calls at once for less."""

    body_bytes_max: int
    batches: bool

    def answer(self, calls: Sequence[Call]) -> Sequence[Reply]:
        """Answer whole calls in their order, each as if it had come alone; one, unless `batches`.

        Raises only for faults of the algorithm itself: the calls are then answered one by one.
        """
        ...

    def too_large(self) -> Reply:
        """Answer a call whose body is longer than `body_bytes_max`."""
        ...


class NotLoaded:
    """What stands in for a model that could not be loaded (contract §3.4: 500)."""

    body_bytes_max = 0
    batches = False

    def __init__(self, load_error: str) -> None:
        self._reply = Reply(
            500, "text/html; charset=utf-8", None, f"Unable to load model: {load_error}".encode()
        )

    def answer(self, calls: Sequence[Call]) -> Sequence[Reply]:
        return [self._reply] * len(calls)

    def too_large(self) -> Reply:
        return self._reply


class Gathering:
    """A call whose body is still arriving; what is over the bound is counted and let go."""

    def __init__(self, head: Call, body_bytes_max: int) -> None:
        self._head = head
        self._parts: list[bytes] = []
        self._room = body_bytes_max
        self.add(head.body)

    def add(self, part: bytes) -> None:
        self._room -= len(part)
        if self._room >= 0:
            self._parts.append(part)

    def whole(self) -> Call | None:
        """Give the call, or None if its body was too long."""
        if self._room < 0:
            return None
        return self._head._replace(body=b"".join(self._parts))


class Connection(asyncio.Protocol):
    """One gateway's connection: many calls at once, told apart by id."""

    def __init__(
        self, algorithm: Algorithm, log: Callable[[str], None], batch_rows_max: int, load_error: str
    ) -> None:
        self._algorithm = algorithm
        self._log = log
        self._batch_rows_max = batch_rows_max if algorithm.batches else 1
        self._load_error = load_error
        self._loop = asyncio.get_running_loop()
        self._decoder = Decoder()
        self._gathering: dict[int, Gathering] = {}
        self._whole: dict[int, Call] = {}  # in the order of their turns
        self._turn: asyncio.Handle | None = None
        self._writable = True
        self._transport: asyncio.Transport
        self._draining = False
        self.closed = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._whole.clear()
        self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._decoder.feed(data):
                self._take(frame)
        except FrameError as error:
            self._log(f"connection closed: {error}")
            self._whole.clear()
            self._transport.abort()
        if self._turn is None:
            self._answer_next()

    def pause_writing(self) -> None:
        # Who does not read answers may not send calls: this bounds what waits here.
        self._writable = False
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._writable = True
        self._transport.resume_reading()
        self._take_turn()

    def drain(self) -> None:
        """Finish the calls that have begun, then close."""
        self._draining = True
        self._close_if_drained()

    def _close_if_drained(self) -> None:
        if self._draining and not (self._gathering or self._whole):
            self._transport.close()

    # ------------------------------------------------------------ in

    def _take(self, frame: Frame) -> None:
        if frame.kind is Kind.OPEN:
            self._open(frame)
        elif frame.kind is Kind.CHUNK:
            self._continue(frame)
        elif frame.kind is Kind.PING:
            self._transport.write(frames.encode_pong(frame.id, self._load_error))
        elif frame.kind is Kind.CANCEL:
            self._gathering.pop(frame.id, None)
            self._whole.pop(frame.id, None)
        else:
            raise FrameError(f"{frame.kind.name} is not for a worker")

    def _open(self, frame: Frame) -> None:
        if frame.id in self._gathering or frame.id in self._whole:
            raise FrameError("a call was opened twice")
        call = frames.decode_call(frame)
        if frame.end and len(call.body) <= self._algorithm.body_bytes_max:
            self._whole[frame.id] = call
            return
        self._gathering[frame.id] = Gathering(call, self._algorithm.body_bytes_max)
        self._finish_at_end(frame)

    def _continue(self, frame: Frame) -> None:
        gathering = self._gathering.get(frame.id)
        if gathering is not None:  # else it was cancelled, and this part was on its way
            gathering.add(frame.payload)
            self._finish_at_end(frame)

    def _finish_at_end(self, frame: Frame) -> None:
        if not frame.end:
            return
        call = self._gathering.pop(frame.id).whole()
        if call is None:
            self._write([frame.id], [self._algorithm.too_large()])
        else:
            self._whole[frame.id] = call

    # ------------------------------------------------------------ out

    def _take_turn(self) -> None:
        if self._turn is None and self._whole:
            self._turn = self._loop.call_soon(self._answer_next)

    def _answer_next(self) -> None:
        self._turn = None
        if self._whole and self._writable:  # else cancelled, or nobody reads for now
            numbers = self._first()
            self._write(numbers, self._answer([self._whole.pop(number) for number in numbers]))
            self._take_turn()
        self._close_if_drained()

    def _first(self) -> list[int]:
        """Choose the calls of the next batch: at least one. A line is counted as a row."""
        numbers: list[int] = []
        rows, room = self._batch_rows_max, BATCH_BYTES_MAX
        for number, call in self._whole.items():
            rows -= call.body.count(b"\n") + 1
            room -= len(call.body)
            if numbers and (rows < 0 or room < 0):
                break
            numbers.append(number)
        return numbers

    def _answer(self, calls: Sequence[Call]) -> Sequence[Reply]:
        try:
            return self._algorithm.answer(calls)
        except Exception as error:  # border: one call's fault must not end the others' connection
            if len(calls) > 1:
                return [reply for call in calls for reply in self._answer([call])]
            self._log(f"invocation failed: {type(error).__name__}")
            return [FAULT]

    def _write(self, numbers: Sequence[int], replies: Sequence[Reply]) -> None:
        encoded: list[bytes] = []
        for number, reply in zip(numbers, replies, strict=True):
            if reply.status >= 400:
                self._log(f"invocation answered {reply.status}")
            encoded += frames.encode_reply(number, reply)
        self._transport.writelines(encoded)


class Server:
    """All connections of one worker; a batch holds at most `batch_rows_max` rows."""

    def __init__(
        self,
        algorithm: Algorithm,
        log: Callable[[str], None],
        *,
        batch_rows_max: int = 1,
        load_error: str = "",
    ) -> None:
        self._algorithm = algorithm
        self._log = log
        self._batch_rows_max = batch_rows_max
        self._load_error = load_error
        self._connections: set[Connection] = set()

    async def serve(self, path: Path, stop: asyncio.Event) -> None:
        """Take connections at `path` until `stop`, then finish what has begun."""
        loop = asyncio.get_running_loop()
        listener = await loop.create_unix_server(self._connect, sock=listen(path))
        await stop.wait()
        path.unlink(missing_ok=True)
        listener.close()
        for connection in self._connections:
            connection.drain()
        await asyncio.gather(*(connection.closed for connection in self._connections))

    def _connect(self) -> Connection:
        connection = Connection(self._algorithm, self._log, self._batch_rows_max, self._load_error)
        self._connections.add(connection)
        connection.closed.add_done_callback(lambda _: self._connections.discard(connection))
        return connection


def listen(path: Path) -> socket.socket:
    """Open a listening socket that appears at `path` only once it takes connections."""
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with short_path(beside) as name:
        listener.bind(name)
    listener.listen(BACKLOG)
    beside.rename(path)
    return listener
