"""DuckDB, captured records: JSON paths, a CSV file in between, then aggregates.

Percentiles are t-digests, and distinct values are estimated: exact percentiles take 2.3 times as
long. The rows go through a file, since to split them at commas breaks quoted fields.
"""

import math
from typing import Any

import duckdb

from benchmarks.monitor.apps.answers import COUNTED_MAX, PERCENTILES, Asked, asked, bounds

TYPES = {"Integral": "bigint", "Fractional": "double", "String": "varchar"}
SIDE = "(json->>'$.captureData.endpoint{}.data')"
SHARES = [each / 100 for each in PERCENTILES]


def _read(given: Asked) -> None:
    """Make the table `rows`."""
    text = given.output.with_suffix(".csv")
    row = f"rtrim({SIDE.format('Output')}, chr(10)) || ',' || {SIDE.format('Input')}"
    source = f"read_ndjson_objects('{given.input}/**/*.jsonl')"
    plain = "(format csv, header false, quote '', escape '', delimiter '\x01')"
    duckdb.execute(f"copy (select {row} from {source}) to '{text}' {plain}")
    types = {name: TYPES[kind] for name, kind in given.columns.items()}
    read = f"read_csv('{text}', header=false, auto_detect=false, quote='\"', columns={types})"
    duckdb.execute(f"create table rows as from {read}")
    text.unlink()


def _numbers(names: list[str]) -> dict[str, dict[str, Any]]:
    parts = ("count({0})", "avg({0})", "stddev_pop({0})", "min({0})", "max({0})")
    sketch = f"approx_quantile({{0}}, {SHARES})"
    wanted = [part.format(name) for name in names for part in (*parts, sketch)]
    row = duckdb.execute(f"select {', '.join(wanted)}, count(*) from rows").fetchone()
    assert row is not None
    size = len(parts) + 1
    return {
        name: {
            "missing": row[-1] - row[at],
            "mean": row[at + 1],
            "std": row[at + 2],
            "min": row[at + 3],
            "max": row[at + 4],
            "quantiles": row[at + 5],
        }
        for name, at in zip(names, range(0, size * len(names), size), strict=True)
    }


def _add_buckets(numbers: dict[str, dict[str, Any]]) -> None:
    """Count what is under each bound: `histogram` has its upper bounds inside."""
    wanted = [
        f"map_values(histogram({name}::double, {_under(each)}))" for name, each in numbers.items()
    ]
    row = duckdb.execute(f"select {', '.join(wanted)} from rows").fetchone()
    assert row is not None
    for each, counts in zip(numbers.values(), row, strict=True):
        each["buckets"] = counts


def _under(each: dict[str, Any]) -> list[float]:
    inner = [math.nextafter(bound, -math.inf) for bound in bounds(each["min"], each["max"])]
    return [*inner, float(each["max"])]


def _string(name: str) -> dict[str, Any]:
    query = f"select count(*) - count({name}), approx_count_distinct({name}) from rows"
    missing, distinct = duckdb.execute(query).fetchall()[0]
    found = {"missing": missing, "distinct": distinct}
    if distinct <= COUNTED_MAX:
        counted = f"select {name}, count(*) from rows where {name} is not null group by all"
        found |= {"counts": dict(duckdb.execute(counted).fetchall())}
    return found


given = asked()
_read(given)
numbers = _numbers(given.numbers)
_add_buckets(numbers)
(rows,) = duckdb.execute("select count(*) from rows").fetchall()[0]
given.answer(rows, numbers | {name: _string(name) for name in given.strings})
