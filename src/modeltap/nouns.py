"""The frozen values that cross rooms. No behaviour beyond construction and reading.

Rooms on one floor do not know each other: they meet here. A noun that only one room uses lives in
that room. Times are integers: `_ns` is nanoseconds since the Unix epoch, UTC, from `clock`. Those
of the hot path are frozen by the type checker alone (`_quick`); nobody assigns to one.
"""

from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from enum import StrEnum
from typing import Any, TypeVar, cast

_Value = TypeVar("_Value")


def _quick(value: type[_Value]) -> type[_Value]:
    """Leave the freezing of a noun of the hot path to the type checker.

    At run time it costs 0.1 µs a field: 3 µs a request. Apply it over `@dataclass(frozen=True)`.
    """
    named = [(one.name, Any, field(default=one.default)) for one in fields(cast(Any, value))]
    plain: Any = make_dataclass(value.__name__, named)
    setattr(value, "__init__", plain.__init__)  # noqa: B010
    del value.__setattr__, value.__delattr__
    return value


Document = dict[str, Any]
"""A JSON-like document in AWS's own member names, as botocore's service models describe it."""

Headers = tuple[tuple[bytes, bytes], ...]
"""Header fields as received: order and case of the values kept, names lower-cased."""


# ---------------------------------------------------------------- HTTP


@_quick
@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request as it stood on the wire; nothing decoded, so that a signature can be checked."""

    method: str
    target: bytes  # the raw request target, path and query, never normalised
    headers: Headers
    body: bytes | AsyncIterable[bytes] = b""
    secure: bool = False  # it came over TLS
    peer: str = ""

    @property
    def path(self) -> bytes:
        return self.target.partition(b"?")[0]

    @property
    def query(self) -> bytes:
        return self.target.partition(b"?")[2]

    def header(self, name: bytes) -> bytes | None:
        """Give the first value of a header by its lower-case name."""
        return next((value for key, value in self.headers if key == name), None)


@_quick
@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer; a streamed body comes with a `content-length` header where its size is known."""

    status: int
    headers: Headers = ()
    body: bytes | AsyncIterable[bytes] = b""


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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


# ---------------------------------------------------------------- routing


@dataclass(frozen=True, slots=True)
class Instance:
    """One running copy of a variant's model, where the gateway can reach it."""

    id: str
    address: str  # unix:/path/to/socket (frames), http://host:port or unix+http:/path


@dataclass(frozen=True, slots=True)
class Variant:
    name: str
    weight: float
    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint that takes traffic."""

    endpoint: str
    variants: tuple[Variant, ...]
    capture: CapturePlan | None = None


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """All that a gateway needs to serve: one immutable, numbered value written by control."""

    generation: int
    routes: Mapping[str, Route] = field(default_factory=dict)


# ---------------------------------------------------------------- one inference


@_quick
@dataclass(frozen=True, slots=True)
class Invocation:
    """One InvokeEndpoint call, after its signature and shape were found good."""

    endpoint: str
    body: bytes
    content_type: str | None = None
    accept: str | None = None
    custom_attributes: str | None = None
    target_variant: str | None = None
    target_model: str | None = None
    inference_id: str | None = None
    received_ns: int = 0


@_quick
@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said."""

    status: int
    content_type: str | None
    body: bytes
    custom_attributes: str | None = None


@_quick
@dataclass(frozen=True, slots=True)
class Exchange:
    """A finished inference, offered to capture after its bytes were handed over."""

    invocation: Invocation
    answer: Answer
    variant: str
    plan: CapturePlan | None


# ---------------------------------------------------------------- a captured record


@dataclass(frozen=True, slots=True)
class Half:
    """The request or the response side of a captured record, undecoded."""

    content_type: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class CapturedRecord:
    """One captured inference (`spec` of the record line: `record.py`)."""

    event_id: str
    inference_ns: int
    input: Half | None = None
    output: Half | None = None
    inference_id: str | None = None
    custom_attributes: str | None = None


# ---------------------------------------------------------------- hosting


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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


def endpoint_log_group(endpoint: str) -> str:
    """Name the log group of an endpoint's containers, as CloudWatch has it."""
    return f"/aws/sagemaker/Endpoints/{endpoint}"
