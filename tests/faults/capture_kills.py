"""Kill gateway, spooler and shipper at random moments, with SIGKILL, and tell what came of it.

Run as a script with a folder, a number of kills, a seed, and `keep` or `lose` (the ring, at the
end). It forks its children, so that a start costs milliseconds. It prints how far it is, and last
one JSON object; events go to standard error.

Three calls of ten to the bucket fail: before anything happened, or after all had, or with half an
object written beside. Every third victim is killed again in the first milliseconds of its next
start, and every fourth spooler finds the mirror of the counters torn (`keep`).
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from capture_world import exchange
from modeltap.capture.account import account
from modeltap.capture.counters import Counters
from modeltap.capture.disk import SystemDisk
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.guard import Guard
from modeltap.capture.ledger import Ledger
from modeltap.capture.offer import SLICE_BYTES, Capture
from modeltap.capture.ring import RingReader, RingWriter, make_ring
from modeltap.capture.shipper import Shipper
from modeltap.capture.spooler import Spooler
from modeltap.capture.waiters import Waiters
from modeltap.clock import SystemClock
from modeltap.errors import ObjectExists, StoreUnavailable
from modeltap.objects.port import ObjectInfo, ObjectStore, Stored
from modeltap.record import decode
from modeltap.settings import load
from modeltap.telemetry import configure

RING_BYTES = 64 << 20
NUMBER_BYTES = 8
START_SECONDS_MAX = 30.0
FAULTS = 0.3
"""Share of the calls to the bucket that fail."""
AGAIN = 0.3
"""Share of the victims that are killed again while they start."""
START_SECONDS = 0.004
"""Within how long; a start takes about half of it."""
BEHIND_MAX = 500
"""Records ahead of the spooler: one that dies in each turn would else let the ring fill up."""
LIFE_SECONDS = 0.03
"""How long they all live, at most, after the last of them has started."""
TORN = 0.25
"""Share of the spooler's starts that find a torn mirror, where the ring has its counters still."""
PROGRESS_KILLS = 500


