"""Lose power at every step of a day of capture, many times, and read what each image holds (F3).

A day is played once, by a seed, on a `SimulatedDisk`. Before each call that changes the disk its
state is kept, with the records that the ring has released until then. From each state power is
lost again and again: each time chance decides anew what had been written back. A spooler of the
next boot recovers the image - one image in five loses power once more meanwhile - and then

    * every record that had been released is there, once;
    * every record that is there was offered, and not a bit of it has changed;
    * a segment holds as many records as its name says;
    * `sampled = delivered + pending + Σ dropped`, and nothing was sampled that was not offered.

`power_images.py IMAGES SEED` makes so many images of days from SEED on, and prints one JSON object;
`power_images.py --image DAY POINT IMAGE` makes the one that a failure names.
"""

import errno
import json
import os
import pickle
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from capture_world import exchange
from modeltap.capture.account import account
from modeltap.capture.batch import open_batch
from modeltap.capture.counters import Counters
from modeltap.capture.disk import Disk
from modeltap.capture.faults import FaultyDisk
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.frame import salt_of, scan
from modeltap.capture.guard import Guard
from modeltap.capture.ledger import Ledger
from modeltap.capture.offer import Capture
from modeltap.capture.ring import RingReader, RingWriter, make_ring
from modeltap.capture.segment import content, segment_files
from modeltap.capture.simdisk import SimulatedDisk
from modeltap.capture.spooler import Spooler
from modeltap.capture.waiters import Waiters
from modeltap.clock import SimulatedClock
from modeltap.settings import load
from modeltap.telemetry import configure

RING_BYTES = 256 * 1024
STEPS = 60
IMAGES_A_POINT = 4
PROGRESS_IMAGES = 5_000

Key = tuple[int, int]
"""Slot and sequence number: what names a record of one writer."""


class PowerLost(BaseException):
    """The machine is off."""


class Point(NamedTuple):
    """A state of the disk, pickled, and what must survive in it."""

    state: bytes
    released: frozenset[Key]


class Day:
    """One run of a gateway and its spooler, whose disk is kept at each step."""

    def __init__(self, seed: int, root: Path) -> None:
        self._chance = random.Random(seed)
        self._clock = SimulatedClock(seed=seed)
        self._root = root
        self._inside = SimulatedDisk()
        self.settings = load(home=root, capture_seal_bytes=16 * 1024)
        self._refuses = 0.03 if seed % 2 else 0.0  # a share of the syncs
        self._fd = make_ring("ring", RING_BYTES)
        self.offered: dict[Key, bytes] = {}
        self.points: list[Point] = []
        self.writer = ""
        try:
            self._play()
        finally:
            self._disk.die()
            os.close(self._fd)

    def _play(self) -> None:
        self._soon: list[Callable[[], None]] = []
        self._capture = self._start_gateway()
        self.writer = RingReader(self._fd).writer
        self._spooler = self._start_spooler()
        for _ in range(STEPS):
            self._chance.choice((self._offer, self._offer, self._turn, self._turn, self._step))()
            self._clock.advance(self._chance.choice((0.0, 0.02, 0.02, 0.1, 0.1, 1.0, 61.0)))
        self._spooler.close()
        self._keep()

    def _start_gateway(self) -> Capture:
        ring = RingWriter(self._fd, self._clock.uuid4())
        guard = Guard(FaultyDisk(self._inside), self._root, self.settings)
        counters = Counters(ring.counters, ring.allocate)
        waiters = Waiters(ring, counters, lambda: None, lambda *_: None, 0.05)
        return Capture(ring, counters, guard, self._clock.random, self._soon.append, waiters)

    def _start_spooler(self) -> Spooler:
        self._disk = FaultyDisk(self._inside, plan=self._before)
        spool = SpoolFolder(self._root, self._disk)
        return Spooler([RingReader(self._fd)], spool, self.settings, self._clock)

    def _offer(self) -> None:
        for _ in range(self._chance.randint(1, 4)):
            body = self._chance.randbytes(self._chance.choice((0, 30, 300, 3000, 9000)))
            name = self._chance.choice(("churn", "fraud"))
            received_ns = self._clock.now_ns() - self._chance.choice((0, 0, 0, 3600)) * 10**9
            self._capture.offer(exchange(0, endpoint=name, body=body, received_ns=received_ns))
        while self._soon:
            self._soon.pop(0)()
        self.offered |= self._in_ring()

    def _turn(self) -> None:
        self._spooler.turn()

    def _step(self) -> None:
        """Kill the spooler, now and then."""
        if self._chance.random() < 0.3:
            self._disk.die()
            try:
                self._spooler = self._start_spooler()
            except OSError:
                self._disk.die()
                self._refuses = 0.0
                self._spooler = self._start_spooler()

    def _before(self, kind: str) -> int | None:
        """Keep the disk as it is before a call that changes it; refuse some syncs."""
        if kind == "read":
            return None
        self._keep()
        refused = kind == "sync" and self._chance.random() < self._refuses
        return errno.EIO if refused else None

    def _keep(self) -> None:
        released = frozenset(self.offered.keys() - self._in_ring().keys())
        self.points.append(Point(pickle.dumps(self._inside), released))

    def _in_ring(self) -> dict[Key, bytes]:
        """Give the records that the ring has not released."""
        reader = RingReader(self._fd)
        found: dict[Key, bytes] = {}
        for data in reader.frames(reader.capacity):
            batch = open_batch(data)
            salt = salt_of(reader.writer, batch.slot, batch.hour)
            for sequence, parcel in scan(batch.frames, salt, batch.first).records:
                found[batch.slot, sequence] = parcel
        return found


