"""A day of capture, played by chance: one seed is one history, and plays the same each time.

Real parts over simulated ports: gateways with their rings, spooler, shipper, ledger; a clock that
is moved, a disk whose power fails, a bucket that answers as it likes. Everything can be killed, at
any call to disk or store. `python tests/simulation/history.py SEED` replays one and tells of it.

What must hold, whatever happens: no record is in the bucket twice, none that was not offered, and
none changed; whatever a ring has released, or still holds while someone holds it, arrives; and
`sampled = delivered + pending + Σ dropped`.
"""

import asyncio
import contextlib
import errno
import os
import random
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from modeltap.capture.account import Count, account
from modeltap.capture.batch import open_batch
from modeltap.capture.counters import Counters, read
from modeltap.capture.faults import FaultyDisk
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.frame import open_parcel, salt_of, scan
from modeltap.capture.guard import Guard
from modeltap.capture.ledger import Ledger
from modeltap.capture.offer import Capture
from modeltap.capture.ring import RingReader, RingWriter, make_ring
from modeltap.capture.shipper import Shipper
from modeltap.capture.simdisk import SimulatedDisk
from modeltap.capture.spooler import Spooler
from modeltap.capture.waiters import Waiters
from modeltap.clock import SimulatedClock
from modeltap.nouns import Answer, CapturePlan, Exchange, Invocation
from modeltap.objects.port import ObjectStore, Stored
from modeltap.objects.simulated import Fault, SimulatedStore
from modeltap.record import decode
from modeltap.settings import Settings, load

DAY_SECONDS = 24 * 3600.0
DISK_BYTES = 4 * 1024 * 1024
RING_BYTES = 256 * 1024
GATEWAYS = 2
PLAN = CapturePlan(100, "s3://bucket/p", input=True, output=True, csv_types=frozenset({"text/csv"}))
OTHER = CapturePlan(100, "s3://bucket/q", input=True, output=False)


class Killed(BaseException):
    """The process ends here."""


class _Store(SimulatedStore):
    """A bucket whose caller may be killed right after a put took effect."""

    def __init__(self, fault: Callable[[str], Fault | None], deadly: Callable[[], bool]) -> None:
        super().__init__(fault)
        self._deadly = deadly

    async def put(
        self,
        key: str,
        data: bytes,
        *,
        metadata: Mapping[str, str] | None = None,
        create_only: bool = False,
        kms_key_id: str | None = None,
    ) -> Stored:
        stored = await super().put(
            key, data, metadata=metadata, create_only=create_only, kms_key_id=kms_key_id
        )
        if self._deadly():
            raise Killed
        return stored


class Gateway:
    """One gateway process and its ring, which outlives it."""

    def __init__(self, history: "History") -> None:
        self.fd = make_ring("ring", RING_BYTES)
        self._history = history
        self.start()

    def start(self) -> None:
        history = self._history
        ring = RingWriter(self.fd, history.clock.uuid4())
        guard = Guard(FaultyDisk(history.inside), history.root, history.settings)
        self.guard = guard
        self.turns: list[Callable[[], None]] = []
        counters = Counters(ring.counters, ring.allocate)
        waiters = Waiters(ring, counters, lambda: None, lambda *_: None, 0.05)
        self.capture = Capture(
            ring, counters, guard, history.clock.random, self.turns.append, waiters
        )

    def end_turn(self) -> None:
        while self.turns:
            self.turns.pop(0)()

    def unreleased(self) -> set[str]:
        """Give the event ids of the records that the ring holds."""
        reader = RingReader(self.fd)
        held = set()
        for data in reader.frames(reader.capacity):
            batch = open_batch(data)
            salt = salt_of(reader.writer, batch.slot, batch.hour)
            for _, parcel in scan(batch.frames, salt, batch.first).records:
                held.add(open_parcel(parcel).event_id)
        return held


