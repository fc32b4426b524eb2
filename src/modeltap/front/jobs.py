"""SageMaker's jobs, as far as they are served: processing jobs.

An operation only checks and writes what is asked for; `control.job_loop` makes it so, and is woken
after each write. What is asked for is counted and written under one lock, so that two calls at once
do not pass the limit of jobs together.
"""

import asyncio
from collections.abc import Callable, Mapping
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
from modeltap.front.kinds import PROCESSING_JOB, Resources
from modeltap.nouns import Document


class Jobs:
    """The operations with a will of their own; Describe and List are as of any kind."""

    def __init__(self, resources: Resources, wake: Callable[[], None], jobs_max: int) -> None:
        """`wake` is called, on the loop, after jobs are written."""
        self._resources = resources
        self._wake = wake
        self._jobs_max = jobs_max
        self._asking = Lock()

    def operations(self) -> dict[str, Operation]:
        return {name: self._waking(function) for name, function in WAKING.items()}

    def _waking(self, function: "Callable[[Jobs, Document], Document]") -> Operation:
        async def operation(call: Call) -> Document:
            answer = await asyncio.to_thread(function, self, call.params)
            self._wake()
            return answer

        return operation

    def create_processing_job(self, params: Document) -> Document:
        check_processing_job(params)
        name = params["ProcessingJobName"]
        if self._resources.store.get(PROCESSING_JOB.kind, name) is not None:
            raise self._resources.taken(PROCESSING_JOB, name)
        with self._asking:
            self._check_limit(params)
            return self._resources.create(PROCESSING_JOB, params, NEW)

    def stop_processing_job(self, params: Document) -> Document:
        """Ask for a job's end; what is stopping already is asked in vain, and not refused."""
        while True:
            resource = self._resources.find(PROCESSING_JOB, params["ProcessingJobName"])
            job = job_of(resource)
            try:
                status = job_document(stopping(job))
                self._resources.store.put_status(resource, status, self._resources.clock.now_ns())
                return {}
            except IllegalJobStep:
                raise ValidationException(
                    f"The request was rejected because the processing job {resource.arn} is in "
                    f"status {job.status}."
                ) from None
            except StaleVersion:
                continue

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


WAKING: Mapping[str, Callable[[Jobs, Document], Document]] = {
    "CreateProcessingJob": Jobs.create_processing_job,
    "StopProcessingJob": Jobs.stop_processing_job,
}
