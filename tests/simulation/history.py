"""A day of capture, played by chance: one seed is one history, and plays the same each time.

Real parts over simulated ports: gateways with their rings, spooler, shipper, ledger; a clock that
is moved and set, a disk whose power fails, buckets that answer as they like. Everything can be
killed, at any call to disk or store. What must hold, all day long, is in `judge.py`.

    python tests/simulation/history.py SEED                  replays one and tells of it
    python tests/simulation/history.py --seeds FIRST STOP    plays many, on all cores
"""

import asyncio
import errno
import math
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from judge import Judge, Offered, Promises, events_in
from seeds import play_all
from simulated_bucket import MOODS, Bucket, Killed
from simulated_gateway import Gateway

from modeltap.capture.destination import Lane
from modeltap.capture.faults import FaultyDisk
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.ledger import Delivery, Ledger
from modeltap.capture.mirror import mirrors
from modeltap.capture.ring import RingReader
from modeltap.capture.segment import SegmentFile, segment_files
from modeltap.capture.shipper import LANES, Shipper
from modeltap.capture.simdisk import SimulatedDisk
from modeltap.capture.spooler import Spooler
from modeltap.clock import SimulatedClock
from modeltap.nouns import Answer, CapturePlan, Exchange, Invocation
from modeltap.objects.port import ObjectStore
from modeltap.settings import load

Tell = Callable[[str], object]

DAY_SECONDS = 24 * 3600.0
DISK_BYTES = 4 * 1024 * 1024
GATEWAYS = 2
DISK_ERRORS = (errno.EIO, errno.ENOSPC, errno.EMFILE, errno.EROFS)
DISK_MOODS: dict[str, tuple[float, frozenset[str]]] = {
    "well": (0.0, frozenset()),
    "slow": (0.0, frozenset()),
    "shaky": (0.05, frozenset()),
    "broken": (0.3, frozenset()),
    "stubborn": (0.3, frozenset({"sync", "cut", "rename", "folder", "unlink"})),
}
"""How many of its calls a disk refuses, and of which kinds; none named: of all."""
NOISE = random.Random(0).randbytes(16_384).hex().encode()
PAUSES = {0.0: 15, 0.02: 20, 0.1: 20, 1.0: 20, 61.0: 15, 300.0: 6, 3600.0: 10}
"""Seconds between two steps, and how often: bursts with long quiet between them."""
TEN_YEARS_HOURS = 24 * 3653

CSV = frozenset({"text/csv"})
PLANS = (
    CapturePlan(100, "s3://one/p", input=True, output=True, csv_types=CSV),
    CapturePlan(100, "s3://one/q", input=True, output=False, csv_types=CSV),
    CapturePlan(100, "s3://two/p", input=True, output=True, kms_key_id="k"),
    CapturePlan(100, "s3://old", input=True, output=False),
)
_TAKES_CONDITIONS = [mood for mood in MOODS if mood != "old"]


def _silent(_: str) -> None:
    return None


class _Ledger(Ledger):
    """A ledger whose shipper may be killed right before a row is written, or after."""

    def __init__(self, path: Path, deadly: Callable[[], bool]) -> None:
        super().__init__(path)
        self._deadly = deadly

    def add(self, delivery: Delivery) -> None:
        if self._deadly():
            raise Killed
        super().add(delivery)
        if self._deadly():
            raise Killed


