"""What Describe and List say of a processing job beside its request, name and ARN. Pure."""

from modeltap.clock import utc
from modeltap.control.jobs import job_of
from modeltap.nouns import Document
from modeltap.state.store import Resource


def describe_job(resource: Resource) -> Document:
    """Give the members that its status tells; what there is not yet is absent."""
    job = job_of(resource)
    answer = {
        "ProcessingJobStatus": job.status.value,
        "ExitMessage": job.exit_message,
        "FailureReason": job.failure,
        "ProcessingStartTime": None if job.started_ns is None else utc(job.started_ns),
        "ProcessingEndTime": None if job.ended_ns is None else utc(job.ended_ns),
    }
    return {name: value for name, value in answer.items() if value is not None}
