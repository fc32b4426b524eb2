"""The gateway's side of capture: one finished inference into the ring, in microseconds.

`offer` is synchronous, cannot raise and cannot block. A record that does not fit is dropped and
counted. Bodies are not encoded. Who waits for a record (`waiters.py`) is told what became of it.

    offer ─ packed, gathered with those of its stream and hour ─(end of the turn)─▶ batch ─▶ ring

The records of a turn of the loop go into the ring together: what each of them would pay for alone
is paid once, and the spooler has a batch to move where it had ten records.

Constraints: more than 256 KiB is not copied in one turn of the loop: such a batch waits, by
reference, and `pump` writes one slice a turn. What waits is bounded by `WAITING_BYTES_MAX`; batches
behind a waiting one wait too, so that a slot's sequence numbers stay in order in the ring.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, final

from modeltap.capture.batch import Gathering
from modeltap.capture.counters import SLOTS_FULL, Counters, Drop
from modeltap.capture.guard import Guard
from modeltap.capture.plan import keep
from modeltap.capture.ring import RingWriter
from modeltap.capture.stream import Stream
from modeltap.capture.waiters import Waiter, Waiters
from modeltap.nouns import CapturePlan, Exchange, Told

SLICE_BYTES: Final = 256 * 1024
RECORD_BYTES_MAX: Final = 60 * 1024 * 1024
WAITING_BYTES_MAX: Final = 64 * 1024 * 1024

Soon = Callable[[Callable[[], None]], object]
"""Has a function called at the end of the loop's turn."""


@final
class _Waiting:
    """A large batch on its way into the ring."""

    def __init__(
        self, slot: int, count: int, size: int, chunks: list[bytes], waiters: list[Waiter]
    ) -> None:
        self.slot: Final = slot
        self.count: Final = count
        self.size: Final = size
        self.waiters: Final = waiters
        self.chunks: Final = deque([memoryview(chunk) for chunk in chunks])


