"""The reading side: what became of every sampled record.

    sampled = delivered + pending + Σ dropped{reason}

Each term is counted where it happens, none is inferred: sampled and dropped in the writers'
counters, delivered and lost in the ledger, pending in the segments and in the rings, by number. So
that it holds at any instant, under load, too, a reading goes the way that records go:

    counters (no later number counts) ─▶ rings ─▶ segments ─▶ ledger ─▶ rings ─▶ counters

A record that moves on meanwhile is met twice, and its number is counted once. One that was sampled
and is not in the ring by the end (its turn of the loop has not ended, or it is large and goes in
slices) waits in the gateway. Where a reading does not come out even, because a segment was sealed
or delivered within it, it is taken again.

A writer is dead when its ring is gone and nobody holds its mirror. What it had sampled and what is
neither on disk nor in the ledger nor dropped died with it: `settle_dead` writes that down.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from modeltap.capture.batch import open_batch
from modeltap.capture.counters import Drop, SlotCount, read
from modeltap.capture.disk import Disk
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.ledger import LedgerReader, Total
from modeltap.capture.mirror import mirrors, settle_mirror
from modeltap.capture.numbers import Numbers
from modeltap.capture.ring import RingReader
from modeltap.capture.segment import SegmentFile, SegmentId, content, segment_files
from modeltap.errors import SpoolBusy

READINGS_MAX = 4

_Slot = tuple[str, int]  # writer, slot
_Variant = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Count:
    """One variant's records; reasons without a record are left out."""

    endpoint: str
    variant: str
    sampled: int = 0
    delivered: int = 0
    pending: int = 0
    dropped: dict[Drop, int] = field(default_factory=dict)
    eligible: int = 0
    late: int = 0
    pending_bytes: int = 0  # of segments
    closed: bool = False  # the endpoint has too much in the spool

    @property
    def discrepancy(self) -> int:
        """Records without a fate: there are none."""
        return self.sampled - self.delivered - self.pending - sum(self.dropped.values())


def account(spool: SpoolFolder, rings: Sequence[int] = ()) -> list[Count]:
    """Count the records of every variant that the spool knows, in order of name.

    `rings` are the descriptors of those that live. Who has none (the command line, beside a server
    that runs) misses what a spooler has not moved yet: at most the last 20 ms. Raise
    `LedgerUnreadable`, `OSError`.
    """
    counts: list[Count] = []
    for _ in range(READINGS_MAX):
        counts = _Reading(spool, rings).counts()
        if not any(count.discrepancy for count in counts):
            break
    return counts


class _Reading:
    """One look at everything, in the order that records go."""

    def __init__(self, spool: SpoolFolder, rings: Sequence[int]) -> None:
        readers = [reader for reader in map(RingReader, rings) if reader.founded]
        self._slots = _counters(spool, readers)
        tops = {
            (writer, count.slot): count.sampled
            for writer, counts in self._slots.items()
            for count in counts
        }
        found: defaultdict[_Slot, list[Numbers]] = defaultdict(list)
        _look_in(readers, found)
        self._pending: Counter[_Slot] = Counter()
        self._bytes: Counter[_Slot] = Counter()
        with ExitStack() as stack:
            ledger = None
            if spool.ledger.exists():
                ledger = stack.enter_context(LedgerReader(spool.ledger))
            living = {reader.writer for reader in readers}
            self._look_at_segments(spool, ledger, living, found)
            self._totals = ledger.totals() if ledger is not None else {}
        _look_in([RingReader(ring) for ring in rings], found)
        for slot, parts in found.items():
            numbers = Numbers.joined(span for part in parts for span in part.spans)
            self._pending[slot] += len(numbers & Numbers.up_to(tops.get(slot, 0)))
        self._unframed = _unframed(readers)

    def _look_at_segments(
        self,
        spool: SpoolFolder,
        ledger: LedgerReader | None,
        living: set[str],
        found: defaultdict[_Slot, list[Numbers]],
    ) -> None:
        for folder in spool.writer_folders():
            for file in segment_files(spool.disk, folder):
                if ledger is not None and file.count is not None and ledger.has(file.id):
                    continue
                slot = file.id.writer, file.id.slot
                with suppress(FileNotFoundError):  # sealed or shipped since it was listed
                    self._bytes[slot] += spool.disk.size_and_age(file.path)[0]
                    if file.count is not None:
                        self._pending[slot] += file.count
                    elif file.id.writer in living:
                        found[slot].append(_numbers_in(spool.disk, file))
                    else:
                        self._pending[slot] += len(_numbers_in(spool.disk, file))

    def counts(self) -> list[Count]:
        """Add up the slots of each variant, and what the ledger knows of it."""
        slots: defaultdict[_Variant, list[tuple[str, SlotCount]]] = defaultdict(list)
        for writer, counts in self._slots.items():
            for count in counts:
                slots[count.endpoint, count.variant].append((writer, count))
        return [
            self._count(variant, slots[variant])
            for variant in sorted(slots.keys() | self._totals.keys())
            if variant != ("", "") or any(count.sampled for _, count in slots[variant])
        ]

    def _count(self, variant: _Variant, slots: list[tuple[str, SlotCount]]) -> Count:
        total = self._totals.get(variant, Total())
        dropped = Counter(total.lost)
        for _, count in slots:
            dropped.update(count.dropped)
        keys = [(writer, count.slot) for writer, count in slots]
        sampled = sum(count.sampled for _, count in slots)
        pending = sum(self._pending[key] for key in keys)
        missing = sampled - total.delivered - pending - dropped.total()
        waiting = sum(self._unframed[key] for key in keys)
        return Count(
            *variant,
            sampled,
            total.delivered,
            pending + max(0, min(missing, waiting)),
            dict(+dropped),
            eligible=sum(count.eligible for _, count in slots),
            late=sum(count.late for _, count in slots),
            pending_bytes=sum(self._bytes[key] for key in keys),
            closed=any(count.closed for _, count in slots),
        )