class Image:
    """What one loss of power left, and the next boot's spool on it."""

    def __init__(self, day: Day, point: Point, root: Path, seed: int) -> None:
        self._day = day
        self._point = point
        self._root = root
        self._chance = random.Random(seed)
        self._inside: SimulatedDisk = pickle.loads(point.state)
        self._inside.lose_power(self._chance)

    def check(self) -> int:
        """Recover and read; give how many records are there. Raise `AssertionError`."""
        if self._chance.random() < 0.2:
            self._recover_until(self._chance.randrange(12))
        self._recover(self._inside)
        found = self._found()
        twice = [key for key, count in found.items() if count > 1]
        assert not twice, f"records that are there twice: {twice}"
        lost = sorted(self._point.released - found.keys())
        assert not lost, f"records that were safe and are lost: {lost}"
        counts = account(SpoolFolder(self._root, self._inside))
        assert sum(count.pending for count in counts) == len(found), counts
        assert not any(count.discrepancy for count in counts), counts
        assert sum(count.sampled for count in counts) <= len(self._day.offered), counts
        return len(found)

    def _recover_until(self, calls: int) -> None:
        """Recover, and lose power at that call once more."""
        left = iter(range(calls))

        def before(_: str) -> None:
            if next(left, None) is None:
                raise PowerLost

        disk = FaultyDisk(self._inside, plan=before)
        try:
            self._recover(disk)
        except PowerLost:
            self._inside.lose_power(self._chance)
        finally:
            disk.die()

    def _recover(self, disk: Disk) -> None:
        spool = SpoolFolder(self._root, disk)
        Spooler([], spool, self._day.settings, SimulatedClock()).close()

    def _found(self) -> Counter[Key]:
        """Read every segment's records; each must be what was offered."""
        found: Counter[Key] = Counter()
        for file in segment_files(self._inside, self._root / "writers" / self._day.writer):
            records = content(self._inside, file).records
            assert file.count == len(records), f"{file.path.name} holds {len(records)}"
            for sequence, parcel in records:
                key = file.id.slot, sequence
                assert self._day.offered.get(key) == parcel, f"{key} was not offered so"
                found[key] += 1
        return found


def main(words: list[str]) -> None:
    configure("images")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        root = Path(name)
        Ledger(root / "ledger.db").close()  # the one file that is no `Disk`'s
        if words[0] == "--image":
            day, point, image = map(int, words[1:])
            played = Day(day, root)
            print(Image(played, played.points[point], root, image).check())
        else:
            print(json.dumps(make_images(int(words[0]), int(words[1]), root)))


def make_images(images: int, seed: int, root: Path) -> dict[str, int]:
    """Make so many images of days from a seed on."""
    made = days = records = 0
    while made < images:
        day = Day(seed + days, root)
        for number, point in enumerate(day.points):
            for image in range(IMAGES_A_POINT):
                try:
                    records += Image(day, point, root, image).check()
                except Exception as error:
                    raise AssertionError(
                        f"--image {seed + days} {number} {image}: {error}"
                    ) from error
                made += 1
                if made % PROGRESS_IMAGES == 0:
                    print(f"{made} images of {days + 1} days", flush=True)
        days += 1
    return {"images": made, "days": days, "records": records}


if __name__ == "__main__":
    main(sys.argv[1:])