@final
class Capture:
    """One gateway's capture; the only user of its ring and its counters.

    `chance` gives numbers in [0, 1).
    """

    def __init__(
        self,
        ring: RingWriter,
        counters: Counters,
        guard: Guard,
        chance: Callable[[], float],
        soon: Soon,
        waiters: Waiters,
    ) -> None:
        self._ring = ring
        self._counters = counters
        self._guard = guard
        self._chance = chance
        self._soon = soon
        self._waiters = waiters
        self._expected = False
        self._gatherings: dict[tuple[str, str], Gathering] = {}
        self._listed: list[Gathering] = []
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._begun = False
        self._record_bytes_max = min(RECORD_BYTES_MAX, ring.frame_bytes_max)
        # A batch is in the ring or it is not: a small ring should not fill up in one step.
        self._batch_bytes = min(SLICE_BYTES, ring.frame_bytes_max // 8)
        counters.settle(ring.receipt())

    @property
    def waiting(self) -> bool:
        """Whether `pump` has something to do."""
        return bool(self._waiting or self._listed)

    def offer(self, exchange: Exchange, told: Told | None = None) -> None:
        """Capture a successful exchange, if its plan's sampling says so (contract §1.8, §1.9).

        `told` hears whether the record is durable; of what is not to be captured nothing is owed.
        """
        plan = exchange.plan
        if plan is not None and 200 <= exchange.answer.status < 300:
            gathering = self._gathering(exchange, plan)
            self._counters.eligible(gathering.slot)
            if keep(plan, self._chance()):
                self._take(exchange, gathering, told)
                return
        if told is not None:
            told(True)

    def pump(self) -> bool:
        """Move what was gathered, and one slice of what waits; tell whether more is waiting."""
        self.flush()
        if self._waiting:
            batch = self._waiting[0]
            if not self._begun and not self._ring.begin(batch.size):
                self._leave(batch)
                self._drop(batch.slot, Drop.QUEUE_FULL, batch.count, batch.waiters)
            else:
                self._begun = True
                self._slice(batch)
        return bool(self._waiting)

    def flush(self) -> None:
        """Move what was gathered into the ring, or behind what waits for it."""
        listed, self._listed = self._listed, []
        for gathering in listed:
            gathering.listed = False
            self._move(gathering)

    def _turn(self) -> None:
        self._expected = self.pump()
        if self._expected:
            self._soon(self._turn)

    def _take(self, exchange: Exchange, gathering: Gathering, told: Told | None) -> None:
        slot = gathering.slot
        waiters = [] if told is None else [self._waiters.wait(slot, told)]
        sequence = self._counters.sample(slot)
        reason = self._refusal(slot)
        if reason is None:
            self._gather(sequence, exchange, gathering, waiters)
        else:
            self._drop(slot, reason, 1, waiters)
        if not self._expected and self.waiting:
            self._expected = True
            self._soon(self._turn)

    def _refusal(self, slot: int) -> Drop | None:
        """Tell why no record of a slot is taken at the moment."""
        if slot == SLOTS_FULL:
            return Drop.SLOTS_FULL
        if not self._guard.open:
            return Drop.DISK_WATERMARK
        return Drop.SPOOL_LIMIT if self._counters.closed(slot) else None

    def _drop(self, slot: int, reason: Drop, count: int, waiters: list[Waiter]) -> None:
        self._counters.drop(slot, reason, count)
        for waiter in waiters:
            waiter.tell(False)

    def _gather(
        self, sequence: int, exchange: Exchange, gathering: Gathering, waiters: list[Waiter]
    ) -> None:
        if not gathering.fits(exchange):
            self._move(gathering)
        frame = gathering.frame(sequence, exchange)
        size = 0
        for part in frame:
            size += len(part)
        if size + gathering.overhead > self._record_bytes_max:
            self._drop(gathering.slot, Drop.RECORD_TOO_LARGE, 1, waiters)
            return
        if gathering.size + size > self._batch_bytes:
            self._move(gathering)
        gathering.add(sequence, frame, size)
        gathering.waiters.extend(waiters)
        if gathering.size > self._batch_bytes:
            self._move(gathering)
        elif not gathering.listed:
            gathering.listed = True
            self._listed.append(gathering)

    def _move(self, gathering: Gathering) -> None:
        """Move a batch into the ring; one that is large, or behind others, waits."""
        if not gathering.count:
            return
        slot, count, size = gathering.slot, gathering.count, gathering.size
        waiters = gathering.waiters
        chunks = gathering.take()
        if size > SLICE_BYTES or self._waiting:
            self._wait(_Waiting(slot, count, size, chunks, waiters))
        elif self._ring.begin(size):
            self._ring.write(b"".join(chunks))
            self._commit(slot, count, waiters)
        else:
            self._drop(slot, Drop.QUEUE_FULL, count, waiters)

    def _wait(self, batch: _Waiting) -> None:
        if self._waiting_bytes + batch.size > WAITING_BYTES_MAX:
            self._drop(batch.slot, Drop.QUEUE_FULL, batch.count, batch.waiters)
            return
        self._waiting_bytes += batch.size
        self._waiting.append(batch)

    def _slice(self, batch: _Waiting) -> None:
        left = SLICE_BYTES
        while batch.chunks and left:
            chunk = batch.chunks.popleft()
            self._ring.write(chunk[:left])
            if len(chunk) > left:
                batch.chunks.appendleft(chunk[left:])
            left -= min(left, len(chunk))
        if not batch.chunks:
            self._leave(batch)
            self._commit(batch.slot, batch.count, batch.waiters)

    def _leave(self, batch: _Waiting) -> None:
        self._begun = False
        self._waiting.popleft()
        self._waiting_bytes -= batch.size

    def _commit(self, slot: int, count: int, waiters: list[Waiter]) -> None:
        framed = self._counters.next_framed(slot, count)
        self._ring.commit((slot, framed))
        self._counters.framed(slot, framed)
        self._waiters.committed(waiters)

    def _gathering(self, exchange: Exchange, plan: CapturePlan) -> Gathering:
        pair = exchange.invocation.endpoint, exchange.variant
        known = self._gatherings.get(pair)
        if known is not None:
            # Identity first: plans are equal far more often than the same after a reload.
            same = known.plan is plan or known.plan == plan
            if same and (known.slot != SLOTS_FULL or not self._guard.open):
                return known
            self._move(known)  # what was gathered under another plan goes before
        stream = Stream(*pair, plan)
        made = Gathering(self._ring.writer, self._counters.slot(*pair), stream)
        self._gatherings[pair] = made
        return made
