"""Reads what an audit judges (`audit.py`): counters, segments, ledger rows, and the bucket.

Beside a house that runs the order is that in which records go, so that none is missed:

    counters (no later number counts) ─▶ rings ─▶ segments ─▶ ledger ─▶ counters (drops alone)
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

from modeltap.capture.audit import ObjectFindings, Piece, Slot
from modeltap.capture.counters import SlotCount
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.ledger import Delivery, LedgerReader
from modeltap.capture.mirror import mirrors
from modeltap.capture.numbers import Numbers
from modeltap.capture.segment import Content, SegmentFile, SegmentId, content, segment_files
from modeltap.capture.stream import Stream
from modeltap.errors import MalformedRecord, ObjectNotFound
from modeltap.objects.port import ObjectStore
from modeltap.record import decode

Stores = Callable[[str], tuple[ObjectStore, str]]


def slots_of(spool: SpoolFolder, endpoint: str) -> dict[Slot, SlotCount]:
    """Give the slots of an endpoint's variants, of all writers, from the mirrors."""
    return {
        (writer, count.slot): count
        for writer, counts in mirrors(spool.disk, spool.counters)
        for count in counts
        if count.endpoint == endpoint
    }


def with_later_drops(
    counts: Mapping[Slot, SlotCount], later: Mapping[Slot, SlotCount]
) -> dict[Slot, SlotCount]:
    """Give counts with the drops of a later reading: one may follow its number by a moment."""
    return {
        slot: replace(count, dropped=later.get(slot, count).dropped)
        for slot, count in counts.items()
    }


def pieces_of(
    spool: SpoolFolder, slots: Mapping[Slot, SlotCount], endpoint: str
) -> tuple[list[Piece], list[Delivery]]:
    """Give what stands on disk and in the ledger's rows, and the rows.

    Raise `LedgerUnreadable`, and `OSError` where a segment cannot be read.

    Segments first, as records go; one that has a row is only not yet removed.
    """
    on_disk = list(_segments(spool, slots))
    if not spool.ledger.exists():
        return on_disk, []
    with LedgerReader(spool.ledger) as ledger:
        rows = ledger.settled(endpoint)
    settled = {(row.writer, row.slot, row.first) for row in rows}
    waiting = [piece for piece in on_disk if (*piece.slot, piece.first) not in settled]
    return [*map(_piece, rows), *waiting], rows


def _segments(spool: SpoolFolder, slots: Mapping[Slot, SlotCount]) -> Iterator[Piece]:
    """Read the segments of some slots. One that is gone was sealed or shipped: list anew."""
    for folder in spool.writer_folders():
        told: set[SegmentId] = set()
        gone = True
        while gone:
            gone = False
            for file in list(segment_files(spool.disk, folder)):
                if (file.id.writer, file.id.slot) not in slots or file.id in told:
                    continue
                try:
                    piece = _on_disk(spool, file)
                except FileNotFoundError:
                    gone = True
                    continue
                told.add(file.id)
                yield piece


def _on_disk(spool: SpoolFolder, file: SegmentFile) -> Piece:
    held = content(spool.disk, file)
    numbers = Numbers.of(number for number, _ in held.records)
    return Piece(
        (file.id.writer, file.id.slot),
        file.id.first,
        file.path.name,
        numbers,
        _destination(held),
        lost=max(0, (file.count or 0) - len(numbers)),
    )


def _destination(held: Content) -> str:
    with suppress(MalformedRecord):
        if held.label is not None:
            return Stream.decode(held.label.stream).plan.destination
    return ""


def _piece(row: Delivery) -> Piece:
    numbers = Numbers.parse(row.numbers)
    return Piece(
        (row.writer, row.slot),
        row.first,
        row.uri or f"{row.writer}:{row.slot}:{row.first}",
        numbers,
        unnumbered=row.records - len(numbers),
        lost=row.lost,
    )


class ObjectAudit:
    """Compares the bucket with ledger rows, object by object."""

    def __init__(self, stores: Stores, tell: Callable[[int], object]) -> None:
        """Take `tell`, which hears how many objects were read so far."""
        self._stores = stores
        self._tell = tell
        self._read = 0
        self._seen: set[str] = set()
        self.found = ObjectFindings()

    async def check(self, row: Delivery) -> None:
        """Read one object whole: its size, its hash, its lines, their event ids."""
        self._read += 1
        self._tell(self._read)
        store, key = self._stores(row.uri)
        try:
            info = await store.head(key)
            data = await store.get(key)
        except ObjectNotFound:
            self.found.absent.append(row.uri)
            return
        try:
            ids = [decode(line).event_id for line in data.splitlines()]
        except MalformedRecord:
            ids = []
        told = info.metadata.get("modeltap-sha256")
        same = len(data) == row.bytes and len(ids) == row.records
        if not same or told not in (None, hashlib.sha256(data).hexdigest()):
            self.found.changed.append(row.uri)
        for event_id in ids:
            if event_id in self._seen:
                self.found.repeated.append(event_id)
            self._seen.add(event_id)

    async def listed(self, uri: str) -> set[str]:
        """Give the URIs of all that stands under one."""
        store, prefix = self._stores(uri)
        bucket = uri.removesuffix(prefix)
        return {bucket + info.key async for info in store.list(prefix)}
