"""SageMaker: models, endpoint configs, endpoints and their tags; jobs are in `jobs.py`, what
monitors in `monitoring.py`.

An operation only checks and writes what is asked for; `control.reconcile` makes it so, and is woken
after each write. What the kinds have in common stands in `kinds.py`; here are the operations with a
will of their own, and the table of all. Statements run in a thread: a disk that syncs slowly holds
up its own caller and nobody else. What an endpoint asks for is counted and written under one lock,
so that two calls at once do not pass the limit of instances together.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from threading import Lock

from modeltap.clock import Clock
from modeltap.control.endpoints import (
    Endpoint,
    created,
    deleted,
    endpoint_of,
    status_document,
    updated,
    wanted_by,
)
from modeltap.control.fleets import (
    DURABILITY_TAG,
    Fleet,
    Share,
    fleet_of,
    model_data_url,
    primary_container,
    retaining,
)
from modeltap.control.lifecycle import IN_PROGRESS, Event, IllegalStep
from modeltap.control.schedule_states import Schedules
from modeltap.errors import (
    ObjectStoreError,
    ResourceLimitExceeded,
    StaleVersion,
    ValidationException,
)
from modeltap.front.alerts import OPERATIONS as ALERTS
from modeltap.front.alerts import MonitoringAlerts
from modeltap.front.app import Call, Operation, Service, threaded
from modeltap.front.endpoint_description import describe_endpoint
from modeltap.front.jobs import WAKING as JOBS
from modeltap.front.jobs import Jobs
from modeltap.front.kinds import CONFIG, DELETABLE, ENDPOINT, KINDS, MODEL, Kind, Resources
from modeltap.front.monitoring import OPERATIONS as MONITORING
from modeltap.front.monitoring import Monitoring
from modeltap.front.refusals import (
    check_capacities,
    check_deployment,
    check_endpoint_config,
    check_model,
)
from modeltap.front.transforms import WAKING as TRANSFORMS
from modeltap.front.transforms import Transforms
from modeltap.hosting.job_images import JobImages
from modeltap.nouns import Document, Durability, HttpResponse, Partition
from modeltap.state.store import Resource, Store
from modeltap.wire.catalog import service

Stopped = Callable[[str], str | None]
"""Tell why an endpoint's capture stands still at the moment, or None."""

Exists = Callable[[str], Awaitable[bool]]
"""Tell whether an object is at an S3 URI; raise `ObjectStoreError` if its store cannot say."""


def sagemaker_service(
    store: Store,
    clock: Clock,
    partition: Partition,
    exists: Exists,
    wake: Callable[[], None],
    wake_jobs: Callable[[], None],
    wake_schedules: Callable[[], None],
    schedules: Schedules,
    wake_transforms: Callable[[], None],
    stopped: Stopped,
    images: JobImages,
    *,
    instances_max: int,
    jobs_max: int,
    durability: Durability,
) -> Service:
    """Serve SageMaker's control API. `wake` is called, on the loop, after endpoints are written,
    `wake_jobs` and `wake_transforms` after jobs, `wake_schedules` after schedules.

    `instances_max` bounds the instances of all endpoints together, and those of all transform jobs;
    `jobs_max` the processing jobs that run at once; `durability` is that of the endpoints whose
    config has no tag that says it.
    """
    model = service("sagemaker")
    resources = Resources(store, clock, partition, model)
    sagemaker = _SageMaker(resources, exists, wake, stopped, instances_max, durability)
    jobs = Jobs(resources, wake_jobs, jobs_max, images)
    monitoring = Monitoring(resources, schedules, wake_schedules, images)
    transforms = Transforms(resources, wake_transforms, instances_max)
    alerts = MonitoringAlerts(resources, schedules.alerts)
    operations = sagemaker.operations() | jobs.operations()
    operations |= transforms.operations() | monitoring.operations() | alerts.operations()
    return Service(model, operations)


_Function = Callable[[Document], Document]


