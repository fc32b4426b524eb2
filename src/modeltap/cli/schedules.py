"""`modeltap monitor …`: schedules, their executions, and what these found."""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console

from modeltap.cli import scheduled
from modeltap.cli.asked import CannotRun, HomeOption
from modeltap.cli.calling import Api, api_of
from modeltap.cli.executions import ExecutionSummary, find, follow, latest, span_of
from modeltap.cli.running import running
from modeltap.control.explaining import Ended, explain
from modeltap.logbook import Logbook
from modeltap.nouns import (
    EXECUTION_ACTIVE,
    EXECUTION_COMPLETED,
    PROCESSING_LOG_GROUP,
    WITH_VIOLATIONS,
    Document,
)
from modeltap.settings import Settings

VIOLATED, FAILED = 1, 2
"""Statuses of `run` and `report`."""

Named = Annotated[
    str, Parameter(help="SCHEDULE (its last one), SCHEDULE@2026-11-27T10, a job's name or ARN")
]
Json = Annotated[bool, Parameter(name="--json", negative="", help="print a JSON document")]

app = App(name="monitor", help="Look at monitoring schedules and their executions; run one now.")


@app.command
def ls(*, json_: Json = False, home: HomeOption = None) -> None:
    """List the schedules: when each ran last, how that ended, and when it runs next."""
    found = scheduled.every(api_of(running(home)))
    if json_:
        _print_json([each.told for each in found])
    else:
        _console().print(scheduled.table(found))


@app.command
def describe(
    schedule: str,
    *,
    executions: Annotated[int, Parameter(help="how many of its last executions")] = 10,
    json_: Json = False,
    home: HomeOption = None,
) -> None:
    """Tell what a schedule runs, on what, against what, and what its last executions found."""
    api = api_of(running(home))
    found = scheduled.one(api, schedule)
    runs = [(each, _violation_count(api, each)) for each in latest(api, schedule, executions)]
    if json_:
        listed = [{**each.document, "ViolationCount": count} for each, count in runs]
        _print_json({**found.told, "MonitoringExecutionSummaries": listed})
        return
    for line in found.lines():
        print(scheduled.harmless(line))
    _console().print(scheduled.executions_table(runs))


@app.command
def run(
    schedule: str,
    *,
    hour: Annotated[
        str | None, Parameter(help="UTC, as 2026-11-27T10; the last one that has come unless given")
    ] = None,
    again: Annotated[bool, Parameter(negative="", help="replace the report that is there")] = False,
    home: HomeOption = None,
) -> None:
    """Run a schedule's execution of an hour now, and show its report.

    An hour that was missed is made, one that failed is made again. One that has a report is shown,
    or made again and replaced (--again). Status 1 for violations, 2 if there is no report.
    """
    with _failing():
        settings = running(home)
        api = api_of(settings)
        asked: Document = {"MonitoringScheduleName": schedule, "Again": again}
        if hour is not None:
            asked["Hour"] = span_of(hour)[0].timestamp()
        told = api.call("RunMonitoringSchedule", "modeltap", **asked)
        looks = _followed(settings, api, told)
        if not told["Begun"]:
            print(_not_begun(looks), file=sys.stderr)
        _show(settings, api, looks[-1])


def _not_begun(looks: Sequence[ExecutionSummary]) -> str:
    """Say why this call began nothing, by how the execution stood at the first look."""
    if looks[0].status in EXECUTION_ACTIVE:
        return f"{looks[0].name} was on its way already"
    return f"{looks[0].name} has run; --again runs it anew and replaces its report"


@app.command
def report(
    execution: Named,
    *,
    html: Annotated[Path | None, Parameter(help="save report.html there")] = None,
    json_: Json = False,
    home: HomeOption = None,
) -> None:
    """Show what an execution found. Status 1 for violations, 2 if there is no report."""
    with _failing():
        settings = running(home)
        api = api_of(settings)
        _show(settings, api, find(api, execution), html, json_=json_)


@app.command(name="explain")
def explain_(execution: Named, *, json_: Json = False, home: HomeOption = None) -> None:
    """Say in one sentence why an execution failed, or what it found, and what to do."""
    settings = running(home)
    api = api_of(settings)
    found = find(api, execution)
    sentence = _explained(settings, api, found)
    if json_:
        _print_json({**found.document, "Explanation": sentence})
    else:
        print(sentence)


# ---------------------------------------------------------------- one execution


