"""modeltap's own command lines, and how its `statistics.json` is read.

A baseline is made of the same rows before anything is measured, so that an analysis has types and
bounds to go by, as it has in production.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.monitor.data import Input
from benchmarks.monitor.truth import PERCENTILES, Statistics

_MODELTAP: Final = (sys.executable, "-m", "modeltap.cli")


def baseline(rows: Path, output: Path) -> list[str]:
    """Describe a CSV file, and suggest constraints."""
    return [*_MODELTAP, "baseline", str(rows), "--output", str(output)]


def analyze(given: Input, against: Path, output: Path) -> list[str]:
    """Describe captured records and check them against a baseline: exact where memory allows."""
    return _analyze(given.captured, against, output)


def analyze_json(given: Input, against: Path, output: Path) -> list[str]:
    """Do the same with the records whose bodies are JSON (`data.write_json`)."""
    return _analyze(given.json, against, output)


def _analyze(records: Path, against: Path, output: Path) -> list[str]:
    where = ["--baseline", str(against), "--output", str(output)]
    return [*_MODELTAP, "analyze", str(records), *where]


def analyze_bounded(given: Input, against: Path, output: Path) -> list[str]:
    """Do the same in bounded memory."""
    program = "benchmarks.monitor.apps.modeltap_records"
    return [sys.executable, "-m", program, str(given.captured), str(against), str(output)]


def statistics(folder: Path) -> Statistics:
    """Read `statistics.json` (contract §4.3)."""
    document = json.loads((folder / "statistics.json").read_text())
    columns = {each["name"]: _column(each) for each in document["features"]}
    return {"rows": document["dataset"]["item_count"], "columns": columns}


def _column(feature: dict[str, Any]) -> Statistics:
    if "numerical_statistics" in feature:
        return _number(feature["numerical_statistics"])
    found = feature["string_statistics"]
    buckets = found.get("distribution", {}).get("categorical", {}).get("buckets", [])
    counts = {each["value"]: each["count"] for each in buckets}
    return {
        "missing": found["common"]["num_missing"],
        "distinct": found["distinct_count"],
    } | ({"counts": counts} if counts else {})


def _number(found: dict[str, Any]) -> Statistics:
    kll = found["distribution"]["kll"]
    return {
        "missing": found["common"]["num_missing"],
        "mean": found["mean"],
        "std": found["std_dev"],
        "min": found["min"],
        "max": found["max"],
        "buckets": [each["count"] for each in kll["buckets"]],
        "quantiles": percentiles(kll["sketch"]["data"]),
    }


def percentiles(levels: list[list[float]]) -> list[float]:
    """Give the 99 percentiles of a sketch: an item of level h stands for 2^h values."""
    values = np.concatenate([np.asarray(level, float) for level in levels])
    weights = np.concatenate([np.full(len(level), 2.0**h) for h, level in enumerate(levels)])
    order = np.argsort(values, kind="stable")
    ranks = np.cumsum(weights[order])
    wanted = PERCENTILES[1:-1] / 100 * ranks[-1]
    return values[order][np.searchsorted(ranks, wanted)].tolist()  # type: ignore[no-any-return]