class _SageMaker:
    def __init__(
        self,
        resources: Resources,
        exists: Exists,
        wake: Callable[[], None],
        stopped: Stopped,
        instances_max: int,
        durability: Durability,
    ) -> None:
        self._resources = resources
        self._exists = exists
        self._wake = wake
        self._stopped = stopped
        self._instances_max = instances_max
        self._durability = durability
        self._asking = Lock()

    def operations(self) -> dict[str, Operation]:
        """Bind the tables at the end of this module."""
        alike = {name: partial(each, self._resources) for name, each in ALIKE.items()}
        plain = {name: partial(each, self) for name, each in PLAIN.items()}
        waking = {name: partial(each, self) for name, each in WAKING.items()}
        return (
            {name: threaded(function) for name, function in (alike | plain).items()}
            | {name: self._waking(function) for name, function in waking.items()}
            | {"CreateModel": self.create_model}
        )

    def _waking(self, function: _Function) -> Operation:
        operation = threaded(function)

        async def waking(call: Call) -> Document | HttpResponse:
            answer = await operation(call)
            self._wake()
            return answer

        return waking

    # ------------------------------------------------------------ models

    async def create_model(self, call: Call) -> Document:
        """Keep a model whose archive is there (contract §2.7)."""
        check_model(call.params)
        url = model_data_url(primary_container(call.params))
        if url is not None:
            await self._check_model_data(url)
        return await asyncio.to_thread(self._resources.create, MODEL, call.params, {})

    async def _check_model_data(self, url: str) -> None:
        try:
            found = await self._exists(url)
        except ObjectStoreError as error:
            raise ValidationException(f"Could not access model data at {url}: {error}.") from error
        if not found:
            raise ValidationException(f"Could not find model data at {url}.")

    # ------------------------------------------------------------ endpoint configs

    def create_endpoint_config(self, params: Document) -> Document:
        check_endpoint_config(params)
        self._models(params)
        return self._resources.create(CONFIG, params, {})

    def describe_endpoint_config(self, params: Document) -> Document:
        """Echo, with the one default that AWS fills in (contract §2.5)."""
        answer = self._resources.describe(CONFIG, params)
        variants = [
            {**variant, "InitialVariantWeight": float(variant.get("InitialVariantWeight", 1.0))}
            for variant in answer["ProductionVariants"]
        ]
        return {**answer, "ProductionVariants": variants}

    def _models(self, config: Document) -> dict[str, Document]:
        names = {variant["ModelName"] for variant in config["ProductionVariants"]}
        return {name: self._resources.find(MODEL, name).spec for name in sorted(names)}

    # ------------------------------------------------------------ endpoints

    def create_endpoint(self, params: Document) -> Document:
        check_deployment(params)
        name = params["EndpointName"]
        if self._resources.store.get(ENDPOINT.kind, name) is not None:
            raise self._resources.taken(ENDPOINT, name)
        endpoint = created(name, self._fleet(params))
        with self._asking:
            self._check_limit(None, endpoint)
            return self._resources.create(ENDPOINT, params, status_document(endpoint))

    def describe_endpoint(self, params: Document) -> Document:
        resource = self._resources.find(ENDPOINT, params["EndpointName"])
        echo = self._resources.echo(ENDPOINT, resource)
        capturing = self._stopped(resource.name) is None
        return {**echo, **describe_endpoint(endpoint_of(resource), capturing=capturing)}

    def update_endpoint(self, params: Document) -> Document:
        """Ask for a new fleet, with the current weights and counts if so told (contract §1.3)."""
        check_deployment(params)
        self._resources.find(ENDPOINT, params["EndpointName"])
        fleet = self._fleet(params)
        kept = _retained(params)

        def change(endpoint: Endpoint) -> Endpoint:
            coming = fleet
            if endpoint.serving is not None:
                coming = retaining(
                    fleet,
                    endpoint.serving,
                    weights="DesiredWeight" in kept,
                    counts="DesiredInstanceCount" in kept,
                )
            return updated(endpoint, coming)

        return {"EndpointArn": self._change(params["EndpointName"], change).arn}

    def update_capacities(self, params: Document) -> Document:
        """Ask for other weights and counts of the fleet that serves."""
        check_capacities(params)
        wishes = {wish["VariantName"]: wish for wish in params["DesiredWeightsAndCapacities"]}

        def change(endpoint: Endpoint) -> Endpoint:
            return updated(endpoint, _rescaled(endpoint, wishes))

        return {"EndpointArn": self._change(params["EndpointName"], change).arn}

    def delete_endpoint(self, params: Document) -> Document:
        self._change(params["EndpointName"], deleted)
        return {}

    def _fleet(self, params: Document) -> Fleet:
        config = self._resources.find(CONFIG, params["EndpointConfigName"])
        clock = self._resources.clock
        tags = self._resources.store.tags(config.arn)
        return fleet_of(
            clock.uuid4(),
            config.spec,
            self._models(config.spec),
            clock.now_ns(),
            params.get("DeploymentConfig"),
            Durability(tags.get(DURABILITY_TAG, self._durability)),
        )

    def _change(self, name: str, change: Callable[[Endpoint], Endpoint]) -> Resource:
        """Read, decide and write; anew if another wrote between, who then came a step further."""
        while True:
            resource = self._resources.find(ENDPOINT, name)
            try:
                with self._asking:
                    return self._write(resource, change(endpoint_of(resource)))
            except IllegalStep as error:
                raise _illegal(resource, error) from error
            except StaleVersion:
                continue

    def _write(self, resource: Resource, endpoint: Endpoint) -> Resource:
        self._check_limit(endpoint_of(resource), endpoint)
        now = self._resources.clock.now_ns()
        return self._resources.store.put_status(resource, status_document(endpoint), now)

    def _check_limit(self, before: Endpoint | None, after: Endpoint) -> None:
        """Refuse what would be one instance too many (contract §2.7).

        While a fleet is built the one that serves stands beside it: both count, as on AWS.
        """
        delta = wanted_by(after).total() - (wanted_by(before).total() if before else 0)
        endpoints = map(endpoint_of, self._resources.store.every(ENDPOINT.kind))
        utilization = sum(wanted_by(endpoint).total() for endpoint in endpoints)
        if delta > 0 and utilization + delta > self._instances_max:
            raise ResourceLimitExceeded(
                f"The account-level service limit '{_instance_type(after)} for endpoint usage' is "
                f"{self._instances_max} Instances, with current utilization of {utilization} "
                f"Instances and a request delta of {delta} Instances. Please contact AWS support "
                "to request an increase for this limit. (modeltap: all types and endpoints count; "
                "the limit is the setting instances_max.)"
            )


