"""The benchmark of the analysis: its input, its truth, what it counts, and what it makes of it."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.environments import Unavailable
from benchmarks.monitor import cost, data, ours, truth
from benchmarks.monitor.contenders import all_of_them
from benchmarks.monitor.cost import Cost
from benchmarks.scenarios import monitor
from benchmarks.scenarios.monitor import Turn
from modeltap.record import decode

RECORDS, FILES = 400, 4


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> data.Input:
    return data.made(tmp_path_factory.mktemp("input"), RECORDS, FILES)


def test_the_rows_are_those_of_the_records(given: data.Input) -> None:
    records = [decode(line) for path in given.files for line in path.read_bytes().splitlines()]
    bodies = [(each.output, each.input) for each in records]
    rows = [b"%b,%b" % (output.body, put.body) for output, put in bodies if output and put]
    assert len(given.files) == FILES
    assert rows == given.csv.read_bytes().splitlines()[1:]
    with given.csv.open() as lines:
        assert {len(row) for row in csv.reader(lines)} == {len(data.COLUMNS)}
    assert len({each.event_id for each in records}) == RECORDS


def test_records_of_json_hold_the_same_rows(given: data.Input) -> None:
    data.write_json(given)
    files = sorted(given.json.rglob("*.jsonl"))
    records = [decode(line) for path in files for line in path.read_bytes().splitlines()]
    with given.csv.open() as lines:
        rows = list(csv.DictReader(lines))
    assert len(records) == len(rows)
    for record, row in zip(records, rows, strict=True):
        assert record.output is not None
        assert record.input is not None
        found = json.loads(record.output.body, parse_float=str, parse_int=str)
        found |= json.loads(record.input.body, parse_float=str, parse_int=str)
        assert found == {name: text or None for name, text in row.items()}


def test_the_input_is_the_same_each_time(given: data.Input, tmp_path: Path) -> None:
    again = data.made(tmp_path, RECORDS, FILES)
    one, other = (
        {each.relative_to(of.folder): each.read_bytes() for each in of.files}
        for of in (given, again)
    )
    assert one == other
    assert given.csv.read_bytes() == again.csv.read_bytes()


def test_the_truth_is_that_of_the_rows(given: data.Input) -> None:
    with given.csv.open() as lines:
        rows = list(csv.DictReader(lines))
    found = truth.of(given)
    assert found["rows"] == RECORDS
    for name in ("count_0", "amount_11", "is_3"):
        values = [float(row[name]) for row in rows if row[name]]
        column = found["columns"][name]
        assert column["missing"] == RECORDS - len(values)
        assert column["mean"] == pytest.approx(sum(values) / len(values))
        assert (column["min"], column["max"]) == (min(values), max(values))
        assert sum(column["buckets"]) == len(values)
        assert column["quantiles"][50] == sorted(values)[(len(values) + 1) // 2 - 1]
    assert found["columns"]["uid"] == {"missing": 0, "distinct": RECORDS}
    assert sum(found["columns"]["channel"]["counts"].values()) < RECORDS


def test_what_is_wrong_or_lacks_is_found(given: data.Input) -> None:
    right = truth.of(given)
    mean = right["columns"]["count_0"]["mean"]
    few: dict[str, Any] = {"rows": RECORDS, "columns": {"count_0": {"mean": mean}}}
    assert truth.faults(few, right, complete=False) == []
    assert "count_0: std" in truth.faults(few, right, complete=True)
    few["columns"]["count_0"]["mean"] += 0.001
    assert truth.faults(few, right, complete=False) == ["count_0: mean"]
    assert truth.faults(few | {"rows": 1}, right, complete=False) == ["1 rows of 400"]


def test_an_item_of_a_sketch_stands_for_as_many_values_as_its_level_says() -> None:
    percentiles = ours.percentiles([[9.0], [1.0, 5.0], []])  # 1, 1, 5, 5, 9
    assert [percentiles[at - 1] for at in (1, 40, 41, 80, 81, 99)] == [1, 1, 5, 5, 9, 9]


# ---------------------------------------------------------------- what a command takes

BURN = """
import time
kept = bytearray(64 << 20)
kept[::4096] = b"x" * len(kept[::4096])
while time.process_time() < 0.5: pass
"""


def test_a_process_whose_parent_has_ended_is_counted(tmp_path: Path) -> None:
    leave = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {BURN!r}])"
    took = cost.of([sys.executable, "-c", leave], {}, tmp_path)
    assert took.cpu_seconds >= 0.5
    assert took.peak_bytes >= 64 << 20


def test_the_memory_of_who_asks_is_not_counted(tmp_path: Path) -> None:
    held = bytearray(256 << 20)
    held[::4096] = b"x" * len(held[::4096])
    assert cost.of(["true"], {}, tmp_path).peak_bytes < 64 << 20


def test_a_command_that_fails_is_told_with_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="status 3: no such column"):
        cost.of([sys.executable, "-c", "print('no such column\\n'); exit(3)"], {}, tmp_path)
    with pytest.raises(Unavailable, match="status 137"):
        cost.of(["sh", "-c", "kill -9 $$"], {}, tmp_path)


# ---------------------------------------------------------------- what is made of it


def turn(start: float, whole: float, records: int, mebibytes: int = 100) -> Turn:
    return Turn(Cost(start, 1.0, 1 << 20), Cost(whole, 1.0, mebibytes << 20), records)


def test_the_rest_of_fewer_records_is_in_proportion_and_start_is_not() -> None:
    assert turn(2.0, 3.0, 100).cpu_for(100) == 3.0
    assert turn(2.0, 3.0, 100).cpu_for(1000) == 12.0
    assert turn(2.0, 1.9, 100).cpu_for(1000) == 1.9  # noise: nothing beyond start


def test_ratios_are_taken_within_a_round(given: data.Input) -> None:
    rounds = [
        {
            "exact": turn(1, 2, 400),
            "polars_records": turn(1, 4, 400),
            "whylogs_csv": turn(1, 2, 40),
        },
        {
            "exact": turn(1, 4, 400),
            "polars_records": turn(1, 12, 400),
            "pandas_records": turn(1, 8, 400),
        },
    ]
    found = monitor.section(given, all_of_them(), rounds, {"pyspark_csv": "no java"})
    reaches = {reach.text.rpartition(": ")[2]: reach.found for reach in found.reaches}
    assert (reaches["best general engine"].low, reaches["best general engine"].high) == (2, 2)
    assert reaches["whylogs"].median == 11 / 2
    (table,) = found.tables
    assert all(len(row) == len(table.columns) for row in table.rows)
    (spark,) = [row for row in table.rows if str(row[0]).startswith("PySpark")]
    assert spark[-1] == "no java"
