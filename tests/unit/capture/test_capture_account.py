"""The account while records move: whatever moment a reader picks, the identity holds."""

import threading
from pathlib import Path

import pytest

from capture_world import World, exchange
from modeltap.capture.account import Count, account
from modeltap.capture.standing import State, standing, stopped
from modeltap.objects.simulated import Fault, SimulatedStore

TURNS = 300


def test_a_reader_beside_the_load_never_sees_a_difference(tmp_path: Path) -> None:
    """One thread offers, spools and ships; another reads. A reading is repeated, never wrong."""
    with World(tmp_path, ring_bytes=8 << 20, capture_seal_seconds=0.5) as world:
        ended = threading.Event()
        seen: list[Count] = []

        def read() -> None:
            while not ended.is_set():
                seen.extend(account(world.spool, [world.fd]))

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for turn in range(TURNS):
                world.offer(*(exchange(turn * 20 + n) for n in range(20)))
                world.turn(0.1)
                world.ship()
        finally:
            ended.set()
            reader.join()
    assert {count.discrepancy for count in seen} == {0}
    assert len({count.delivered for count in seen}) > 5  # it read while records moved


def test_the_state_is_the_gravest_and_says_what_stops(tmp_path: Path) -> None:
    store = SimulatedStore()
    with World(tmp_path, store=store, capture_endpoint_bytes_max=2000) as world:
        rings = [world.fd]

        def state() -> tuple[State, State | None]:
            return standing(world.spool, rings).state, stopped(rings, "churn")

        assert state() == (State.RUNNING, None)
        store.fault = lambda _: Fault.DOWN
        world.offer(exchange(1), exchange(2))
        world.deliver()
        world.pass_time(1)
        world.ship()
        assert state() == (State.DELIVERY_WAITING, None)
        world.offer(exchange(3, body=b"x" * 2000))
        world.turn(1)
        world.turn(1)
        assert state() == (State.SPOOL_LIMIT, State.SPOOL_LIMIT)
        assert stopped(rings, "fraud") is None


@pytest.mark.parametrize("rings", [[], None])
def test_without_rings_what_the_disk_holds_is_told(tmp_path: Path, rings: list[int] | None) -> None:
    with World(tmp_path) as world:
        world.offer(exchange(1))
        world.turn()
        (count,) = account(world.spool, *([] if rings is None else [rings]))
        assert (count.sampled, count.pending, count.discrepancy) == (1, 1, 0)
