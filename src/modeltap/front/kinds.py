"""The kinds of SageMaker resources, one row each, and what is the same for all of them.

Create, describe, list and delete differ by a row of this table and by the checks that
`sagemaker.py` puts before a create. Describe echoes the request as it was validated: a member that
was not given stays absent, and no member is added that the service model does not know, because
the SDK sends what it was told straight back (contract §1.2).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.model import ServiceModel

from modeltap.clock import Clock, utc
from modeltap.control import definitions, jobs, schedules
from modeltap.errors import (
    ModeltapError,
    ResourceExists,
    ResourceInUse,
    ResourceNotFound,
    ValidationException,
)
from modeltap.front.job_description import describe_job
from modeltap.front.refusals import check_tags
from modeltap.nouns import Document, Partition
from modeltap.state.store import Also, Query, Resource, Store

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PAGE_DEFAULT = 10
"""Members of a page where none is asked for (contract §2.6)."""


@dataclass(frozen=True, slots=True)
class Kind:
    kind: str  # in ARNs and in `state`
    member: str  # in operation and member names: `Create{member}`, `{member}Name`, `{member}s`
    title: str  # in error texts
    told: Callable[[Resource], Document] = lambda _: {}  # by its status, in Describe and lists
    status_member: str = ""  # by which lists filter and sort
    runs: bool = False  # a job: it runs once and is never deleted, its errors are worded otherwise
    monitors: bool = False  # Model Monitor's: its errors have codes of their own
    stem: str = ""  # what its members are named by, where that is not `member`
    summary: str = ""  # the same in lists
    filtered: tuple[str, ...] = ()  # members of its status that lists filter by

    @property
    def name(self) -> str:
        return f"{self.stem or self.member}Name"

    @property
    def arn(self) -> str:
        return f"{self.stem or self.member}Arn"

    @property
    def listed(self) -> str:
        """Name the member of a list's answer."""
        listed = self.stem or self.member
        return f"{listed}Summaries" if self.runs or self.monitors else f"{listed}s"


def _endpoint_status(resource: Resource) -> Document:
    return {"EndpointStatus": resource.status["EndpointStatus"]}


def _schedule_status(resource: Resource) -> Document:
    """Give the form that was sent last, and what a summary has of it."""
    return {name: value for name, value in resource.status.items() if value is not None}


MODEL = Kind("model", "Model", "model")
CONFIG = Kind("endpoint-config", "EndpointConfig", "endpoint configuration")
ENDPOINT = Kind("endpoint", "Endpoint", "endpoint", _endpoint_status, "EndpointStatus")
PROCESSING_JOB = Kind(
    jobs.KIND, "ProcessingJob", "processing job", describe_job, jobs.STATUS_MEMBER, runs=True
)
DATA_QUALITY = Kind(
    definitions.KIND,
    "DataQualityJobDefinition",
    "job definition",
    lambda resource: resource.status,
    monitors=True,
    stem="JobDefinition",
    summary="MonitoringJobDefinition",
    filtered=("EndpointName",),
)
SCHEDULE = Kind(
    schedules.KIND,
    "MonitoringSchedule",
    "monitoring schedule",
    _schedule_status,
    schedules.STATUS_MEMBER,
    monitors=True,
    filtered=("EndpointName", "MonitoringJobDefinitionName", "MonitoringTypeEquals"),
)
TRANSFORM_JOB = Kind(
    jobs.TRANSFORM,
    "TransformJob",
    "transform job",
    describe_job,
    jobs.STATUS_MEMBERS[jobs.TRANSFORM],
    runs=True,
)
DELETABLE = (MODEL, CONFIG, ENDPOINT, DATA_QUALITY)
KINDS = (*DELETABLE, PROCESSING_JOB, TRANSFORM_JOB, SCHEDULE)

_FILTERS = {
    "created_after_ns": "CreationTimeAfter",
    "created_before_ns": "CreationTimeBefore",
    "modified_after_ns": "LastModifiedTimeAfter",
    "modified_before_ns": "LastModifiedTimeBefore",
}


