"""An endpoint's share of the spool: it stops alone, and goes on when its records are away."""

from pathlib import Path

import pytest

from capture_world import World, exchange
from modeltap.capture.counters import Drop
from modeltap.objects.simulated import Fault, SimulatedStore

MIB = 1024 * 1024


def test_an_endpoint_that_is_over_stops_alone_and_resumes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store = SimulatedStore(lambda _: Fault.DOWN)
    with World(tmp_path, ring_bytes=4 * MIB, store=store, capture_endpoint_bytes_max=MIB) as world:
        world.offer(*(exchange(number, body=b"x" * 200_000) for number in range(6)))
        world.pump()
        world.turn()
        world.turn(1)  # seen
        world.offer(exchange(6), exchange(7, endpoint="fraud"))
        world.turn(1)
        counts = {count.endpoint: count for count in world.account()}
        assert counts["churn"].dropped == {Drop.SPOOL_LIMIT: 1}
        assert counts["fraud"].dropped == {}
        store.fault = lambda _: None
        world.deliver()
        world.turn(1)
        world.offer(exchange(8))
        world.deliver()
        counts = {count.endpoint: count for count in world.account()}
        assert (counts["churn"].delivered, counts["churn"].discrepancy) == (7, 0)
        told = capfd.readouterr().out
        assert (told.count("EndpointStopped"), told.count("EndpointResumed")) == (1, 1)


def test_what_dead_writers_left_counts_too(tmp_path: Path) -> None:
    store = SimulatedStore(lambda _: Fault.DOWN)
    with World(tmp_path, ring_bytes=4 * MIB, store=store, capture_endpoint_bytes_max=MIB) as world:
        world.offer(*(exchange(number, body=b"x" * 200_000) for number in range(6)))
        world.pump()
        world.turn()
        world.kill_all()
        world.start()
        world.offer(exchange(6))
        world.turn(1)
        world.turn(1)
        world.offer(exchange(7))
        assert world.count().dropped == {Drop.SPOOL_LIMIT: 1}
