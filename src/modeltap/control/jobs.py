"""A job: its life cycle as a table, the plan from how it stands, and its end. Pure.

CreateProcessingJob → InProgress → Completed | Failed | Stopped (its time was up)
StopProcessingJob: InProgress → Stopping → Stopped, however its program ends

Transform jobs have the same life cycle; what is said of programs is not true of them.

What is asked for and what became of it stands in `state`; how the program stands, in the job's
folder (`hosting.jobs.Stand`). The next move follows from both and from nothing else, so a control
that is killed anywhere and begins again ends the same.
"""

import signal
from dataclasses import dataclass, replace
from enum import StrEnum

from modeltap.hosting.jobs import Stand
from modeltap.nouns import Document
from modeltap.state.store import Resource
from modeltap_worker.jobspec import Cause, Exit

KIND, TRANSFORM = "processing-job", "transform-job"
STATUS_MEMBER = "ProcessingJobStatus"
STATUS_MEMBERS = {KIND: STATUS_MEMBER, TRANSFORM: "TransformJobStatus"}

SECONDS_DEFAULT = 86_400
"""For which a job may run if its request does not say (AWS: one day)."""
MESSAGE_BYTES_MAX = 1024  # of `/opt/ml/output/message` (contract §4.2)
REASON_CHARS_MAX = 1024  # botocore: `FailureReason`


class JobStatus(StrEnum):
    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    FAILED = "Failed"
    STOPPING = "Stopping"
    STOPPED = "Stopped"


class JobEvent(StrEnum):
    STOP = "stop"  # asked for
    COMPLETED = "completed"  # exit code 0, and its outputs are where they belong
    FAILED = "failed"
    STOPPED = "stopped"  # it was ended: asked for, or its time was up


class IllegalJobStep(Exception):
    """An event that the life cycle does not allow at this status."""

    def __init__(self, status: JobStatus, event: JobEvent) -> None:
        super().__init__(f"{event} while {status}")
        self.status = status


FIRST = JobStatus.IN_PROGRESS

TABLE = {
    (JobStatus.IN_PROGRESS, JobEvent.STOP): JobStatus.STOPPING,
    (JobStatus.IN_PROGRESS, JobEvent.COMPLETED): JobStatus.COMPLETED,
    (JobStatus.IN_PROGRESS, JobEvent.FAILED): JobStatus.FAILED,
    (JobStatus.IN_PROGRESS, JobEvent.STOPPED): JobStatus.STOPPED,
    (JobStatus.STOPPING, JobEvent.STOP): JobStatus.STOPPING,
    (JobStatus.STOPPING, JobEvent.COMPLETED): JobStatus.STOPPED,
    (JobStatus.STOPPING, JobEvent.FAILED): JobStatus.STOPPED,
    (JobStatus.STOPPING, JobEvent.STOPPED): JobStatus.STOPPED,
}
ACTIVE = (JobStatus.IN_PROGRESS, JobStatus.STOPPING)
"""Statuses at which there is something left to do."""


def step(status: JobStatus, event: JobEvent) -> JobStatus:
    """Give the next status. Raise `IllegalJobStep` if the table has none."""
    try:
        return TABLE[status, event]
    except KeyError:
        raise IllegalJobStep(status, event) from None


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands in `state`."""

    name: str
    arn: str
    spec: Document  # a CreateProcessingJob request, or a CreateTransformJob request
    status: JobStatus
    created_ns: int
    started_ns: int | None = None  # its program
    ended_ns: int | None = None
    exit_message: str | None = None
    failure: str | None = None
    kind: str = KIND
    model: Document | None = None  # a transform job's own copy of its model

    @property
    def log_stream(self) -> str:
        """Name the stream of a processing job's one host, as SageMaker does.

        A transform job's instances have streams of their own, which sort before this one.
        """
        if self.kind == TRANSFORM:
            return f"{self.name}/modeltap"
        return f"{self.name}/algo-1-{self.created_ns // 1_000_000}"

    @property
    def seconds_max(self) -> int:
        seconds: int = self.spec.get("StoppingCondition", {}).get(
            "MaxRuntimeInSeconds", SECONDS_DEFAULT
        )
        return seconds

    @property
    def image(self) -> str:
        return str(self.spec["AppSpecification"]["ImageUri"])


# ---------------------------------------------------------------- the plan


class Move(StrEnum):
    """What to do for a job."""

    PREPARE = "prepare"  # stage its inputs and start its program
    ATTEND = "attend"  # wait for its end, and upload what is to be uploaded meanwhile
    END = "end"  # have its program ended, and attend
    FINISH = "finish"  # upload its outputs and tell how it ended
    CLEAR = "clear"  # remove what is left of one that is finished


_PLAN = {
    (JobStatus.IN_PROGRESS, Stand.ABSENT): Move.PREPARE,
    (JobStatus.IN_PROGRESS, Stand.RUNNING): Move.ATTEND,
    (JobStatus.IN_PROGRESS, Stand.ENDED): Move.FINISH,
    (JobStatus.IN_PROGRESS, Stand.LOST): Move.FINISH,
    (JobStatus.STOPPING, Stand.ABSENT): Move.FINISH,
    (JobStatus.STOPPING, Stand.RUNNING): Move.END,
    (JobStatus.STOPPING, Stand.ENDED): Move.FINISH,
    (JobStatus.STOPPING, Stand.LOST): Move.FINISH,
}


def plan(status: JobStatus | None, stand: Stand) -> Move:
    """Give the next move for a job, or for a folder whose job is finished or unknown (None)."""
    if status in ACTIVE:
        return _PLAN[status, stand]
    return Move.END if stand is Stand.RUNNING else Move.CLEAR


# ---------------------------------------------------------------- the end


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job has come to, before its status is known."""

    event: JobEvent
    failure: str | None = None
    exit_message: str | None = None


