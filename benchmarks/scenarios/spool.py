"""How fast records get from a gateway's offer to the disk, and how fast the disk alone is."""

import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.results import Bar, Plan, Reach, Section, Spread, Table
from modeltap.capture.counters import Counters, read
from modeltap.capture.disk import SystemDisk
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.guard import Guard
from modeltap.capture.offer import Capture
from modeltap.capture.ring import RingReader, RingWriter, make_ring
from modeltap.capture.spooler import Spooler
from modeltap.capture.waiters import Waiters
from modeltap.clock import SystemClock
from modeltap.nouns import Answer, CapturePlan, Exchange, Invocation
from modeltap.settings import Settings, load

RECORD_KIB = (2, 64)
TURN_RECORDS = 8
FULL_PAUSE_SECONDS = 0.002
LOOK_SECONDS = 0.02
CHUNK_BYTES = 256 * 1024
MB = 1_000_000
TARGET = 100.0
VECTOR, FLUENT_BIT = 68.0, 67.1

TEXT = f"""\
One gateway offers as fast as its ring takes records; one spooler drains it every 20 ms into
segments of 16 MiB and syncs them every 100 ms. MB/s are bytes on disk and synced, over the whole
time; what is sealed is removed, as the shipper does. *Disk alone* writes as much into files of
16 MiB in pieces of 256 KiB, with `fdatasync` every 100 ms and at each file's end: the limit. The
two take turns. For scale, not as a comparison, since machine, year and disk are others: the Vector
test harness publishes {VECTOR:.0f} MiB/s for Vector's disk buffer, {FLUENT_BIT:.0f} for Fluent Bit.
"""


def run(plan: Plan) -> Section:
    found: dict[tuple[str, int], list[float]] = {}
    settings = load(home=plan.folder, capture_disk_stop_percent=99.9)
    for number in range(plan.rounds):
        print(f"round {number + 1}", file=sys.stderr)
        for kib in RECORD_KIB:
            for name, way in (("spool", _spooled), ("disk", _written)):
                with tempfile.TemporaryDirectory(dir=plan.folder, prefix="spool-") as folder:
                    rate = way(Path(folder), settings, kib * 1024, plan.seconds)
                found.setdefault((name, kib), []).append(rate)
    return Section(
        title="The spool",
        text=TEXT,
        tables=[_table(found)],
        reaches=[
            Reach(
                f"spool, records of {kib} KiB: MB/s", TARGET, True, Spread.of(found["spool", kib])
            )
            for kib in RECORD_KIB
        ],
        bars=[
            Bar(f"{name}, {kib} KiB", Spread.of(found[name, kib]), name == "spool")
            for kib in RECORD_KIB
            for name in ("spool", "disk")
        ],
        bars_title="MB/s to disk, synced every 100 ms",
    )


def _table(found: dict[tuple[str, int], list[float]]) -> Table:
    columns = ("record", "spool, MB/s", "records/s", "disk alone, MB/s", "spool : disk")
    return Table("Offer → ring → spooler → disk", columns, [_row(found, kib) for kib in RECORD_KIB])


def _row(found: dict[tuple[str, int], list[float]], kib: int) -> list[str | float | Spread]:
    spool, disk = found["spool", kib], found["disk", kib]
    return [
        f"{kib} KiB",
        Spread.of(spool),
        Spread.of([rate * MB / (kib * 1024) for rate in spool]),
        Spread.of(disk),
        Spread.of([ours / limit for ours, limit in zip(spool, disk, strict=True)]),
    ]


# ---------------------------------------------------------------- the spool


def _spooled(folder: Path, settings: Settings, size: int, seconds: float) -> float:
    """Run a gateway and a spooler; give MB/s."""
    spool = SpoolFolder(folder / "spool", SystemDisk())
    spool.make()
    fd = make_ring("bench-spool", settings.capture_ring_bytes)
    try:
        with (
            _process(lambda: _offering(fd, spool, settings, size)),
            _process(lambda: _spooling(fd, spool, settings)),
        ):
            _removed(spool, 1.0)  # warms up: buffers, memory of the ring, files
            started = time.perf_counter()
            removed = _removed(spool, seconds)
            return removed / MB / (time.perf_counter() - started)
    finally:
        os.close(fd)


def _offering(fd: int, spool: SpoolFolder, settings: Settings, size: int) -> None:
    clock = SystemClock()
    ring = RingWriter(fd, clock.uuid4())
    guard = Guard(spool.disk, spool.root, settings)
    turns: list[Callable[[], None]] = []
    counters = Counters(ring.counters, ring.allocate)
    waiters = Waiters(ring, counters, lambda: None, lambda *_: None, 0.05)
    capture = Capture(ring, counters, guard, clock.random, turns.append, waiters)
    dropped = 0
    while True:
        exchange = _exchange(clock, size)
        for _ in range(TURN_RECORDS):
            capture.offer(exchange)
        while turns:
            turns.pop()()
        now_dropped = sum(sum(count.dropped.values()) for count in read(ring.counters))
        if now_dropped != dropped:
            dropped = now_dropped
            time.sleep(FULL_PAUSE_SECONDS)


def _exchange(clock: SystemClock, size: int) -> Exchange:
    plan = CapturePlan(100, "s3://bench/captured", input=True, output=True)
    body = b"x" * (size - 200)  # the rest of the record is its head and its output
    asked = Invocation(
        clock.uuid4(), "bench", body, content_type="text/csv", received_ns=clock.now_ns()
    )
    return Exchange(asked, Answer(200, "text/csv", b"0.5" * 20), "AllTraffic", plan)


def _spooling(fd: int, spool: SpoolFolder, settings: Settings) -> None:
    while not RingReader(fd).founded:
        time.sleep(0.001)
    spooler = Spooler([RingReader(fd)], spool, settings, SystemClock())
    while True:
        spooler.turn()
        time.sleep(settings.capture_drain_seconds)


def _removed(spool: SpoolFolder, seconds: float) -> int:
    """Remove what is sealed, as the shipper does, for so long; give its bytes."""
    removed, stop = 0, time.perf_counter() + seconds
    while time.perf_counter() < stop:
        for path in spool.writers.glob("*/*.seal"):
            removed += path.stat().st_size
            path.unlink()
        time.sleep(LOOK_SECONDS)
    return removed


@contextmanager
def _process(run: Callable[[], None]) -> Iterator[None]:
    pid = os.fork()
    if not pid:
        try:
            run()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        assert os.WIFSIGNALED(status), "a process of the spool ended by itself"


# ---------------------------------------------------------------- the disk alone


def _written(folder: Path, settings: Settings, size: int, seconds: float) -> float:
    """Write and sync without a record in sight; give MB/s."""
    chunk = os.urandom(CHUNK_BYTES)
    written, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        path = folder / "file"
        written += _fill(path, chunk, settings)
        path.unlink()
    return written / MB / (time.perf_counter() - started)


def _fill(path: Path, chunk: bytes, settings: Settings) -> int:
    """Write one file of a segment's size; give its bytes."""
    written, synced_at = 0, time.perf_counter()
    with path.open("xb", buffering=0) as file:
        while written < settings.capture_seal_bytes:
            written += file.write(chunk)
            if time.perf_counter() - synced_at >= settings.capture_sync_seconds:
                os.fdatasync(file.fileno())
                synced_at = time.perf_counter()
        os.fdatasync(file.fileno())
    return written