class Resources:
    """The resources of one account and region, as the SageMaker API speaks of them."""

    def __init__(
        self, store: Store, clock: Clock, partition: Partition, model: ServiceModel
    ) -> None:
        self.store = store
        self.clock = clock
        self.partition = partition
        self._model = model

    def create(self, kind: Kind, params: Document, status: Document, also: Also = ()) -> Document:
        """Keep a request, and what comes with it; give the new ARN."""
        check_tags(params.get("Tags", []))
        name = params[kind.name]
        arn = self.partition.arn(kind.kind, name)
        now = self.clock.now_ns()
        spec = {member: value for member, value in params.items() if member != "Tags"}
        resource = Resource(kind.kind, name, arn, spec, status, 1, now, now)
        try:
            self.store.create(resource, tag_map(params.get("Tags", [])), also)
        except ResourceExists:
            raise self.taken(kind, name) from None
        return {kind.arn: arn}

    def find(self, kind: Kind, name: str) -> Resource:
        resource = self.store.get(kind.kind, name)
        if resource is None:
            raise unknown(kind, self.partition.arn(kind.kind, name), name)
        return resource

    def taken(self, kind: Kind, name: str) -> ModeltapError:
        arn = self.partition.arn(kind.kind, name)
        if kind.monitors:
            return ResourceInUse(f"A {kind.title} of this name already exists ({arn}).")
        if kind.runs:
            return ResourceInUse(
                "Job name must be unique within an AWS account and region, and a job with this "
                f"name already exists ({arn})"
            )
        return ValidationException(f'Cannot create already existing {kind.title} "{arn}".')

    def describe(self, kind: Kind, params: Document) -> Document:
        return self.echo(kind, self.find(kind, params[kind.name]))

    def echo(self, kind: Kind, resource: Resource) -> Document:
        """Say what was asked for, in the members that Describe has."""
        members = self._model.operation_model(f"Describe{kind.member}").output_shape.members
        echo = {name: value for name, value in resource.spec.items() if name in members}
        return {**echo, **_summary(kind, kind.stem or kind.member, resource, members)}

    def list(self, kind: Kind, params: Document) -> Document:
        page = self.store.list(_query(kind, params))
        named = kind.summary or kind.member
        members = self._model.shape_for(f"{named}Summary").members
        answer: Document = {
            kind.listed: [_summary(kind, named, each, members) for each in page.resources]
        }
        return answer if page.next_token is None else {**answer, "NextToken": page.next_token}

    def delete(self, kind: Kind, params: Document, also: Also = ()) -> Document:
        name = params[kind.name]
        if not self.store.delete(kind.kind, name, also):
            raise unknown(kind, self.partition.arn(kind.kind, name))
        return {}

    # ------------------------------------------------------------ tags

    def add_tags(self, params: Document) -> Document:
        check_tags(params["Tags"])
        arn = self._owner(params).arn
        return {"Tags": tag_list(self.store.put_tags(arn, tag_map(params["Tags"])))}

    def list_tags(self, params: Document) -> Document:
        """Give all tags: a resource has at most as many as the smallest page."""
        return {"Tags": tag_list(self.store.tags(self._owner(params).arn))}

    def delete_tags(self, params: Document) -> Document:
        self.store.delete_tags(self._owner(params).arn, params["TagKeys"])
        return {}

    def _owner(self, params: Document) -> Resource:
        arn = params["ResourceArn"]
        resource = self.store.by_arn(arn.lower())
        if resource is None:
            raise unknown(_kind_of(arn), arn)
        return resource


def unknown(kind: Kind, arn: str, name: str = "") -> ModeltapError:
    """Say that there is none, as AWS does (contract §2.7)."""
    if kind.monitors:
        return ResourceNotFound(f'Could not find {kind.title} "{arn}".')
    if kind.runs and name:
        return ValidationException(f"Could not find requested job with name: {name}")
    return ValidationException(f'Could not find {kind.title} "{arn}".')


def tag_map(tags: list[Document]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


def tag_list(tags: Mapping[str, str]) -> list[Document]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _kind_of(arn: str) -> Kind:
    """Read the kind from an ARN; one of another service's is a resource that is not there."""
    name = arn.rpartition(":")[2].partition("/")[0]
    return next((kind for kind in KINDS if kind.kind == name), Kind(name, "", "resource"))


def _summary(kind: Kind, named: str, resource: Resource, members: Mapping[str, Any]) -> Document:
    values = {
        f"{named}Name": resource.name,
        f"{named}Arn": resource.arn,
        "CreationTime": utc(resource.created_ns),
        "LastModifiedTime": utc(resource.modified_ns),
        **kind.told(resource),
    }
    return {name: value for name, value in values.items() if name in members}


def _query(kind: Kind, params: Document) -> Query:
    times: dict[str, Any] = {
        field: nanoseconds(params[member]) for field, member in _FILTERS.items() if member in params
    }
    return Query(
        kind.kind,
        kind.status_member,
        name_contains=params.get("NameContains", ""),
        status=params.get("StatusEquals"),
        sort_by=params.get("SortBy", "CreationTime"),
        descending=params.get("SortOrder", "Descending") == "Descending",
        limit=params.get("MaxResults", PAGE_DEFAULT),
        next_token=params.get("NextToken"),
        members={
            member.removesuffix("Equals"): params[member]
            for member in kind.filtered
            if member in params
        },
        **times,
    )


def nanoseconds(moment: datetime) -> int:
    """Give a time of a request as ours."""
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000
