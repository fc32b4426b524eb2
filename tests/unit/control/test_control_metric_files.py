"""Metrics files of jobs: which lines become which points, and what is told of the others."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from modeltap.clock import SimulatedClock
from modeltap.control.jobs import Job, JobStatus
from modeltap.control.metric_files import (
    BATCH_NAMESPACE,
    BYTES_MAX,
    ENDPOINT_NAMESPACE,
    FOLDER,
    MetricFiles,
    points_of,
)
from modeltap.state.points import Metric, Point, Points, StatisticSet, minute_of
from modeltap.state.store import Store

NOW = SimulatedClock().now_ns()  # 2020-09-13T12:26:40Z
HOUR = 3600 * 10**9
NAMED = '"MetricName":"m","Value":1'


def only(line: str) -> Point:
    taken = points_of(line.encode(), NOW, NOW)
    assert taken.refused == {}
    (point,) = taken.points
    return point


def test_the_lines_of_the_analyzer() -> None:
    line = (
        '{"MetricName":"feature_data_a","StatisticValues":{"SampleCount":4,"Sum":10,"Minimum":1,'
        '"Maximum":4},"Timestamp":"2020-09-13T12:00:00Z","Dimensions":[{"Name":"MonitoringSchedule"'
        ',"Value":"hourly"},{"Name":"Endpoint","Value":"churn"}]}'
    )
    dimensions = (("Endpoint", "churn"), ("MonitoringSchedule", "hourly"))
    metric = Metric(ENDPOINT_NAMESPACE, "feature_data_a", dimensions)
    minute = minute_of(NOW) - 26
    assert only(line) == Point(metric, "None", minute, StatisticSet(4.0, 10.0, 1.0, 4.0))


def test_without_an_endpoint_it_is_of_a_batch() -> None:
    point = only(f'{{{NAMED},"Unit":"Percent","Dimensions":[]}}')
    metric = Metric(BATCH_NAMESPACE, "m", ())
    assert point == Point(metric, "Percent", minute_of(NOW), StatisticSet(1.0, 1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("time", "minutes_ago"),
    [
        ('"2020-09-13T12:20:00Z"', 6),
        ('"2020-09-13T12:20:00"', 6),
        ('"2020-09-13T14:20:00+02:00"', 6),
        ("1599999600", 6),
        ('""', 0),
        ("null", 0),
    ],
)
def test_times(time: str, minutes_ago: int) -> None:
    found = only(f'{{{NAMED},"Timestamp":{time}}}')
    assert minute_of(NOW) - found.minute == minutes_ago


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("rubbish", "no JSON"),
        ("[1]", "no JSON object"),
        ('{"Value":1}', "MetricName: must be a text of 1 to 255 characters"),
        ('{"MetricName":"m"}', "Value: give exactly one of Value, Values and StatisticValues"),
        ('{"MetricName":"m","Value":null}', "Value: must be a number"),
        ('{"MetricName":"m","Value":"1"}', "Value: must be a number"),
        ('{"MetricName":"m","Value":1e200}', "Value: must be a number from -2^360 to 2^360"),
        (
            '{"MetricName":"m","StatisticValues":{"Sum":1}}',
            "StatisticValues: give SampleCount, Sum, Minimum, Maximum",
        ),
        (f'{{{NAMED},"Unit":"Furlong"}}', "Unit: must be a unit of CloudWatch"),
        (f'{{{NAMED},"Unit":7}}', "Unit: must be a unit of CloudWatch"),
        (f'{{{NAMED},"Timestamp":"soon"}}', "Timestamp: must be ISO 8601"),
        (f'{{{NAMED},"Timestamp":1e12}}', "Timestamp: must be no more than two hours ahead"),
        (
            f'{{{NAMED},"Timestamp":"2020-08-30T12:00:00Z"}}',
            "Timestamp: must be within the past two weeks",
        ),
        (
            f'{{{NAMED},"Dimensions":[{{"Name":"a"}}]}}',
            "Dimensions: must be at most 30 objects with the texts Name and Value",
        ),
    ],
)
def test_what_is_no_metric_is_counted_with_its_reason(line: str, reason: str) -> None:
    taken = points_of(f"{line}\n\n{{{NAMED}}}\n{line}".encode(), NOW, NOW)
    assert len(taken.points) == 1
    assert taken.refused == {reason: 2}


# ---------------------------------------------------------------- the folder


class World:
    def __init__(self, folder: Path) -> None:
        self.ml = folder / "ml"
        self.store = Store.open(folder / "state.db")
        self.points = Points(self.store)
        self.told: list[str] = []
        (self.ml / FOLDER).mkdir(parents=True)

    def write(self, name: str, *lines: str) -> None:
        (self.ml / FOLDER / name).write_text("\n".join(lines))

    def take(self, name: str = "Job", **variables: str) -> None:
        files = MetricFiles(self.points, SimulatedClock())
        job = Job(name, f"arn:{name}", {"Environment": variables}, JobStatus.IN_PROGRESS, 0)
        self.told += files.take(job, self.ml)

    def found(self) -> list[tuple[str, int, float]]:
        """Give name, age in minutes and samples of every point."""
        return [
            (each.metric.name, minute_of(NOW) - minute, values.samples)
            for each in self.points.listed()
            for _, minute, values in self.points.within(each.metric, 0, 1 << 31)
        ]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


def test_all_files_of_a_job_once_at_the_end_of_its_window(world: World) -> None:
    world.write("a.jsonl", f"{{{NAMED}}}")
    world.write("b.jsonl", f"{{{NAMED}}}", "rubbish")
    world.write("c.json", f"{{{NAMED}}}")
    for _ in range(2):
        world.take(end_time="2020-09-13T12:00:00Z")
    assert world.found() == [("m", 26, 2.0)]
    assert world.told == [
        f"metrics: 2 points -> {BATCH_NAMESPACE}",
        "metrics: 1 lines refused: no JSON",
    ]
    world.take("Other", metric_time="2020-09-13T12:01:00Z", end_time="nonsense")
    world.take("Third", end_time="nonsense")
    assert world.found() == [("m", 26, 2.0), ("m", 25, 2.0), ("m", 0, 2.0)]


def test_a_job_without_metrics_is_told_nothing(world: World) -> None:
    world.write("a.jsonl", "", "")
    world.take()
    (world.ml / FOLDER / "a.jsonl").unlink()
    (world.ml / FOLDER).rmdir()
    world.take()
    assert (world.told, world.found()) == ([], [])


def test_links_and_pipes_are_no_files(world: World, tmp_path: Path) -> None:
    elsewhere = tmp_path / "x"
    elsewhere.write_text(f"{{{NAMED}}}")
    (world.ml / FOLDER / "a.jsonl").symlink_to(elsewhere)
    os.mkfifo(world.ml / FOLDER / "b.jsonl")
    world.take()
    assert world.found() == []


def test_too_much_is_left_out_and_told(world: World) -> None:
    world.write("a.jsonl", f"{{{NAMED}}}")
    world.write("b.jsonl", " " * BYTES_MAX)
    world.take()
    assert world.found() == [("m", 0, 1.0)]
    assert world.told[0].startswith("metrics: b.jsonl and what follows was left out")
