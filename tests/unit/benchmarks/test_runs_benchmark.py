"""The benchmark of a schedule's runs: the objects of its hour, and what it makes of its figures."""

from pathlib import Path

import pytest

from benchmarks import machine, page
from benchmarks.environments import Unavailable
from benchmarks.monitor import data
from benchmarks.scenarios import runs
from benchmarks.scenarios.runs import Run
from modeltap.record import decode

RECORDS = 400
NOW_NS = 1_772_445_600 * 10**9 + 5400 * 10**9  # 11:30 of the day whose 10 o'clock is the data's


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> data.Input:
    return data.made(tmp_path_factory.mktemp("input"), RECORDS, 4)


def test_an_hour_is_moved_whole_and_record_by_record(given: data.Input) -> None:
    day_later = NOW_NS + 24 * 3600 * 10**9
    objects = dict(runs.hour_of_objects(given.files, day_later, bytes_each=20_000))
    lines = [line for body in objects.values() for line in body.splitlines()]
    before = [line for path in given.files for line in path.read_bytes().splitlines()]
    assert len(objects) > len(given.files)
    assert max(map(len, objects.values())) < 20_000 + max(map(len, lines)) + 1
    assert {key.rpartition("/")[0] for key in objects} == {
        "captured/capture-100/AllTraffic/2026/03/03/10"
    }
    day_ns = 24 * 3600 * 10**9
    assert [decode(line).inference_ns - day_ns for line in lines] == [
        decode(line).inference_ns for line in before
    ]


def run(seconds: float, cpu_seconds: float) -> Run:
    return Run(1000, 10**9, 1.0, 0.5, seconds - 2, seconds, cpu_seconds)


def test_the_scarcer_of_clock_and_cores_tells_how_many_hours_fit() -> None:
    cores = len(machine.cores())
    assert run(36, 1).hours == 100
    assert run(36, 72.0 * cores).hours == 50


def test_the_section_has_both_runs_and_what_they_must_reach() -> None:
    made = runs.section([run(4, 3), run(6, 3), run(4.5, 3)], [run(36, 1)])
    assert [(each.is_reached, each.found.median) for each in made.reaches] == [
        (True, 4.5),
        (True, 100),
    ]
    printed = page.plain(made)
    assert "NOW to report, 1,000 records: s: 4.5 [4..6]" in printed
    assert "hours of 1 GB that fit into one" in printed


def test_objects_of_another_hour_are_not_taken_for_moved(tmp_path: Path) -> None:
    file = tmp_path / "2026" / "03" / "02" / "10" / "1.jsonl"
    file.parent.mkdir(parents=True)
    file.write_bytes(b'{"inferenceTime":"2026-03-02T11:00:00Z"}\n')
    with pytest.raises(Unavailable, match="hour"):
        dict(runs.hour_of_objects([file], NOW_NS))
