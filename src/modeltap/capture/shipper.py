"""The shipper: sealed segment → JSON Lines → one object → ledger row → the segment goes.

A segment becomes the same object however often it is tried: its key and its bytes follow from the
segment alone. So a lost acknowledgement, a crash between any two steps, or two tries at once leave
one object and one row. JSON and base64 happen here, far from any inference.

    put, create only    ─ stored       ▶ row, unlink
                        ─ exists       ▶ head: this segment's ▶ row, unlink; another's ▶ quarantine
                        ─ unavailable  ▶ the destination rests, longer each time, with jitter
                        ─ refused      ▶ once without "create only" (stores that lack it); if that
                                         too is refused, the destination rests; nothing is dropped
                        ─ any other    ▶ the destination rests
    damaged records     ▶ counted in the row (`lost`), the segment kept in quarantine

    unreadable file     ▶ passed over until the next start; the segment stays pending

A destination that rests or hangs keeps no other waiting. `turn` runs several times at once (house
runs `TURNS`): each takes destinations that no other is busy with, oldest segments first. Those that
failed of late have at most `PROBES_MAX` turns at once, so that the others are never without one.

Constraints: one segment in memory a turn, as frames and as lines; one PUT a segment, never
multipart, so nothing half-done can be left at a store. A turn may be cancelled anywhere.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from uuid_utils import NAMESPACE_URL, uuid5

from modeltap.capture.counters import Drop
from modeltap.capture.disk import Disk
from modeltap.capture.events import (
    Delivered,
    DeliveryResumed,
    DeliveryWaiting,
    SegmentQuarantined,
    SegmentUnreadable,
)
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.ledger import Delivery, Ledger
from modeltap.capture.lines import lines
from modeltap.capture.mirror import slot_names
from modeltap.capture.numbers import Numbers
from modeltap.capture.segment import Content, Label, SegmentFile, content, read, segment_files
from modeltap.capture.stream import Stream
from modeltap.clock import Clock, utc
from modeltap.errors import MalformedRecord, ObjectExists, ObjectStoreError, StoreRefused
from modeltap.objects.port import ObjectStore
from modeltap.settings import Settings
from modeltap.telemetry import emit

FIRST_REST_SECONDS = 1.0
TURNS = 4
PROBES_MAX = 2  # fewer than turns
NUMBERS_BYTES_MAX = 1024  # of the object's metadata, which S3 bounds at 2 KB
NO_NUMBERS = Numbers()
LABEL_BYTES = 64 * 1024  # more than any HEAD frame: read to learn a destination


@dataclass(frozen=True, slots=True)
class _Shipment:
    """What a segment became: one object, ready to be put; without records there is none."""

    file: SegmentFile
    endpoint: str
    variant: str
    uri: str = ""
    data: bytes = b""
    numbers: Numbers = NO_NUMBERS
    last: int = 0

    @property
    def records(self) -> int:
        return len(self.numbers)

    @property
    def lost(self) -> int:
        return max(0, (self.file.count or 0) - self.records)

    @property
    def metadata(self) -> Mapping[str, str]:
        """Tell enough of the segment that its row can be written again (`rebuild.py`)."""
        numbers = str(self.numbers)
        known = {"modeltap-numbers": numbers} if len(numbers) <= NUMBERS_BYTES_MAX else {}
        return known | {
            "modeltap-segment": str(self.file.id),
            "modeltap-records": str(self.records),
            "modeltap-lost": str(self.lost),
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
        spool: SpoolFolder,
        stores: Callable[[str], tuple[ObjectStore, str]],
        ledger: Ledger,
        settings: Settings,
        clock: Clock,
    ) -> None:
        """Take `stores`, which gives the bucket and key of a URI or raises `StoreRefused`."""
        self._spool = spool
        spool.make()
        self._stores = stores
        self._ledger = ledger
        self._rest_seconds_max = settings.capture_retry_seconds_max
        self._clock = clock
        self._known: dict[Path, _Sealed | None] = {}  # None: unreadable
        self._probes = 0
        self._destinations: dict[str, _Destination] = {}

    async def turn(self) -> int:
        """Ship what is sealed and may be tried now; tell how many segments were settled."""
        settled = 0
        for sealed in self._backlog():
            state = self._destinations.setdefault(sealed.destination, _Destination())
            if self._may_try(state):
                settled += await self._try(sealed, state)
        return settled

    def _may_try(self, state: _Destination) -> bool:
        if state.busy or self._clock.monotonic() < state.rest_until:
            return False
        return not state.failures or self._probes < PROBES_MAX

    async def _try(self, sealed: _Sealed, state: _Destination) -> bool:
        """Ship one segment, alone with its destination; tell whether it was settled."""
        probe = state.failures > 0
        state.busy = True
        self._probes += probe
        try:
            return await self._ship(sealed, state)
        finally:
            state.busy = False
            self._probes -= probe

    async def _ship(self, sealed: _Sealed, state: _Destination) -> bool:
        file = sealed.file
        if not self._spool.disk.is_file(file.path):
            return False  # shipped by another turn since it was listed
        if self._ledger.has(file.id):
            self._spool.disk.unlink(file.path)  # killed between the row and this
            return True
        try:
            shipment = _shipment(file, self._spool)
        except OSError as error:
            self._pass_over(file, error)
            return False
        if not shipment.records:
            self._give_up(shipment, Drop.CORRUPT)
            return True
        try:
            etag = await self._put(shipment, state)
        except ObjectStoreError as error:
            self._rest(sealed.destination, state, error)
            return False
        self._take_up(sealed.destination, state)
        if etag is None:
            self._give_up(shipment, Drop.KEY_TAKEN)
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
        self._ledger.add(_row(shipment, etag, Drop.CORRUPT, self._clock.now_ns()))
        self._remove(shipment.file, shipment.lost, Drop.CORRUPT)
        size = len(shipment.data)
        uri, records = shipment.uri, shipment.records
        emit(Delivered(shipment.endpoint, shipment.variant, uri, records, size))

    def _give_up(self, shipment: _Shipment, reason: Drop) -> None:
        file = shipment.file
        none = _Shipment(file, shipment.endpoint, shipment.variant, last=shipment.last)
        self._ledger.add(_row(none, "", reason, self._clock.now_ns()))
        self._remove(file, none.lost, reason)

    def _remove(self, file: SegmentFile, lost: int, reason: Drop) -> None:
        if lost:
            self._spool.put_aside(file.path)
            emit(SegmentQuarantined(str(file.id), reason, lost))
        else:
            self._spool.disk.unlink(file.path)

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
        """List the sealed segments, oldest first; those whose label is lost before all others."""
        known = self._known
        self._known = {
            file.path: known[file.path] if file.path in known else self._looked_at(file)
            for folder in self._spool.writer_folders()
            for file in segment_files(self._spool.disk, folder)
            if file.count is not None
        }
        return sorted(filter(None, self._known.values()))

    def _looked_at(self, file: SegmentFile) -> _Sealed | None:
        try:
            found = _label(self._spool.disk, file)
        except OSError as error:
            self._pass_over(file, error)
            return None
        if found is None:
            return _Sealed(0, 0, file, "")
        label, stream = found
        return _Sealed(label.hour, label.first_ns, file, stream.plan.destination)

    def _pass_over(self, file: SegmentFile, error: OSError) -> None:
        self._known[file.path] = None
        emit(SegmentUnreadable(str(file.id), error.strerror or type(error).__name__))


def object_uri(file: SegmentFile, label: Label, stream: Stream) -> str:
    """Name a segment's object (contract §1.5): the time is that of its first record, UTC.

    `{destination}/{endpoint}/{variant}/yyyy/mm/dd/HH/MM-SS-mmm-{uuid}.jsonl`; the id is made from
    the segment's name for ever, so that a retry cannot name another object.
    """
    moment = utc(label.first_ns)
    name = f"{moment:%M-%S}-{moment.microsecond // 1000:03d}-{uuid5(NAMESPACE_URL, str(file.id))}"
    place = f"{stream.plan.destination}/{stream.endpoint}/{stream.variant}"
    return f"{place}/{moment:%Y/%m/%d/%H}/{name}.jsonl"


def _row(shipment: _Shipment, etag: str, reason: Drop, delivered_ns: int) -> Delivery:
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
        lost=shipment.lost,
        delivered_ns=delivered_ns,
        numbers=str(shipment.numbers),
        reason=reason.value if shipment.lost else "",
    )


def _shipment(file: SegmentFile, spool: SpoolFolder) -> _Shipment:
    """Decode a segment into its object, or into none where no record or no label is left."""
    held = content(spool.disk, file)
    found = _placed(held)
    if found is None:
        return _Shipment(
            file, *slot_names(spool.disk, spool.counters, file.id.writer, file.id.slot)
        )
    label, stream = found
    written = lines(held.records, stream)
    return _Shipment(
        file,
        stream.endpoint,
        stream.variant,
        uri=object_uri(file, label, stream),
        data=b"".join(written.values()),
        numbers=Numbers.of(written),
        last=held.records[-1][0] if held.records else 0,
    )


def _label(disk: Disk, file: SegmentFile) -> tuple[Label, Stream] | None:
    """Read where a segment goes, from its beginning or, where that is damaged, from its end."""
    found = _placed(read(disk.read(file.path, LABEL_BYTES), file))
    return found or _placed(content(disk, file))


def _placed(held: Content) -> tuple[Label, Stream] | None:
    """Give where records go, or None where no label is left that says so."""
    if held.label is None:
        return None
    try:
        return held.label, Stream.decode(held.label.stream)
    except MalformedRecord:
        return None