def _instance_type(endpoint: Endpoint) -> str:
    fleet = endpoint.next or endpoint.serving
    return str(fleet.config["ProductionVariants"][0]["InstanceType"]) if fleet else ""


def _retained(params: Document) -> set[str]:
    if not params.get("RetainAllVariantProperties", False):
        return set()
    excluded = params.get("ExcludeRetainedVariantProperties", [])
    return {"DesiredWeight", "DesiredInstanceCount"} - {
        each["VariantPropertyType"] for each in excluded
    }


def _rescaled(endpoint: Endpoint, wishes: dict[str, Document]) -> Fleet:
    fleet = endpoint.serving
    if fleet is None:
        raise IllegalStep(endpoint.status, Event.UPDATE)
    if missing := sorted(wishes.keys() - fleet.shares.keys()):
        raise ValidationException(f"Could not find variant {missing[0]} of the endpoint.")
    shares = {
        name: Share(
            wishes.get(name, {}).get("DesiredWeight", share.weight),
            wishes.get(name, {}).get("DesiredInstanceCount", share.count),
        )
        for name, share in fleet.shares.items()
    }
    return replace(fleet, shares=shares)


def _illegal(resource: Resource, error: IllegalStep) -> ValidationException:
    if error.status in IN_PROGRESS:
        return ValidationException(f'Cannot update in-progress endpoint "{resource.arn}".')
    return ValidationException(
        f'Cannot update endpoint "{resource.arn}" in status {error.status}: it can only be deleted.'
    )


# ---------------------------------------------------------------- the table of all


def _of_kind(
    function: Callable[[Resources, Kind, Document], Document], kind: Kind
) -> Callable[[Resources, Document], Document]:
    return lambda resources, params: function(resources, kind, params)


ALIKE: Mapping[str, Callable[[Resources, Document], Document]] = {
    **{f"Describe{kind.member}": _of_kind(Resources.describe, kind) for kind in KINDS},
    **{f"List{kind.member}s": _of_kind(Resources.list, kind) for kind in KINDS},
    **{f"Delete{kind.member}": _of_kind(Resources.delete, kind) for kind in DELETABLE},
    "AddTags": Resources.add_tags,
    "ListTags": Resources.list_tags,
    "DeleteTags": Resources.delete_tags,
}
"""The same for every kind; an operation of the same name below goes before."""

PLAIN: Mapping[str, Callable[[_SageMaker, Document], Document]] = {
    "CreateEndpointConfig": _SageMaker.create_endpoint_config,
    "DescribeEndpointConfig": _SageMaker.describe_endpoint_config,
    "DescribeEndpoint": _SageMaker.describe_endpoint,
}
WAKING: Mapping[str, Callable[[_SageMaker, Document], Document]] = {
    "CreateEndpoint": _SageMaker.create_endpoint,
    "UpdateEndpoint": _SageMaker.update_endpoint,
    "UpdateEndpointWeightsAndCapacities": _SageMaker.update_capacities,
    "DeleteEndpoint": _SageMaker.delete_endpoint,
}
SERVED = frozenset(
    {"CreateModel", *ALIKE, *PLAIN, *WAKING, *JOBS, *TRANSFORMS, *MONITORING, *ALERTS}
)