class FolderStore:
    """A bucket in a folder; a put is one link, so it happened or it did not."""

    def __init__(self, root: Path, chance: random.Random, faults: float) -> None:
        self.root = root
        self._chance = chance
        self._faults = faults

    async def put(
        self,
        key: str,
        data: bytes,
        *,
        metadata: Mapping[str, str] | None = None,
        create_only: bool = False,
        kms_key_id: str | None = None,
    ) -> Stored:
        beside = self.root / f"{os.getpid()}.tmp"
        beside.unlink(missing_ok=True)
        whole = json.dumps(dict(metadata or {})).encode() + b"\n" + data
        fault = self._chance.choice(("down", "half", "lost")) if self._fails() else None
        if fault == "down":
            raise StoreUnavailable("no connection")
        beside.write_bytes(whole[: len(whole) // 2] if fault == "half" else whole)
        if fault == "half":
            raise StoreUnavailable("500 in the middle of the body")
        self._take(beside, self._path(key), create_only)
        if fault == "lost":
            raise StoreUnavailable("no answer")
        return Stored("etag")

    def _take(self, beside: Path, path: Path, create_only: bool) -> None:
        if not create_only:
            beside.rename(path)
            return
        try:
            os.link(beside, path)
        except FileExistsError:
            raise ObjectExists(path.name) from None

    def _fails(self) -> bool:
        return self._chance.random() < self._faults

    def _path(self, key: str) -> Path:
        return self.root / key.replace("/", "=")

    async def send(self, key: str, path: Path, *, kms_key_id: str | None = None) -> Stored:
        return await self.put(key, path.read_bytes(), kms_key_id=kms_key_id)

    async def get(self, key: str, span: tuple[int, int] | None = None) -> bytes:
        data = self._path(key).read_bytes().partition(b"\n")[2]
        return data[slice(*span)] if span else data

    async def head(self, key: str) -> ObjectInfo:
        if self._fails():
            raise StoreUnavailable("503")
        head, _, data = self._path(key).read_bytes().partition(b"\n")
        return ObjectInfo(key, len(data), "etag", 0, json.loads(head))

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        for path in sorted(self.root.glob("*.jsonl")):
            yield await self.head(path.name.replace("=", "/"))

    async def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    async def fetch(self, key: str, path: Path, bytes_max: int) -> int:
        return path.write_bytes(await self.get(key))


class House:
    """The processes of one run, and what they share."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.spool = SpoolFolder(root / "spool", SystemDisk())
        self.spool.make()
        self.bucket = root / "bucket"
        self.bucket.mkdir()
        self.clock = SystemClock()
        self.settings = load(
            home=root,
            capture_sync_seconds=0.002,
            capture_seal_seconds=0.01,
            capture_seal_bytes=200_000,
            capture_retry_seconds_max=0.01,
            capture_disk_stop_percent=101,
        )
        self.fd = make_ring("ring", RING_BYTES)
        self.acked, self.turned, self.started = (
            os.open(root / name, os.O_RDWR | os.O_CREAT | os.O_APPEND)
            for name in ("acked", "turned", "started")
        )
        self.epoch = 0

    def make_capture(self) -> Capture:
        ring = RingWriter(self.fd, self.clock.uuid4())
        counters = Counters(ring.counters, ring.allocate)
        guard = Guard(SystemDisk(), self.spool.root, self.settings)
        waiters = Waiters(ring, counters, lambda: None, lambda *_: None, 0.05)
        return Capture(ring, counters, guard, self.clock.random, lambda _: None, waiters)

    def make_spooler(self, fd: int | None) -> Spooler:
        rings = [] if fd is None else [RingReader(fd)]
        return Spooler(rings, self.spool, self.settings, self.clock)

    def make_shipper(self, faults: float = FAULTS) -> Shipper:
        store: ObjectStore = FolderStore(self.bucket, random.Random(self.epoch), faults)
        ledger = Ledger(self.spool.ledger)
        return Shipper(
            self.spool,
            lambda uri: (store, uri.removeprefix("s3://bucket/")),
            ledger,
            self.settings,
            self.clock,
        )

    def tell_started(self) -> None:
        os.write(self.started, self.epoch.to_bytes(NUMBER_BYTES, "big"))

    def gateway(self) -> None:
        capture = self.make_capture()
        self.tell_started()
        chance = random.Random(self.epoch)
        for index in range(100_000):
            number = self.epoch * 100_000 + index
            size = SLICE_BYTES * 3 if chance.random() < 0.005 else chance.randrange(2000)
            body = number.to_bytes(NUMBER_BYTES, "big") + bytes(size)
            name = chance.choice(("churn", "other"))
            capture.offer(exchange(0, endpoint=name, body=body, received_ns=self.clock.now_ns()))
            while capture.pump():
                pass
            os.write(self.acked, number.to_bytes(NUMBER_BYTES, "big"))
            time.sleep(0.0002)
            while self.behind() > BEHIND_MAX:
                time.sleep(0.001)

    def behind(self) -> int:
        """Count the acknowledged records that no turn of the spooler has moved yet."""
        end = os.fstat(self.turned).st_size
        last = os.pread(self.turned, NUMBER_BYTES, max(0, end - NUMBER_BYTES))
        return os.fstat(self.acked).st_size // NUMBER_BYTES - int.from_bytes(last, "big")

    def spooling(self) -> None:
        spooler = self.make_spooler(self.fd)
        self.tell_started()
        while True:
            acked = os.fstat(self.acked).st_size // NUMBER_BYTES
            spooler.turn()
            os.write(self.turned, acked.to_bytes(NUMBER_BYTES, "big"))
            time.sleep(0.001)

    def shipping(self) -> None:
        shipper = self.make_shipper()
        self.tell_started()
        while True:
            asyncio.run(shipper.turn())
            time.sleep(0.002)


class Killer:
    """The three processes of a house, which it forks and kills."""

    def __init__(self, house: House, chance: random.Random, torn: float) -> None:
        """Take the share of the spooler's starts that find a torn mirror."""
        self.house = house
        self.chance = chance
        self.torn = torn
        self.kills = self.failed_starts = self.forks = 0
        self._roles = [house.gateway, house.spooling, house.shipping]
        self._children = [(0, 0)] * len(self._roles)  # process id and epoch
        for index in range(len(self._roles)):
            self._fork(index)

    def strike(self) -> None:
        """Kill one to three of them at one moment, and start them again."""
        self._await_started()
        time.sleep(self.chance.random() * LIFE_SECONDS)
        victims = self.chance.choice(([0], [1], [2], [0, 1], [1, 2], [0, 1, 2]))
        for index in victims:
            self._kill(index)
        if 1 in victims and self.chance.random() < self.torn:
            self._tear_mirrors()
        for index in victims:
            self._start(index)

    def end(self) -> None:
        """Kill all of them, for good."""
        time.sleep(0.05)
        for index in range(len(self._roles)):
            self._kill(index)

    def _await_started(self) -> None:
        """Wait for all: who is always killed in its start would let the ring fill up."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while not {epoch for _, epoch in self._children} <= set(
            read_numbers(self.house.root / "started")
        ):
            assert time.monotonic() < deadline, "a child does not start"
            time.sleep(0.001)

    def _start(self, index: int) -> None:
        self._fork(index)
        while self.chance.random() < AGAIN:
            time.sleep(self.chance.random() * START_SECONDS)
            self._kill(index)
            self._fork(index)

    def _kill(self, index: int) -> None:
        pid, _ = self._children[index]
        os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        self.kills += 1
        self.failed_starts += not os.WIFSIGNALED(status)  # it had ended by itself

    def _fork(self, index: int) -> None:
        self.forks += 1
        self.house.epoch += 1
        pid = os.fork()
        if pid:
            self._children[index] = pid, self.house.epoch
            return
        try:
            self._roles[index]()
        except BaseException:
            traceback.print_exc()
        finally:
            os.write(2, b"a child ended by itself\n")
            os._exit(1)

    def _tear_mirrors(self) -> None:
        """Leave of the counters' copy what a power cut could; the ring has the counters."""
        for path in self.house.spool.counters.iterdir():
            os.truncate(path, self.chance.randrange(path.stat().st_size + 1))


def main(folder: str, kills: str, seed: str, ring: str) -> None:
    configure("kills")
    house = House(Path(folder))
    killer = Killer(house, random.Random(int(seed)), TORN if ring == "keep" else 0.0)
    told = 0
    while killer.kills < int(kills):
        killer.strike()
        if killer.kills // PROGRESS_KILLS > told:
            told = killer.kills // PROGRESS_KILLS
            print(f"{killer.kills} kills", flush=True)
    killer.end()
    cut = killer.forks - len(read_numbers(house.root / "started"))
    finish(house, lose=ring == "lose")
    numbers = {"kills": killer.kills, "cut_starts": cut, "failed_starts": killer.failed_starts}
    print(json.dumps({**numbers, **report(house, Path(folder))}))


def finish(house: House, *, lose: bool) -> None:
    """Start once more, stop in order, ship the rest to a bucket that is well again."""
    if not lose:
        house.make_capture()
    house.make_spooler(None if lose else house.fd).close()
    shipper = house.make_shipper(faults=0.0)
    while asyncio.run(shipper.turn()):
        pass


def read_numbers(path: Path) -> list[int]:
    data = path.read_bytes()
    starts = range(0, len(data), NUMBER_BYTES)
    return [int.from_bytes(data[at : at + NUMBER_BYTES], "big") for at in starts]


def report(house: House, root: Path) -> dict[str, object]:
    numbers = set(read_numbers(root / "acked"))
    delivered: list[int] = []
    for file in house.bucket.glob("*.jsonl"):
        for line in file.read_bytes().split(b"\n")[1:-1]:
            record = decode(line)
            assert record.input is not None
            delivered.append(int.from_bytes(record.input.body[:NUMBER_BYTES], "big"))
    counts = account(house.spool)
    return {
        "acked": len(numbers),
        "acked_before_the_last_turn": max(read_numbers(root / "turned")),
        "acked_lost": len(numbers - set(delivered)),
        "delivered": len(delivered),
        "duplicates": len(delivered) - len(set(delivered)),
        "ledger": sum(count.delivered for count in counts),
        "pending": sum(count.pending for count in counts),
        "sampled": sum(count.sampled for count in counts),
        "dropped": dict(sum((Counter(count.dropped) for count in counts), Counter())),
        "discrepancy": sum(abs(count.discrepancy) for count in counts),
        "quarantined": len(list(house.spool.quarantine.iterdir())),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
