"""The load of an open loop: requests leave at their times, whatever the server does.

wrk sends the next request when an answer came, so a server that stalls is asked less, and the stall
hardly shows. Here each request has the time at which it was to leave, latency counts from then, and
one that found no free connection waits, at its own cost. So nothing is omitted.

A process of its own, on a core of its own (`python -m benchmarks.openloop FILE`), in one thread on
raw sockets: `select` wakes to the microsecond, where an event loop's timers round to milliseconds.
Several streams may run side by side, such as invocations and a ping each 5 ms.
"""

import json
import pickle
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks import machine
from benchmarks.contender import HOST
from benchmarks.environments import ROOT

READ_BYTES = 256 * 1024
GRACE_SECONDS = 30.0
"""How long the last answers are waited for."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Requests at a fixed rate over some connections."""

    name: str
    port: int
    pool: Sequence[bytes]
    per_second: float
    connections: int


@dataclass(frozen=True, slots=True)
class Told:
    """What came of one stream; latencies in ms, from the time that each request was to leave."""

    sent: int
    statuses: dict[str, int]
    p50: float
    p99: float
    p999: float
    worst: float
    late: int  # answers that took longer than LATE_MS

    @property
    def refused(self) -> int:
        return sum(count for status, count in self.statuses.items() if status != "200")


LATE_MS = 20.0


def fixed_rate(
    streams: Sequence[Stream], seconds: float, allowed: list[int] | None = None
) -> dict[str, Told]:
    """Run streams in a process of their own; give what came of each by its name."""
    with running(streams, seconds, allowed) as process:
        out, _ = process.communicate()
    return told(out)


def running(
    streams: Sequence[Stream], seconds: float, allowed: list[int] | None = None
) -> "subprocess.Popen[str]":
    """Start streams; their process prints what `told` reads."""
    with tempfile.NamedTemporaryFile(prefix="bench-streams-", delete=False) as file:
        pickle.dump((list(streams), seconds), file)
    own = [sys.executable, "-m", "benchmarks.openloop", file.name]
    command = machine.pinned(own, allowed or machine.load_core())
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def told(out: str) -> dict[str, Told]:
    return {name: Told(**each) for name, each in json.loads(out).items()}


# ---------------------------------------------------------------- in the process


@dataclass(slots=True)
class Connection:
    """One connection of a stream; `intended` is None while it is free."""

    socket: socket.socket
    run: "Run"
    intended: float | None = None
    unsent: memoryview = field(default_factory=lambda: memoryview(b""))
    received: bytearray = field(default_factory=bytearray)

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, request: bytes, intended: float) -> None:
        self.intended = intended
        self.unsent = memoryview(request)
        self.received.clear()
        self.push()

    def push(self) -> None:
        """Write what the socket takes."""
        try:
            self.unsent = self.unsent[self.socket.send(self.unsent) :]
        except BlockingIOError:
            return

    def pull(self) -> str | None:
        """Read; give the status once the answer is whole."""
        part = self.socket.recv(READ_BYTES)
        if not part:
            raise ConnectionError("the server closed a connection")
        self.received += part
        end = self.received.find(b"\r\n\r\n")
        if end < 0 or len(self.received) < end + 4 + _length(bytes(self.received[:end])):
            return None
        return self.received[9:12].decode()


def _length(head: bytes) -> int:
    lowered = head.lower()
    start = lowered.find(b"content-length:")
    return int(lowered[start + 15 :].split(b"\r", 1)[0]) if start >= 0 else 0


class Run:
    """One stream under way."""

    def __init__(self, stream: Stream, began: float, seconds: float) -> None:
        self._stream = stream
        self._began = began
        self._count = max(1, int(stream.per_second * seconds))
        self._started = 0
        self._free = deque(self._connection() for _ in range(stream.connections))
        self.connections = list(self._free)
        self._latencies: list[float] = []
        self._statuses: Counter[str] = Counter()

    @property
    def due(self) -> float | None:
        """When the next request leaves; None while no connection is free, or all have left."""
        if self._started == self._count or not self._free:
            return None
        return self._began + self._started / self._stream.per_second

    @property
    def is_over(self) -> bool:
        return self._started == self._count and len(self._free) == len(self.connections)

    def start_due(self, now: float) -> None:
        while (due := self.due) is not None and due <= now:
            pool = self._stream.pool
            self._free.popleft().send(pool[self._started % len(pool)], due)
            self._started += 1

    def take(self, connection: Connection) -> None:
        """Read from a connection; a broken one is counted and replaced."""
        try:
            status = connection.pull()
        except (ConnectionError, ValueError):
            status = "broken"
            connection.socket.close()
            connection.socket = self._connection().socket
            connection.unsent = memoryview(b"")
        if status is None or connection.intended is None:
            return
        self._latencies.append(time.perf_counter() - connection.intended)
        self._statuses[status] += 1
        connection.intended = None
        self._free.append(connection)

    def told(self) -> Told:
        ordered = sorted(1000 * each for each in self._latencies) or [0.0]
        p50, p99, p999 = (ordered[int(len(ordered) * share)] for share in (0.5, 0.99, 0.999))
        late = sum(each > LATE_MS for each in ordered)
        return Told(self._started, dict(self._statuses), p50, p99, p999, ordered[-1], late)

    def _connection(self) -> Connection:
        made = socket.create_connection((HOST, self._stream.port))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setblocking(False)
        return Connection(made, self)


def drive(streams: Sequence[Stream], seconds: float) -> dict[str, Told]:
    """Send and receive until all is answered, or the grace is over."""
    began = time.perf_counter() + 0.05
    runs = [Run(stream, began, seconds) for stream in streams]
    everyone = [connection for run in runs for connection in run.connections]
    end = began + seconds + GRACE_SECONDS
    while (now := time.perf_counter()) < end and not all(run.is_over for run in runs):
        for run in runs:
            run.start_due(now)
        writing = [connection for connection in everyone if connection.unsent]
        readable, writable, _ = select.select(everyone, writing, [], _pause(runs))
        for connection in writable:
            connection.push()
        for connection in readable:
            connection.run.take(connection)
    return {stream.name: run.told() for stream, run in zip(streams, runs, strict=True)}


def _pause(runs: Sequence[Run]) -> float:
    dues = [due for run in runs if (due := run.due) is not None]
    return max(0.0, min(dues) - time.perf_counter()) if dues else 0.1


if __name__ == "__main__":
    path = Path(sys.argv[1])
    given, length = pickle.loads(path.read_bytes())
    path.unlink()
    print(json.dumps({name: asdict(each) for name, each in drive(given, length).items()}))
