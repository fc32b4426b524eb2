"""Bugs that were made, or could be: each must be seen by some day. One is added for each bug found.

A bug is put into the running code, of modules that are not compiled.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from pytest import MonkeyPatch

from modeltap.capture import account, segment, shipment, shipper, spooler
from modeltap.capture.batch import Batch, open_batch
from modeltap.capture.counters import Drop
from modeltap.capture.disk import Disk
from modeltap.capture.frame import FRAME_BYTES
from modeltap.capture.guard import Guard
from modeltap.capture.ledger import Delivery, Ledger, LedgerReader
from modeltap.capture.limits import Limits
from modeltap.capture.mirror import Mirror
from modeltap.capture.outcome import Outcome
from modeltap.capture.segment import Label, Segment, SegmentFile, SegmentId
from modeltap.capture.shipment import Shipment
from modeltap.capture.shipper import Shipper
from modeltap.capture.spooler import Spooler, _Lane
from modeltap.clock import Clock
from modeltap.errors import ObjectExists, StoreUnavailable

Patch = Callable[[MonkeyPatch], None]


@dataclass(frozen=True)
class Bug:
    """One of these days must see it."""

    name: str
    put_in: Patch
    days: range

    @property
    def line(self) -> str:
        return (self.put_in.__doc__ or "").strip()


BUGS: list[Bug] = []


def bug(within: int, first: int = 0) -> Callable[[Patch], Patch]:
    """Add a bug to the list; `first` spares the days before, where none is known to see it."""

    def add(put_in: Patch) -> Patch:
        BUGS.append(Bug(put_in.__name__, put_in, range(first, first + within)))
        return put_in

    return add


# ---------------------------------------------------------------- segments and the ring


@bug(100, first=20)
def sync_retried(patch: MonkeyPatch) -> None:
    """A sync that was refused is asked for again (fsyncgate)."""
    sync = Segment.sync

    def twice(self: Segment) -> None:
        with suppress(OSError):
            sync(self)
            return
        sync(self)

    patch.setattr(Segment, "sync", twice)


@bug(100)
def sync_failure_ignored(patch: MonkeyPatch) -> None:
    """A sync that was refused counts as done."""
    sync = Segment.sync

    def quiet(self: Segment) -> None:
        with suppress(OSError):
            sync(self)

    patch.setattr(Segment, "sync", quiet)


@bug(100)
def sync_forgotten(patch: MonkeyPatch) -> None:
    """Segments are never synced."""
    patch.setattr(Segment, "sync", lambda _: None)


@bug(100)
def nothing_marked(patch: MonkeyPatch) -> None:
    """A segment is given up as if the ring still held all of it."""

    def none(self: Segment) -> None:
        self._safe = 0, 0

    patch.setattr(Segment, "mark", none)


@bug(100)
def marked_when_appended(patch: MonkeyPatch) -> None:
    """A segment is given up as if the ring had released all of it."""
    append = Segment.append

    def marked(self: Segment, frames: bytes, count: int, last: int) -> None:
        append(self, frames, count, last)
        self.mark()

    patch.setattr(Segment, "append", marked)


@bug(100)
def released_before_sync(patch: MonkeyPatch) -> None:
    """The ring is released before what was read from it is safe."""
    sync = _Lane.sync

    def early(self: _Lane) -> None:
        self._ring.release()
        sync(self)

    patch.setattr(_Lane, "sync", early)


@bug(100)
def one_segment_synced(patch: MonkeyPatch) -> None:
    """Of the segments that a drain went to, one alone is synced before the release."""
    sync = _Lane.sync

    def first(self: _Lane) -> None:
        for opened in list(self._open.values())[1:]:
            opened.segment._dirty = False
        sync(self)

    patch.setattr(_Lane, "sync", first)


@bug(100)
def sealed_before_release(patch: MonkeyPatch) -> None:
    """The shipper is given what a spooler that is killed now will read again."""

    def sync(self: _Lane) -> None:
        self._mirror.sync()
        for key, opened in list(self._open.items()):
            with self._fail_stop(key):
                opened.segment.sync()
        for opened in self._open.values():
            opened.segment.mark()

    seal = _Lane.seal

    def late(self: _Lane, due: spooler._Due) -> None:
        seal(self, due)
        self._ring.release()

    patch.setattr(_Lane, "sync", sync)
    patch.setattr(_Lane, "seal", late)


@bug(100)
def ring_not_rewound(patch: MonkeyPatch) -> None:
    """After a refused write, what was read from the ring is not read again."""

    def drain(self: _Lane) -> bool:
        self._let_go()
        groups: dict[tuple[bytes, int], list[Batch]] = {}
        for data in self._ring.frames(spooler.TURN_BYTES):
            batch = open_batch(data)
            groups.setdefault((batch.stream, batch.hour), []).append(batch)
        self._mirror.write()
        for key, group in groups.items():
            self._append(key, group)
        return bool(groups)

    patch.setattr(_Lane, "drain", drain)


@bug(100)
def name_not_synced(patch: MonkeyPatch) -> None:
    """A segment's records are made durable, its name is not."""
    create = Segment.create.__func__  # type: ignore[attr-defined]

    def nameless(
        cls: type[Segment], folder: Path, identity: SegmentId, label: Label, disk: Disk
    ) -> Segment:
        with MonkeyPatch.context() as inner:
            inner.setattr(type(disk), "sync_folder", lambda *_: None)
            made: Segment = create(cls, folder, identity, label, disk)
        return made

    patch.setattr(Segment, "create", classmethod(nameless))


