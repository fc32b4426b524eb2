"""What is right: the statistics of the rows, made by pyarrow and numpy from the CSV.

Statistics, of a contender as of the truth, are one JSON document:

    {"rows": 1000, "columns": {"age": {"missing": 0, "mean": …, "std": …, "min": …, "max": …,
     "buckets": [10 counts], "quantiles": [the 99 percentiles]}, "plan": {"missing": 0,
     "distinct": 4, "counts": {"basic": 250, …}}}}

`std` is the population's; a bucket is a tenth of [min, max]; `counts` are there where at most 120
values are different. A contender gives of these what it can; the truth has the percentiles 0 and
100 as well.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from benchmarks.monitor.data import COLUMNS, Input

Statistics = dict[str, Any]

BUCKETS: Final = 10
PERCENTILES: Final = np.arange(101)
COUNTED_MAX: Final = 120

ROUNDING: Final = 1e-6
"""Relative, of means and deviations: sums are made in another order."""

PARSED: Final = 1e-9
"""Relative, of a value: pandas reads small numbers to eleven digits."""

SKETCH: Final = 0.01
"""In ranks: what a bucket or a percentile may be off."""

DISTINCT: Final = 0.1
"""Relative, of the count of distinct values: some estimate it."""

OF_NUMBERS: Final = ("missing", "mean", "std", "min", "max", "buckets", "quantiles")
OF_STRINGS: Final = ("missing", "distinct")
"""All that is to be known of a column."""


def of(given: Input) -> Statistics:
    """Give the right statistics; they are kept beside the input."""
    kept = given.folder / "truth.json"
    if not kept.exists():
        kept.write_text(json.dumps(_made(given.csv)))
    return json.loads(kept.read_text())  # type: ignore[no-any-return]


def faults(found: Statistics, right: Statistics, complete: bool) -> list[str]:
    """Say what is wrong in what was found; in `complete` statistics also what is not there."""
    if found["rows"] != right["rows"]:
        return [f"{found['rows']} rows of {right['rows']}"]
    return [
        f"{column}: {name}"
        for column, truth in right["columns"].items()
        for name in truth
        if not _agrees(name, found["columns"].get(column, {}), truth, right["rows"], complete)
    ]


def gives_all(found: Statistics) -> bool:
    """Tell whether all columns have all that is to be known of them."""
    columns = found["columns"]
    return all(
        name in columns.get(column, {})
        for column, kind in COLUMNS.items()
        for name in (OF_STRINGS if kind == "String" else OF_NUMBERS)
    )


# ---------------------------------------------------------------- the truth


def _made(path: Path) -> Statistics:
    types = {
        name: pa.string() if kind == "String" else pa.float64() for name, kind in COLUMNS.items()
    }
    table = pyarrow.csv.read_csv(
        path, convert_options=pyarrow.csv.ConvertOptions(column_types=types, null_values=[""])
    )
    columns = {
        name: _string(table[name]) if kind == "String" else _number(table[name])
        for name, kind in COLUMNS.items()
    }
    return {"rows": table.num_rows, "columns": columns}


def _number(column: Any) -> Statistics:
    values = np.sort(column.drop_null().to_numpy())
    low, high = float(values[0]), float(values[-1])
    bounds = [low + (high - low) * step / BUCKETS for step in range(1, BUCKETS)]
    cuts = [0, *np.searchsorted(values, bounds).tolist(), len(values)]
    return {
        "missing": column.null_count,
        "mean": float(values.mean()),
        "std": float(values.std()),
        "min": low,
        "max": high,
        "buckets": [end - begin for begin, end in pairwise(cuts)],
        "quantiles": np.percentile(values, PERCENTILES, method="inverted_cdf").tolist(),
    }


def _string(column: Any) -> Statistics:
    values = column.combine_chunks().cast(pa.large_string())
    present = values.filter(pc.and_(pc.is_valid(values), pc.not_equal(values, "")))
    counted = {pair["values"]: pair["counts"] for pair in pc.value_counts(present).to_pylist()}
    found = {"missing": len(values) - len(present), "distinct": len(counted)}
    return found | ({"counts": counted} if len(counted) <= COUNTED_MAX else {})


# ---------------------------------------------------------------- comparing


def _agrees(name: str, found: Statistics, truth: Statistics, rows: int, complete: bool) -> bool:
    if name not in found:
        return not complete
    one, other = found[name], truth[name]
    match name:
        case "min" | "max":
            return bool(np.isclose(one, other, rtol=PARSED, atol=0))
        case "mean" | "std":
            return bool(np.isclose(one, other, rtol=ROUNDING))
        case "distinct":
            return bool(abs(one - other) <= DISTINCT * other)
        case "buckets":
            return (
                len(one) == BUCKETS
                and float(np.abs(np.subtract(one, other)).max()) <= SKETCH * rows
            )
        case "quantiles":
            return _are_near(one, other)
        case _:
            return bool(one == other)


def _are_near(found: list[float], truth: list[float]) -> bool:
    """Tell whether each of the 99 percentiles lies between its neighbours."""
    neighbours = zip(truth[:-2], found, truth[2:], strict=True)
    return all(low <= value <= high for low, value, high in neighbours)
