"""The shipper: sealed segment → JSON Lines → one object → ledger row → the segment goes.

A segment becomes the same object however often it is tried: its key and its bytes follow from the
segment alone. So a lost acknowledgement, a crash between any two steps, or two tries at once leave
one object and one row. JSON and base64 happen here, far from any inference.

    put, create only    ─ stored       ▶ row, unlink
                        ─ exists       ▶ head: this segment's ▶ row, unlink; another's ▶ quarantine
                        ─ unavailable  ▶ the destination rests, longer each time, with jitter
                        ─ refused      ▶ once without "create only" (stores that lack it); if that
                                         too is refused, the destination rests; nothing is dropped
    damaged records     ▶ counted in the row (`corrupt`), the segment kept in quarantine

A destination that rests keeps no other waiting. `turn` may run several times at once (house runs
some): each takes destinations that no other is busy with, oldest segments first.

Constraints: one segment in memory a turn, as frames and as lines; one PUT a segment, never
multipart, so nothing half-done can be left at a store.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

from uuid_utils import NAMESPACE_URL, uuid5

from modeltap.capture.counters import slot_names
from modeltap.capture.folder import SpoolFolder, quarantine
from modeltap.capture.frame import Stream, open_parcel
from modeltap.capture.ledger import Delivery, Ledger
from modeltap.capture.plan import encoding
from modeltap.capture.segment import Label, Record, Scanned, SegmentFile, scan, segment_files
from modeltap.clock import Clock, utc
from modeltap.errors import MalformedRecord, ObjectExists, StoreRefused, StoreUnavailable
from modeltap.objects.port import ObjectStore
from modeltap.record import encode
from modeltap.settings import Settings
from modeltap.telemetry import Event, emit

FIRST_REST_SECONDS = 1.0
LABEL_BYTES = 64 * 1024  # more than any HEAD frame: read to learn a destination


@dataclass(frozen=True, slots=True)
class Delivered(Event):
    """A segment's object is in its bucket."""

    endpoint: str
    variant: str
    uri: str
    records: int
    bytes: int


@dataclass(frozen=True, slots=True)
class DeliveryWaiting(Event):
    """A destination takes nothing; its records wait on disk. Once for each spell."""

    level: ClassVar[int] = logging.WARNING
    destination: str
    reason: str


@dataclass(frozen=True, slots=True)
class DeliveryResumed(Event):
    destination: str


@dataclass(frozen=True, slots=True)
class SegmentQuarantined(Event):
    """A segment was damaged, or its key is taken by what is not it; the file is kept."""

    level: ClassVar[int] = logging.ERROR
    segment: str
    reason: str
    records: int  # lost


@dataclass(frozen=True, slots=True)
class _Shipment:
    """What a segment became: one object, ready to be put; without records there is none."""

    file: SegmentFile
    endpoint: str
    variant: str
    uri: str = ""
    data: bytes = b""
    records: int = 0
    last: int = 0

    @property
    def corrupt(self) -> int:
        return max(0, (self.file.count or 0) - self.records)

    @property
    def metadata(self) -> Mapping[str, str]:
        return {
            "modeltap-segment": str(self.file.id),
            "modeltap-records": str(self.records),
            "modeltap-last": str(self.last),
            "modeltap-sha256": hashlib.sha256(self.data).hexdigest(),
        }


@dataclass(slots=True)
class _Destination:
    """How a destination has answered of late."""

    busy: bool = False
    failures: int = 0
    rest_until: float = 0.0
    create_only: bool = True


@dataclass(frozen=True, slots=True, order=True)
class _Sealed:
    """A sealed segment in the order of shipping: oldest hour first."""

    hour: int
    first_ns: int
    file: SegmentFile = field(compare=False)
    destination: str = field(compare=False)


