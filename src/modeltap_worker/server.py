"""A model's end of the link: it gathers calls from frames, has them answered, and writes replies.

One read may bring many frames. The calls that it made whole are answered together and leave in one
write, if the algorithm gains by that; nothing waits for company, so a call that comes alone is
answered alone. A batch is bounded in rows and bytes, and sockets are looked at between two, so that
PING and CANCEL are heard. PING is answered with the model's load error, so that a launcher can tell
its user why.

All runs in one loop on one thread, because a prediction is CPU work that no thread would hasten;
the loop is a bare epoll, because an event loop's turn costs as much as the frames of ten calls.
What waits here is bounded by what a gateway has in flight: who does not read answers may not send
calls.
"""

import select
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from modeltap_worker import frames
from modeltap_worker.frames import Call, Decoder, Frame, FrameError, Reply
from modeltap_worker.socketpath import short_path

BACKLOG: Final = 128
READ_BYTES: Final = 256 * 1024

BATCH_BYTES_MAX: Final = 1024 * 1024
"""Most bytes of bodies that are answered together; a longer body is answered alone."""

FAULT: Final = Reply(500, "text/html; charset=utf-8", None, b"Internal Server Error")
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
        head = self._head
        body = b"".join(self._parts)
        return Call(head.content_type, head.accept, head.custom_attributes, body)


class Served:
    """What all connections of a worker share."""

    def __init__(
        self, algorithm: Algorithm, log: Callable[[str], None], batch_rows_max: int, load_error: str
    ) -> None:
        self.algorithm = algorithm
        self.log = log
        self.batch_rows_max = batch_rows_max if algorithm.batches else 1
        self.body_bytes_max = algorithm.body_bytes_max
        self.load_error = load_error

    def answer(self, calls: Sequence[Call]) -> Sequence[Reply]:
        """Have calls answered, each alone where the algorithm fails on them together."""
        try:
            return self.algorithm.answer(calls)
        except Exception as error:  # border: one call's fault must not end the others' connection
            if len(calls) > 1:
                return [reply for call in calls for reply in self.answer([call])]
            self.log(f"invocation failed: {type(error).__name__}")
            return [FAULT]


