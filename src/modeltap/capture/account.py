"""The reading side: what became of every sampled record.

    sampled = delivered + pending + Σ dropped{reason}

Each term is counted where it happens, none is inferred: sampled and dropped in the writers'
counters, delivered and corrupt in the ledger, pending in the segments' names, in open segments and
in the rings. At rest the two sides are equal; under load the reading is a little apart, because the
terms are read one after the other.

A writer is dead when its ring is gone and nobody holds its mirror. What it had sampled and what is
neither on disk nor in the ledger nor dropped died with it: `settle_dead` writes that down.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from modeltap.capture.batch import open_batch
from modeltap.capture.counters import Drop, SlotCount, read
from modeltap.capture.disk import Disk
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.ledger import LedgerReader, Total
from modeltap.capture.mirror import mirrors, settle_mirror
from modeltap.capture.ring import RingReader
from modeltap.capture.segment import SegmentFile, SegmentId, content, segment_files
from modeltap.errors import SpoolBusy

_Slot = tuple[str, int]  # writer, slot


@dataclass(frozen=True, slots=True)
class Count:
    """One variant's records; reasons without a record are left out."""

    endpoint: str
    variant: str
    sampled: int
    delivered: int
    pending: int
    dropped: dict[Drop, int] = field(default_factory=dict)

    @property
    def discrepancy(self) -> int:
        """Records without a fate; 0 at rest."""
        return self.sampled - self.delivered - self.pending - sum(self.dropped.values())


def account(spool: SpoolFolder, rings: Sequence[RingReader] = ()) -> list[Count]:
    """Count the records of every variant that the spool knows, in order of name.

    The rings are fresh readers, for this call alone; who has none (the command line) misses what a
    spooler has not moved yet: at most the last 20 ms. Raise `LedgerUnreadable`.
    """
    ledger = LedgerReader(spool.ledger) if spool.ledger.exists() else None
    pending = _pending(spool, ledger, rings)
    sampled: Counter[tuple[str, str]] = Counter()
    waiting: Counter[tuple[str, str]] = Counter()
    dropped: dict[tuple[str, str], Counter[Drop]] = {}
    for writer, slots in _counts(spool, rings).items():
        for slot in slots:
            pair = slot.endpoint, slot.variant
            sampled[pair] += slot.sampled
            waiting[pair] += pending[writer, slot.slot]
            dropped.setdefault(pair, Counter()).update(slot.dropped)
    delivered = ledger.totals() if ledger is not None else {}
    if ledger is not None:
        ledger.close()
    for pair, total in delivered.items():
        dropped.setdefault(pair, Counter()).update(total.lost)
    return [
        Count(
            *pair,
            sampled[pair],
            delivered.get(pair, Total()).delivered,
            waiting[pair],
            dict(+reasons),
        )
        for pair, reasons in sorted(dropped.items())
        if pair != ("", "") or sampled[pair]
    ]


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


def _counts(spool: SpoolFolder, rings: Sequence[RingReader]) -> dict[str, list[SlotCount]]:
    """Read every writer's counters: the living's own, and of the dead what their mirrors say."""
    living = {ring.writer: read(ring.counters) for ring in rings if ring.founded}
    return dict(mirrors(spool.disk, spool.counters)) | living


def _pending(
    spool: SpoolFolder, ledger: LedgerReader | None, rings: Sequence[RingReader]
) -> Counter[_Slot]:
    """Count what is in rings and segments, each record once, and not what is delivered."""
    pending: Counter[_Slot] = Counter()
    for folder in spool.writer_folders():
        for segment, count in _on_disk(spool, folder.name).items():
            if ledger is None or not ledger.has(segment):
                pending[segment.writer, segment.slot] += count
    for ring in rings:
        if ring.founded:
            pending.update(_in_ring(spool, ring))
    return pending


def _in_ring(spool: SpoolFolder, ring: RingReader) -> Counter[_Slot]:
    """Count the records that no open segment holds yet."""
    folder = spool.writers / ring.writer
    last: dict[tuple[bytes, int], int] = {}
    for file in segment_files(spool.disk, folder):
        if file.count is None:
            held = content(spool.disk, file)
            if held.label is not None and held.records:
                last[held.label.stream, held.label.hour] = held.records[-1][0]
    found: Counter[_Slot] = Counter()
    for data in ring.frames(ring.capacity):
        batch = open_batch(data)
        _, count = batch.after(last.get((batch.stream, batch.hour), 0))
        found[ring.writer, batch.slot] += count
    return found


def _on_disk(spool: SpoolFolder, writer: str) -> dict[SegmentId, int]:
    files = segment_files(spool.disk, spool.writers / writer)
    return {file.id: _records(spool.disk, file) for file in files}


def _records(disk: Disk, file: SegmentFile) -> int:
    if file.count is not None:
        return file.count
    with suppress(FileNotFoundError):  # sealed since it was listed: the next reading has it
        return len(content(disk, file).records)
    return 0