def settle_dead(spool: SpoolFolder, rings: Sequence[RingReader]) -> int:
    """Count what died with its ring as dropped (`crash`); tell how many records are new there.

    Raise `LedgerUnreadable`: without the ledger nobody knows what was delivered.
    """
    writers = {writer for writer, _ in mirrors(spool.disk, spool.counters)}
    # Mirrors first, rings second: a mirror is younger than its ring, so a new writer is seen alive.
    dead = sorted(writers - {ring.writer for ring in rings if ring.founded})
    if not dead:
        return 0
    lost = 0
    with LedgerReader(spool.ledger) as ledger:
        for writer in dead:
            # Folder first, ledger second: a segment that is shipped between is met in both.
            segments = _on_disk(spool, writer) | ledger.counts(writer)
            framed: Counter[int] = Counter()
            for segment, count in segments.items():
                framed[segment.slot] += count
            with suppress(SpoolBusy):
                lost += settle_mirror(spool.disk, spool.counters, writer, framed)
    return lost


def _counters(spool: SpoolFolder, rings: Iterable[RingReader]) -> dict[str, list[SlotCount]]:
    """Read every writer's counters: the living's own, and of the dead what their mirrors say."""
    living = {ring.writer: _at_rest(ring) for ring in rings}
    return dict(mirrors(spool.disk, spool.counters)) | living


def _at_rest(ring: RingReader) -> list[SlotCount]:
    """Read a ring's counters so that drops belong to what was sampled, not to what came after."""
    found = read(ring.counters)
    for _ in range(READINGS_MAX):
        before, found = found, read(ring.counters)
        if [count.sampled for count in before] == [count.sampled for count in found]:
            break
    return found


def _unframed(rings: Iterable[RingReader]) -> Counter[_Slot]:
    """Count what waits in the gateways: sampled, not dropped, not in a ring."""
    return Counter(
        {
            (ring.writer, count.slot): count.sampled - count.framed - sum(count.dropped.values())
            for ring in rings
            for count in _at_rest(ring)
        }
    )


def _look_in(rings: Iterable[RingReader], found: defaultdict[_Slot, list[Numbers]]) -> None:
    """Add the numbers of the records that rings hold."""
    for ring in rings:
        if ring.founded:
            for data in ring.frames(ring.capacity):
                batch = open_batch(data)
                found[ring.writer, batch.slot].append(Numbers.of(batch.numbers()))


def _numbers_in(disk: Disk, file: SegmentFile) -> Numbers:
    return Numbers.of(number for number, _ in content(disk, file).records)


def _on_disk(spool: SpoolFolder, writer: str) -> dict[SegmentId, int]:
    files = segment_files(spool.disk, spool.writers / writer)
    return {file.id: _records(spool.disk, file) for file in files}


def _records(disk: Disk, file: SegmentFile) -> int:
    if file.count is not None:
        return file.count
    with suppress(FileNotFoundError):  # sealed since it was listed: the next reading has it
        return len(content(disk, file).records)
    return 0
