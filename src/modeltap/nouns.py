"""The frozen values that cross rooms. No behaviour beyond construction and reading.

Rooms on one floor do not know each other: they meet here. A noun that only one room uses lives in
that room. Times are integers: `_ns` is nanoseconds since the Unix epoch, UTC, from `clock`.

Those of the hot path write their `__init__` out and are frozen by the type checker (`Final`) alone:
compiled, one is made in 0.05 µs, where a frozen dataclass takes 0.8 (`docs/decisions/0004`).
"""

from collections.abc import AsyncIterable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol, final

Document = dict[str, Any]
"""A JSON-like document in AWS's own member names, as botocore's service models describe it."""

Headers = tuple[tuple[bytes, bytes], ...]
"""Header fields as received, names in lower case; their values have no white space around them."""


# ---------------------------------------------------------------- HTTP


@final
@dataclass(init=False)
class HttpRequest:
    """One request as it stood on the wire; nothing decoded, so that a signature can be checked."""

    method: Final[str]
    target: Final[bytes]  # the raw request target, path and query, never normalised
    headers: Final[Headers]
    body: Final[bytes | AsyncIterable[bytes]]
    secure: Final[bool]  # it came over TLS
    peer: Final[str]

    def __init__(
        self,
        method: str,
        target: bytes,
        headers: Headers,
        body: bytes | AsyncIterable[bytes] = b"",
        secure: bool = False,
        peer: str = "",
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.secure = secure
        self.peer = peer
        fields: dict[bytes, bytes] = {}
        for name, value in headers:
            fields[name] = value
        self.fields: Final = fields  # the last of each name, for who has made sure that it is alone

    @property
    def path(self) -> bytes:
        return self.target.partition(b"?")[0]

    @property
    def query(self) -> bytes:
        return self.target.partition(b"?")[2]

    def header(self, name: bytes) -> bytes | None:
        """Give the first value of a header by its lower-case name."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


@final
@dataclass(init=False)
class HttpResponse:
    """An answer; a streamed body comes with a `content-length` header where its size is known."""

    status: Final[int]
    headers: Final[Headers]
    body: Final[bytes | AsyncIterable[bytes]]

    def __init__(
        self, status: int, headers: Headers = (), body: bytes | AsyncIterable[bytes] = b""
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Cancellable(Protocol):
    """Work that is done for somebody, who may leave before it ends; a task is one."""

    def cancel(self) -> object: ...


@dataclass(frozen=True)
class Caller:
    """Who signed a request."""

    access_key_id: str
    account: str
    arn: str


# ---------------------------------------------------------------- capture plan


class CaptureEncoding(StrEnum):
    CSV = "CSV"
    JSON = "JSON"
    BASE64 = "BASE64"


class Durability(StrEnum):
    """What an answer waits for (`docs/glossary.md`: durability)."""

    BESTEFFORT = "besteffort"  # nothing
    DURABLE = "durable"  # its record to be on the disk, but not for long
    STRICT = "strict"  # the same, and it is not given without


class CatchUp(StrEnum):
    """Which runs of a schedule are made up for that were due while the server was down."""

    RUN = "run"  # each
    SKIP = "skip"  # none
    LATEST = "latest"  # the newest


Told = Callable[[bool], None]
"""Hears once whether what it waited for is durable."""


@dataclass(frozen=True)
class CapturePlan:
    """What a `DataCaptureConfig` asks for, ready to be obeyed (`docs/glossary.md`: capture plan).

    `csv_types` and `json_types` are lower-case media types without parameters.
    """

    sampling_percentage: int  # 0 … 100
    destination: str  # s3://bucket/prefix without a trailing slash
    input: bool
    output: bool
    csv_types: frozenset[str] = frozenset()
    json_types: frozenset[str] = frozenset()
    kms_key_id: str | None = None
    durability: Durability = Durability.BESTEFFORT


# ---------------------------------------------------------------- routing


@dataclass(frozen=True)
class Instance:
    """One running copy of a variant's model, where the gateway can reach it."""

    id: str
    address: str  # unix:/path/to/socket (frames), http://host:port or unix+http:/path


@dataclass(frozen=True)
class Variant:
    name: str
    weight: float
    instances: tuple[Instance, ...]


@dataclass(frozen=True)
class Route:
    """One endpoint that takes traffic."""

    endpoint: str
    variants: tuple[Variant, ...]
    capture: CapturePlan | None = None


@dataclass(frozen=True)
class RoutingTable:
    """All that a gateway needs to serve: one immutable, numbered value written by control."""

    generation: int
    routes: Mapping[str, Route] = field(default_factory=dict)


# ---------------------------------------------------------------- one inference


@final
@dataclass(init=False)
class Invocation:
    """One InvokeEndpoint call, after its signature and shape were found good.

    `id` is ours: the caller reads it as its request id, and it is the captured record's event id.
    """

    id: Final[str]
    endpoint: Final[str]
    body: Final[bytes]
    content_type: Final[str | None]
    accept: Final[str | None]
    custom_attributes: Final[str | None]
    target_variant: Final[str | None]
    target_model: Final[str | None]
    inference_id: Final[str | None]
    received_ns: Final[int]

    def __init__(
        self,
        id: str,  # noqa: A002 - AWS's own word
        endpoint: str,
        body: bytes,
        *,
        content_type: str | None = None,
        accept: str | None = None,
        custom_attributes: str | None = None,
        target_variant: str | None = None,
        target_model: str | None = None,
        inference_id: str | None = None,
        received_ns: int = 0,
    ) -> None:
        self.id = id
        self.endpoint = endpoint
        self.body = body
        self.content_type = content_type
        self.accept = accept
        self.custom_attributes = custom_attributes
        self.target_variant = target_variant
        self.target_model = target_model
        self.inference_id = inference_id
        self.received_ns = received_ns


@final
@dataclass(init=False)
class Answer:
    """What the model said."""

    status: Final[int]
    content_type: Final[str | None]
    body: Final[bytes]
    custom_attributes: Final[str | None]

    def __init__(
        self,
        status: int,
        content_type: str | None,
        body: bytes,
        custom_attributes: str | None = None,
    ) -> None:
        self.status = status
        self.content_type = content_type
        self.body = body
        self.custom_attributes = custom_attributes


@final
@dataclass(init=False)
class Exchange:
    """A finished inference, offered to capture once the model has answered."""

    invocation: Final[Invocation]
    answer: Final[Answer]
    variant: Final[str]
    plan: Final[CapturePlan | None]

    def __init__(
        self, invocation: Invocation, answer: Answer, variant: str, plan: CapturePlan | None
    ) -> None:
        self.invocation = invocation
        self.answer = answer
        self.variant = variant
        self.plan = plan


# ---------------------------------------------------------------- a captured record


@final
@dataclass(init=False)
class Half:
    """The request or the response side of a captured record, undecoded."""

    content_type: Final[str | None]
    body: Final[bytes]

    def __init__(self, content_type: str | None, body: bytes) -> None:
        self.content_type = content_type
        self.body = body


@final
@dataclass(init=False)
class CapturedRecord:
    """One captured inference (`spec` of the record line: `record.py`)."""

    event_id: Final[str]
    inference_ns: Final[int]
    input: Final[Half | None]
    output: Final[Half | None]
    inference_id: Final[str | None]
    custom_attributes: Final[str | None]

    def __init__(
        self,
        event_id: str,
        inference_ns: int,
        input: Half | None = None,  # noqa: A002 - AWS's own word
        output: Half | None = None,
        inference_id: str | None = None,
        custom_attributes: str | None = None,
    ) -> None:
        self.event_id = event_id
        self.inference_ns = inference_ns
        self.input = input
        self.output = output
        self.inference_id = inference_id
        self.custom_attributes = custom_attributes


# ---------------------------------------------------------------- hosting


@dataclass(frozen=True)
class ModelSpec:
    """What to host: one container of a SageMaker model."""

    name: str
    image: str
    model_data_url: str | None
    environment: Mapping[str, str] = field(default_factory=dict)


class EndpointStatus(StrEnum):
    CREATING = "Creating"
    UPDATING = "Updating"
    ROLLING_BACK = "RollingBack"
    IN_SERVICE = "InService"
    DELETING = "Deleting"
    FAILED = "Failed"


# ---------------------------------------------------------------- names


@dataclass(frozen=True)
class Partition:
    """The one account and region that a modeltap stands for (`house.md`, decision 8)."""

    account: str
    region: str

    def arn(self, kind: str, name: str) -> str:
        """Name a SageMaker resource; names are lower-cased, as AWS does (contract §2.3)."""
        return f"arn:aws:sagemaker:{self.region}:{self.account}:{kind}/{name.lower()}"

    def role_arn(self, role: str, path: str = "/") -> str:
        return f"arn:aws:iam::{self.account}:role{path}{role}"

    def log_group_arn(self, group: str) -> str:
        return f"arn:aws:logs:{self.region}:{self.account}:log-group:{group}"

    def alarm_arn(self, name: str) -> str:
        return f"arn:aws:cloudwatch:{self.region}:{self.account}:alarm:{name}"


def endpoint_log_group(endpoint: str) -> str:
    """Name the log group of an endpoint's containers, as CloudWatch has it."""
    return f"/aws/sagemaker/Endpoints/{endpoint}"


PROCESSING_LOG_GROUP = "/aws/sagemaker/ProcessingJobs"
"""The log group of all processing jobs; their streams begin with the job's name and a slash."""

TRANSFORM_LOG_GROUP = "/aws/sagemaker/TransformJobs"
"""The same of transform jobs."""

MONITOR_NOTE = "modeltap_note"
"""Variable of a monitoring job: a sentence that its report's readers must know."""

TRANSFORMS_CAPTURED = "sagemaker_batch_transform_datacapture_prefix"
"""Variable of a monitoring job over batch transforms: where they capture to. What they captured is
below `dataset_source`, as it is there: manifests, and beside each a folder of its objects."""

EXECUTION_ACTIVE = ("Pending", "InProgress", "Stopping")
WITH_VIOLATIONS = "CompletedWithViolations"
EXECUTION_COMPLETED = ("Completed", WITH_VIOLATIONS)
EXECUTION_FAILED = ("Failed", "Stopped")
"""Statuses of a monitoring execution (contract §4.7): at which something is left to do; that have a
report; that have none."""
