"""How fast records reach the disk: offer → ring → spooler → segments, synced every 100 ms."""

import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import Cell, Plan, Reach, Section, Spread, Table
from modeltap import settings
from modeltap.capture.counters import Counters
from modeltap.capture.disk import SystemDisk
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.guard import Guard
from modeltap.capture.offer import Capture
from modeltap.capture.ring import RingReader, RingWriter, make_ring
from modeltap.capture.spooler import Spooler
from modeltap.capture.waiters import Waiters
from modeltap.clock import SystemClock
from modeltap.nouns import Answer, CapturePlan, Exchange, Invocation

RING_BYTES = 64 * 1024 * 1024
SYNC_SECONDS = 0.1
SIZES = (2 * 1024, 64 * 1024, 1024 * 1024)
REACHED_BY = 2 * 1024  # the size that is judged: small records are the hard ones
PLAN = CapturePlan(100, "s3://bench/captured", input=True, output=True)

TEXT = """\
Two processes, as in service: one offers records and never waits, the other is the spooler with its
own settings (sync each 100 ms, seal at 16 MiB); a record that finds the ring full is offered again.
Counted is what was synced, from the first offer to the last sync. *Raw* writes the same bytes to
one file in pieces of 1 MiB, and syncs it each 100 ms: what this disk takes at best. Published by
others, on other machines: Vector's disk buffer 68 MiB/s, Fluent Bit's file buffering 67 MiB/s.
"""


@dataclass(frozen=True, slots=True)
class Rate:
    megabytes: float  # a second, of bodies and what stands around them on disk
    records: float


def run(plan: Plan) -> Section:
    """Measure each size, raw and through the spool, in alternation."""
    rows: list[list[Cell]] = []
    reaches = []
    for size in SIZES:
        found, raw = [], []
        for number in range(plan.rounds):
            print(f"{size} bytes, round {number + 1}", file=sys.stderr)
            raw.append(_raw(plan.folder / "spool", plan.seconds))
            found.append(_spooled(plan.folder / "spool", size, plan.seconds))
        megabytes = Spread.of([each.megabytes for each in found])
        ratio = Spread.of([a.megabytes / b for a, b in zip(found, raw, strict=True)])
        records = Spread.of([each.records for each in found])
        rows.append([f"{size // 1024} KiB", records, megabytes, Spread.of(raw), ratio])
        if size == REACHED_BY:
            reaches.append(Reach("spool, 2 KiB records, synced: MB/s", 100, True, megabytes))
    columns = ("record", "records/s", "MB/s", "raw, MB/s", "spool : raw")
    return Section("Spool", TEXT, [Table("Onto the disk", columns, rows)], reaches)


def _raw(folder: Path, seconds: float) -> float:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    piece = os.urandom(1024 * 1024)
    file = os.open(folder / "raw", os.O_WRONLY | os.O_CREAT, 0o600)
    began = synced = time.perf_counter()
    written = 0
    while (now := time.perf_counter()) - began < seconds:
        written += os.write(file, piece)
        if now - synced >= SYNC_SECONDS:
            os.fdatasync(file)
            synced = now
    os.fdatasync(file)
    os.close(file)
    return written / 1e6 / (time.perf_counter() - began)


def _spooled(folder: Path, size: int, seconds: float) -> Rate:
    shutil.rmtree(folder, ignore_errors=True)
    spool = SpoolFolder(folder, SystemDisk())
    spool.make()
    given = settings.load(home=folder, capture_disk_stop_percent=99.9)
    fd = make_ring("bench-spool", RING_BYTES)
    context = multiprocessing.get_context("fork")
    ended = context.Event()
    spooler = context.Process(target=_spool, args=(fd, spool, given, ended.is_set))
    began = time.perf_counter()
    spooler.start()
    records = _offer(fd, spool, given, size, began + seconds)
    ended.set()
    spooler.join()
    took = time.perf_counter() - began
    os.close(fd)
    files = [each for each in folder.glob("writers/*/*") if each.suffix in (".seal", ".open")]
    return Rate(sum(each.stat().st_size for each in files) / 1e6 / took, records / took)


def _spool(
    fd: int, spool: SpoolFolder, given: settings.Settings, ended: Callable[[], bool]
) -> None:
    spooler = Spooler([RingReader(fd)], spool, given, SystemClock())
    while not ended():
        spooler.turn()
        time.sleep(given.capture_drain_seconds)
    spooler.close()


def _offer(fd: int, spool: SpoolFolder, given: settings.Settings, size: int, until: float) -> int:
    """Offer until the time is up; give how many records found their place."""
    clock, turns = SystemClock(), list[Callable[[], None]]()
    ring = RingWriter(fd, clock.uuid4())
    counters = Counters(ring.counters, ring.allocate)
    waiters = Waiters(ring, counters, lambda: None, lambda *_: None, 0.05)
    guard = Guard(SystemDisk(), spool.root, given)
    capture = Capture(ring, counters, guard, clock.random, turns.append, waiters)
    body = os.urandom(size)
    offered = 0
    while time.perf_counter() < until:
        while ring.head - ring.released > RING_BYTES - 32 * size - 1024 * 1024:
            time.sleep(0.001)  # the spooler is behind
        for _ in range(16):
            capture.offer(_exchange(clock, body))
        while turns:
            turns.pop()()
        offered += 16
    return offered


def _exchange(clock: SystemClock, body: bytes) -> Exchange:
    asked = Invocation(clock.uuid4(), "bench", body, received_ns=clock.now_ns())
    return Exchange(asked, Answer(200, "text/csv", b"0.5"), "AllTraffic", PLAN)