def outcome(
    job: Job, ended: Exit | None, stand: Stand, message: bytes = b"", undelivered: str | None = None
) -> Outcome:
    """Judge a job by its program's end, its message, and what could not be uploaded."""
    event, failure = _judged(job, ended, stand)
    text = exit_message(message)
    if text is None and event is JobEvent.COMPLETED:
        event, failure = JobEvent.FAILED, _NOT_UTF8
    if undelivered is not None and failure is None:
        event = JobEvent.FAILED if event is JobEvent.COMPLETED else event
        failure = undelivered
    return Outcome(event, failure, text or None)


_NOT_UTF8 = (
    "ClientError: /opt/ml/output/message is not UTF-8. Write text to it, or nothing, and create "
    "the job again under another name."
)


def _judged(job: Job, ended: Exit | None, stand: Stand) -> tuple[JobEvent, str | None]:
    if stand is Stand.ABSENT:
        return JobEvent.STOPPED, None
    if ended is None and job.status is JobStatus.STOPPING:
        return JobEvent.STOPPED, None  # perhaps before the shim could hear of it
    if ended is None:
        return JobEvent.FAILED, (
            "InternalServerError: The process that watched the job was killed, by hand or for want "
            f"of memory, so how its program ended is not known. {_again(job)}"
        )
    match ended.cause:
        case Cause.STOPPED:
            return JobEvent.STOPPED, None
        case Cause.TIME:
            return JobEvent.STOPPED, (
                f"MaxRuntimeExceeded: The job had run for {job.seconds_max} s. Create it again "
                "under another name with a larger StoppingCondition.MaxRuntimeInSeconds."
            )
        case Cause.HOUSE:
            return JobEvent.FAILED, (
                f"InternalServerError: modeltap was stopped while the job ran. {_again(job)}"
            )
        case Cause.UNSTARTED:
            return JobEvent.FAILED, (
                f"ClientError: The job's program could not be started: {ended.error}. Check "
                "AppSpecification.ContainerEntrypoint: a command that the image or this machine "
                "has, or a path under /opt/ml; and that a script's first line (#!) names an "
                "interpreter that is there."
            )
        case Cause.ITSELF:
            return _by_status(job, ended.status)


def _by_status(job: Job, status: int) -> tuple[JobEvent, str | None]:
    if status == 0:
        return JobEvent.COMPLETED, None
    how = f"ended with exit code {status}"
    if status < 0:
        how = f"was ended by {_signal(-status)}"
        if -status == signal.SIGKILL:
            how += " (most often: memory ran out)"
    return JobEvent.FAILED, (
        f"AlgorithmError: The job's program {how}. Its last lines tell why: "
        f"modeltap logs --job {job.name}. Mend it, and create the job again under another name."
    )


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _again(job: Job) -> str:
    return f"What it said: modeltap logs --job {job.name}. Create it again under another name."


def exit_message(data: bytes) -> str | None:
    """Give the first KiB of a message, cut between two characters; None if it is not UTF-8."""
    kept = data[:MESSAGE_BYTES_MAX]
    try:
        return kept.decode()
    except UnicodeDecodeError as error:
        cut = len(data) > MESSAGE_BYTES_MAX and error.reason == "unexpected end of data"
        return kept[: error.start].decode() if cut else None


def concluded(job: Job, came: Outcome, now_ns: int) -> Job:
    """Give a job after its end. Raise `IllegalJobStep` if it has ended before."""
    failure = came.failure and came.failure[:REASON_CHARS_MAX]
    return replace(
        job,
        status=step(job.status, came.event),
        ended_ns=now_ns,
        exit_message=came.exit_message,
        failure=failure,
    )


def started(job: Job, now_ns: int) -> Job:
    """Give a job whose work has begun, now or earlier."""
    return replace(job, started_ns=job.started_ns or now_ns)


def stopping(job: Job) -> Job:
    """Give a job that is to be stopped. Raise `IllegalJobStep` if it has ended."""
    return replace(job, status=step(job.status, JobEvent.STOP))


# ---------------------------------------------------------------- as a resource in `state`


def job_of(resource: Resource) -> Job:
    status = resource.status
    return Job(
        name=resource.name,
        arn=resource.arn,
        spec=resource.spec,
        status=JobStatus(status[STATUS_MEMBERS[resource.kind]]),
        created_ns=resource.created_ns,
        started_ns=status.get("StartedNs"),
        ended_ns=status.get("EndedNs"),
        exit_message=status.get("ExitMessage"),
        failure=status.get("FailureReason"),
        kind=resource.kind,
        model=status.get("Model"),
    )


def job_document(job: Job) -> Document:
    """Give the status document of a job."""
    told: Document = {
        STATUS_MEMBERS[job.kind]: job.status.value,
        "StartedNs": job.started_ns,
        "EndedNs": job.ended_ns,
        "ExitMessage": job.exit_message,
        "FailureReason": job.failure,
    }
    return told if job.model is None else {**told, "Model": job.model}


NEW: Document = {STATUS_MEMBER: FIRST.value}
"""The status document of a processing job that was just asked for."""


def new_transform(model: Document) -> Document:
    """Give the status document of a transform job that was just asked for."""
    return {STATUS_MEMBERS[TRANSFORM]: FIRST.value, "Model": model}
