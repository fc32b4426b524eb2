"""What a program is asked, and the form of its answer (`truth.py`): standard library only.

    python -m benchmarks.monitor.apps.NAME INPUT COLUMNS OUTPUT

INPUT is a CSV file or the folder of captured records, COLUMNS a JSON file of
name and type (`Integral`, `Fractional`, `String`).
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUCKETS = 10
PERCENTILES = range(1, 100)
COUNTED_MAX = 120


@dataclass(frozen=True, slots=True)
class Asked:
    """What to read, and where to answer."""

    input: Path
    columns: dict[str, str]
    output: Path

    @property
    def files(self) -> list[Path]:
        return sorted(self.input.rglob("*.jsonl"))

    @property
    def numbers(self) -> list[str]:
        return [name for name, kind in self.columns.items() if kind != "String"]

    @property
    def strings(self) -> list[str]:
        return [name for name, kind in self.columns.items() if kind == "String"]

    def answer(self, rows: int, columns: dict[str, dict[str, Any]]) -> None:
        """Write what was found."""
        self.output.write_text(json.dumps({"rows": rows, "columns": columns}))


def asked() -> Asked:
    """Read the command line."""
    given, columns, output = map(Path, sys.argv[1:])
    return Asked(given, json.loads(columns.read_text()), output)


def bounds(low: float, high: float) -> list[float]:
    """Give the nine inner bounds of the buckets."""
    return [low + (high - low) * step / BUCKETS for step in range(1, BUCKETS)]


def ranks(size: int) -> list[int]:
    """Give where in sorted values the percentiles are."""
    return [max(0, -(-size * each // 100) - 1) for each in PERCENTILES]
