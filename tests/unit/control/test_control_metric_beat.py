"""The beat of alarms and retention, over a simulated clock and a real database."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from modeltap.clock import SimulatedClock
from modeltap.control.alarms import FRESH, status_document
from modeltap.control.metric_beat import BEAT_SECONDS, TRIM_SECONDS, MetricBeat
from modeltap.state.alarms import Alarm, Alarms
from modeltap.state.points import Metric, Point, Points, StatisticSet, minute_of
from modeltap.state.store import Store

METRIC = Metric("ns", "drift")
SPEC = {
    "Namespace": "ns",
    "MetricName": "drift",
    "Statistic": "Average",
    "Period": 60,
    "EvaluationPeriods": 2,
    "Threshold": 0.5,
    "ComparisonOperator": "GreaterThanThreshold",
    "TreatMissingData": "notBreaching",
}


class World:
    def __init__(self, folder: Path) -> None:
        self.store = Store.open(folder / "state.db")
        self.points, self.alarms = Points(self.store), Alarms(self.store)
        self.clock = SimulatedClock()
        self.beat = MetricBeat(self.points, self.alarms, self.clock, retention_days=2)
        status = status_document(FRESH, self.clock.now_ns())
        self.alarms.put(Alarm("a", "arn", SPEC, status, (), 1, self.clock.now_ns()))

    def measure(self, value: float) -> None:
        minute = minute_of(self.clock.now_ns())
        self.points.put([Point(METRIC, "None", minute, StatisticSet(1, value, value, value))])

    def state(self) -> str:
        found = self.alarms.get("a")
        assert found is not None
        return str(found.status["StateValue"])

    def minutes(self, *values: float | None) -> list[str]:
        """Let minutes pass, each with a value or none; give the state after each."""
        states = []
        for value in values:
            if value is not None:
                self.measure(value)
            self.clock.advance(60)
            self.beat.turn()
            states.append(self.state())
        return states


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


def test_an_alarm_goes_and_comes_back_as_its_metric_does(world: World) -> None:
    assert world.minutes(0.1, 0.9, 0.9, None, 0.9, 0.1) == [
        "OK",
        "OK",
        "ALARM",
        "ALARM",
        "ALARM",
        "OK",
    ]
    assert world.minutes(None, None, None, None) == ["OK"] * 4
    found = world.alarms.get("a")
    assert found is not None
    assert [each["Summary"] for each in found.history] == [
        "Alarm updated from ALARM to OK",
        "Alarm updated from OK to ALARM",
        "Alarm updated from INSUFFICIENT_DATA to OK",
    ]


def test_a_state_that_stays_is_not_written_again(world: World) -> None:
    world.minutes(0.1, 0.1)
    before = world.alarms.get("a")
    world.minutes(0.1, 0.1)
    assert world.alarms.get("a") == before


def test_points_are_forgotten_after_their_time(world: World) -> None:
    world.minutes(0.1)
    for hours, left in ((46, 1), (1, 1), (1, 0)):
        world.clock.advance(hours * TRIM_SECONDS)
        world.beat.turn()
        assert len(world.points.listed()) == left


def test_it_goes_on_when_the_database_does_not(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.store.close()
    path = tmp_path / "state.db"
    kept = path.read_bytes()
    path.write_bytes(b"no database" * 1000)

    async def scenario() -> None:
        task = asyncio.get_running_loop().create_task(world.beat.run())
        while not world.clock._waiting:
            await asyncio.sleep(0.01)
        path.write_bytes(kept)
        world.measure(0.1)
        world.clock.advance(60 + BEAT_SECONDS)
        while world.state() != "OK":
            await asyncio.sleep(0.01)
        task.cancel()

    try:
        asyncio.run(asyncio.wait_for(scenario(), 30))
    finally:
        world.store.close()
