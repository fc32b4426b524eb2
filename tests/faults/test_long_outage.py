"""A destination is dead for six simulated hours (F10): memory stays, and all arrives."""

from pathlib import Path

import psutil
import pytest

from capture_world import World, exchange
from modeltap.objects.simulated import Fault, SimulatedStore

MINUTES = 6 * 60
GROWTH_BYTES_MAX = 64 * 1024 * 1024
TURNS_A_MINUTE = 4


@pytest.mark.parametrize("per_second", [1, pytest.param(200, marks=pytest.mark.long)])
def test_six_hours_cost_disk_alone(tmp_path: Path, per_second: int) -> None:
    store = SimulatedStore(lambda _: Fault.DOWN)
    process = psutil.Process()
    with World(tmp_path, ring_bytes=16 << 20, store=store) as world:
        number = before = 0
        for minute in range(MINUTES):
            for _ in range(TURNS_A_MINUTE):
                size = per_second * 60 // TURNS_A_MINUTE
                world.offer(*(exchange(number + n) for n in range(size)))
                world.turn(60 / TURNS_A_MINUTE)
                number += size
            world.ship()
            if minute == MINUTES // 6:
                before = process.memory_info().rss  # warm: it went round an hour
        grown = process.memory_info().rss - before
        assert grown <= GROWTH_BYTES_MAX
        count = world.count()
        assert (count.sampled, count.pending, count.dropped) == (number, number, {})
        store.fault = lambda _: None
        world.turn(400)  # the destination's rest is over
        while world.ship():
            world.turn(61)
        arrived = world.inputs()
        assert len(arrived) == len(set(arrived)) == number
        assert (world.count().delivered, world.count().discrepancy) == (number, 0)
