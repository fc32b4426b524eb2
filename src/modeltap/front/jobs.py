"""SageMaker's processing jobs, and what operations of all jobs have in common.

An operation only checks and writes what is asked for; `control.job_loop` makes it so, and is woken
after each write. What is asked for is counted and written under one lock, so that two calls at once
do not pass the limit of jobs together.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from threading import Lock

from modeltap.control.jobs import (
    ACTIVE,
    NEW,
    STATUS_MEMBER,
    IllegalJobStep,
    job_document,
    job_of,
    stopping,
)
from modeltap.errors import ResourceLimitExceeded, StaleVersion, ValidationException
from modeltap.front.app import Call, Operation
from modeltap.front.job_refusals import check_processing_job
from modeltap.front.kinds import PROCESSING_JOB, TRANSFORM_JOB, Kind, Resources
from modeltap.hosting.job_images import JobImages
from modeltap.nouns import Document


class Jobs:
    """The operations with a will of their own; Describe and List are as of any kind."""

    def __init__(
        self, resources: Resources, wake: Callable[[], None], jobs_max: int, images: JobImages
    ) -> None:
        """`wake` is called, on the loop, after jobs are written."""
        self._resources = resources
        self._wake = wake
        self._jobs_max = jobs_max
        self._images = images
        self._asking = Lock()

    def operations(self) -> dict[str, Operation]:
        return {name: waking(self._wake, partial(each, self)) for name, each in WAKING.items()}

    def create_processing_job(self, params: Document) -> Document:
        check_processing_job(params, self._images)
        name = params["ProcessingJobName"]
        if self._resources.store.get(PROCESSING_JOB.kind, name) is not None:
            raise self._resources.taken(PROCESSING_JOB, name)
        with self._asking:
            self._check_limit(params)
            return self._resources.create(PROCESSING_JOB, params, NEW)

    def stop_processing_job(self, params: Document) -> Document:
        return ask_to_stop(self._resources, PROCESSING_JOB, params)

    def _check_limit(self, params: Document) -> None:
        running = len(self._resources.store.every(PROCESSING_JOB.kind, STATUS_MEMBER, ACTIVE))
        if running < self._jobs_max:
            return
        cluster = params["ProcessingResources"]["ClusterConfig"]
        raise ResourceLimitExceeded(
            f"The account-level service limit '{cluster.get('InstanceType', 'any instance')} for "
            f"processing job usage' is {self._jobs_max} Instances, with current utilization of "
            f"{running} Instances and a request delta of 1 Instances. Please contact AWS support "
            "to request an increase for this limit. (modeltap: jobs of all types count; the limit "
            "is the setting processing_jobs_max.)"
        )


def waking(wake: Callable[[], None], function: Callable[[Document], Document]) -> Operation:
    """Make an operation of a function that writes what is asked for."""

    async def operation(call: Call) -> Document:
        answer = await asyncio.to_thread(function, call.params)
        wake()
        return answer

    return operation


def ask_to_stop(resources: Resources, kind: Kind, params: Document) -> Document:
    """Ask for a job's end; what is stopping already is asked in vain, and not refused."""
    while True:
        resource = resources.find(kind, params[kind.name])
        job = job_of(resource)
        try:
            status = job_document(stopping(job))
            resources.store.put_status(resource, status, resources.clock.now_ns())
            return {}
        except IllegalJobStep:
            whose = kind.title if kind is TRANSFORM_JOB else f"{kind.title} {resource.arn}"
            raise ValidationException(
                f"The request was rejected because the {whose} is in status {job.status}."
            ) from None
        except StaleVersion:
            continue


WAKING: Mapping[str, Callable[[Jobs, Document], Document]] = {
    "CreateProcessingJob": Jobs.create_processing_job,
    "StopProcessingJob": Jobs.stop_processing_job,
}
