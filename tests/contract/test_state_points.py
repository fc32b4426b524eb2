"""What `Points` and `Alarms` promise, on a real SQLite file."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modeltap.errors import StaleVersion
from modeltap.state.alarms import HISTORY_MAX, Alarm, Alarms
from modeltap.state.points import (
    CHUNK,
    MINUTE_NS,
    Listed,
    Metric,
    Point,
    Points,
    StatisticSet,
    by_period,
)
from modeltap.state.store import Store

DRIFT = Metric("ns", "drift", (("Endpoint", "churn"), ("Schedule", "hourly")))


def one(value: float) -> StatisticSet:
    return StatisticSet(1, value, value, value)


def at(minute: int, value: float, metric: Metric = DRIFT, unit: str = "None") -> Point:
    return Point(metric, unit, minute, one(value))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "state.db")
    yield opened
    opened.close()


@pytest.fixture
def points(store: Store) -> Points:
    return Points(store)


# ---------------------------------------------------------------- points


def test_points_of_a_minute_are_merged_in_whatever_order_they_come(points: Points) -> None:
    for order in itertools.permutations([at(5, 1.0), at(5, 4.0), at(6, 2.0)]):
        metric = replace(DRIFT, name=str(order))
        for each in order[:2]:
            points.put([replace(each, metric=metric)])
        points.put([replace(order[2], metric=metric)])
        assert points.within(metric, 5, 7) == [
            ("None", 5, StatisticSet(2, 5.0, 1.0, 4.0)),
            ("None", 6, one(2.0)),
        ]
        assert points.within(metric, 6, 7) == [("None", 6, one(2.0))]


def test_units_and_metrics_are_kept_apart(points: Points) -> None:
    other = Metric("ns", "drift", (("Endpoint", "churn"),))
    points.put([at(5, 1.0), at(5, 2.0, unit="Percent"), at(5, 3.0, other)])
    assert points.within(DRIFT, 5, 6) == [("None", 5, one(1.0)), ("Percent", 5, one(2.0))]
    assert points.within(DRIFT, 5, 6, "Percent") == [("Percent", 5, one(2.0))]
    assert points.within(other, 0, 99) == [("None", 5, one(3.0))]
    assert points.within(replace(DRIFT, namespace="other"), 0, 99) == []


def test_of_one_source_points_go_in_once_and_whole(points: Points) -> None:
    assert points.put([at(5, 1.0)], "job a", 7 * MINUTE_NS)
    assert not points.put([at(5, 1.0), at(6, 1.0)], "job a", 8 * MINUTE_NS)
    assert points.put([at(5, 1.0)], "job b", 8 * MINUTE_NS)
    assert points.put([], "empty", 8 * MINUTE_NS)
    assert not points.put([at(5, 1.0)], "empty", 8 * MINUTE_NS)
    assert points.within(DRIFT, 0, 99) == [("None", 5, StatisticSet(2, 2.0, 1.0, 1.0))]


def test_metrics_are_listed_in_the_order_of_their_coming(points: Points) -> None:
    other = Metric("other", "drift")
    points.put([at(5, 1.0), at(9, 1.0)])
    points.put([at(7, 1.0, other)])
    points.put([at(6, 1.0)])  # late: it does not take the newest back
    assert points.listed() == [Listed(1, DRIFT, 9), Listed(2, other, 7)]
    assert points.listed(since_minute=8) == [Listed(1, DRIFT, 9)]
    assert points.listed("other") == points.listed(name="drift")[1:]
    assert points.listed("other", "loss") == []


def test_the_newest_minute_of_every_metric(points: Points) -> None:
    points.put([at(5, 1.0), at(9, 3.0), at(9, 5.0, unit="Percent")])
    points.put([at(9, 1.0, Metric("other", "drift"))])
    assert points.newest("ns") == [(Listed(1, DRIFT, 9), StatisticSet(2, 8.0, 3.0, 5.0))]
    assert points.newest("none") == []


def test_many_points_at_once(points: Points) -> None:
    metrics = [replace(DRIFT, name=f"{n}") for n in range(2 * CHUNK + 1)]
    for _ in range(2):
        assert points.put([at(minute, 1.0, each) for each in metrics for minute in (1, 2)])
    assert len(points.listed()) == len(metrics)
    assert points.within(metrics[-1], 2, 3) == [("None", 2, StatisticSet(2, 2.0, 1.0, 1.0))]


def test_trimming_forgets_points_metrics_and_at_last_their_source(points: Points) -> None:
    old = replace(DRIFT, name="old")
    points.put([at(5, 1.0), at(9, 1.0), at(6, 1.0, old)], "job", 9 * MINUTE_NS)
    points.trim(7)
    assert points.within(DRIFT, 0, 99) == [("None", 9, one(1.0))]
    assert [each.metric for each in points.listed()] == [DRIFT]
    points.trim(10)
    assert points.listed() == []
    assert not points.put([at(9, 1.0)], "job", 9 * MINUTE_NS)
    points.trim(10 + 24 * 60)
    assert points.put([], "job", 9 * MINUTE_NS)


def test_periods_begin_where_they_are_counted_from() -> None:
    found = by_period([(7, one(1.0)), (11, one(2.0)), (12, one(4.0))], first=2, minutes=5)
    assert found == {7: StatisticSet(2, 3.0, 1.0, 2.0), 12: one(4.0)}


# ---------------------------------------------------------------- alarms


def alarm(name: str = "Drift", **more: object) -> Alarm:
    return replace(
        Alarm(name, f"arn:{name}", {"Period": 60}, {"StateValue": "OK"}, ({"n": 0},), 1, 5),
        **more,  # type: ignore[arg-type]
    )


def test_an_alarm_is_replaced_and_keeps_its_state(store: Store) -> None:
    alarms = Alarms(store)
    assert alarms.put(alarm())
    assert alarms.get("Drift") == alarm()
    assert alarms.get("drift") is None
    again = alarm(spec={"Period": 300}, status={}, history=({"n": 1},), configured_ns=6)
    assert not alarms.put(again)
    assert alarms.get("Drift") == replace(
        again, status={"StateValue": "OK"}, history=({"n": 1}, {"n": 0}), version=2
    )


def test_a_state_is_written_only_over_what_was_read(store: Store) -> None:
    alarms = Alarms(store)
    alarms.put(alarm())
    read = alarm()
    alarms.turn(read, {"StateValue": "ALARM"}, [{"n": 1}])
    after = alarms.get("Drift")
    assert after == replace(
        read, status={"StateValue": "ALARM"}, history=({"n": 1}, {"n": 0}), version=2
    )
    with pytest.raises(StaleVersion):
        alarms.turn(read, {}, [])
    alarms.delete(["Drift", "none"])
    with pytest.raises(StaleVersion):
        alarms.turn(after, {}, [])
    assert alarms.every() == []


def test_the_history_is_bounded_and_names_are_in_order(store: Store) -> None:
    alarms = Alarms(store)
    alarms.put(alarm("b", history=tuple({"n": n} for n in range(HISTORY_MAX))))
    alarms.put(alarm("a"))
    read = alarms.get("b")
    assert read is not None
    alarms.turn(read, {}, [{"n": "new"}])
    assert [each.name for each in alarms.every()] == ["a", "b"]
    history = alarms.every()[1].history
    assert (history[0], len(history)) == ({"n": "new"}, HISTORY_MAX)
