"""`modeltap baseline` and `modeltap analyze`: the monitor's analysis, without a server."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress as Bars

from modeltap.cli.asked import CannotRun, HomeOption
from modeltap.tuning import tune

tune()  # before numpy and the others come

from modeltap.monitor import api  # noqa: E402
from modeltap.monitor.analysis import Progress  # noqa: E402
from modeltap.monitor.failure import AnalysisFailed  # noqa: E402
from modeltap.monitor.findings import Findings  # noqa: E402
from modeltap.monitor.plan import Format  # noqa: E402
from modeltap.monitor.report import terminal  # noqa: E402

FAILED = 2

Data = Annotated[
    list[str], Parameter(help="files, folders or s3://bucket/prefix: CSV, JSON, Parquet, captured")
]
Output = Annotated[Path | None, Parameter(help="folder for the documents and report.html")]
Form = Annotated[
    Format | None, Parameter(name="--format", help="told by the files' names unless given")
]
Header = Annotated[bool, Parameter(help="the first row of a CSV file names its columns")]
Nested = Annotated[bool, Parameter(help="flatten nested JSON to dotted names")]


def baseline(
    data: Data,
    *,
    output: Output = None,
    format_: Form = None,
    header: Header = True,
    nested: Nested = False,
    home: HomeOption = None,
) -> None:
    """Suggest a baseline: statistics.json, constraints.json, and report.html to look at."""
    with _told() as progress, _local(data, home) as files:
        findings = api.baseline(
            files, output=output, form=format_, header=header, nested=nested, progress=progress
        )
    _show(findings, output)


def analyze(
    data: Data,
    *,
    baseline: Annotated[Path, Parameter(help="folder of a baseline, or its constraints.json")],
    output: Output = None,
    format_: Form = None,
    header: Header = True,
    nested: Nested = False,
    from_: Annotated[
        datetime | None, Parameter(name="--from", help="captured records from this time on, UTC")
    ] = None,
    to: Annotated[datetime | None, Parameter(help="captured records before this time, UTC")] = None,
    home: HomeOption = None,
) -> None:
    """Compare data with a baseline. Status 1 for violations, 2 if it cannot be done."""
    with _told() as progress, _local(data, home) as files:
        findings = api.analyze(
            files,
            baseline,
            output=output,
            form=format_,
            header=header,
            nested=nested,
            start=_stamp(from_),
            end=_stamp(to),
            progress=progress,
        )
    _show(findings, output)
    if findings.violations:
        sys.exit(1)


def _show(findings: Findings, output: Path | None) -> None:
    console = Console()
    terminal(findings, console)
    if output is not None:
        console.print(f"written to {output}", highlight=False)


def _stamp(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    given = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return given.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def _told() -> Iterator[Progress]:
    """Show progress, and tell of a failure in one line."""
    with Bars(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("reading", total=None)
        try:
            yield lambda done, total: bars.update(task, completed=done, total=total)
        except (AnalysisFailed, CannotRun) as error:
            bars.stop()
            print(f"modeltap: {error}", file=sys.stderr)
            sys.exit(FAILED)


@contextmanager
def _local(data: Sequence[str], home: Path | None) -> Iterator[list[str | Path]]:
    """Give files and folders as they are, and what lies in buckets as copies."""
    if not any(map(_is_in_bucket, data)):
        yield list(data)
        return
    from modeltap.cli.buckets import copies  # noqa: PLC0415 - half a second that few need

    with TemporaryDirectory(prefix="modeltap-") as folder:
        copied = copies(list(filter(_is_in_bucket, data)), Path(folder), home)
        yield [copied.get(place, place) for place in data]


def _is_in_bucket(place: str) -> bool:
    return place.startswith("s3://")
