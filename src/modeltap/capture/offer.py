"""The gateway's side of capture: one finished inference into the ring, in microseconds.

`offer` is synchronous, cannot raise and cannot block. A record that does not fit is dropped and
counted; the answer was handed over before. Nothing is encoded, bodies are copied once.

Constraints: a frame above 256 KiB is not copied in one turn of the loop: it waits, by reference,
and `pump` writes one slice a turn. What waits is bounded by `WAITING_BYTES_MAX`; frames behind a
waiting one wait too, so that a slot's sequence numbers stay in order in the ring.
"""

from collections import deque
from typing import Final, final

from modeltap.capture.counters import SLOTS_FULL, Counters, Drop
from modeltap.capture.frame import Framer, Stream
from modeltap.capture.guard import Guard
from modeltap.capture.plan import keep
from modeltap.capture.ring import RingWriter
from modeltap.clock import Clock
from modeltap.nouns import CapturePlan, Exchange

SLICE_BYTES = 256 * 1024
RECORD_BYTES_MAX = 60 * 1024 * 1024
WAITING_BYTES_MAX = 64 * 1024 * 1024


@final
class _Waiting:
    """A large frame on its way into the ring."""

    def __init__(self, slot: int, size: int, chunks: list[bytes]) -> None:
        self.slot: Final = slot
        self.size: Final = size
        self.chunks: Final = deque(memoryview(chunk) for chunk in chunks)


@final
class Capture:
    """One gateway's capture; the only user of its ring and its counters."""

    def __init__(self, ring: RingWriter, counters: Counters, guard: Guard, clock: Clock) -> None:
        self._ring = ring
        self._counters = counters
        self._guard = guard
        self._clock = clock
        self._taps: dict[tuple[str, str], Framer] = {}
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._begun = False
        self._frame_bytes_max = min(RECORD_BYTES_MAX, ring.frame_bytes_max)
        counters.settle(ring.receipt())

    @property
    def waiting(self) -> bool:
        """Whether `pump` has something to do."""
        return bool(self._waiting)

    def offer(self, exchange: Exchange) -> None:
        """Capture a successful exchange, if its plan's sampling says so (contract §1.8, §1.9)."""
        plan = exchange.plan
        if plan is None or not 200 <= exchange.answer.status < 300:
            return
        if keep(plan, self._clock.random()):
            self._take(exchange, self._tap(exchange, plan))

    def pump(self) -> bool:
        """Write one slice of what waits; tell whether more is waiting. Call it once a loop turn."""
        if self._waiting:
            frame = self._waiting[0]
            if not self._begun and not self._ring.begin(frame.size):
                self._leave(frame, Drop.QUEUE_FULL)
            else:
                self._begun = True
                self._slice(frame)
        return bool(self._waiting)

    def _take(self, exchange: Exchange, tap: Framer) -> None:
        sequence = self._counters.sample(tap.slot)
        if tap.slot == SLOTS_FULL:
            self._counters.drop(tap.slot, Drop.SLOTS_FULL)
        elif not self._guard.open:
            self._counters.drop(tap.slot, Drop.DISK_WATERMARK)
        else:
            self._put(tap.slot, tap.parts(sequence, exchange))

    def _put(self, slot: int, chunks: list[bytes]) -> None:
        size = 0
        for chunk in chunks:
            size += len(chunk)
        if size > self._frame_bytes_max:
            self._counters.drop(slot, Drop.RECORD_TOO_LARGE)
        elif size > SLICE_BYTES or self._waiting:
            self._wait(slot, chunks, size)
        elif self._ring.begin(size):
            self._ring.write(b"".join(chunks))
            self._commit(slot)
        else:
            self._counters.drop(slot, Drop.QUEUE_FULL)

    def _wait(self, slot: int, chunks: list[bytes], size: int) -> None:
        if self._waiting_bytes + size > WAITING_BYTES_MAX:
            self._counters.drop(slot, Drop.QUEUE_FULL)
            return
        self._waiting_bytes += size
        self._waiting.append(_Waiting(slot, size, chunks))

    def _slice(self, frame: _Waiting) -> None:
        left = SLICE_BYTES
        while frame.chunks and left:
            chunk = frame.chunks.popleft()
            self._ring.write(chunk[:left])
            if len(chunk) > left:
                frame.chunks.appendleft(chunk[left:])
            left -= min(left, len(chunk))
        if not frame.chunks:
            self._commit(frame.slot)
            self._leave(frame, None)

    def _leave(self, frame: _Waiting, reason: Drop | None) -> None:
        self._begun = False
        self._waiting.popleft()
        self._waiting_bytes -= frame.size
        if reason is not None:
            self._counters.drop(frame.slot, reason)

    def _commit(self, slot: int) -> None:
        framed = self._counters.next_framed(slot)
        self._ring.commit((slot, framed))
        self._counters.framed(slot, framed)

    def _tap(self, exchange: Exchange, plan: CapturePlan) -> Framer:
        pair = exchange.invocation.endpoint, exchange.variant
        tap = self._taps.get(pair)
        # Identity first: plans are equal far more often than they are the same after a reload.
        changed = tap is None or (tap.plan is not plan and tap.plan != plan)
        if tap is None or changed or (tap.slot == SLOTS_FULL and self._guard.open):
            tap = self._taps[pair] = Framer(self._counters.slot(*pair), Stream(*pair, plan))
        return tap
