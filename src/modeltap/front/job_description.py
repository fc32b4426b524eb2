"""What Describe and List say of a job beside its request, name and ARN. Pure."""

from modeltap.clock import utc
from modeltap.control.jobs import KIND, TRANSFORM, job_of
from modeltap.nouns import Document
from modeltap.state.store import Resource

MEMBERS = {KIND: "Processing", TRANSFORM: "Transform"}
"""How the members begin that tell of a kind's jobs."""


def describe_job(resource: Resource) -> Document:
    """Give the members that its status tells; what there is not yet is absent."""
    job, member = job_of(resource), MEMBERS[resource.kind]
    answer = {
        f"{member}JobStatus": job.status.value,
        "ExitMessage": job.exit_message,
        "FailureReason": job.failure,
        f"{member}StartTime": None if job.started_ns is None else utc(job.started_ns),
        f"{member}EndTime": None if job.ended_ns is None else utc(job.ended_ns),
    }
    return {name: value for name, value in answer.items() if value is not None}