@bug(100)
def read_again_and_appended(patch: MonkeyPatch) -> None:
    """What is read a second time is not known again."""

    def append(self: _Lane, key: tuple[bytes, int], group: list[Batch]) -> None:
        opened = self._open.get(key) or self._create(key, group[0])
        frames = b"".join([batch.frames for batch in group])
        opened.segment.append(frames, sum(batch.count for batch in group), group[-1].last)

    patch.setattr(_Lane, "_append", append)


@bug(200, first=180)
def adopted_with_what_the_ring_holds(patch: MonkeyPatch) -> None:
    """A successor takes what was never synced for released."""
    patch.setattr(_Lane, "_held", lambda _: {})


@bug(100)
def adopted_too_short(patch: MonkeyPatch) -> None:
    """A successor cuts the last good record off."""
    released = segment._released

    def short(
        found: segment.Content, held: segment.Held
    ) -> tuple[tuple[tuple[int, bytes], ...], int]:
        kept, size = released(found, held)
        if not kept:
            return kept, size
        return kept[:-1], size - FRAME_BYTES - len(kept[-1][1])

    patch.setattr(segment, "_released", short)


@bug(100)
def segment_names_reused(patch: MonkeyPatch) -> None:
    """Every segment of a slot has the first one's name."""
    patch.setattr(spooler, "SegmentId", lambda writer, slot, _: SegmentId(writer, slot, 1))


@bug(200, first=180)
def torn_write_left(patch: MonkeyPatch) -> None:
    """What a refused write has left stays in the middle of the segment."""

    def write(self: Segment, data: bytes) -> None:
        try:
            self._opened.write_at(self.size, data)
        except OSError:
            self.size += len(data) // 2
            raise
        self.size += len(data)
        self._dirty = True

    patch.setattr(Segment, "_write", write)


@bug(200, first=170)
def given_up_and_forgotten(patch: MonkeyPatch) -> None:
    """A segment that the disk would not let go is left behind, and the ring read again."""

    def let_go(self: _Lane) -> None:
        while self._given_up:
            with suppress(OSError):
                self._given_up[-1].abandon()
            self._given_up.pop()

    patch.setattr(_Lane, "_let_go", let_go)


@bug(100)
def hour_of_the_clock(patch: MonkeyPatch) -> None:
    """An object's name tells when its records were spooled, not when they came."""
    create = _Lane._create

    def now(self: _Lane, key: tuple[bytes, int], first: Batch) -> spooler._Open:
        with MonkeyPatch.context() as inner:
            inner.setattr(spooler, "first_inference_ns", lambda _: self._clock.now_ns())
            return create(self, key, first)

    patch.setattr(_Lane, "_create", now)


class _WallClock:
    """Measures ages on the wall clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.now_ns, self.random = clock.now_ns, clock.random

    def monotonic(self) -> float:
        return self._clock.now_ns() / 1e9


@bug(100)
def ages_by_the_wall_clock(patch: MonkeyPatch) -> None:
    """Who rests, rests until the wall clock says so."""
    for part in (Spooler, Shipper):
        patch.setattr(part, "__init__", _with_wall_clock(part.__init__))


def _with_wall_clock(begin: Callable[..., None]) -> Callable[..., None]:
    def init(self: object, *words: object) -> None:
        changed = [
            _WallClock(word) if hasattr(word, "monotonic") else word  # type: ignore[arg-type]
            for word in words
        ]
        begin(self, *changed)

    return init


# ---------------------------------------------------------------- counts


@bug(100)
def slots_without_names(patch: MonkeyPatch) -> None:
    """It is left to the next sync to make a slot's names durable."""
    write = Mirror.write

    def without_sync(self: Mirror) -> None:
        with MonkeyPatch.context() as inner:
            inner.setattr(Mirror, "sync", lambda _: None)
            write(self)

    patch.setattr(Mirror, "write", without_sync)


