"""How many of an endpoint's records of a window are on their way: sampled, and not yet delivered.

A window is complete when there are none: then whoever reads the bucket finds all of it. The look
goes the way that records go, so that one that moves on meanwhile is met, if twice:

    gateways ─▶ rings ─▶ segments ─▶ ledger

What waits in a gateway (at most for a turn of its loop) has no time that could be read from here:
it counts, whenever it was received. A segment counts whole if its first record lies before the
window's end: what came later is in there, too, and does not matter to a yes or no.
"""

from collections.abc import Iterator, Sequence

from modeltap.capture.batch import open_batch
from modeltap.capture.counters import read
from modeltap.capture.frame import HOUR_NS, first_inference_ns
from modeltap.capture.inventory import Inventory, Kept
from modeltap.capture.ledger import LedgerReader
from modeltap.capture.ring import RingReader
from modeltap.capture.segment import SegmentId
from modeltap.capture.stream import Stream


def undelivered(
    inventory: Inventory, rings: Sequence[int], endpoint: str, start_ns: int, end_ns: int
) -> int:
    """Count them; zero says that the window is complete. Raise `LedgerUnreadable`, `OSError`."""
    living = [ring for ring in map(RingReader, rings) if ring.founded]
    waiting = sum(_waiting(ring, endpoint) for ring in living)
    ringed = sum(_ringed(ring, endpoint, start_ns, end_ns) for ring in living)
    return waiting + ringed + _spooled(inventory, endpoint, start_ns, end_ns)


def ask_seal(rings: Sequence[int]) -> None:
    """Have the spooler seal all that is open, at once: for who waits for a window."""
    for ring in map(RingReader, rings):
        if ring.founded:
            ring.ask_seal()


def _waiting(ring: RingReader, endpoint: str) -> int:
    return sum(
        max(0, count.sampled - count.framed - sum(count.dropped.values()))
        for count in read(ring.counters)
        if count.endpoint == endpoint
    )


def _ringed(ring: RingReader, endpoint: str, start_ns: int, end_ns: int) -> int:
    batches = map(open_batch, ring.frames(ring.capacity))
    return sum(
        batch.count
        for batch in batches
        if _within(batch.hour, first_inference_ns(batch.frames), start_ns, end_ns)
        and Stream.decode(batch.stream).endpoint == endpoint
    )


def _spooled(inventory: Inventory, endpoint: str, start_ns: int, end_ns: int) -> int:
    mine = list(_segments(inventory, endpoint, start_ns, end_ns))
    if not mine:
        return 0
    settled: set[SegmentId] = set()
    if inventory.spool.ledger.exists():
        with LedgerReader(inventory.spool.ledger) as ledger:
            settled, _ = ledger.look([kept.file.id for kept in mine])
    return sum(_records(inventory, kept) for kept in mine if kept.file.id not in settled)


def _segments(inventory: Inventory, endpoint: str, start_ns: int, end_ns: int) -> Iterator[Kept]:
    for kept in inventory.look():
        if not start_ns // HOUR_NS <= kept.file.hour <= end_ns // HOUR_NS:
            continue
        try:
            origin = inventory.origin(kept)
        except FileNotFoundError:  # sealed or shipped since it was listed: the next look tells
            yield kept
            continue
        if origin is None or origin.endpoint != endpoint:
            continue
        if _within(kept.file.hour, origin.first_ns, start_ns, end_ns):
            yield kept


def _records(inventory: Inventory, kept: Kept) -> int:
    """Count a segment's records; of one that has just changed its name, one."""
    if kept.file.count is not None:
        return kept.file.count
    try:
        inventory.read_on(kept)
    except FileNotFoundError:
        return 1
    return max(1, len(kept.numbers))


def _within(hour: int, first_ns: int, start_ns: int, end_ns: int) -> bool:
    """Tell whether records of an hour, the first at a time, may lie in a window."""
    return first_ns < end_ns and (hour + 1) * HOUR_NS > start_ns
