"""The spooler: rings → segments on disk. It moves bytes as they are, and it loses nothing.

The ring is the redo buffer: a ring is released only when all that was read from it is synced, in
whichever segments it went to. So the spooler may be killed at any instruction, and the disk may
refuse any write or sync: what is not safe is read again. What is read again and already stands in
an open segment is known by its sequence number, which only grows within a segment. A segment is
sealed only after the release, so that no sealed one can hold what will be read again.

    turn      drain ─▶ mirror the counters ─▶ append, per (stream, hour)
              every 100 ms, or when an answer waits: sync the mirror, then the segments ─▶ release
              ─▶ seal
    seal      by age (60 s), by size (16 MiB), by the end of the hour it was opened in, on `close`
    start     adopt the `.open` segments of living rings; seal those of dead ones; settle counters

Constraints: `TURN_BYTES` a turn and ring; one spooler, held by a lock on each writer's folder.
A disk that refuses makes the spooler rest for a second; the ring fills meanwhile, and its writer
counts what it drops.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final, final

from modeltap.capture.account import settle_dead
from modeltap.capture.batch import Batch, open_batch
from modeltap.capture.disk import Disk, File
from modeltap.capture.events import (
    LedgerAwaited,
    RecordsLost,
    RingDamaged,
    SpoolResumed,
    SpoolStalled,
)
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.frame import HOUR_NS, first_inference_ns
from modeltap.capture.limits import REFRESH_SECONDS, Limits
from modeltap.capture.mirror import Mirror
from modeltap.capture.ring import RingReader
from modeltap.capture.segment import Held, Label, Segment, SegmentId, segment_files
from modeltap.clock import Clock
from modeltap.errors import LedgerUnreadable, SpoolBusy
from modeltap.settings import Settings
from modeltap.telemetry import emit

TURN_BYTES = 16 * 1024 * 1024
REST_SECONDS = 1.0

_Key = tuple[bytes, int]  # stream, hour
_Due = Callable[["_Open"], bool]


@final
class _Open:
    """An open segment, and when it was opened here."""

    def __init__(self, segment: Segment, age_from: float, hour: int) -> None:
        self.segment: Final = segment
        self.age_from: Final = age_from
        self.hour: Final = hour


class Spooler:
    """All rings of one house, and the spool."""

    def __init__(
        self,
        rings: Sequence[RingReader],
        spool: SpoolFolder,
        settings: Settings,
        clock: Clock,
        released: Callable[[RingReader], object] = lambda _: None,
    ) -> None:
        """Recover what the folder holds. Raise `SpoolBusy` while another spooler works on it.

        `released` is called when a ring was released whose writer waits for that.
        """
        self._spool = spool
        spool.make()
        self._settings = settings
        self._clock = clock
        self._released = released
        self._rings = rings
        self._unfounded = list(rings)
        self._lanes: list[_Lane] = []
        self._stalled = False
        self._rest_until = self._synced_at = clock.monotonic()
        self._count_lost_at = 0.0
        self._limits = Limits(spool, settings.capture_endpoint_bytes_max)
        self._limits_at = 0.0
        self._meet_rings()
        living = {lane.writer for lane in self._lanes}
        self._dead = [folder for folder in spool.writer_folders() if folder.name not in living]
        self._retire_dead()
        self._count_lost()

    def turn(self) -> None:
        """Drain every ring once; sync and seal what is due. Raise nothing that a disk can do."""
        if self._clock.monotonic() < self._rest_until:
            return
        try:
            self._meet_rings()
            self._retire_dead()
            for lane in self._lanes:
                lane.drain()
            self._settle(self._due)
            self._limit()
            self._count_lost()
        except OSError as error:
            self._rest(error)

    def close(self) -> None:
        """Empty the rings and seal everything; what the disk refuses is left to the next start."""
        try:
            self._meet_rings()
            for lane in self._lanes:
                while lane.drain():
                    pass
                lane.sync()
                lane.seal(lambda _: True)
        except OSError as error:
            self._rest(error)
        while self._lanes:  # each once: a second time its descriptor would be another's
            self._lanes.pop().close()

    def _limit(self) -> None:
        if self._clock.monotonic() >= self._limits_at:
            self._limits.refresh(self._rings)
            self._limits_at = self._clock.monotonic() + REFRESH_SECONDS

    def _settle(self, due: _Due) -> None:
        now = self._clock.monotonic()
        seal_bytes = self._settings.capture_seal_bytes
        early = any(lane.hurried or lane.full(seal_bytes) for lane in self._lanes)
        if early or now - self._synced_at >= self._settings.capture_sync_seconds:
            for lane in self._lanes:
                asked = lane.asked()
                lane.sync()
                lane.seal((lambda _: True) if asked else due)
            self._synced_at = now
            self._say_stalled(stalled=False)
            if self._stalled:
                self._stalled = False
                emit(SpoolResumed())

    def _due(self, opened: _Open) -> bool:
        age = self._clock.monotonic() - opened.age_from
        return (
            age >= self._settings.capture_seal_seconds
            or opened.segment.size >= self._settings.capture_seal_bytes
            or opened.hour != self._clock.now_ns() // HOUR_NS
        )

    def _rest(self, error: OSError) -> None:
        self._rest_until = self._clock.monotonic() + REST_SECONDS
        if not self._stalled:
            self._stalled = True
            self._say_stalled(stalled=True)
            emit(SpoolStalled(error.strerror or type(error).__name__))

    def _say_stalled(self, *, stalled: bool) -> None:
        for ring in self._rings:
            ring.stop(stopped=stalled)

    def _meet_rings(self) -> None:
        """Take up the rings whose gateway has founded them by now."""
        founded = [ring for ring in self._unfounded if ring.founded]
        for ring in founded:
            self._lanes.append(_Lane(ring, self._spool, self._clock, self._released))
            self._unfounded.remove(ring)

    def _retire_dead(self) -> None:
        """Seal what dead rings' records are in; what the disk refuses is tried again."""
        dead, self._dead = self._dead, []
        for folder in dead:
            try:
                with suppress(SpoolBusy), _locked(self._spool.disk, folder):
                    self._retire(folder)
            except OSError as error:
                self._dead.append(folder)
                self._rest(error)

    def _count_lost(self) -> None:
        """Settle the counts of dead writers, once; while the ledger is mended, try again.

        Not before their segments are sealed: to adopt one may cost it a torn tail.
        """
        if self._dead or self._clock.monotonic() < self._count_lost_at:
            return
        try:
            lost = settle_dead(self._spool, self._rings)
        except LedgerUnreadable as error:
            if self._count_lost_at == 0.0:
                emit(LedgerAwaited(str(error)))
            self._count_lost_at = self._clock.monotonic() + REST_SECONDS
            return
        self._count_lost_at = math.inf
        if lost:
            emit(RecordsLost(lost))

    def _retire(self, folder: Path) -> None:
        """Seal the segments of a dead ring; drop its folder once it is empty."""
        for segment in _adopted(folder, self._spool, {}):
            _seal(segment)
        with suppress(OSError):
            self._spool.disk.remove_folder(folder)


