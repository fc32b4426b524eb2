"""Summaries that are kept: used where they are the same, and only there."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from captures import line, write

from modeltap.monitor import cache
from modeltap.monitor.datasets import summarise
from modeltap.monitor.plan import Format, Plan
from modeltap.monitor.profile import Profile
from modeltap.monitor.statistics import statistics_of

LINES = [line(f"{at},x", "0.5", number=at) for at in range(10)]
BEFORE, FIRST, LAST = (f"2023-11-14T22:{time}Z" for time in ("19:00", "20:00", "20:10"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "part.jsonl", LINES)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    folder = str(tmp_path / "cache")
    return Plan(Format.CAPTURE, names=("label", "a", "b"), whole=False, cache=folder)


def entries(plan: Plan) -> list[Path]:
    return sorted(Path(plan.cache or "").glob("*"))


def marked(plan: Plan) -> None:
    """Write into every entry that it was the one that answered."""
    for entry in entries(plan):
        cache._write(entry, Profile(rows=-1, span=(FIRST, "2023-11-14T22:20:09Z")))


def test_a_second_look_is_kept_from_the_first(file: Path, plan: Plan) -> None:
    first = summarise(file, plan)
    assert statistics_of(summarise(file, plan)) == statistics_of(first)
    marked(plan)
    assert summarise(file, plan).rows == -1
    copy = file.with_name("elsewhere.jsonl")
    copy.write_bytes(file.read_bytes())
    assert summarise(copy, plan).rows == -1


def test_other_bytes_or_another_way_to_read_are_another_summary(file: Path, plan: Plan) -> None:
    summarise(file, plan)
    marked(plan)
    assert summarise(file, replace(plan, names=("a", "b", "c"))).rows == 10
    assert summarise(file, replace(plan, textual=frozenset({"a"}))).rows == 10
    write(file, LINES[:9])
    assert summarise(file, plan).rows == 9


def test_an_hour_serves_its_day(file: Path, plan: Plan) -> None:
    """A whole summary of the hour leaves a bounded one for later."""
    hour = replace(plan, start=FIRST, end=LAST, whole=True)
    summarise(file, hour)
    marked(plan)
    assert summarise(file, hour).rows == 10  # a whole one is never taken from there
    marked(plan)
    assert summarise(file, replace(plan, start=BEFORE, end=LAST)).rows == -1
    assert summarise(file, replace(plan, start=FIRST, end="2023-11-14T22:20:09Z")).rows == 9


def test_what_a_window_cut_is_not_kept(file: Path, plan: Plan) -> None:
    assert summarise(file, replace(plan, end="2023-11-14T22:20:05Z")).rows == 5
    assert entries(plan) == []


@pytest.mark.parametrize("damage", [b"", b"\x00" * 40, b"x" * 3000])
def test_a_damaged_entry_is_none(file: Path, plan: Plan, damage: bytes) -> None:
    summarise(file, plan)
    entries(plan)[0].write_bytes(damage)
    assert summarise(file, plan).rows == 10


def test_a_cut_entry_is_none(file: Path, plan: Plan) -> None:
    summarise(file, plan)
    entry = entries(plan)[0]
    entry.write_bytes(entry.read_bytes()[:-7])
    assert summarise(file, plan).rows == 10


def test_the_oldest_go_when_there_are_too_many(file: Path, plan: Plan) -> None:
    summarise(file, plan)
    summarise(file, replace(plan, nested=True))
    old, new = entries(plan)
    os.utime(old, (1, 1))
    cache.trim(Path(plan.cache or ""), new.stat().st_size)
    assert entries(plan) == [new]
