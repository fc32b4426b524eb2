"""How capture stands: for `/capturez`, for Prometheus, and for DescribeEndpoint.

States, the gravest first:

    disk_fault         the spooler's disk takes nothing: records wait in the rings, and are dropped
                       (`queue_full`) when these are full
    disk_watermark     the guard has stopped capture: too full, or too little free
    spool_limit        an endpoint has more than its share in the spool; the others go on
    delivery_waiting   a destination takes nothing; its records wait in the spool
    running

The first three stop an endpoint's capture (`CaptureStatus: Stopped`); inference goes on in all.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from modeltap.capture.account import Count, account
from modeltap.capture.counters import read
from modeltap.capture.inventory import Inventory, Kept
from modeltap.capture.puts import Puts, read_puts
from modeltap.capture.ring import RingReader


class State(StrEnum):
    DISK_FAULT = "disk_fault"
    DISK_WATERMARK = "disk_watermark"
    SPOOL_LIMIT = "spool_limit"
    DELIVERY_WAITING = "delivery_waiting"
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Standing:
    """One look at all of capture."""

    state: State
    writers: tuple[str, ...]  # those that live
    counts: list[Count]
    oldest_ns: dict[tuple[str, str], int]  # of what is pending on disk, by endpoint and variant
    segments: dict[str, int]  # open, sealed, quarantined
    used_percent: float
    free_bytes: int
    puts: Puts


def standing(inventory: Inventory, rings: Sequence[int]) -> Standing:
    """Look at the rings that live and the spool. Raise `LedgerUnreadable`, `OSError`."""
    spool, disk = inventory.spool, inventory.spool.disk
    counts, puts = account(spool, rings, inventory), read_puts(spool)
    every = inventory.look()
    living = _living(rings)
    sealed = sum(kept.file.count is not None for kept in every)
    quarantined = len(disk.files(spool.quarantine))
    return Standing(
        _state(living, puts),
        tuple(ring.writer for ring in living),
        counts,
        _oldest(inventory, every),
        {"open": len(every) - sealed, "sealed": sealed, "quarantined": quarantined},
        disk.used_percent(spool.root),
        disk.free_bytes(spool.root),
        puts,
    )


def stopped(rings: Sequence[int], endpoint: str) -> State | None:
    """Tell why an endpoint's new records are not taken at the moment; None if they are."""
    living = _living(rings)
    for ring in living:
        if ring.stopped:
            return State(ring.stopped)
    closed = any(
        slot.closed for ring in living for slot in read(ring.counters) if slot.endpoint == endpoint
    )
    return State.SPOOL_LIMIT if closed else None


def _state(living: Sequence[RingReader], puts: Puts) -> State:
    found = {State(ring.stopped) for ring in living if ring.stopped}
    if any(slot.closed for ring in living for slot in read(ring.counters)):
        found.add(State.SPOOL_LIMIT)
    if puts.waiting:
        found.add(State.DELIVERY_WAITING)
    return next(state for state in State if state in found or state is State.RUNNING)


def _living(rings: Sequence[int]) -> list[RingReader]:
    return [reader for reader in map(RingReader, rings) if reader.founded]


def _oldest(inventory: Inventory, every: list[Kept]) -> dict[tuple[str, str], int]:
    """Find when the oldest record of each variant that is on disk was received."""
    first: dict[tuple[str, int], Kept] = {}
    for kept in every:
        slot = kept.file.id.writer, kept.file.id.slot
        if slot not in first or kept.file.hour < first[slot].file.hour:
            first[slot] = kept  # they come in the order of hours, then of their numbers
    oldest: dict[tuple[str, str], int] = {}
    for kept in first.values():
        with suppress(OSError):  # sealed or shipped since it was listed; or it cannot be read
            origin = inventory.origin(kept)
            if origin is not None:
                variant = origin.endpoint, origin.variant
                oldest[variant] = min(origin.first_ns, oldest.get(variant, origin.first_ns))
    return oldest
