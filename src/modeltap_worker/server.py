"""A model's end of the link: it gathers calls from frames, has them answered, and writes replies.

One read may bring many frames; their calls are answered in order, on the loop's own thread, because
a prediction is CPU work that no thread would hasten; one call a turn of the loop, so that PING and
CANCEL are heard between two. What waits here is bounded by what a gateway has in flight. PING is
answered with the model's load error, so that a launcher can tell its user why.
"""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from modeltap_worker import frames
from modeltap_worker.frames import Call, Decoder, Frame, FrameError, Kind, Reply
from modeltap_worker.socketpath import short_path

BACKLOG = 128

FAULT = Reply(500, "text/html; charset=utf-8", None, b"Internal Server Error")
"""The answer to a call on which the algorithm itself failed."""


class Algorithm(Protocol):
    """A loaded model."""

    body_bytes_max: int

    def answer(self, call: Call) -> Reply:
        """Answer one whole call; raises only for faults of the algorithm itself."""
        ...

    def too_large(self) -> Reply:
        """Answer a call whose body is longer than `body_bytes_max`."""
        ...


class NotLoaded:
    """What stands in for a model that could not be loaded (contract §3.4: 500)."""

    body_bytes_max = 0

    def __init__(self, load_error: str) -> None:
        self._reply = Reply(
            500, "text/html; charset=utf-8", None, f"Unable to load model: {load_error}".encode()
        )

    def answer(self, call: Call) -> Reply:
        return self._reply

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

    def answered_by(self, algorithm: Algorithm) -> Reply:
        if self._room < 0:
            return algorithm.too_large()
        head = self._head
        body = b"".join(self._parts)
        return algorithm.answer(Call(head.content_type, head.accept, head.custom_attributes, body))


class Connection(asyncio.Protocol):
    """One gateway's connection: many calls at once, told apart by id."""

    def __init__(self, algorithm: Algorithm, load_error: str, log: Callable[[str], None]) -> None:
        self._algorithm = algorithm
        self._load_error = load_error
        self._log = log
        self._decoder = Decoder()
        self._gathering: dict[int, Gathering] = {}
        self._whole: dict[int, Gathering] = {}  # in the order of their turns
        self._turn: asyncio.Handle | None = None
        self._writable = True
        self._transport: asyncio.Transport
        self._draining = False
        self.closed = asyncio.get_running_loop().create_future()

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
            self._transport.abort()
        self._close_if_drained()

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

    def _take(self, frame: Frame) -> None:
        if frame.kind is Kind.PING:
            self._transport.write(frames.encode_pong(frame.id, self._load_error))
        elif frame.kind is Kind.OPEN:
            self._open(frame)
        elif frame.kind is Kind.CHUNK:
            self._continue(frame)
        elif frame.kind is Kind.CANCEL:
            self._gathering.pop(frame.id, None)
            self._whole.pop(frame.id, None)
        else:
            raise FrameError(f"{frame.kind.name} is not for a worker")

    def _open(self, frame: Frame) -> None:
        if frame.id in self._gathering or frame.id in self._whole:
            raise FrameError("a call was opened twice")
        self._gathering[frame.id] = Gathering(
            frames.decode_call(frame), self._algorithm.body_bytes_max
        )
        self._finish_at_end(frame)

    def _continue(self, frame: Frame) -> None:
        gathering = self._gathering.get(frame.id)
        if gathering is not None:  # else it was cancelled, and this part was on its way
            gathering.add(frame.payload)
            self._finish_at_end(frame)

    def _finish_at_end(self, frame: Frame) -> None:
        if frame.end:
            self._whole[frame.id] = self._gathering.pop(frame.id)
            self._take_turn()

    def _take_turn(self) -> None:
        if self._turn is None and self._whole and self._writable:
            self._turn = asyncio.get_running_loop().call_soon(self._answer_first)

    def _answer_first(self) -> None:
        self._turn = None
        if self._whole:  # else it was cancelled, or nobody is left to hear
            number = next(iter(self._whole))
            reply = self._answer(self._whole.pop(number))
            if reply.status >= 400:
                self._log(f"invocation answered {reply.status}")
            self._transport.writelines(list(frames.encode_reply(number, reply)))
        self._take_turn()
        self._close_if_drained()

    def _answer(self, call: Gathering) -> Reply:
        try:
            return call.answered_by(self._algorithm)
        except Exception as error:  # border: one call's fault must not end the others' connection
            self._log(f"invocation failed: {type(error).__name__}")
            return FAULT


class Server:
    """All connections of one worker."""

    def __init__(self, algorithm: Algorithm, load_error: str, log: Callable[[str], None]) -> None:
        self._algorithm = algorithm
        self._load_error = load_error
        self._log = log
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
        connection = Connection(self._algorithm, self._load_error, self._log)
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
