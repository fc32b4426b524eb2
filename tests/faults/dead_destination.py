"""A destination is dead for minutes under load; tell what the processes took, and how it drained.

Run as a script with a folder and a number of seconds. Gateway, spooler and shipper are processes,
with the settings of a house; the gateway offers `PER_SECOND` records of `BODY_BYTES`. It prints how
far it is, and last one JSON object; events go to standard error.
"""

import asyncio
import json
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from capture_kills import FolderStore

from capture_world import exchange
from modeltap.capture.account import account
from modeltap.capture.counters import Counters
from modeltap.capture.destination import Lane
from modeltap.capture.disk import SystemDisk
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.guard import Guard
from modeltap.capture.ledger import Ledger
from modeltap.capture.offer import Capture
from modeltap.capture.ring import RingReader, RingWriter, make_ring
from modeltap.capture.shipper import LANES, Shipper
from modeltap.capture.spooler import Spooler
from modeltap.capture.waiters import Waiters
from modeltap.clock import SystemClock
from modeltap.errors import StoreUnavailable
from modeltap.objects.port import ObjectStore, Stored
from modeltap.settings import load
from modeltap.telemetry import configure

PER_SECOND = 200
BODY_BYTES = 16 * 1024
RING_BYTES = 16 << 20
WARM_SECONDS = 15.0
"""Until the ring has gone round, and every process has touched what it works with."""
PROGRESS_SECONDS = 15.0


class MortalStore(FolderStore):
    """A bucket that does not answer while a file says that it is dead."""

    def __init__(self, root: Path, grave: Path) -> None:
        super().__init__(root, random.Random(0), faults=0.0)
        self._grave = grave

    async def put(self, key: str, data: bytes, **given: Any) -> Stored:
        if self._grave.exists():
            raise StoreUnavailable("no connection")
        return await super().put(key, data, **given)


class House:
    """What the processes share."""

    def __init__(self, root: Path) -> None:
        self.clock = SystemClock()
        self.settings = load(home=root, capture_disk_stop_percent=99.0)
        self.spool = SpoolFolder(root / "spool", SystemDisk())
        self.spool.make()
        self.bucket = root / "bucket"
        self.bucket.mkdir()
        self.grave = root / "dead"
        self.grave.touch()
        self.fd = make_ring("ring", RING_BYTES)

    def gateway(self) -> None:
        ring = RingWriter(self.fd, self.clock.uuid4())
        guard = Guard(self.spool.disk, self.spool.root, self.settings)
        turns: list[Callable[[], None]] = []
        counters = Counters(ring.counters, ring.allocate)
        waiters = Waiters(ring, counters, lambda: None, lambda *_: None, 0.05)
        capture = Capture(ring, counters, guard, self.clock.random, turns.append, waiters)
        body, due = os.urandom(BODY_BYTES), time.monotonic()
        while True:
            capture.offer(exchange(0, body=body, received_ns=self.clock.now_ns()))
            while turns:
                turns.pop()()
            due += 1 / PER_SECOND
            time.sleep(max(0.0, due - time.monotonic()))

    def spooling(self) -> None:
        spooler = Spooler([RingReader(self.fd)], self.spool, self.settings, self.clock)
        stopping = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stopping.set())
        while not stopping.wait(self.settings.capture_drain_seconds):
            spooler.turn()
        spooler.close()

    def shipping(self) -> None:
        asyncio.run(self._ship())

    async def _ship(self) -> None:
        shipper = self.make_shipper()
        await asyncio.gather(*(_take_turns(shipper, lane) for lane in LANES))

    def make_shipper(self) -> Shipper:
        store: ObjectStore = MortalStore(self.bucket, self.grave)
        return Shipper(
            self.spool,
            lambda uri: (store, uri.removeprefix("s3://bucket/")),
            Ledger(self.spool.ledger),
            self.settings,
            self.clock,
        )

    def seconds_behind(self) -> float:
        """Tell how many seconds of load wait in sealed segments."""
        sealed = self.spool.writers.glob("*/*.seal")
        return sum(int(path.stem.rpartition("-")[2]) for path in sealed) / PER_SECOND


async def _take_turns(shipper: Shipper, lane: Lane) -> None:
    while True:
        await shipper.turn(lane)
        await asyncio.sleep(0.2 * len(LANES))


def fork(run: Callable[[], None]) -> int:
    pid = os.fork()
    if not pid:
        try:
            run()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    return pid


def resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main(folder: str, seconds: str) -> None:
    configure("dead destination")
    house = House(Path(folder))
    pids = {name: fork(getattr(house, name)) for name in ("gateway", "spooling", "shipping")}
    try:
        told = watch(house, pids, float(seconds))
        house.grave.unlink()
        told |= drain(house)
    finally:
        end(pids)
    print(json.dumps(told | finish(house)))


def watch(house: House, pids: Mapping[str, int], seconds: float) -> dict[str, object]:
    """Let them work on a dead destination; tell how much each grew after it was warm."""
    time.sleep(WARM_SECONDS)
    before = {name: resident_mib(pid) for name, pid in pids.items()}
    most, stop = dict(before), time.monotonic() + seconds
    while (left := stop - time.monotonic()) > 0:
        time.sleep(min(left, PROGRESS_SECONDS))
        most = {name: max(most[name], resident_mib(pid)) for name, pid in pids.items()}
        grown = {name: round(most[name] - before[name], 1) for name in pids}
        print(f"{left:.0f} s left, {house.seconds_behind():.0f} s behind, MiB {grown}", flush=True)
    return {"grown_mib": {name: round(most[name] - before[name], 1) for name in pids}}


def drain(house: House) -> dict[str, float]:
    """Let the destination come back; tell how fast what waited was delivered, once it was tried."""
    behind, dead = house.seconds_behind(), time.monotonic()
    while not any(house.bucket.glob("*.jsonl")):
        time.sleep(0.05)
    started = time.monotonic()
    while house.seconds_behind() > behind / 100:
        time.sleep(0.05)
    took = time.monotonic() - started
    return {
        "behind_s": behind,
        "tried_after_s": started - dead,
        "drained_in_s": took,
        "times_live_rate": behind / took,
    }


def end(pids: Mapping[str, int]) -> None:
    os.kill(pids["gateway"], signal.SIGKILL)
    time.sleep(0.2)
    os.kill(pids["spooling"], signal.SIGTERM)  # it empties the ring and seals
    os.waitpid(pids["spooling"], 0)
    os.kill(pids["shipping"], signal.SIGKILL)


def finish(house: House) -> dict[str, object]:
    """Ship the rest; tell the account."""
    shipper = house.make_shipper()
    while asyncio.run(shipper.turn()):
        pass
    (count,) = account(house.spool, [house.fd])
    lines = sum(path.read_bytes().count(b"\n") - 1 for path in house.bucket.glob("*.jsonl"))
    return {
        "sampled": count.sampled,
        "delivered": count.delivered,
        "lines": lines,
        "pending": count.pending,
        "dropped": count.dropped,
        "discrepancy": count.discrepancy,
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