def _followed(settings: Settings, api: Api, told: Document) -> list[ExecutionSummary]:
    """Wait for the end of an execution, and say meanwhile how it stands; give each look at it."""
    logbook, looks = Logbook(settings.layout.logs), list[ExecutionSummary]()
    with Console(stderr=True).status("asked for") as status:

        def tell(execution: ExecutionSummary) -> None:
            looks.append(execution)
            status.update(f"{execution.name}: {_stands(logbook, execution)}")

        follow(api, told["MonitoringScheduleName"], told["ScheduledTime"], tell)
    return looks


def _stands(logbook: Logbook, execution: ExecutionSummary) -> str:
    if execution.job is None:
        return f"{execution.status}, its records are awaited"
    lines = list(logbook.tail(PROCESSING_LOG_GROUP, f"{execution.job}/").read())
    return f"{execution.status}, {lines[-1].text[:60]}" if lines else execution.status


def _show(
    settings: Settings,
    api: Api,
    execution: ExecutionSummary,
    html: Path | None = None,
    *,
    json_: bool = False,
) -> None:
    """Show a report; exit as the execution ended. Raise `CannotRun` if there is none."""
    if execution.status not in EXECUTION_COMPLETED:
        raise CannotRun(f"{execution.name}: {_explained(settings, api, execution)}")
    from modeltap.cli.reports import report_of  # noqa: PLC0415 - half a second that few need
    from modeltap.monitor.report import terminal  # noqa: PLC0415
    from modeltap.monitor.written import REPORT  # noqa: PLC0415

    found = report_of(settings, api, execution)
    if json_:
        told = {"Report": found.uri, "Violations": found.violations}
        _print_json({**execution.document, **told})
    elif found.is_ours:
        terminal(found.findings, _console())
        print(f"report: {found.uri}/{REPORT}")
    else:
        print(f"{execution.status}; another program than modeltap's wrote the report: {found.uri}")
    if html is not None:
        _save(html, found.files.get(REPORT), f"{found.uri}/{REPORT}")
    if execution.status == WITH_VIOLATIONS:
        sys.exit(VIOLATED)


def _save(path: Path, data: bytes | None, uri: str) -> None:
    if data is None:
        raise CannotRun(f"there is no {uri}: another program than modeltap's wrote the report")
    try:
        path.write_bytes(data)
    except OSError as error:
        raise CannotRun(f"{path} cannot be written: {error.strerror}") from None
    print(f"written to {path}", file=sys.stderr)


def _explained(settings: Settings, api: Api, execution: ExecutionSummary) -> str:
    ended = Ended(
        name=execution.name,
        schedule=execution.schedule,
        endpoint=execution.endpoint,
        window=scheduled.window_of(api, execution),
        again=execution.again,
        status=execution.status,
        reason=execution.failure,
        job=execution.job,
        violations=_kinds(settings, api, execution),
    )
    return scheduled.harmless(explain(ended))


def _kinds(settings: Settings, api: Api, execution: ExecutionSummary) -> Counter[str]:
    """Count the violations of an execution by kind, the most frequent first."""
    if execution.status != WITH_VIOLATIONS:
        return Counter()
    from modeltap.cli.reports import report_of  # noqa: PLC0415 - half a second that few need
    from modeltap.monitor.report.verdict import word_of  # noqa: PLC0415

    violations = report_of(settings, api, execution).violations
    kinds = Counter(word_of(each["constraint_check_type"]) for each in violations)
    return Counter(dict(kinds.most_common()))


def _violation_count(api: Api, execution: ExecutionSummary) -> int | None:
    """Read from the job's last word how many violations there were; None: nobody looked."""
    if execution.status == "Completed":
        return 0
    if execution.status != WITH_VIOLATIONS or execution.job is None:
        return None
    return scheduled.violation_count(api, execution.job)


# ---------------------------------------------------------------- printing


@contextmanager
def _failing() -> Iterator[None]:
    """Tell of what cannot be done in one line, with the status that is not violations'."""
    try:
        yield
    except CannotRun as error:
        sys.stdout.flush()
        print(f"modeltap: {error}", file=sys.stderr)
        sys.exit(FAILED)


def _console() -> Console:
    """Give a console that cuts no table where nobody looks at its width."""
    return Console(width=None if sys.stdout.isatty() else 160)


def _print_json(document: Document | list[Document]) -> None:
    print(json.dumps(scheduled.readable(document), indent=2))
