"""The shipper: sealed segment → JSON Lines → one object → ledger row → the segment goes.

A segment becomes the same object however often it is tried: its key and its bytes follow from the
segment alone (`shipment.py`). So a lost acknowledgement, a crash between any two steps, or two
tries at once leave one object and one row. What an answer of the store means, and what is done
then, is the table in `outcome.py`. Besides:

    damaged records     ▶ counted in the row (`lost`), the segment kept in quarantine
    unreadable file     ▶ looked at again after a pause (`backlog.py`); it stays pending

`turn` runs several times at once (house runs `LANES`), one PUT each: `PUTS_MAX` at a time, over all
destinations and within one. One of them takes the newest segments first, so that what is live is
never behind a backlog; the others go round among the destinations, the oldest segments first.

A destination that rests or hangs keeps no other waiting (`destination.py`): those that are new or
failing have at most `PROBES_MAX` PUTs, and one that begins to hang while it is trusted gets no more
of them once these are slow; they no longer count then, and there is a spare turn for the others.

Constraints: one segment in memory a turn, as frames and as lines; one PUT a segment, never
multipart, so nothing half-done can be left at a store. A turn may be cancelled anywhere.
"""

from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from modeltap.capture.backlog import Backlog, Sealed
from modeltap.capture.counters import Drop
from modeltap.capture.destination import (
    LANE_PUTS_MAX,
    PUTS_MAX,
    Destination,
    Lane,
    Trial,
    rest_seconds,
)
from modeltap.capture.events import (
    Delivered,
    DeliveryResumed,
    DeliveryWaiting,
    SegmentQuarantined,
)
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.ledger import Ledger
from modeltap.capture.outcome import Outcome, outcome_of
from modeltap.capture.puts import Puts, write_puts
from modeltap.capture.segment import SegmentFile
from modeltap.capture.shipment import Shipment, shipment_of
from modeltap.clock import Clock
from modeltap.errors import ObjectExists, ObjectNotFound, ObjectStoreError, StoreRefused
from modeltap.objects.port import ObjectStore, Stored
from modeltap.settings import Settings
from modeltap.telemetry import emit

LANES = (Lane.OLDEST,) * PUTS_MAX + (Lane.NEWEST,)
"""One more than PUTs: a spare turn, for when some hang."""
LIST_SECONDS = 1.0  # so old a list of the spool may be within a turn
PUBLISH_SECONDS = 1.0

Stores = Callable[[str], tuple[ObjectStore, str]]
"""Gives the bucket and key of a URI, or raises `StoreRefused`."""


def _nothing(_: str) -> None:
    return None