class Shipper:
    """Ships the segments of one spool."""

    def __init__(
        self,
        folder: Path,
        stores: Callable[[str], tuple[ObjectStore, str]],
        ledger: Ledger,
        settings: Settings,
        clock: Clock,
    ) -> None:
        """Take `stores`, which gives the bucket and key of a URI or raises `StoreRefused`."""
        self._spool = SpoolFolder(folder)
        self._spool.make()
        self._stores = stores
        self._ledger = ledger
        self._rest_seconds_max = settings.capture_retry_seconds_max
        self._clock = clock
        self._labels: dict[Path, Label | None] = {}
        self._destinations: dict[str, _Destination] = {}

    async def turn(self) -> int:
        """Ship what is sealed and may be tried now; tell how many segments were settled."""
        settled = 0
        for sealed in self._backlog():
            state = self._destinations.setdefault(sealed.destination, _Destination())
            if not state.busy and self._clock.monotonic() >= state.rest_until:
                state.busy = True
                try:
                    settled += await self._ship(sealed, state)
                finally:
                    state.busy = False
        return settled

    async def _ship(self, sealed: _Sealed, state: _Destination) -> bool:
        file = sealed.file
        if not file.path.exists():
            return False  # shipped by another turn since it was listed
        if self._ledger.has(file.id):
            file.path.unlink()  # killed between the row and this
            return True
        shipment = _shipment(file, self._spool)
        if not shipment.records:
            self._give_up(shipment, "damaged")
            return True
        try:
            etag = await self._put(shipment, state)
        except (StoreUnavailable, StoreRefused) as error:
            self._rest(sealed.destination, state, error)
            return False
        self._take_up(sealed.destination, state)
        if etag is None:
            self._give_up(shipment, "key taken")
        else:
            self._settle(shipment, etag)
        return True

    async def _put(self, shipment: _Shipment, state: _Destination) -> str | None:
        """Put the object; give its etag, or None where its key is another's."""
        store, key = self._stores(shipment.uri)
        put = partial(store.put, key, shipment.data, metadata=shipment.metadata)
        try:
            return (await put(create_only=state.create_only)).etag
        except ObjectExists:
            found = await store.head(key)
            same = found.metadata.get("modeltap-segment") == str(shipment.file.id)
            return found.etag if same and found.size == len(shipment.data) else None
        except StoreRefused:
            if not state.create_only:
                raise
        # The key is this segment's alone: to overwrite it can only repeat what is there.
        etag = (await put(create_only=False)).etag
        state.create_only = False
        return etag

    def _settle(self, shipment: _Shipment, etag: str) -> None:
        """Write the row, then let the segment go: killed between, the row is found again."""
        self._ledger.add(_row(shipment, etag, self._clock.now_ns()))
        self._remove(shipment.file, shipment.corrupt, "damaged")
        size = len(shipment.data)
        uri, records = shipment.uri, shipment.records
        emit(Delivered(shipment.endpoint, shipment.variant, uri, records, size))

    def _give_up(self, shipment: _Shipment, reason: str) -> None:
        file = shipment.file
        lost = _Shipment(file, shipment.endpoint, shipment.variant, last=shipment.last)
        self._ledger.add(_row(lost, "", self._clock.now_ns()))
        self._remove(file, lost.corrupt, reason)

    def _remove(self, file: SegmentFile, lost: int, reason: str) -> None:
        if lost:
            quarantine(self._spool, file.path)
            emit(SegmentQuarantined(str(file.id), reason, lost))
        else:
            file.path.unlink()

    def _rest(self, destination: str, state: _Destination, error: Exception) -> None:
        """Let a destination rest: full jitter, so that many shippers do not return at once."""
        state.failures += 1
        longest = min(self._rest_seconds_max, FIRST_REST_SECONDS * 2 ** min(state.failures, 30))
        state.rest_until = self._clock.monotonic() + longest * (0.5 + self._clock.random() / 2)
        if state.failures == 1:
            emit(DeliveryWaiting(destination, str(error)))

    def _take_up(self, destination: str, state: _Destination) -> None:
        if state.failures:
            state.failures = 0
            emit(DeliveryResumed(destination))

    def _backlog(self) -> list[_Sealed]:
        """List the sealed segments, oldest first, those without a readable label at the end."""
        files = [
            file
            for folder in self._spool.writer_folders()
            for file in segment_files(folder)
            if file.count is not None
        ]
        present = {file.path for file in files}
        self._labels = {path: label for path, label in self._labels.items() if path in present}
        return sorted(self._sealed(files))

    def _sealed(self, files: list[SegmentFile]) -> Iterator[_Sealed]:
        for file in files:
            if file.path not in self._labels:
                self._labels[file.path] = _label(file)
            label = self._labels[file.path]
            if label is None:
                yield _Sealed(0, 0, file, "")
            else:
                destination = Stream.decode(label.stream).plan.destination
                yield _Sealed(label.hour, label.first_ns, file, destination)


def object_uri(file: SegmentFile, label: Label, stream: Stream) -> str:
    """Name a segment's object (contract §1.5): the time is that of its first record, UTC.

    `{destination}/{endpoint}/{variant}/yyyy/mm/dd/HH/MM-SS-mmm-{uuid}.jsonl`; the id is made from
    the segment's name for ever, so that a retry cannot name another object.
    """
    moment = utc(label.first_ns)
    name = f"{moment:%M-%S}-{moment.microsecond // 1000:03d}-{uuid5(NAMESPACE_URL, str(file.id))}"
    place = f"{stream.plan.destination}/{stream.endpoint}/{stream.variant}"
    return f"{place}/{moment:%Y/%m/%d/%H}/{name}.jsonl"


def _row(shipment: _Shipment, etag: str, delivered_ns: int) -> Delivery:
    identity = shipment.file.id
    return Delivery(
        writer=identity.writer,
        slot=identity.slot,
        first=identity.first,
        last=shipment.last,
        endpoint=shipment.endpoint,
        variant=shipment.variant,
        uri=shipment.uri,
        etag=etag,
        bytes=len(shipment.data),
        records=shipment.records,
        corrupt=shipment.corrupt,
        delivered_ns=delivered_ns,
    )


def _shipment(file: SegmentFile, spool: SpoolFolder) -> _Shipment:
    """Decode a segment into its object, or into none where no record or no label is left."""
    scanned = scan(file.path.read_bytes(), file.id.salt)
    if scanned.label is None:
        return _Shipment(file, *slot_names(spool.counters, file.id.writer, file.id.slot))
    stream = Stream.decode(scanned.label.stream)
    lines = list(_lines(scanned.records, stream))
    return _Shipment(
        file,
        stream.endpoint,
        stream.variant,
        uri=object_uri(file, scanned.label, stream),
        data=b"".join(lines),
        records=len(lines),
        last=scanned.records[-1][0] if scanned.records else 0,
    )


def _lines(records: tuple[Record, ...], stream: Stream) -> Iterator[bytes]:
    choose = partial(encoding, stream.plan)
    for _, parcel in records:
        try:
            record = open_parcel(parcel)
        except MalformedRecord:
            continue  # not among the lines, hence counted as corrupt
        yield encode(record, choose)


def _label(file: SegmentFile) -> Label | None:
    """Read where a segment goes, from its beginning or, where that is damaged, from its end."""
    with file.path.open("rb") as opened:
        found: Scanned = scan(opened.read(LABEL_BYTES), file.id.salt)
    if found.label is None:
        found = scan(file.path.read_bytes(), file.id.salt)
    return found.label
