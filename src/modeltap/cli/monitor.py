"""`modeltap baseline` and `modeltap analyze`: the monitor's analysis, without a server."""

import asyncio
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

from modeltap.cli.running import HomeOption, access_key, running
from modeltap.errors import ObjectStoreError
from modeltap.monitor import api
from modeltap.monitor.analysis import Progress
from modeltap.monitor.failure import AnalysisFailed
from modeltap.monitor.findings import Findings
from modeltap.monitor.plan import Format
from modeltap.monitor.report import terminal
from modeltap.objects.port import nameable
from modeltap.objects.remote import Stores, split_uri

FAILED = 2
OBJECT_BYTES_MAX = 5 << 30

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
        except (AnalysisFailed, ObjectStoreError) as error:
            bars.stop()
            print(f"modeltap: {error}", file=sys.stderr)
            sys.exit(FAILED)


# ---------------------------------------------------------------- data in buckets


@contextmanager
def _local(data: Sequence[str], home: Path | None) -> Iterator[list[str | Path]]:
    """Give files and folders as they are, and what lies in buckets as copies."""
    with TemporaryDirectory(prefix="modeltap-") as folder:
        yield [
            _fetched(place, Path(folder) / str(at), home) if place.startswith("s3://") else place
            for at, place in enumerate(data)
        ]


def _fetched(uri: str, into: Path, home: Path | None) -> Path:
    settings = running(home)
    stores = Stores(settings, access_key(settings))
    into.mkdir()
    asyncio.run(_fetch(stores, uri, into))
    return into


async def _fetch(stores: Stores, uri: str, into: Path) -> None:
    bucket, prefix = split_uri(uri)
    store = stores.bucket(bucket)
    found = [each.key async for each in store.list(prefix) if not each.key.endswith("/")]
    if not found:
        raise AnalysisFailed(f"There is no object at {uri}: check bucket and prefix.")
    for key in map(nameable, found):
        path = into / key
        path.parent.mkdir(parents=True, exist_ok=True)
        await store.fetch(key, path, OBJECT_BYTES_MAX)