class Shipper:
    """Ships the segments of one spool."""

    def __init__(
        self,
        spool: SpoolFolder,
        stores: Stores,
        ledger: Ledger,
        settings: Settings,
        clock: Clock,
        renew: Callable[[str], None] = _nothing,
    ) -> None:
        """Take `renew`, too: from then on `stores` opens the bucket of a URI with new credentials.

        The default is that of stores whose credentials do not change.
        """
        self._spool = spool
        spool.make()
        self._stores = stores
        self._renew = renew
        self._ledger = ledger
        self._rest_seconds_max = settings.capture_retry_seconds_max
        self._clock = clock
        self._backlog = Backlog(spool, clock)
        self._destinations: dict[str, Destination] = {}
        self._trials = 0
        self._listed_at = 0.0
        self._outcomes: Counter[Outcome] = Counter()
        self._published: Puts | None = None
        self._published_at = -PUBLISH_SECONDS

    async def turn(self, lane: Lane = Lane.OLDEST) -> int:
        """Ship what is sealed and may be tried now; tell how many segments were settled."""
        settled = 0
        with suppress(OSError):  # a disk that refuses is asked again at the next turn
            self._list()
            while (chosen := self._choose(lane)) is not None:
                settled += await self._try(chosen, lane)
                self._publish()
        self._publish()
        return settled

    # ------------------------------------------------------------ what is tried

    def _list(self) -> None:
        self._listed_at = self._clock.monotonic()
        in_hand = {path for each in self._destinations.values() for path in each.in_hand}
        waiting = self._backlog.waiting(lambda path: path not in in_hand)
        for name in waiting:
            self._destinations.setdefault(name, Destination(name))
        for name, destination in self._destinations.items():
            destination.waiting = deque(waiting.get(name, ()))

    def _choose(self, lane: Lane) -> Destination | None:
        """Choose the destination that is tried next; None where none may be tried."""
        now = self._clock.monotonic()
        if now - self._listed_at >= LIST_SECONDS:
            self._list()
        every = self._destinations.values()
        if sum(each.swift(lane, now) for each in every) >= LANE_PUTS_MAX[lane]:
            return None
        probes = sum(each.is_probed for each in every)
        ready = [each for each in every if each.may_try(lane, now, probes)]
        if lane is Lane.NEWEST:
            return max(ready, key=lambda each: each.waiting[-1].age, default=None)
        return min(ready, key=lambda each: each.tried, default=None)

    async def _try(self, destination: Destination, lane: Lane) -> bool:
        """Ship one segment; tell whether it was settled."""
        self._trials += 1
        destination.tried = self._trials
        sealed = destination.take(lane)
        path = sealed.file.path
        destination.in_hand[path] = Trial(lane, self._clock.monotonic())
        try:
            return await self._ship(sealed, destination)
        finally:
            del destination.in_hand[path]

    # ------------------------------------------------------------ one segment

    async def _ship(self, sealed: Sealed, destination: Destination) -> bool:
        file = sealed.file
        if not self._spool.disk.is_file(file.path):
            return False  # shipped by another turn since it was listed
        row = self._ledger.row(file.id)
        if row is not None:  # killed, or refused by the disk, between the row and this
            self._let_go(file, row.lost)
            return True
        try:
            shipment = shipment_of(self._spool, file)
        except OSError as error:
            self._backlog.pass_over(file, error)
            return False
        self._backlog.was_read(file)
        if not shipment.records:
            self._give_up(shipment, Drop.CORRUPT)
            return True
        return await self._deliver(sealed, shipment, destination)

    async def _deliver(self, sealed: Sealed, shipment: Shipment, destination: Destination) -> bool:
        began = self._clock.monotonic()
        try:
            etag = await self._put(shipment, destination)
        except ObjectStoreError as error:
            # A put to create was tried without that, too, where this could have been why.
            outcome = outcome_of(error, create_only=False)
            is_poison = self._failed(sealed, shipment, destination, outcome, error, began)
            return is_poison and await self._give_up_poison(shipment)
        self._take_up(destination)
        if etag is None:
            self._outcomes[Outcome.KEY_TAKEN] += 1
            self._give_up(shipment, Drop.KEY_TAKEN)
        else:
            self._settle(shipment, etag)
        return True

    async def _put(self, shipment: Shipment, destination: Destination) -> str | None:
        """Put the object; give its etag, or None where its key is another's."""
        store, key = self._stores(shipment.uri)
        put = partial(
            store.put,
            key,
            shipment.data,
            metadata=shipment.metadata,
            kms_key_id=shipment.kms_key_id,
        )
        try:
            return self._stored(await put(create_only=destination.create_only))
        except ObjectExists:
            self._outcomes[Outcome.EXISTS] += 1
            return await _etag_of(store, key, shipment)
        except StoreRefused as error:
            outcome = outcome_of(error, create_only=destination.create_only)
            if outcome is not Outcome.NO_CONDITIONS:
                raise
        # The key is this segment's alone: to overwrite it can only repeat what is there.
        self._outcomes[Outcome.NO_CONDITIONS] += 1
        etag = self._stored(await put(create_only=False))
        destination.create_only = False
        return etag

    def _stored(self, stored: Stored) -> str:
        self._outcomes[Outcome.DELIVERED] += 1
        return stored.etag

    def _failed(
        self,
        sealed: Sealed,
        shipment: Shipment,
        destination: Destination,
        outcome: Outcome,
        error: ObjectStoreError,
        began: float,
    ) -> bool:
        """Do what the outcome asks for; tell whether the segment is poison."""
        self._outcomes[outcome] += 1
        if began >= destination.rested_at or not destination.failures:
            self._rest(destination, outcome, error)
        if outcome is Outcome.CREDENTIALS:
            self._renew(shipment.uri)
        return outcome is Outcome.REFUSED and destination.refuse(sealed)

    async def _give_up_poison(self, shipment: Shipment) -> bool:
        """Give a segment up, unless an earlier put whose answer was lost has stored it."""
        store, key = self._stores(shipment.uri)
        try:
            etag = await _etag_of(store, key, shipment)
        except ObjectNotFound:
            etag = None
        except ObjectStoreError:
            return False  # nobody can say: it is refused once more
        if etag is None:
            self._outcomes[Outcome.POISON] += 1
            self._give_up(shipment, Drop.POISON)
        else:
            self._settle(shipment, etag)
        return True

    # ------------------------------------------------------------ its end

    def _settle(self, shipment: Shipment, etag: str) -> None:
        """Write the row, then let the segment go: killed between, the row is found again."""
        self._ledger.add(shipment.row(etag, Drop.CORRUPT, self._clock.now_ns()))
        self._remove(shipment.file, shipment.lost, Drop.CORRUPT)
        size = len(shipment.data)
        uri, records = shipment.uri, shipment.records
        emit(Delivered(shipment.endpoint, shipment.variant, uri, records, size))

    def _give_up(self, shipment: Shipment, reason: Drop) -> None:
        lost = shipment.without_object()
        self._ledger.add(lost.row("", reason, self._clock.now_ns()))
        self._remove(lost.file, lost.lost, reason)

    def _remove(self, file: SegmentFile, lost: int, reason: Drop) -> None:
        self._let_go(file, lost)
        if lost:
            emit(SegmentQuarantined(str(file.id), reason, lost))

    def _let_go(self, file: SegmentFile, lost: int) -> None:
        """Remove a segment that has its row; one with records that were lost is kept aside."""
        if lost:
            self._spool.put_aside(file.path)
        else:
            self._spool.disk.unlink(file.path)

    # ------------------------------------------------------------ its destination

    def _rest(self, destination: Destination, outcome: Outcome, error: ObjectStoreError) -> None:
        chance, longest = self._clock.random(), self._rest_seconds_max
        seconds = rest_seconds(outcome, destination.failures, chance, longest)
        if destination.rest(outcome, str(error), seconds, self._clock.monotonic()):
            emit(DeliveryWaiting(destination.name, str(error)))

    def _take_up(self, destination: Destination) -> None:
        if destination.take_up():
            emit(DeliveryResumed(destination.name))

    def _publish(self) -> None:
        """Publish how stores answer, where that has changed; a disk that refuses is asked again."""
        now = self._clock.monotonic()
        if now - self._published_at < PUBLISH_SECONDS:
            return
        puts = self._puts()
        if puts != self._published:
            self._published_at = now
            with suppress(OSError):
                write_puts(self._spool, puts)
                self._published = puts

    def _puts(self) -> Puts:
        every = self._destinations.values()
        return Puts(
            dict(self._outcomes),
            {each.name: (each.outcome, each.reason) for each in every if each.outcome},
            tuple(each.name for each in every if not each.create_only),
        )


async def _etag_of(store: ObjectStore, key: str, shipment: Shipment) -> str | None:
    """Give the etag of an object that is this segment's own; None where it is another's.

    A store that keeps no metadata is asked for the bytes.
    """
    found = await store.head(key)
    if found.size != len(shipment.data):
        return None
    told = found.metadata.get("modeltap-segment")
    if told is None:
        return found.etag if await store.get(key) == shipment.data else None
    return found.etag if told == str(shipment.file.id) else None
