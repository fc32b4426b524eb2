"""The analysis as two functions, for notebooks and CI; the command line is made of them, too.

    from modeltap.monitor import analyze, baseline

    baseline("train.csv", output="baseline")
    findings = analyze("captured/", "baseline", output="report")
    assert not findings.violations

A dataset is a file, a folder, a list of either, or a table that speaks Arrow, such as a DataFrame.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, runtime_checkable

import pyarrow as pa
from pyarrow import parquet

from modeltap.monitor.analysis import MEMORY_BYTES_MAX, Progress, Request, analyse
from modeltap.monitor.files import files_below, format_of, read_document
from modeltap.monitor.findings import Findings
from modeltap.monitor.plan import Format, Plan
from modeltap.monitor.written import CONSTRAINTS, STATISTICS, write_report
from modeltap.nouns import Document


@runtime_checkable
class ArrowTable(Protocol):
    """Any table of the Arrow C stream interface: pandas, Polars, DuckDB, pyarrow."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...


Dataset = str | Path | Sequence[str | Path] | ArrowTable


def baseline(
    dataset: Dataset,
    *,
    output: str | Path | None = None,
    form: Format | None = None,
    header: bool = True,
    nested: bool = False,
    memory_bytes_max: int = MEMORY_BYTES_MAX,
    progress: Progress | None = None,
) -> Findings:
    """Suggest a baseline of a dataset: `statistics.json`, `constraints.json` and a report.

    `form` is told by the files' names where it is None. Raise `AnalysisFailed`.
    """
    with _files(dataset) as files:
        plan = Plan(form or format_of(files[0]), header=header, nested=nested)
        request = Request(
            f"Baseline of {_title(files)}", files, plan, memory_bytes_max=memory_bytes_max
        )
        return _analysed(request, output, progress)


def analyze(
    dataset: Dataset,
    against: str | Path,
    *,
    output: str | Path | None = None,
    form: Format | None = None,
    header: bool = True,
    nested: bool = False,
    start: str | None = None,
    end: str | None = None,
    memory_bytes_max: int = MEMORY_BYTES_MAX,
    progress: Progress | None = None,
) -> Findings:
    """Compare a dataset with a baseline: the folder of its documents, or its constraints' file.

    `start` and `end` (ISO 8601, UTC, excluded) bound captured records. Raise `AnalysisFailed`.
    """
    constraints, statistics = _baseline(Path(against))
    with _files(dataset) as files:
        plan = Plan(form or format_of(files[0]), header=header, nested=nested, start=start, end=end)
        request = Request(
            _title(files), files, plan, constraints, statistics, memory_bytes_max=memory_bytes_max
        )
        return _analysed(request, output, progress)


def _analysed(request: Request, output: str | Path | None, progress: Progress | None) -> Findings:
    findings = analyse(request, progress or _silent)
    if output is not None:
        write_report(findings, Path(output))
    return findings


def _silent(done: int, total: int) -> None:
    """Tell nobody."""


def _title(files: Sequence[Path]) -> str:
    return files[0].name if len(files) == 1 else f"{len(files)} files of {files[0].parent.name}"


@contextmanager
def _files(dataset: Dataset) -> Iterator[list[Path]]:
    if isinstance(dataset, ArrowTable):
        with TemporaryDirectory() as folder:
            table = Path(folder) / "table.parquet"
            parquet.write_table(pa.table(dataset), table)
            yield [table]
        return
    places = [dataset] if isinstance(dataset, str | Path) else dataset
    yield list(chain.from_iterable(files_below(Path(place)) for place in places))


def _baseline(against: Path) -> tuple[Document, Document | None]:
    folder = against if against.is_dir() else against.parent
    constraints = folder / CONSTRAINTS if against.is_dir() else against
    statistics = folder / STATISTICS
    return (
        read_document(constraints, f"The baseline's {constraints.name}"),
        read_document(statistics, f"The baseline's {STATISTICS}") if statistics.exists() else None,
    )
