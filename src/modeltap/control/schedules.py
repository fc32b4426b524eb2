"""Monitoring schedules: their life cycle as a table, and which runs are due. Pure.

Create → Pending → Scheduled      Stop: Pending | Scheduled → Stopped      Start: Stopped → Pending
Update: Scheduled → Pending, Stopped stays

A run is due when its scheduled time has come, is later than the schedule's `since` (creation, last
start or update) and than its last execution. The clock may jump: set back, nothing is due until it
is where it was, and what was made for a time to come is no reason to wait for that time.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice

from modeltap.clock import utc
from modeltap.control.definitions import endpoint_of
from modeltap.control.windows import Timing
from modeltap.nouns import CatchUp, Document
from modeltap.state.executions import Ran
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


# ---------------------------------------------------------------- names


def report_uri(output: str, endpoint: str, schedule: str, scheduled_ns: int) -> str:
    """Give the folder of a run's report, by its scheduled hour (contract §4.8).

    A run over batch transforms has no endpoint: it is "".
    """
    hour = utc(scheduled_ns).strftime("%Y/%m/%d/%H")
    return "/".join(filter(None, (output.rstrip("/"), endpoint, schedule, hour)))


def job_name(schedule_id: str, scheduled_ns: int) -> str:
    """Name the processing job of a run: the same, however often it is asked (contract §4.8)."""
    digest = hashlib.sha256(f"{schedule_id}/{scheduled_ns}".encode()).hexdigest()
    return f"model-monitoring-{utc(scheduled_ns).strftime('%Y%m%d%H%M')}-{digest[:24]}"


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
