"""The byte caps of endpoints: one that has too much in the spool leaves the others their room.

What an endpoint has in the spool is the sum of its segments, of the living and the dead. From
`capture_endpoint_bytes_max` on its new records are dropped (`spool_limit`), until it is below 14/15
of that: as far below as the guard's two marks are apart. The spooler, which has all rings, looks
every second and says it in their counters; an offer reads one word.
"""

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress

from modeltap.capture import counters
from modeltap.capture.events import EndpointResumed, EndpointStopped
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.inventory import Inventory, Kept
from modeltap.capture.mirror import mirrors
from modeltap.capture.ring import RingReader
from modeltap.capture.segment import SegmentFile
from modeltap.telemetry import emit

REFRESH_SECONDS = 1.0
RESUME = 14 / 15


class Limits:
    """Which endpoints have too much in one spool. Raises `OSError` where the disk does."""

    def __init__(self, spool: SpoolFolder, bytes_max: int) -> None:
        self._spool = spool
        self._bytes_max = bytes_max
        self._closed: set[str] = set()
        self._inventory = Inventory(spool)
        self._endpoints: dict[tuple[str, int], str] = {}  # by writer and slot

    def refresh(self, rings: Iterable[RingReader]) -> None:
        """Look at the spool and tell the rings; an event for each change, none between."""
        held = self._held()
        for endpoint in held.keys() | self._closed:
            self._judge(endpoint, held[endpoint])
        for ring in rings:
            for slot in counters.read(ring.counters):
                closed = slot.endpoint in self._closed
                if closed != slot.closed:
                    counters.close(ring.counters, slot.slot, closed=closed)

    def _judge(self, endpoint: str, held: int) -> None:
        if endpoint not in self._closed and held >= self._bytes_max:
            self._closed.add(endpoint)
            emit(EndpointStopped(endpoint, held))
        elif endpoint in self._closed and held < self._bytes_max * RESUME:
            self._closed.remove(endpoint)
            emit(EndpointResumed(endpoint, held))

    def _held(self) -> Counter[str]:
        """Sum up the bytes of each endpoint's segments."""
        held: Counter[str] = Counter()
        for kept in self._inventory.look():
            held[self._endpoint(kept.file)] += self._size(kept)
        return held

    def _size(self, kept: Kept) -> int:
        if kept.file.count is None:
            with suppress(FileNotFoundError):  # sealed since it was listed
                return self._spool.disk.size_and_age(kept.file.path)[0]
        return kept.size

    def _endpoint(self, file: SegmentFile) -> str:
        key = file.id.writer, file.id.slot
        if key not in self._endpoints:
            for writer, slots in mirrors(self._spool.disk, self._spool.counters):
                self._endpoints.update({(writer, slot.slot): slot.endpoint for slot in slots})
        return self._endpoints.setdefault(key, "")