class History:
    """One day."""

    def __init__(self, seed: int, folder: Path, tell: Tell) -> None:
        self.chance = chance = random.Random(seed)
        self.clock = SimulatedClock(seed=seed)
        self.tell = tell
        self.root = folder / "spool"
        self.root.mkdir()  # for the ledger alone, which is a real file
        self.inside = SimulatedDisk(DISK_BYTES)
        self.settings = load(
            home=folder,
            capture_seal_bytes=chance.choice([8, 64]) * 1024,
            capture_endpoint_bytes_max=chance.choice([256 * 1024, 1 << 40]),
            capture_disk_free_bytes_min=chance.choice([0, 64 * 1024]),
        )
        self.buckets = {
            "one": self._bucket(_TAKES_CONDITIONS, squatted=0.02),
            "two": self._bucket(["well", "busy", "denied", "expired"], picky=0.02),
            "old": self._bucket(["old", "old", "down"]),
        }
        self.disk_mood = "well"
        self.favourite_mood = chance.choice([*DISK_MOODS])
        self.deadly: dict[str, float] = {"spooler": 0.0, "shipper": 0.0}
        self.steps_back = 0
        self.promises = Promises()
        self.loop = asyncio.new_event_loop()
        self.spooler: Spooler | None = None
        self.shipper: Shipper | None = None
        self.gateways: list[Gateway] = []
        self.spool = SpoolFolder(self.root, self.inside)
        self.spool.make()
        self.judge = Judge(self)
        self._start_gateways()

    # ------------------------------------------------------------ processes

    def _bucket(self, moods: list[str], *, picky: float = 0.0, squatted: float = 0.0) -> Bucket:
        return Bucket(
            self.chance,
            lambda: self._dies("shipper"),
            self.clock.advance,
            moods=moods,
            picky=picky,
            squatted=squatted,
        )

    def _start_gateways(self) -> None:
        disk = FaultyDisk(self.inside)
        self.gateways = [
            Gateway(disk, self.root, self.settings, self.clock) for _ in range(GATEWAYS)
        ]

    def _spooler(self) -> Spooler | None:
        """Give the spooler, started again if it died; None if it died of it."""
        if self.spooler is None:
            self.spooler_disk = disk = self._disk("spooler")
            rings = [RingReader(gateway.fd) for gateway in self.gateways]
            try:
                spool = SpoolFolder(self.root, disk)
                self.spooler = Spooler(rings, spool, self.settings, self.clock, self._released)
            except (OSError, Killed):
                disk.die()
        return self.spooler

    def _released(self, ring: RingReader) -> None:
        for gateway in self.gateways:
            if gateway.writer == ring.writer:
                gateway.waiters.released()

    def _shipper(self) -> Shipper | None:
        if self.shipper is None:
            self.shipper_disk = disk = self._disk("shipper")
            self.ledger = ledger = _Ledger(self.spool.ledger, lambda: self._dies("shipper"))
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

    def _end_house(self, *, power: bool = False) -> None:
        """Kill all at once; what the rings hold goes with them, and what they counted."""
        counted = self._mirrored()
        first_held: dict[tuple[str, int], int] = {}
        for gateway in self.gateways:
            counted[gateway.writer] = gateway.sampled()
            for slot, number, event_id in gateway.held():
                self.promises.doubtful.add(event_id)
                first_held.setdefault((gateway.writer, slot), number)
            gateway.end()
        self._end_spooler()
        self._end_shipper()
        if power:
            self.inside.lose_power(self.chance)
        kept = self._mirrored()
        self.judge.look_at_mirrors(kept, [each.writer for each in self.gateways], first_held)
        for writer, slots in counted.items():
            known = kept.get(writer, {})
            gone = sum(max(0, sampled - known.get(slot, 0)) for slot, sampled in slots.items())
            self.promises.uncounted += gone
        self.gateways = []

    def _mirrored(self) -> dict[str, dict[int, int]]:
        found = mirrors(self.inside, self.spool.counters)
        return {writer: {count.slot: count.sampled for count in counts} for writer, counts in found}

    def _disk(self, who: str) -> FaultyDisk:
        return FaultyDisk(self.inside, plan=lambda kind: self._disk_fault(who, kind))

    def _at(self, uri: str) -> tuple[ObjectStore, str]:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return self.buckets[bucket], key

    def _dies(self, who: str) -> bool:
        return self.chance.random() < self.deadly[who]

    def _disk_fault(self, who: str, kind: str) -> int | None:
        if self._dies(who):
            raise Killed
        if self.disk_mood == "slow" and self.chance.random() < 0.05:
            self.clock.advance(self.chance.choice([0.2, 3.0, 30.0]))
        odds, kinds = DISK_MOODS[self.disk_mood]
        if odds and (not kinds or kind in kinds) and self.chance.random() < odds:
            return self.chance.choice(DISK_ERRORS)
        return None

    # ------------------------------------------------------------ steps

    def offer(self) -> None:
        """Offer some records in one turn of a gateway's loop; it may die within."""
        gateway = self.chance.choice(self.gateways)
        before = gateway.dropped()
        turn = [self._offer_one(gateway) for _ in range(self.chance.randint(1, 8))]
        if self.chance.random() < 0.05:
            self.promises.doubtful.update(turn)
            self.tell("gateway killed within a turn")
            gateway.start()
        else:
            gateway.end_turn()
        if gateway.dropped() != before:
            self.promises.doubtful.update(turn)

    def _offer_one(self, gateway: Gateway) -> str:
        event_id = self.clock.uuid4()
        size = self.chance.choice([3, 30, 300, 3000, 3000, 30_000])
        start = self.chance.randrange(len(NOISE) - size)
        body = NOISE[start : start + size]
        endpoint, plan = self.chance.choice(["churn", "fraud"]), self._plan()
        received_ns = self.clock.now_ns() - self.chance.choice([0, 0, 0, 10**9, 60 * 10**9])
        bucket, _, folder = plan.destination.removeprefix("s3://").partition("/")
        self.promises.offered[event_id] = Offered(
            bucket,
            f"{folder}/{endpoint}/A".lstrip("/"),
            received_ns,
            body,
            b"0.5" if plan.output else None,
        )
        asked = Invocation(
            event_id, endpoint, body, content_type="text/csv", received_ns=received_ns
        )
        waits = self.chance.random() < 0.2
        told = (lambda durable: self._told(event_id, durable)) if waits else None
        gateway.capture.offer(Exchange(asked, Answer(200, "text/csv", b"0.5"), "A", plan), told)
        return event_id

    def _plan(self) -> CapturePlan:
        plan = self.chance.choice(PLANS)
        return plan if self.chance.random() < 0.9 else replace(plan, json_types=CSV)

    def _told(self, event_id: str, durable: bool) -> None:
        if durable:
            self.promises.durable.add(event_id)

    def drain(self) -> None:
        spooler = self._spooler()
        if spooler is not None:
            try:
                spooler.turn()
            except Killed:
                self.tell("spooler killed")
                self._end_spooler()
        for gateway in self.gateways:
            gateway.look_at_the_clock()

    def ship(self) -> None:
        """Let all turns of the shipper run at once, or one alone."""
        shipper = self._shipper()
        if shipper is not None:
            lanes = LANES if self.chance.random() < 0.25 else LANES[:1]
            try:
                self.loop.run_until_complete(_ship(shipper, lanes))
            except Killed:
                self.tell("shipper killed")
                self._end_shipper()
            except OSError:
                self._end_shipper()

    def kill_gateway(self) -> None:
        self.chance.choice(self.gateways).start()

    def kill_spooler(self) -> None:
        self._end_spooler()

    def kill_shipper(self) -> None:
        self._end_shipper()

    def stop_house(self) -> None:
        """Stop in order, as an upgrade does."""
        if self.spooler is not None:
            try:
                self.spooler.close()
            except Killed:
                self.tell("spooler killed")
        self.kill_house()

    def kill_house(self) -> None:
        self._end_house()
        self._start_gateways()

    def lose_power(self) -> None:
        self._end_house(power=True)
        self._start_gateways()

    def change_disk(self) -> None:
        self.disk_mood = self.chance.choice([*DISK_MOODS, *[self.favourite_mood] * 3])
        self.inside.capacity = self.chance.choice([DISK_BYTES, DISK_BYTES, DISK_BYTES // 16])
        self.tell(f"disk: {self.disk_mood}, {self.inside.capacity} bytes")
        self.look_at_the_disk()

    def look_at_the_disk(self) -> None:
        for gateway in self.gateways:
            gateway.guard.refresh()

    def change_bucket(self) -> None:
        name = self.chance.choice(sorted(self.buckets))
        bucket = self.buckets[name]
        bucket.mood = self.chance.choice(["well", self.chance.choice(bucket.moods)])
        self.tell(f"bucket {name}: {bucket.mood}")

    def change_luck(self) -> None:
        for who in self.deadly:
            self.deadly[who] = self.chance.choice([0.0, 0.0, 0.0, 0.01, 0.05])

    def rot(self) -> None:
        """Flip a bit of a sealed segment that has no object yet."""
        shipped = set[str]().union(*(bucket.segments() for bucket in self.buckets.values()))
        files = [file for file in self._sealed() if str(file.id) not in shipped]
        if files:
            file = self.chance.choice(files)
            hurt = events_in(self.inside, file)
            self.promises.rotten.add(str(file.id))
            self.promises.doubtful |= hurt
            self.promises.durable -= hurt
            self.inside.rot(file.path, self.chance)

    def _sealed(self) -> list[SegmentFile]:
        folders = self.spool.writer_folders()
        files = (file for folder in folders for file in segment_files(self.inside, folder))
        return [file for file in files if file.count is not None]

    def set_clock(self) -> None:
        """Set the wall clock, as an operator or NTP does; ten years come back later."""
        hours = self.chance.choice([-1.0, 1.0, -1 / 60, 1 / 60, TEN_YEARS_HOURS])
        if self.steps_back:
            hours, self.steps_back = -TEN_YEARS_HOURS, 0
        elif hours == TEN_YEARS_HOURS:
            self.steps_back = 1
        self.tell(f"clock set by {hours} h")
        self.clock.step(hours * 3600)

    STEPS = (
        (offer, 28),
        (drain, 36),
        (ship, 12),
        (look_at_the_disk, 3),
        (kill_gateway, 2),
        (kill_spooler, 1.5),
        (kill_shipper, 1),
        (stop_house, 0.5),
        (kill_house, 1),
        (lose_power, 3),
        (change_disk, 3),
        (change_bucket, 5),
        (change_luck, 3),
        (rot, 0.5),
        (set_clock, 2),
    )

    # ------------------------------------------------------------ the day

    def play(self, seconds: float = DAY_SECONDS) -> None:
        """Play until the day is over, then mend everything and look at the end."""
        kinds, usual = zip(*self.STEPS, strict=True)
        weights = [weight * self.chance.choice([0.3, 1.0, 1.0, 3.0]) for weight in usual]
        pauses, odds = tuple(PAUSES), tuple(PAUSES.values())
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            step = self.chance.choices(kinds, weights)[0]
            self.tell(f"{self.clock.monotonic():9.1f} {step.__name__}")
            step(self)
            self._look()
            self.clock.advance(self.chance.choices(pauses, odds)[0])
        self.mend()
        self.judge.look_at_the_end()

    def _look(self) -> None:
        """Judge what has become of it; the dear part of that now and then."""
        self.judge.look_at_buckets()
        if self.spool.ledger.exists() and self.chance.random() < 0.12:
            self.judge.look_at_the_numbers()
            if self._is_settled():
                self.judge.look_at_the_account()

    def _is_settled(self) -> bool:
        """Whether the spooler has counted what died before it."""
        return self.spooler is not None and self.spooler._count_lost_at == math.inf

    def mend(self) -> None:
        """Let everything work again, long enough that everything arrives."""
        self.tell("mended")
        if self.chance.random() < 0.5:
            self.clock.step(-DAY_SECONDS)  # whoever rests now, must not rest until it is over again
        self.disk_mood = "well"
        for bucket in self.buckets.values():
            bucket.mend()
        self.inside.capacity = 64 * DISK_BYTES
        self.deadly = dict.fromkeys(self.deadly, 0.0)
        if self.chance.random() < 0.5:
            self._end_spooler()
            self._end_shipper()
        self._pass_time()
        self._offer_all()
        self._pass_time()

    def _pass_time(self) -> None:
        for _ in range(4):
            self.clock.advance(400.0)
            self.drain()
            self.clock.advance(61.0)
            self.drain()
            self.ship()

    def _offer_all(self) -> None:
        """Offer once more, where there is room again: nothing may be dropped."""
        self.look_at_the_disk()
        for gateway in self.gateways:
            before = gateway.dropped()
            for _ in range(6):
                self._offer_one(gateway)
            gateway.end_turn()
            assert gateway.dropped() == before, "capture has not resumed"

    def close(self) -> None:
        for gateway in self.gateways:
            gateway.end()
        self._end_spooler()
        self._end_shipper()
        self.loop.close()


async def _ship(shipper: Shipper, lanes: Sequence[Lane]) -> None:
    """Run turns at once; a kill ends them all."""
    turns = [asyncio.ensure_future(shipper.turn(lane)) for lane in lanes]
    try:
        await asyncio.gather(*turns)
    finally:
        for turn in turns:
            turn.cancel()
        await asyncio.gather(*turns, return_exceptions=True)


def play(seed: int, tell: Tell = _silent, seconds: float = DAY_SECONDS) -> None:
    """Play one seed; raise `AssertionError` where something does not hold."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        history = History(seed, Path(name), tell)
        try:
            history.play(seconds)
        finally:
            history.close()


def main(words: list[str]) -> int:
    """Play one seed aloud, or `--seeds FIRST STOP` in silence; tell those that fail."""
    if words[:1] != ["--seeds"]:
        play(int(words[0]), print)
        return 0
    first, stop = map(int, words[1:])
    return 1 if play_all(play, range(first, stop)) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
