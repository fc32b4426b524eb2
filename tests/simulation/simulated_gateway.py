"""A gateway of the simulated world: one process, and its ring, which outlives it."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from modeltap.capture.batch import open_batch
from modeltap.capture.counters import Counters, read
from modeltap.capture.disk import Disk
from modeltap.capture.frame import open_parcel, salt_of, scan
from modeltap.capture.guard import Guard
from modeltap.capture.offer import Capture
from modeltap.capture.ring import RingReader, RingWriter, make_ring
from modeltap.capture.waiters import Waiters
from modeltap.clock import Clock
from modeltap.settings import Settings

RING_BYTES = 256 * 1024


class Gateway:
    """`start` begins a process; what the one before had not put into the ring is gone."""

    def __init__(self, disk: Disk, folder: Path, settings: Settings, clock: Clock) -> None:
        self.fd = make_ring("ring", RING_BYTES)
        self.reader = RingReader(self.fd)
        self._disk = disk
        self._folder = folder
        self._settings = settings
        self._clock = clock
        self.start()

    def start(self) -> None:
        self.turns: list[Callable[[], None]] = []
        self.deadlines: list[tuple[float, Callable[[], None]]] = []
        ring = RingWriter(self.fd, self._clock.uuid4())
        self.writer = ring.writer
        self.guard = Guard(self._disk, self._folder, self._settings)
        counters = Counters(ring.counters, ring.allocate)
        seconds_max = self._settings.capture_durable_seconds_max
        self.waiters = Waiters(ring, counters, lambda: None, self._later, seconds_max)
        chance, soon = self._clock.random, self.turns.append
        self.capture = Capture(ring, counters, self.guard, chance, soon, self.waiters)

    def end_turn(self) -> None:
        while self.turns:
            self.turns.pop(0)()

    def look_at_the_clock(self) -> None:
        """Call what is due by now."""
        now = self._clock.monotonic()
        due = [call for at, call in self.deadlines if at <= now]
        self.deadlines = [each for each in self.deadlines if each[0] > now]
        for call in due:
            call()

    def sampled(self) -> dict[int, int]:
        return {count.slot: count.sampled for count in read(self.reader.counters)}

    def dropped(self) -> int:
        return sum(sum(count.dropped.values()) for count in read(self.reader.counters))

    def held(self) -> Iterable[tuple[int, int, str]]:
        """Give slot, number and event id of the records that the ring holds."""
        reader = RingReader(self.fd)
        for data in reader.frames(reader.capacity):
            batch = open_batch(data)
            salt = salt_of(reader.writer, batch.slot, batch.hour)
            for number, parcel in scan(batch.frames, salt, batch.first).records:
                yield batch.slot, number, open_parcel(parcel).event_id

    def end(self) -> None:
        os.close(self.fd)

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        self.deadlines.append((self._clock.monotonic() + seconds, call))
