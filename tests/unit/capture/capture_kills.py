"""Kill gateway, spooler and shipper at random moments, with SIGKILL, and tell what came of it.

Run as a script with a folder, a number of kills, a seed, and `keep` or `lose` (the ring, at the
end). It forks its children, so that a start costs a millisecond. It prints one JSON object.
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
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
from modeltap.errors import ObjectExists
from modeltap.objects.port import ObjectInfo, ObjectStore, Stored
from modeltap.record import decode
from modeltap.settings import load
from modeltap.telemetry import configure

RING_BYTES = 64 << 20
NUMBER_BYTES = 8


class FolderStore:
    """A bucket in a folder; a put is one link, so it happened or it did not."""

    def __init__(self, root: Path) -> None:
        self.root = root

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
        beside.write_bytes(json.dumps(dict(metadata or {})).encode() + b"\n" + data)
        path = self.root / key.replace("/", "=")
        if create_only and path.exists():
            raise ObjectExists(key)
        beside.rename(path)
        return Stored("etag")

    async def get(self, key: str, span: tuple[int, int] | None = None) -> bytes:
        data = (self.root / key.replace("/", "=")).read_bytes().partition(b"\n")[2]
        return data[slice(*span)] if span else data

    async def head(self, key: str) -> ObjectInfo:
        head, _, data = (self.root / key.replace("/", "=")).read_bytes().partition(b"\n")
        return ObjectInfo(key, len(data), "etag", 0, json.loads(head))

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        for path in sorted(self.root.glob("*.jsonl")):
            yield await self.head(path.name.replace("=", "/"))

    async def delete(self, key: str) -> None:
        (self.root / key.replace("/", "=")).unlink(missing_ok=True)

    async def fetch(self, key: str, path: Path, bytes_max: int) -> int:
        return path.write_bytes(await self.get(key))


class House:
    """The processes of one run, and what they share."""

    def __init__(self, root: Path) -> None:
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
            capture_disk_stop_percent=101,
        )
        self.fd = make_ring("ring", RING_BYTES)
        self.acked = os.open(root / "acked", os.O_RDWR | os.O_CREAT | os.O_APPEND)
        self.turned = os.open(root / "turned", os.O_RDWR | os.O_CREAT | os.O_APPEND)
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

    def make_shipper(self) -> Shipper:
        store: ObjectStore = FolderStore(self.bucket)
        ledger = Ledger(self.spool.ledger)
        return Shipper(
            self.spool,
            lambda uri: (store, uri.removeprefix("s3://bucket/")),
            ledger,
            self.settings,
            self.clock,
        )

    def gateway(self) -> None:
        capture = self.make_capture()
        chance = random.Random(self.epoch)
        for index in range(100_000):
            number = self.epoch * 100_000 + index
            size = SLICE_BYTES * 3 if chance.random() < 0.01 else chance.randrange(2000)
            body = number.to_bytes(NUMBER_BYTES, "big") + bytes(size)
            name = chance.choice(("churn", "other"))
            capture.offer(exchange(0, endpoint=name, body=body, received_ns=self.clock.now_ns()))
            while capture.pump():
                pass
            os.write(self.acked, number.to_bytes(NUMBER_BYTES, "big"))
            time.sleep(0.0002)

    def spooling(self) -> None:
        spooler = self.make_spooler(self.fd)
        while True:
            acked = os.fstat(self.acked).st_size // NUMBER_BYTES
            spooler.turn()
            os.write(self.turned, acked.to_bytes(NUMBER_BYTES, "big"))
            time.sleep(0.001)

    def shipping(self) -> None:
        shipper = self.make_shipper()
        while True:
            asyncio.run(shipper.turn())
            time.sleep(0.002)


def fork(run: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        run()
    finally:
        os.write(2, b"a child ended by itself\n")
        os._exit(1)


def kill(pid: int) -> bool:
    """Kill a child; tell whether it was alive until then."""
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    return os.WIFSIGNALED(status)


def main(folder: str, kills: str, seed: str, ring: str) -> None:
    configure("kills")
    house, chance = House(Path(folder)), random.Random(int(seed))
    roles = [house.gateway, house.spooling, house.shipping]
    children = [fork(role) for role in roles]
    failed_starts = 0
    for _ in range(int(kills)):
        time.sleep(chance.random() * 0.05)
        victims = chance.choice(([0], [1], [2], [0, 1], [1, 2], [0, 1, 2]))
        house.epoch += 1
        failed_starts += sum(not kill(children[index]) for index in victims)
        for index in victims:
            children[index] = fork(roles[index])
    time.sleep(0.05)
    failed_starts += sum(not kill(child) for child in children)
    finish(house, lose=ring == "lose")
    print(json.dumps({"failed_starts": failed_starts, **report(house, Path(folder))}))


def finish(house: House, *, lose: bool) -> None:
    """Start once more, stop in order, ship the rest."""
    if not lose:
        house.make_capture()
    house.make_spooler(None if lose else house.fd).close()
    shipper = house.make_shipper()
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
