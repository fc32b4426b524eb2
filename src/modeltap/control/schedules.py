"""Monitoring schedules: their life cycle as a table, and which runs are due. Pure.

Create → Pending → Scheduled      Stop: Pending | Scheduled → Stopped      Start: Stopped → Pending
Update: Scheduled → Pending, Stopped stays

A run is due when its scheduled time has come, is later than the schedule's `since` (creation, last
start or update) and than its last execution. The clock may jump: set back, nothing is due until it
is where it was, and what was made for a time to come is no reason to wait for that time.

A run may also be asked for by hand, for any hour of the schedule that has come (`asked_for`).
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice

from modeltap.clock import stamp, utc
from modeltap.control.cron import Cron
from modeltap.control.definitions import endpoint_of
from modeltap.control.windows import HOUR_NS, SECOND_NS, Timing
from modeltap.nouns import EXECUTION_COMPLETED, EXECUTION_FAILED, CatchUp, Document
from modeltap.state.executions import Execution, Ran
from modeltap.state.store import Resource, shown

KIND = "monitoring-schedule"
STATUS_MEMBER = "MonitoringScheduleStatus"
DATA_QUALITY = "DataQuality"

MISSED_NS = 300 * 10**9
"""A run that begins so late was due while the server was down."""
DUE_MAX = 100
"""Runs of a schedule that one turn makes up for; the next turns go on."""

NEVER = Ran(0, 0)


class ScheduleStatus(StrEnum):
    PENDING = "Pending"
    SCHEDULED = "Scheduled"
    STOPPED = "Stopped"


class ScheduleEvent(StrEnum):
    SETTLED = "settled"  # control has taken it up
    STOP = "stop"
    START = "start"
    UPDATE = "update"


TABLE = {
    (ScheduleStatus.PENDING, ScheduleEvent.SETTLED): ScheduleStatus.SCHEDULED,
    (ScheduleStatus.PENDING, ScheduleEvent.STOP): ScheduleStatus.STOPPED,
    (ScheduleStatus.PENDING, ScheduleEvent.START): ScheduleStatus.PENDING,
    (ScheduleStatus.PENDING, ScheduleEvent.UPDATE): ScheduleStatus.PENDING,
    (ScheduleStatus.SCHEDULED, ScheduleEvent.STOP): ScheduleStatus.STOPPED,
    (ScheduleStatus.SCHEDULED, ScheduleEvent.START): ScheduleStatus.SCHEDULED,
    (ScheduleStatus.SCHEDULED, ScheduleEvent.UPDATE): ScheduleStatus.PENDING,
    (ScheduleStatus.STOPPED, ScheduleEvent.STOP): ScheduleStatus.STOPPED,
    (ScheduleStatus.STOPPED, ScheduleEvent.START): ScheduleStatus.PENDING,
    (ScheduleStatus.STOPPED, ScheduleEvent.UPDATE): ScheduleStatus.STOPPED,
}


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule as it stands in `state`."""

    id: str
    name: str
    config: Document  # a `MonitoringScheduleConfig`
    endpoint: str  # "": it looks at batch transforms
    status: ScheduleStatus
    since_ns: int  # runs are due after this

    @property
    def definition_name(self) -> str | None:
        name: str | None = self.config.get("MonitoringJobDefinitionName")
        return name


def step(schedule: Schedule, event: ScheduleEvent, now_ns: int) -> Schedule:
    """Give a schedule after an event; starting it anew, it owes nothing of what lies before."""
    status = TABLE[schedule.status, event]
    begins = status is ScheduleStatus.PENDING and event is not ScheduleEvent.SETTLED
    since_ns = shown(now_ns) if begins and status != schedule.status else schedule.since_ns
    return replace(schedule, status=status, since_ns=since_ns)


def updated(schedule: Schedule, config: Document, endpoint: str, now_ns: int) -> Schedule:
    """Give a schedule with another config; what was due by the old one has been made."""
    changed = replace(schedule, config=config, endpoint=endpoint, since_ns=shown(now_ns))
    return replace(changed, status=TABLE[schedule.status, ScheduleEvent.UPDATE])


# ---------------------------------------------------------------- what is due


def due(
    schedule: Schedule, timing: Timing, ran: Ran, now_ns: int, catch_up: CatchUp
) -> tuple[int, ...]:
    """Give the scheduled times of the runs that are to be made now, in order."""
    if schedule.status is not ScheduleStatus.SCHEDULED:
        return ()
    if timing.cron is None:
        return () if ran.last_ns >= schedule.since_ns else (schedule.since_ns,)
    after_ns = max(schedule.since_ns, ran.until_now_ns)
    if catch_up is CatchUp.RUN:
        return tuple(islice(timing.cron.until(after_ns, now_ns), DUE_MAX))
    newest_ns = timing.cron.before(now_ns + 1_000_000_000)  # `before` is of whole seconds
    if newest_ns is None or newest_ns <= after_ns or newest_ns > now_ns:
        return ()
    missed = now_ns - newest_ns > MISSED_NS
    return () if missed and catch_up is CatchUp.SKIP else (newest_ns,)


