"""Reads what an audit judges (`audit.py`): counters, segments, ledger rows, and the bucket."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from modeltap.capture.audit import ObjectFindings, Piece, Slot
from modeltap.capture.counters import SlotCount
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.ledger import Delivery, LedgerReader
from modeltap.capture.mirror import mirrors
from modeltap.capture.numbers import Numbers
from modeltap.capture.segment import content, segment_files
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


def pieces_of(
    spool: SpoolFolder, slots: Mapping[Slot, SlotCount], endpoint: str
) -> tuple[list[Piece], list[Delivery]]:
    """Give what stands on disk and in the ledger's rows, and the rows. Raise `LedgerUnreadable`.

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
    for folder in spool.writer_folders():
        for file in segment_files(spool.disk, folder):
            slot = file.id.writer, file.id.slot
            if slot in slots:
                with suppress(FileNotFoundError):  # sealed or shipped since it was listed
                    records = content(spool.disk, file).records
                    numbers = Numbers.of(number for number, _ in records)
                    lost = max(0, (file.count or 0) - len(numbers))
                    yield Piece(slot, file.id.first, file.path.name, numbers, lost=lost)


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

    def __init__(self, stores: Stores, tell: Callable[[str], object]) -> None:
        """Take `tell`, which hears of each object before it is read."""
        self._stores = stores
        self._tell = tell
        self._seen: set[str] = set()
        self.found = ObjectFindings()

    async def check(self, row: Delivery) -> None:
        """Read one object whole: its size, its hash, its lines, their event ids."""
        self._tell(row.uri)
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
