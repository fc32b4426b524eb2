"""SageMaker's batch transform: CreateTransformJob and StopTransformJob.

As with processing jobs, an operation only checks and writes what is asked for, and wakes
`control.transform_loop`. The model is copied into the job: it may be deleted while the job runs.
"""

from collections.abc import Callable, Mapping
from functools import partial
from threading import Lock

from modeltap.control.jobs import ACTIVE, STATUS_MEMBERS, TRANSFORM, new_transform
from modeltap.errors import ResourceLimitExceeded
from modeltap.front.app import Operation
from modeltap.front.jobs import ask_to_stop, waking
from modeltap.front.kinds import MODEL, TRANSFORM_JOB, Resources
from modeltap.front.transform_refusals import check_transform_job
from modeltap.nouns import Document


class Transforms:
    """The operations with a will of their own; Describe and List are as of any kind."""

    def __init__(self, resources: Resources, wake: Callable[[], None], instances_max: int) -> None:
        """`wake` is called, on the loop, after jobs are written."""
        self._resources = resources
        self._wake = wake
        self._instances_max = instances_max
        self._asking = Lock()

    def operations(self) -> dict[str, Operation]:
        return {name: waking(self._wake, partial(each, self)) for name, each in WAKING.items()}

    def create_transform_job(self, params: Document) -> Document:
        check_transform_job(params)
        name = params["TransformJobName"]
        if self._resources.store.get(TRANSFORM_JOB.kind, name) is not None:
            raise self._resources.taken(TRANSFORM_JOB, name)
        model = self._resources.find(MODEL, params["ModelName"])
        with self._asking:
            self._check_limit(params["TransformResources"])
            return self._resources.create(TRANSFORM_JOB, params, new_transform(model.spec))

    def stop_transform_job(self, params: Document) -> Document:
        return ask_to_stop(self._resources, TRANSFORM_JOB, params)

    def _check_limit(self, asked: Document) -> None:
        store, member = self._resources.store, STATUS_MEMBERS[TRANSFORM]
        running = store.every(TRANSFORM_JOB.kind, member, ACTIVE)
        used = sum(each.spec["TransformResources"]["InstanceCount"] for each in running)
        if used + asked["InstanceCount"] <= self._instances_max:
            return
        raise ResourceLimitExceeded(
            f"The account-level service limit '{asked['InstanceType']} for transform job usage' is "
            f"{self._instances_max} Instances, with current utilization of {used} Instances and a "
            f"request delta of {asked['InstanceCount']} Instances. Please contact AWS support to "
            "request an increase for this limit. (modeltap: the instances of all transform jobs "
            "count; the limit is the setting instances_max.)"
        )


WAKING: Mapping[str, Callable[[Transforms, Document], Document]] = {
    "CreateTransformJob": Transforms.create_transform_job,
    "StopTransformJob": Transforms.stop_transform_job,
}