class History:
    """One day."""

    def __init__(self, seed: int, folder: Path, tell: Callable[[str], object]) -> None:
        self.chance = random.Random(seed)
        self.clock = SimulatedClock(seed=seed)
        self.tell = tell
        self.root = folder / "spool"
        self.root.mkdir()  # for the ledger alone, which is a real file
        self.inside = SimulatedDisk(DISK_BYTES)
        self.settings: Settings = load(
            home=folder, capture_seal_bytes=64 * 1024, capture_disk_free_bytes_min=0
        )
        self.store = _Store(self._store_fault, lambda: self._dies("shipper"))
        self.disk_mode = self.store_mode = "well"
        self.deadly: dict[str, float] = {"spooler": 0.0, "shipper": 0.0}
        self.offered: dict[str, bytes] = {}  # what of an event id is to be found in the bucket
        self.doubtful: set[str] = set()  # offered, and need not arrive
        self.loop = asyncio.new_event_loop()
        self.spooler: Spooler | None = None
        self.shipper: Shipper | None = None
        self.spool = SpoolFolder(self.root, self.inside)
        self.spool.make()
        self._start_house()

    # ------------------------------------------------------------ processes

    def _start_house(self) -> None:
        self.gateways = [Gateway(self) for _ in range(GATEWAYS)]

    def _spooler(self) -> Spooler | None:
        """Give the spooler, started again if it died; None if it died of it."""
        if self.spooler is None:
            self.spooler_disk = disk = self._disk("spooler")
            rings = [RingReader(gateway.fd) for gateway in self.gateways]
            try:
                spool = SpoolFolder(self.root, disk)
                self.spooler = Spooler(rings, spool, self.settings, self.clock)
            except (OSError, Killed):
                disk.die()
        return self.spooler

    def _shipper(self) -> Shipper | None:
        if self.shipper is None:
            self.shipper_disk = disk = self._disk("shipper")
            self.ledger = ledger = Ledger(self.spool.ledger)
            try:
                spool = SpoolFolder(self.root, disk)
                self.shipper = Shipper(spool, self._at, ledger, self.settings, self.clock)
            except (OSError, Killed):
                disk.die()
                ledger.close()
        return self.shipper

    def _end_spooler(self) -> None:
        if self.spooler is not None:
            self.spooler_disk.die()
            self.spooler = None

    def _end_shipper(self) -> None:
        if self.shipper is not None:
            self.shipper_disk.die()
            self.ledger.close()
            self.shipper = None

    def _end_house(self) -> None:
        """Kill all at once; what the rings hold goes with them."""
        for gateway in self.gateways:
            self.doubtful |= gateway.unreleased()
            os.close(gateway.fd)
        self._end_spooler()
        self._end_shipper()

    def _disk(self, who: str) -> FaultyDisk:
        return FaultyDisk(self.inside, plan=lambda _: self._disk_fault(who))

    def _at(self, uri: str) -> tuple[ObjectStore, str]:
        return self.store, uri.removeprefix("s3://bucket/")

    def _dies(self, who: str) -> bool:
        return self.chance.random() < self.deadly[who]

    def _disk_fault(self, who: str) -> int | None:
        if self._dies(who):
            raise Killed
        if self.disk_mode == "broken" and self.chance.random() < 0.3:
            return self.chance.choice([errno.EIO, errno.ENOSPC, errno.EMFILE, errno.EROFS])
        return None

    def _store_fault(self, call: str) -> Fault | None:
        if self._dies("shipper"):
            raise Killed
        faults = {
            "well": None,
            "down": Fault.DOWN,
            "denied": Fault.DENIED,
            "old": Fault.NO_CONDITIONS,
            "flaky": self.chance.choice([None, Fault.DOWN, Fault.LOST]),
        }
        return faults[self.store_mode]

    # ------------------------------------------------------------ steps

    def offer(self) -> None:
        """Offer some records in one turn of a gateway's loop; it may die within."""
        gateway = self.chance.choice(self.gateways)
        before = self._dropped()
        turn = [self._offer_one(gateway) for _ in range(self.chance.randint(1, 12))]
        if self.chance.random() < 0.05:
            self.doubtful.update(turn)
            self.tell("gateway killed within a turn")
            gateway.start()
        else:
            gateway.end_turn()
        if self._dropped() != before:
            self.doubtful.update(turn)

    def _offer_one(self, gateway: Gateway) -> str:
        event_id = self.clock.uuid4()
        size = self.chance.choice([3, 30, 300, 3000, 30_000])
        body = self.chance.randbytes(size // 2).hex().encode() or b"x"
        self.offered[event_id] = body
        asked = Invocation(
            event_id,
            self.chance.choice(["churn", "fraud"]),
            body,
            content_type="text/csv",
            received_ns=self.clock.now_ns() - self.chance.choice([0, 0, 0, 10**9, 60 * 10**9]),
        )
        plan = self.chance.choice([PLAN, PLAN, PLAN, OTHER])
        gateway.capture.offer(Exchange(asked, Answer(200, "text/csv", b"0.5"), "A", plan))
        return event_id

    def drain(self) -> None:
        spooler = self._spooler()
        if spooler is not None:
            try:
                spooler.turn()
            except Killed:
                self.tell("spooler killed")
                self._end_spooler()

    def ship(self) -> None:
        shipper = self._shipper()
        if shipper is not None:
            try:
                self.loop.run_until_complete(shipper.turn())
            except Killed:
                self.tell("shipper killed")
                self._end_shipper()
            except OSError:
                self._end_shipper()

    def kill_gateway(self) -> None:
        self.chance.choice(self.gateways).start()

    def kill_house(self) -> None:
        self._end_house()
        self._start_house()

    def lose_power(self) -> None:
        self._end_house()
        self.inside.lose_power(self.chance)
        self._start_house()

    def change_disk(self) -> None:
        self.disk_mode = self.chance.choice(["well", "broken"])
        self.inside.capacity = self.chance.choice([DISK_BYTES, DISK_BYTES, DISK_BYTES // 16])
        for gateway in self.gateways:
            gateway.guard.refresh()

    def change_store(self) -> None:
        self.store_mode = self.chance.choice(["well", "well", "down", "denied", "flaky", "old"])

    def change_luck(self) -> None:
        for who in self.deadly:
            self.deadly[who] = self.chance.choice([0.0, 0.0, 0.01, 0.1])

    def step_clock(self) -> None:
        hours = self.chance.choice([-1, 1, -1 / 60, 1 / 60])
        self.clock._now_ns += int(hours * 3600 * 1_000_000_000)

    STEPS = (
        (offer, 30),
        (drain, 30),
        (ship, 15),
        (kill_gateway, 2),
        (kill_house, 1),
        (lose_power, 2),
        (change_disk, 3),
        (change_store, 3),
        (change_luck, 3),
        (step_clock, 1),
    )

    def play(self, seconds: float = DAY_SECONDS) -> None:
        """Play until the day is over, then mend everything and look at the end."""
        kinds, weights = zip(*self.STEPS, strict=True)
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            step = self.chance.choices(kinds, weights)[0]
            self.tell(f"{self.clock.monotonic():9.1f} {step.__name__}")
            step(self)
            self.clock.advance(self.chance.choice([0.0, 0.02, 0.1, 1.0, 61.0, 600.0]))
        self.mend()
        self.check()

    def mend(self) -> None:
        """Let everything work again, long enough that everything arrives."""
        self.disk_mode = self.store_mode = "well"
        self.inside.capacity = 64 * DISK_BYTES
        self.deadly = dict.fromkeys(self.deadly, 0.0)
        self._end_spooler()
        self._end_shipper()  # a file that could not be read is passed over until then
        for _ in range(8):
            self.clock.advance(400.0)
            self.drain()
            self.clock.advance(61.0)
            self.drain()
            self.ship()

    def close(self) -> None:
        self._end_house()
        self.loop.close()

    # ------------------------------------------------------------ what must hold

    def check(self) -> None:
        """Raise `AssertionError` where something is lost, twice, false, or has no fate."""
        arrived = self._arrived()
        found = dict(arrived)
        twice = len(arrived) - len(found)
        assert not twice, f"{twice} records are in the bucket twice"
        false = [event_id for event_id in found if self.offered.get(event_id) != found[event_id]]
        assert not false, f"{len(false)} records are in the bucket that were not offered so"
        lost = self.offered.keys() - found.keys() - self.doubtful
        assert not lost, f"{len(lost)} records are lost of {len(self.offered)}"
        counts = self._counts()
        assert all(not count.pending and not count.discrepancy for count in counts), counts
        assert sum(count.delivered for count in counts) == len(found), (
            "delivered is not what is there"
        )

    def _arrived(self) -> list[tuple[str, bytes]]:
        found = []
        for _, data in self.store._objects.values():
            for line in data.splitlines():
                record = decode(line)
                assert record.input is not None
                found.append((record.event_id, record.input.body))
        return found

    def _counts(self) -> list[Count]:
        return account(self.spool, [gateway.fd for gateway in self.gateways])

    def _dropped(self) -> int:
        rings = (RingReader(gateway.fd) for gateway in self.gateways)
        return sum(sum(count.dropped.values()) for ring in rings for count in read(ring.counters))


def play(seed: int, tell: Callable[[str], object] = lambda _: None) -> None:
    """Play one seed; raise `AssertionError` where something does not hold."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        history = History(seed, Path(name), tell)
        try:
            history.play()
        finally:
            history.close()


def main(words: list[str]) -> int:
    """Play one seed aloud, or `--seeds FIRST STOP` in silence; tell those that fail."""
    if words[:1] != ["--seeds"]:
        play(int(words[0]), print)
        return 0
    failed = 0
    for seed in range(int(words[1]), int(words[2])):
        try:
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
                play(seed)
        except Exception as error:  # border: any failure is the seed's
            failed += 1
            print(f"seed {seed}: {type(error).__name__}: {error}", flush=True)
    print(f"{failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
