"""The whole of capture against a naive twin, a set: every step in any order, faults and deaths.

The twin knows which records must arrive (`safe`), which may (`offered`), and nothing of rings,
segments or ledgers.
"""

import errno
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from capture_world import PLAN, World, exchange
from modeltap.capture.account import Count, account
from modeltap.capture.offer import SLICE_BYTES

faults = st.lists(st.sampled_from([None, None, errno.EIO, errno.ENOSPC]), max_size=4)


class CaptureAndTwin(RuleBasedStateMachine):
    """One world; numbers are bodies."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.world = World(Path(self.folder.name), ring_bytes=4 << 20)
        self.offered: set[int] = set()
        self.doubtful: set[int] = set()  # in the gateway's memory or in the ring when it died
        self.uncounted = 0  # sampled after the last mirroring, when ring and spooler died

    def teardown(self) -> None:
        try:
            self.check_the_end()
        finally:
            self.folder.cleanup()

    def check_the_end(self) -> None:
        world = self.world
        self.mend()
        world.pump()
        world.turn(2)
        world.deliver()
        world.turn(61)  # a fault in the first minute makes a second one
        world.deliver()
        arrived = [int(body.split(b",")[0]) for body in world.inputs()]
        assert len(arrived) == len(set(arrived))
        assert self.offered - self.doubtful <= set(arrived) <= self.offered
        counts = world.account()
        assert _sampled(counts) == len(self.offered) - self.uncounted
        assert sum(count.delivered for count in counts) == len(arrived)
        assert all(count.discrepancy == 0 and count.pending == 0 for count in counts)
        world.stop()

    @rule(
        endpoint=st.sampled_from("ab"),
        hour=st.integers(0, 1),
        large=st.booleans(),
        other_plan=st.booleans(),
        last=st.booleans(),
    )
    def offer(self, endpoint: str, hour: int, large: bool, other_plan: bool, last: bool) -> None:
        """Offer one, the last of a turn of the loop or not."""
        if len(self.offered) < 30:  # so that the ring has room for all: no drop is expected
            number = len(self.offered)
            body = b"%d," % number + b"x" * (SLICE_BYTES // 2 * 3 if large and number < 5 else 10)
            received_ns = hour * 3_600_000_000_000
            plan = replace(PLAN, csv_types=frozenset()) if other_plan else PLAN
            record = exchange(0, endpoint=endpoint, body=body, received_ns=received_ns, plan=plan)
            self.world.capture.offer(record)
            self.offered.add(number)
        if last:
            self.world.end_turn()

    @rule()
    def pump(self) -> None:
        self.world.end_turn()

    @rule(seconds=st.sampled_from([0.0, 0.1, 2.0, 61.0]))
    def turn(self, seconds: float) -> None:
        self.world.turn(seconds)

    @rule()
    def ship(self) -> None:
        self.world.ship()

    @rule(writes=faults, syncs=faults)
    def break_the_disk(self, writes: list[int | None], syncs: list[int | None]) -> None:
        self.world.disk.write_faults, self.world.disk.sync_faults = writes, syncs

    @rule()
    def mend(self) -> None:
        self.world.disk.write_faults, self.world.disk.sync_faults = [], []

    @rule()
    def spooler_dies(self) -> None:
        self.mend()  # a spooler that cannot adopt dies again, until it can
        self.world.kill_spooler()
        self.world.start_spooler()

    @rule()
    def spooler_restarts(self) -> None:
        self.world.spooler.close()
        self.mend()
        self.world.start_spooler()

    @rule()
    def gateway_dies(self) -> None:
        if self.world.capture.waiting:
            self.doubtful |= self.offered
        self.world.start_gateway()

    @rule()
    def house_dies(self) -> None:
        self.mend()
        self.doubtful |= self.offered
        mirrored = account(self.world.spool)
        self.uncounted += _sampled(self.world.account()) - _sampled(mirrored)
        self.world.kill_all()
        self.world.start()

    @invariant()
    def what_arrived_was_offered_and_is_there_once(self) -> None:
        """G3 and G7, at any moment: every line decodes, none is false, none comes twice."""
        arrived = [int(body.split(b",")[0]) for body in self.world.inputs()]
        assert len(arrived) == len(set(arrived))
        assert set(arrived) <= self.offered

    @invariant()
    def nothing_is_put_aside(self) -> None:
        """G6: a disk that refuses, and a death, damage no segment."""
        assert not list(self.world.spool.quarantine.iterdir())

    @invariant()
    def every_record_has_a_fate(self) -> None:
        """G4, at any moment."""
        assert all(count.discrepancy == 0 for count in self.world.account())


def _sampled(counts: list[Count]) -> int:
    return sum(count.sampled for count in counts)


TestCaptureAndTwin = CaptureAndTwin.TestCase
TestCaptureAndTwin.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
