"""The load of a closed loop: wrk, on a core of its own, sends a pool of requests in turn."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine
from benchmarks.contender import HOST
from benchmarks.environments import Unavailable

SCRIPT = Path(__file__).with_name("pool.lua")
HOW_TO_INSTALL = "wrk is not installed: apt-get install wrk (Debian, Ubuntu)"


@dataclass(frozen=True, slots=True)
class Slice:
    """What one stretch of load measured. Latencies in ms, of every answer."""

    requests: int
    seconds: float
    refused: int  # answered with a status of 400 or more
    broken: int  # without an answer
    p50: float
    p99: float
    p999: float
    worst: float
    cpu_seconds: float  # of the server's process tree

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    @property
    def good_per_second(self) -> float:
        return (self.requests - self.refused) / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU of the whole tree for each request, µs."""
        return 1e6 * self.cpu_seconds / max(1, self.requests)


def closed_loop(
    pid: int,
    port: int,
    pool: Sequence[bytes],
    connections: int,
    seconds: float,
    allowed: list[int] | None = None,
) -> Slice:
    """Send the pool round and round, each connection one request at a time.

    Raise `Unavailable` where wrk is not installed.
    """
    if machine.missing("wrk"):
        raise Unavailable(HOW_TO_INSTALL)
    with tempfile.NamedTemporaryFile(prefix="bench-pool-") as file:
        _write(file, pool)
        wrk = ["wrk", "--threads", "1", "--connections", str(connections)]
        timing = ["--duration", f"{max(1, round(seconds))}s", "--timeout", "30s"]
        where = ["--script", str(SCRIPT), f"http://{HOST}:{port}/", "--", file.name]
        command = machine.pinned([*wrk, *timing, *where], allowed or machine.load_core())
        before = machine.cpu_seconds(pid)
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        spent = machine.cpu_seconds(pid) - before
    found = json.loads(done.stdout.splitlines()[-1])
    return Slice(
        requests=found["requests"],
        seconds=found["microseconds"] / 1e6,
        refused=found["refused"],
        broken=found["broken"],
        p50=found["p50"] / 1000,
        p99=found["p99"] / 1000,
        p999=found["p999"] / 1000,
        worst=found["max"] / 1000,
        cpu_seconds=spent,
    )


def _write(file: "tempfile._TemporaryFileWrapper[bytes]", pool: Sequence[bytes]) -> None:
    for request in pool:
        file.write(b"%d\n" % len(request) + request)
    file.flush()
