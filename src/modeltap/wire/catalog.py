"""Which services and operations there are, and which one a request means.

The only file of this room that reads files: botocore's models, once a process. A model takes
5 to 70 ms to load and stays: call `service` for each that a process serves before it takes traffic.
"""

from dataclasses import dataclass
from functools import lru_cache

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel

from modeltap.errors import UnknownOperation
from modeltap.nouns import HttpRequest
from modeltap.wire import uri


@lru_cache(maxsize=32)
def service(name: str, protocol: str = "") -> ServiceModel:
    """Load a service model by botocore's name: sagemaker, sagemaker-runtime, sts, iam, s3, …

    `protocol` chooses one where the service speaks several.
    """
    # The models that botocore ships, not those that AWS_DATA_PATH or ~/.aws/models put before them.
    loader = Loader([Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    model = loader.load_service_model(name, "service-2")
    if protocol:
        model = {**model, "metadata": {**model["metadata"], "protocol": protocol}}
    return ServiceModel(model, service_name=name)


def operation_named(request: HttpRequest, service: ServiceModel, body: bytes | None = None) -> str:
    """Name the operation that a request means.

    `body` is needed by the query protocol alone. Raise `UnknownOperation` where the model of the
    service has none that fits.
    """
    if service.protocol == "json":
        return _by_target(request, service)
    if service.protocol == "query":
        return _by_action(request, service, body or b"")
    return _by_uri(request, service)


def _by_target(request: HttpRequest, service: ServiceModel) -> str:
    target = (request.header(b"x-amz-target") or b"").decode("latin-1")
    prefix, _, name = target.rpartition(".")
    if prefix != service.metadata["targetPrefix"] or name not in service.operation_names:
        raise UnknownOperation(f"X-Amz-Target names no operation of {service.service_name}.")
    return name


def _by_action(request: HttpRequest, service: ServiceModel, body: bytes) -> str:
    fields = dict(uri.query_fields("query", body) + uri.query_fields("query", request.query))
    name = fields.get("Action", "")
    if name not in service.operation_names:
        raise UnknownOperation(f"Action names no operation of {service.service_name}.")
    return name


# ---------------------------------------------------------------- REST: method, path, query


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    template: uri.Template
    query: frozenset[str]  # required members that travel in the query string
    headers: frozenset[bytes]  # and in headers: `x-amz-copy-source` tells CopyObject from PutObject

    @property
    def specificity(self) -> tuple[int, int]:
        marks = len(self.template.constants) + len(self.query) + len(self.headers)
        return self.template.literals, marks


def _by_uri(request: HttpRequest, service: ServiceModel) -> str:
    path = uri.split_path(service.protocol, request.path)
    query = dict(uri.query_fields(service.protocol, request.query))
    headers = {name for name, _ in request.headers}
    for entry in _entries(service.service_name).get(request.method, ()):
        fits = entry.query <= query.keys() and entry.headers <= headers
        if fits and entry.template.matches(path, query):
            return entry.name
    raise UnknownOperation(
        f"{request.method} on this path is no operation of {service.service_name}."
    )


@lru_cache(maxsize=32)
def _entries(name: str) -> dict[str, list[_Entry]]:
    """Give a service's operations by method, the most specific first."""
    model = service(name)
    operations = sorted(
        (model.operation_model(each) for each in model.operation_names),
        key=lambda operation: (bool(operation.deprecated), operation.name),
    )
    entries: dict[str, list[_Entry]] = {}
    for operation in operations:
        entries.setdefault(operation.http["method"], []).append(_entry(operation))
    for found in entries.values():
        found.sort(key=lambda entry: entry.specificity, reverse=True)
    return entries


def _entry(operation: OperationModel) -> _Entry:
    members = operation.input_shape.members if operation.input_shape else {}
    required = operation.input_shape.required_members if operation.input_shape else ()
    marks = [members[name].serialization for name in required]
    return _Entry(
        name=operation.name,
        template=uri.template(operation.http["requestUri"]),
        query=frozenset(_at("querystring", marks)),
        headers=frozenset(name.lower().encode() for name in _at("header", marks)),
    )


def _at(location: str, marks: list[dict[str, str]]) -> list[str]:
    return [mark["name"] for mark in marks if mark.get("location") == location]