@bug(100)
def mirror_not_synced(patch: MonkeyPatch) -> None:
    """Records are durable before their count is."""
    patch.setattr(Mirror, "sync", lambda _: None)


@bug(100, first=80)
def mirror_sync_retried(patch: MonkeyPatch) -> None:
    """A mirror's sync that was refused is asked for again (fsyncgate)."""

    def sync(self: Mirror) -> None:
        if self._dirty:
            with suppress(OSError):
                self._file.sync()
            self._dirty = False

    patch.setattr(Mirror, "sync", sync)


@bug(100)
def settled_without_the_ledger(patch: MonkeyPatch) -> None:
    """What a dead writer had delivered counts as lost, too."""
    patch.setattr(LedgerReader, "counts", lambda *_: {})


@bug(100)
def settled_without_the_disk(patch: MonkeyPatch) -> None:
    """What a dead writer left on disk counts as lost, too."""
    patch.setattr(account, "_on_disk", lambda *_: {})


@bug(100)
def never_settled(patch: MonkeyPatch) -> None:
    """What died with its ring is not counted."""
    patch.setattr(spooler, "settle_dead", lambda *_: 0)


@bug(200, first=370)
def settled_before_sealed(patch: MonkeyPatch) -> None:
    """The dead are counted once, and adopted later."""
    count_lost = Spooler._count_lost

    def early(self: Spooler) -> None:
        dead, self._dead = self._dead, []
        count_lost(self)
        self._dead = dead

    patch.setattr(Spooler, "_count_lost", early)


@bug(100)
def damage_uncounted(patch: MonkeyPatch) -> None:
    """Records that nobody can read any more are left out of the row."""
    patch.setattr(Shipment, "lost", 0)


@bug(100)
def pending_twice(patch: MonkeyPatch) -> None:
    """A segment that has its row counts as pending until it is removed."""
    look = LedgerReader.look
    patch.setattr(LedgerReader, "look", lambda self, some: (set(), look(self, some)[1]))


# ---------------------------------------------------------------- shipping


@bug(100)
def random_keys(patch: MonkeyPatch) -> None:
    """A segment's object has another name at each try."""
    object_uri = shipment.object_uri

    def random(*words: object) -> str:
        return f"{object_uri(*words).rpartition('/')[0]}/{uuid4()}.jsonl"  # type: ignore[arg-type]

    patch.setattr(shipment, "object_uri", random)


@bug(100)
def new_key_when_taken(patch: MonkeyPatch) -> None:
    """Where there is an object already, the next name is tried."""
    put = Shipper._put

    async def again(self: Shipper, shipped: Shipment, destination: object) -> str | None:
        store, key = self._stores(shipped.uri)
        with suppress(ObjectExists):
            put_once = store.put(key, shipped.data, metadata=shipped.metadata, create_only=True)
            return (await put_once).etag
        return await put(self, replace(shipped, uri=f"{shipped.uri}.1"), destination)  # type: ignore[arg-type]

    patch.setattr(Shipper, "_put", again)


@bug(100)
def taken_for_ours(patch: MonkeyPatch) -> None:
    """An object that is there already is not looked at."""

    async def ours(*_: object) -> str:
        return "etag"

    patch.setattr(shipper, "_etag_of", ours)


@bug(100)
def another_overwritten(patch: MonkeyPatch) -> None:
    """Objects are put without "create only"."""

    async def put(self: Shipper, shipped: Shipment, _: object) -> str:
        store, key = self._stores(shipped.uri)
        return (await store.put(key, shipped.data, metadata=shipped.metadata)).etag

    patch.setattr(Shipper, "_put", put)


@bug(100)
def no_answer_taken_for_delivered(patch: MonkeyPatch) -> None:
    """Who hears nothing believes the best."""
    put = Shipper._put

    async def believed(self: Shipper, shipped: Shipment, destination: object) -> str | None:
        try:
            return await put(self, shipped, destination)  # type: ignore[arg-type]
        except StoreUnavailable:
            return "etag"

    patch.setattr(Shipper, "_put", believed)


