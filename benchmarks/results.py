"""What a run found: sections of tables, in a form that is kept as JSON and rendered as a page.

A section holds its own date, command and machine, because `--only` replaces sections one by one in
`results/latest.json`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import orjson

from benchmarks.model import Model


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure over the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(median(values), min(values), max(values))


Cell = str | float | Spread


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    columns: tuple[str, ...]
    rows: list[list[Cell]]


@dataclass(frozen=True, slots=True)
class Reach:
    """A figure that is to be reached: at least `bound`, or under it."""

    text: str
    bound: float
    at_least: bool
    found: Spread

    @property
    def is_reached(self) -> bool:
        if self.at_least:
            return self.found.median >= self.bound
        return self.found.median < self.bound


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart; ours are drawn in another colour."""

    label: str
    value: Spread
    ours: bool


@dataclass(frozen=True, slots=True)
class Section:
    """What one scenario found."""

    title: str
    text: str
    tables: list[Table]
    reaches: list[Reach] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    bars_title: str = ""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """When, how and where a section was measured."""

    date: str
    command: str
    machine: dict[str, str]
    busy_percent: float  # what other work took of the cores just before


@dataclass(frozen=True, slots=True)
class Plan:
    """How thoroughly a scenario measures, and with what."""

    folder: Path
    model: Model
    rounds: int
    seconds: float  # of one slice
    minutes: float  # of a soak
    records: int  # that an analysis is of
    contenders: tuple[str, ...]  # of an analysis; all where none is named


Kept = dict[str, tuple[Section, Circumstances]]
"""Sections by the name of their scenario."""


def save(path: Path, kept: Kept) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(kept, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def load(path: Path) -> Kept:
    """Read what `save` wrote; nothing where there is nothing."""
    if not path.exists():
        return {}
    return {
        name: (_section(section), Circumstances(**circumstances))
        for name, (section, circumstances) in orjson.loads(path.read_bytes()).items()
    }


def _section(document: dict[str, Any]) -> Section:
    tables = [
        Table(
            table["title"],
            tuple(table["columns"]),
            [[_cell(cell) for cell in row] for row in table["rows"]],
        )
        for table in document["tables"]
    ]
    reaches = [Reach(**{**each, "found": Spread(**each["found"])}) for each in document["reaches"]]
    bars = [Bar(**{**each, "value": Spread(**each["value"])}) for each in document["bars"]]
    return Section(
        document["title"], document["text"], tables, reaches, bars, document["bars_title"]
    )


def _cell(cell: Any) -> Cell:
    return Spread(**cell) if isinstance(cell, dict) else cell