class _Lane:
    """One ring and the segments that its records go to."""

    def __init__(
        self,
        ring: RingReader,
        spool: SpoolFolder,
        clock: Clock,
        released: Callable[[RingReader], object],
    ) -> None:
        self.writer = ring.writer
        self._ring = ring
        self._seals = ring.seals
        self._released = released
        self._clock = clock
        self._disk = disk = spool.disk
        self._folder = spool.writers / self.writer
        disk.make_folder(self._folder)
        disk.sync_folder(spool.writers)  # no record is durable in a folder that a power cut forgets
        self._open: dict[_Key, _Open] = {}
        self._given_up: list[Segment] = []  # and not yet let go: the disk refused that, too
        with ExitStack() as opened:  # closed when the disk refuses: it is asked again
            self._lock = _lock(disk, self._folder)
            opened.callback(self._lock.close)
            self._mirror = Mirror(spool.counters, self.writer, ring.counters, disk)
            opened.callback(self._mirror.close)
            opened.callback(self._close_segments)
            for segment in _adopted(self._folder, spool, self._held()):
                key = segment.label.stream, segment.label.hour
                if key in self._open:  # it was given up by a failed sync, and then by its rename
                    _seal(self._open.pop(key).segment)
                self._add(key, segment)
            opened.pop_all()

    def _held(self) -> Held:
        """Look through the ring for what a dead predecessor had not released."""
        held: dict[_Key, int] = {}
        for data in self._ring.frames(self._ring.capacity):
            batch = open_batch(data)
            held.setdefault((batch.stream, batch.hour), batch.first)
        self._ring.rewind()
        return held

    def drain(self) -> bool:
        """Move what the ring holds to the segments; tell whether there was something."""
        self._let_go()
        groups: dict[_Key, list[Batch]] = {}
        damaged = self._ring.damaged
        for data in self._ring.frames(TURN_BYTES):
            batch = open_batch(data)
            groups.setdefault((batch.stream, batch.hour), []).append(batch)
        if self._ring.damaged != damaged:
            emit(RingDamaged(self._ring.damaged - damaged))
        try:
            self._mirror.write()  # before: no record may stand on disk that is not counted there
            for key, group in groups.items():
                self._append(key, group)
        except OSError:
            self._ring.rewind()
            raise
        return bool(groups)

    def sync(self) -> None:
        """Make all that was drained durable, and give it back to the ring's writer."""
        self._mirror.sync()
        for key, opened in list(self._open.items()):
            with self._fail_stop(key):
                opened.segment.sync()
        urgent = self._ring.release()
        for opened in self._open.values():
            opened.segment.mark()
        if urgent:
            self._released(self._ring)

    def seal(self, due: _Due) -> None:
        """Seal what is due; only right after `sync`."""
        for key, opened in list(self._open.items()):
            if due(opened):
                with self._fail_stop(key):
                    opened.segment.seal()
                del self._open[key]

    @property
    def hurried(self) -> bool:
        """Whether an answer waits for a record of this ring, or somebody for a seal."""
        return self._ring.urgent or self._ring.seals != self._seals

    def asked(self) -> bool:
        """Tell whether a seal was asked for since the last time."""
        before, self._seals = self._seals, self._ring.seals
        return before != self._seals

    def full(self, size: int) -> bool:
        return any(opened.segment.size >= size for opened in self._open.values())

    def close(self) -> None:
        self._close_segments()
        self._mirror.close()
        self._lock.close()

    def _close_segments(self) -> None:
        for segment in (*self._given_up, *(opened.segment for opened in self._open.values())):
            segment.close()

    def _append(self, key: _Key, group: list[Batch]) -> None:
        segment = (self._open.get(key) or self._create(key, group[0])).segment
        fresh = [batch.after(segment.last) for batch in group]
        count = sum(count for _, count in fresh)
        if count:
            frames = b"".join([frames for frames, _ in fresh])
            segment.append(frames, count, group[-1].last)

    def _create(self, key: _Key, first: Batch) -> _Open:
        stream, hour = key
        label = Label(first_inference_ns(first.frames), hour, stream)
        identity = SegmentId(self.writer, first.slot, first.first)
        return self._add(key, Segment.create(self._folder, identity, label, self._disk))

    def _add(self, key: _Key, segment: Segment) -> _Open:
        opened = _Open(segment, self._clock.monotonic(), self._clock.now_ns() // HOUR_NS)
        self._open[key] = opened
        return opened

    @contextmanager
    def _fail_stop(self, key: _Key) -> Iterator[None]:
        """Give up a segment whose sync failed, and read again what is not safe."""
        try:
            yield
        except OSError:
            self._ring.rewind()
            self._given_up.append(self._open.pop(key).segment)
            self._let_go()
            raise

    def _let_go(self) -> None:
        """Abandon what was given up; nothing is read again from the ring before that is done."""
        while self._given_up:
            self._given_up[-1].abandon()
            self._given_up.pop()


def _adopted(folder: Path, spool: SpoolFolder, held: Held) -> Iterator[Segment]:
    """Take over the open segments of a folder; records that nothing can place go aside."""
    disk = spool.disk
    for file in segment_files(disk, folder):
        if file.count is None:
            segment = Segment.adopt(file, held, disk)
            if segment is not None:
                yield segment
            elif disk.is_file(file.path):
                spool.put_aside(file.path)


def _seal(segment: Segment) -> None:
    """Seal a segment of which no ring holds a record any more."""
    try:
        segment.sync()
        segment.mark()
        segment.seal()
    except OSError:
        segment.close()
        raise


def _lock(disk: Disk, folder: Path) -> File:
    """Hold a folder for life. Raise `SpoolBusy` while another process does."""
    opened = disk.open_folder(folder)
    try:
        opened.lock()
    except BlockingIOError:
        opened.close()
        raise SpoolBusy(f"writer folder {folder.name} is held by a live spooler") from None
    return opened


@contextmanager
def _locked(disk: Disk, folder: Path) -> Iterator[None]:
    opened = _lock(disk, folder)
    try:
        yield
    finally:
        opened.close()