def next_due(timings: Iterable[Timing], now_ns: int) -> int | None:
    """Give when the next run of any schedule is due."""
    times = (timing.cron.after(now_ns) for timing in timings if timing.cron is not None)
    return min((each for each in times if each is not None), default=None)


# ---------------------------------------------------------------- what is asked for by hand


class NoSuchRun(ValueError):
    """An hour in which a schedule has no run; the text names those that it has."""


def asked_for(timing: Timing, hour_ns: int | None, now_ns: int) -> int:
    """Give the scheduled time of a run that is asked for: in an hour, or the last one.

    `hour_ns` is any time of the hour, UTC. For a schedule of NOW it is the scheduled time itself,
    and without it the run is one of now. Raise `NoSuchRun`.
    """
    if timing.cron is None:
        scheduled_ns = shown(now_ns) if hour_ns is None else hour_ns // HOUR_NS * HOUR_NS
    else:
        scheduled_ns = _last(timing.cron, now_ns) if hour_ns is None else _in(timing.cron, hour_ns)
    if scheduled_ns > now_ns:
        raise NoSuchRun(f"{stamp(scheduled_ns)} has not come yet: it is {stamp(now_ns)}.")
    return scheduled_ns


def _last(cron: Cron, now_ns: int) -> int:
    found = cron.before(now_ns + SECOND_NS)  # `before` is of whole seconds
    while found is not None and found > now_ns:
        found = cron.before(found)
    if found is None:
        raise NoSuchRun("None of this schedule's times has come yet.")
    return found


def _in(cron: Cron, hour_ns: int) -> int:
    first_ns = hour_ns // HOUR_NS * HOUR_NS
    found = cron.after(first_ns - SECOND_NS)
    if found is not None and found < first_ns + HOUR_NS:
        return found
    around = [each for each in (cron.before(first_ns), found) if each is not None]
    raise NoSuchRun(
        f"This schedule has no run in the hour of {stamp(first_ns)}; around it there is one at "
        f"{' and at '.join(map(stamp, around))}."
    )


def is_to_be_run(status: str, *, again: bool) -> bool:
    """Tell whether a run that is there is made anew: what failed, and on demand what did not."""
    return status in EXECUTION_FAILED or (again and status in EXECUTION_COMPLETED)


# ---------------------------------------------------------------- names


def report_uri(output: str, endpoint: str, schedule: str, scheduled_ns: int) -> str:
    """Give the folder of a run's report, by its scheduled hour (contract §4.8).

    A run over batch transforms has no endpoint: it is "".
    """
    hour = utc(scheduled_ns).strftime("%Y/%m/%d/%H")
    return "/".join(filter(None, (output.rstrip("/"), endpoint, schedule, hour)))


def job_name(execution: Execution) -> str:
    """Name the processing job of a run: the same, however often it is asked (contract §4.8)."""
    scheduled_ns, attempt = execution.scheduled_ns, attempt_of(execution)
    told = f"{execution.schedule_id}/{scheduled_ns}" + (f"/{attempt}" if attempt > 1 else "")
    digest = hashlib.sha256(told.encode()).hexdigest()
    return f"model-monitoring-{utc(scheduled_ns).strftime('%Y%m%d%H%M')}-{digest[:24]}"


def attempt_of(execution: Execution) -> int:
    """Tell how often a run was begun, this time included."""
    attempt: int = execution.spec.get("Attempt", 1)
    return attempt


# ---------------------------------------------------------------- as a resource in `state`


def schedule_of(resource: Resource) -> Schedule:
    status = resource.status
    return Schedule(
        id=status["Id"],
        name=resource.name,
        config=status["MonitoringScheduleConfig"],
        endpoint=status["EndpointName"] or "",
        status=ScheduleStatus(status[STATUS_MEMBER]),
        since_ns=status["SinceNs"],
    )


def schedule_document(schedule: Schedule) -> Document:
    """Give the status document of a schedule; lists filter by members of it."""
    return {
        STATUS_MEMBER: schedule.status.value,
        "Id": schedule.id,
        "SinceNs": schedule.since_ns,
        "EndpointName": schedule.endpoint or None,
        "MonitoringType": DATA_QUALITY,
        "MonitoringJobDefinitionName": schedule.definition_name,
        "MonitoringScheduleConfig": schedule.config,
    }


def created(
    schedule_id: str, name: str, config: Document, definition: Document, now_ns: int
) -> Schedule:
    """Give a schedule that was just asked for."""
    endpoint, since_ns = endpoint_of(definition), shown(now_ns)
    return Schedule(schedule_id, name, config, endpoint, ScheduleStatus.PENDING, since_ns)