class Connection:
    """One gateway's connection: many calls at once, told apart by id."""

    def __init__(self, peer: socket.socket, served: Served) -> None:
        self._peer = peer
        self._served = served
        self._decoder = Decoder()
        self._gathering: dict[int, Gathering] = {}
        self._whole: dict[int, Call] = {}  # in the order of their turns
        self._unsent: list[bytes] = []
        self.open = True
        self.draining = False
        self.waits_for = select.EPOLLIN

    @property
    def writes(self) -> bool:
        """Tell whether answers wait for the peer to read; until it does, nothing is read of it."""
        return bool(self._unsent)

    @property
    def has_turn(self) -> bool:
        """Tell whether a batch could be answered now."""
        return bool(self._whole) and not self._unsent

    def read(self) -> None:
        """Take what has come."""
        try:
            data = self._peer.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        try:
            for frame in self._decoder.feed(data):
                self._take(frame)
        except FrameError as error:
            self._served.log(f"connection closed: {error}")
            self.close()
        self.flush()

    def answer_next(self) -> None:
        """Answer the next batch."""
        numbers = self._first()
        self._reply(numbers, self._served.answer([self._whole.pop(number) for number in numbers]))
        self.flush()

    def flush(self) -> None:
        """Send what the peer takes now."""
        if self._unsent and self.open:
            data = self._unsent[0] if len(self._unsent) == 1 else b"".join(self._unsent)
            try:
                sent = self._peer.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.close()
                return
            self._unsent = [data[sent:]] if sent < len(data) else []
        if self.draining and not (self._gathering or self._whole or self._unsent):
            self.close()

    def close(self) -> None:
        """Hang up; whoever waits here waits for nobody."""
        self._gathering.clear()
        self._whole.clear()
        self._unsent = []
        self.open = False
        self._peer.close()

    # ------------------------------------------------------------ in

    def _take(self, frame: Frame) -> None:
        kind = frame.kind
        if kind == frames.OPEN:
            self._begin(frame)
        elif kind == frames.CHUNK:
            self._continue(frame)
        elif kind == frames.PING:
            self._unsent.append(frames.encode_pong(frame.id, self._served.load_error))
        elif kind == frames.CANCEL:
            self._gathering.pop(frame.id, None)
            self._whole.pop(frame.id, None)
        else:
            raise FrameError(f"frames of kind {kind} are not for a worker")

    def _begin(self, frame: Frame) -> None:
        number = frame.id
        if number in self._whole or number in self._gathering:
            raise FrameError("a call was opened twice")
        call = frames.decode_call(frame)
        if frame.end and len(call.body) <= self._served.body_bytes_max:
            self._whole[number] = call
            return
        self._gathering[number] = Gathering(call, self._served.body_bytes_max)
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
            self._reply([frame.id], [self._served.algorithm.too_large()])
        else:
            self._whole[frame.id] = call

    # ------------------------------------------------------------ out

    def _first(self) -> list[int]:
        """Choose the calls of the next batch: at least one. A line is counted as a row."""
        numbers: list[int] = []
        rows, room = self._served.batch_rows_max, BATCH_BYTES_MAX
        for number, call in self._whole.items():
            rows -= call.body.count(b"\n") + 1
            room -= len(call.body)
            if numbers and (rows < 0 or room < 0):
                break
            numbers.append(number)
        return numbers

    def _reply(self, numbers: Sequence[int], replies: Sequence[Reply]) -> None:
        for number, reply in zip(numbers, replies, strict=True):
            if reply.status >= 400:
                self._served.log(f"invocation answered {reply.status}")
            self._unsent += frames.encode_reply(number, reply)


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
        self._served = Served(algorithm, log, batch_rows_max, load_error)
        self._connections: dict[int, Connection] = {}
        self._poll: select.epoll

    def serve(self, path: Path, stop: int) -> None:
        """Take connections at `path` until `stop` can be read; then finish what has begun."""
        with select.epoll() as self._poll, listen(path) as listener:
            doors = {listener.fileno(), stop}
            for door in doors:
                self._poll.register(door, select.EPOLLIN)
            while True:
                more = self._answer()
                if not (doors or self._connections):
                    return
                for descriptor, _ in self._poll.poll(0 if more else None):
                    if descriptor == stop:
                        self._drain(path, doors)
                    elif descriptor in doors:
                        self._welcome(listener)
                    elif descriptor in self._connections:
                        self._serve(descriptor)

    def _answer(self) -> bool:
        """Answer one batch of each connection that has one; tell whether there are more."""
        more = False
        for descriptor, connection in tuple(self._connections.items()):
            if connection.has_turn:
                connection.answer_next()
                more = more or connection.has_turn
                self._settle(descriptor, connection)
        return more

    def _serve(self, descriptor: int) -> None:
        connection = self._connections[descriptor]
        if connection.writes:
            connection.flush()
        else:
            connection.read()
        self._settle(descriptor, connection)

    def _settle(self, descriptor: int, connection: Connection) -> None:
        """Wait for what a connection waits for."""
        if not connection.open:
            del self._connections[descriptor]  # closing has taken it off the poll
            return
        waits_for = select.EPOLLOUT if connection.writes else select.EPOLLIN
        if waits_for != connection.waits_for:
            connection.waits_for = waits_for
            self._poll.modify(descriptor, waits_for)

    def _welcome(self, listener: socket.socket) -> None:
        try:
            peer, _ = listener.accept()
        except OSError:
            return  # it left again
        peer.setblocking(False)
        self._connections[peer.fileno()] = Connection(peer, self._served)
        self._poll.register(peer, select.EPOLLIN)

    def _drain(self, path: Path, doors: set[int]) -> None:
        path.unlink(missing_ok=True)
        for door in doors:
            self._poll.unregister(door)
        doors.clear()
        for descriptor, connection in tuple(self._connections.items()):
            connection.draining = True
            connection.flush()
            self._settle(descriptor, connection)


def listen(path: Path) -> socket.socket:
    """Open a listening socket that appears at `path` only once it takes connections."""
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with short_path(beside) as name:
        listener.bind(name)
    listener.listen(BACKLOG)
    listener.setblocking(False)
    beside.rename(path)
    return listener
