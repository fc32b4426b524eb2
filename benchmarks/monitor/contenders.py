"""Who takes part: each is one command line on one input, and how its statistics are read."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from benchmarks import environments, machine
from benchmarks.environments import Unavailable
from benchmarks.monitor import cost, ours, truth
from benchmarks.monitor.data import Input, write_json
from benchmarks.monitor.truth import Statistics

RECORDS, CSV = "records", "CSV"


@dataclass(frozen=True, slots=True)
class Task:
    """What a contender is to do: by which Python, with what, and where to leave its answer."""

    python: str
    given: Input
    folder: Path


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to describe columns.

    `command` gives the command line, `statistics` reads what it left in its folder. `prepare` makes
    what the command needs besides the input, and is not measured.
    """

    name: str
    title: str
    reads: str
    gives: str
    command: Callable[[Task], list[str]]
    statistics: Callable[[Path], Statistics] | None
    environment: str | None = None  # a lock of benchmarks/requirements; None: modeltap's own Python
    prepare: Callable[[Task], None] | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    programs: tuple[str, ...] = ()  # of the system
    records_max: int | None = None  # too slow for more
    part: int = 1  # it gets one part of so many, in as many fewer files
    is_complete: bool = False  # gives all that is to be known of each column

    def python(self) -> str:
        """Give the Python that it runs on, made if need be. Raise `Unavailable`."""
        lacking = machine.missing(*self.programs)
        if lacking:
            raise Unavailable(f"not installed: {', '.join(lacking)} (apt-get install them)")
        if self.environment is None:
            return environments.OWN_PYTHON
        return str(environments.python(self.environment))

    def check(self, task: Task) -> None:
        """Compare what it found with the truth. Raise `Unavailable` where it is wrong."""
        if self.statistics is None:
            return
        found = self.statistics(task.folder)
        wrong = truth.faults(found, truth.of(task.given), self.is_complete)
        if wrong:
            raise Unavailable(f"answers wrong: {'; '.join(wrong[:3])} and {len(wrong[3:])} more")


# ---------------------------------------------------------------- ours and the limit

EXACT, MERGEABLE, PART, JSON, LIMIT = "exact", "mergeable", "mergeable-part", "json", "wc"
_ALL: Final = "all of it"


_Analyze = Callable[[Input, Path, Path], list[str]]


def _analysis(name: str, title: str, analyze: _Analyze, part: int = 1) -> Contender:
    """Analyze captured records against a baseline of the same rows."""

    def command(task: Task) -> list[str]:
        return analyze(task.given, _baseline(task), task.folder)

    return Contender(
        name=name,
        title=title,
        reads=RECORDS,
        gives=_ALL,
        command=command,
        statistics=ours.statistics,
        prepare=_suggest,
        part=part,
        is_complete=True,
    )


def _of_json() -> Contender:
    """Analyze the same records with bodies of JSON, each parsed for itself."""

    def prepare(task: Task) -> None:
        write_json(task.given)
        _suggest(task)

    return replace(
        _analysis(JSON, "modeltap analyze, JSON", ours.analyze_json),
        reads="records of JSON",
        prepare=prepare,
        records_max=100_000,
    )


def _suggest(task: Task) -> None:
    cost.of(ours.baseline(task.given.csv, _baseline(task)), {}, _baseline(task))


def _baseline(task: Task) -> Path:
    return task.given.folder / "baseline"


def _suggestion() -> Contender:
    return Contender(
        name="baseline",
        title="modeltap baseline",
        reads=CSV,
        gives=f"{_ALL}, types inferred",
        command=lambda task: ours.baseline(task.given.csv, task.folder),
        statistics=ours.statistics,
        is_complete=True,
    )


def _limit() -> Contender:
    return Contender(
        name=LIMIT,
        title="limit: wc -l",
        reads=RECORDS,
        gives="lines",
        command=lambda task: ["wc", "-l", *map(str, task.given.files)],
        statistics=None,
    )


# ---------------------------------------------------------------- the others


def _program(
    name: str,
    title: str,
    gives: str,
    *,
    records_max: int | None = None,
    variables: Mapping[str, str] | None = None,
    programs: tuple[str, ...] = (),
) -> Contender:
    """Run `apps/{name}.py`, whose name says what it reads, in the environment of its library.

    The title says with `{}` where the library's version goes.
    """
    library, _, form = name.partition("_")

    def command(task: Task) -> list[str]:
        read = task.given.captured if form == "records" else task.given.csv
        words = [task.python, "-m", f"benchmarks.monitor.apps.{name}", str(read)]
        return [*words, str(task.given.columns), str(task.folder / _ANSWER)]

    return Contender(
        name=name,
        title=title.format(environments.version(f"monitor-{library}", library)),
        reads=RECORDS if form == "records" else CSV,
        gives=gives,
        command=command,
        statistics=lambda folder: json.loads((folder / _ANSWER).read_text()),
        environment=f"monitor-{library}",
        variables=variables or {},
        programs=programs,
        records_max=records_max,
        is_complete=form == "records",
    )


_ANSWER: Final = "answer.json"
GENERAL: Final = ("pandas_records", "polars_records", "duckdb_records")
"""General engines, with programs that give the same statistics of the same records."""

WHYLOGS, EVIDENTLY = "whylogs_csv", "evidently_csv"


def all_of_them() -> list[Contender]:
    """List who takes part: the limit, ours, programs on records, libraries on CSV."""
    summary = "moments, bounds, distinct counts"
    return [
        _limit(),
        _analysis(EXACT, "modeltap analyze, exact", ours.analyze),
        _analysis(MERGEABLE, "modeltap analyze, mergeable", ours.analyze_bounded),
        _analysis(PART, "the same, a quarter of the files", ours.analyze_bounded, part=4),
        _of_json(),
        _suggestion(),
        _program("polars_records", "Polars {}, a program", _ALL),
        _program("pandas_records", "pandas {} and orjson, a program", _ALL),
        _program("duckdb_records", "DuckDB {}, a program", f"{_ALL}, t-digests, HyperLogLog"),
        _program("polars_csv", "Polars {}: describe, n_unique", f"{summary}, quartiles"),
        _program("pandas_csv", "pandas {}: describe, nunique", f"{summary}, quartiles"),
        _program("duckdb_csv", "DuckDB {}: SUMMARIZE", f"{summary}, quartiles, estimated"),
        _program(
            WHYLOGS,
            "whylogs {}",
            f"{summary}, sketches; no buckets",
            records_max=100_000,
            variables={"WHYLOGS_NO_ANALYTICS": "True"},
        ),
        _program(
            EVIDENTLY,
            "evidently {}: DataSummaryPreset",
            f"{summary}, quartiles",
            records_max=50_000,
            variables={"DO_NOT_TRACK": "1"},
        ),
        _program(
            "pyspark_csv",
            "PySpark {}: one query",
            f"{summary}, percentiles; no buckets",
            records_max=200_000,
            programs=("java",),
        ),
    ]