@bug(100)
def no_answer_taken_for_poison(patch: MonkeyPatch) -> None:
    """Who hears nothing gives the segment up."""
    _give_up_at(patch, Outcome.UNAVAILABLE)


@bug(100)
def denied_taken_for_poison(patch: MonkeyPatch) -> None:
    """What a store denies today is given up."""
    _give_up_at(patch, Outcome.HELD)


@bug(100)
def expired_taken_for_poison(patch: MonkeyPatch) -> None:
    """What is refused while the credentials are expired is given up."""
    _give_up_at(patch, Outcome.CREDENTIALS)


def _give_up_at(patch: MonkeyPatch, fatal: Outcome) -> None:
    failed = Shipper._failed

    def give_up(self: Shipper, *words: object) -> bool:
        settled = failed(self, *words)  # type: ignore[arg-type]
        if fatal in words and not settled:
            self._give_up(words[1], Drop.POISON)  # type: ignore[arg-type]
        return settled or fatal in words

    patch.setattr(Shipper, "_failed", give_up)


@bug(100)
def deleted_when_refused(patch: MonkeyPatch) -> None:
    """Segments are let go that their destination did not take."""

    def rest(self: Shipper, *_: object) -> None:
        for folder in self._spool.writer_folders():
            for name in self._spool.disk.files(folder):
                if name.endswith(".seal"):
                    self._spool.disk.unlink(folder / name)

    patch.setattr(Shipper, "_rest", rest)


@bug(100)
def unlinked_before_the_row(patch: MonkeyPatch) -> None:
    """A segment is removed before anything says that it was delivered."""

    def settle(self: Shipper, shipped: Shipment, etag: str) -> None:
        self._remove(shipped.file, shipped.lost, Drop.CORRUPT)
        self._ledger.add(shipped.row(etag, Drop.CORRUPT, self._clock.now_ns()))

    patch.setattr(Shipper, "_settle", settle)


@bug(100)
def row_before_the_put(patch: MonkeyPatch) -> None:
    """The ledger says delivered before the store does."""
    deliver = Shipper._deliver

    async def early(self: Shipper, sealed: object, shipped: Shipment, destination: object) -> bool:
        self._ledger.add(shipped.row("", Drop.CORRUPT, 0))
        return await deliver(self, sealed, shipped, destination)  # type: ignore[arg-type]

    patch.setattr(Shipper, "_deliver", early)


@bug(100)
def given_up_without_a_row(patch: MonkeyPatch) -> None:
    """A segment is put aside, and not counted."""

    def give_up(self: Shipper, shipped: Shipment, reason: Drop) -> None:
        self._remove(shipped.file, shipped.without_object().lost, reason)

    patch.setattr(Shipper, "_give_up", give_up)


@bug(100)
def evidence_removed(patch: MonkeyPatch) -> None:
    """Killed between the row and its removal, a segment that was given up is not kept."""
    row = Ledger.row

    def forgetful(self: Ledger, segment: SegmentId) -> Delivery | None:
        found = row(self, segment)
        return found and replace(found, lost=0)

    patch.setattr(Ledger, "row", forgetful)


@bug(100)
def damaged_shipped_twice(patch: MonkeyPatch) -> None:
    """A damaged segment that was put aside stays where it was, too."""

    def let_go(self: Shipper, file: SegmentFile, lost: int) -> None:
        data = self._spool.disk.read(file.path)
        self._spool.disk.unlink(file.path)
        if lost:
            again = self._spool.disk.create(file.path.with_name(file.path.name[:-14] + "1.seal"))
            again.write_at(0, data)

    patch.setattr(Shipper, "_let_go", let_go)


# ---------------------------------------------------------------- room


@bug(100)
def guard_never_reopens(patch: MonkeyPatch) -> None:
    """A disk that was full once stops capture for good."""
    refresh = Guard.refresh

    def once(self: Guard) -> None:
        if getattr(self, "open", True):
            refresh(self)

    patch.setattr(Guard, "refresh", once)


@bug(100)
def limit_never_lifted(patch: MonkeyPatch) -> None:
    """An endpoint that had too much in the spool once is closed for good."""
    judge = Limits._judge

    def once(self: Limits, endpoint: str, held: int) -> None:
        if endpoint not in self._closed:
            judge(self, endpoint, held)

    patch.setattr(Limits, "_judge", once)


@contextmanager
def put_in(name: str) -> Iterator[None]:
    """Put a bug into the running code for a while."""
    (found,) = (each for each in BUGS if each.name == name)
    with MonkeyPatch.context() as patch:
        found.put_in(patch)
        yield
