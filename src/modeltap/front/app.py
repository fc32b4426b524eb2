"""The ASGI border of every AWS dialect.

A dialect is a `Service`: botocore's model of it and an explicit table from operation name to a
coroutine function. An operation takes a `Call`, and gives the output document in AWS's member
names (serialized by `wire`), or a finished `HttpResponse` where it must shape the answer itself.
It raises the leaves of `errors.ModeltapError`; it never sees a byte that was not authenticated.

    scope → HttpRequest → Service → verify → operation → parse → validate → call → serialize

S3 signs its payload's hash in a header, so there the signature is checked before the first byte of
the body is read, and the body is held to the hash as it streams by. Everywhere else the body comes
first, at most `BODY_BYTES_MAX`.

`Expect: 100-continue` is answered by the first read of the body, thus only to who may send one. An
answer that comes before the body's end reads on to it, at most `DRAIN_BYTES_MAX`, so that the
client gets to see it; beyond that, or where the client still waits to send, the connection closes.
"""

import asyncio
import hashlib
import traceback
from binascii import hexlify
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePath
from typing import Any, TypeVar

from botocore.model import ServiceModel

from modeltap.auth import sigv4
from modeltap.clock import Clock
from modeltap.errors import AuthError, InternalFailure, ModeltapError, UnknownOperation
from modeltap.front.body import Closable, Inbox, held_to_hash, unpacked, whole
from modeltap.nouns import Caller, Document, HttpRequest, HttpResponse, Partition
from modeltap.telemetry import Event, emit
from modeltap.wire import catalog
from modeltap.wire.fault import fault
from modeltap.wire.parse import parse
from modeltap.wire.serialize import serialize
from modeltap.wire.validate import validate

MIB = 1024 * 1024
BODY_BYTES_MAX = 4 * MIB  # of what is read whole: documents and forms, never S3's payloads
DRAIN_BYTES_MAX = 32 * MIB

Owner = TypeVar("Owner")


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated, parsed and validated call of an operation."""

    params: Document  # as the service model names and types it; absent members are absent
    caller: Caller
    request: HttpRequest
    request_id: str
    body: AsyncIterable[bytes] | None = None  # the payload of a streaming operation only


Operation = Callable[[Call], Awaitable[Document | HttpResponse]]


def threaded(function: Callable[[Document], Document]) -> Operation:
    """Serve by a function that blocks, in a thread: it holds up its own caller and nobody else."""

    async def operation(call: Call) -> Document:
        return await asyncio.to_thread(function, call.params)

    return operation


Unbound = Callable[[Owner, Call], Awaitable[Document | HttpResponse]]
"""An operation that is still to be told on what it works: so a table of them opens nothing."""


def bound(table: Mapping[str, Unbound[Owner]], owner: Owner) -> dict[str, Operation]:
    """Bind a table of operations to what they work on."""
    return {name: partial(operation, owner) for name, operation in table.items()}


Verify = Callable[[HttpRequest, str, bytes | None], Caller]
"""(request, signing name, SHA-256 of the body in hex; None while it is to come) → who signed it."""


def as_it_came(request: HttpRequest) -> HttpRequest:
    """Reread nothing: the view of every dialect but S3."""
    return request


@dataclass(frozen=True, slots=True)
class Service:
    """One AWS service as served here: what its model knows, and what we answer.

    `view` rereads a request after its signature was checked and before its operation is named:
    where S3 finds the bucket in the host, and the payload in its chunks.

    `by_target` is the model in the second protocol of a service that has two: CloudWatch is asked
    in JSON by who names its target, and by a form by older clients.
    """

    model: ServiceModel
    operations: Mapping[str, Operation]
    view: Callable[[HttpRequest], HttpRequest] = as_it_came
    by_target: ServiceModel | None = None


def verifier(
    secrets: Callable[[str], bytes | None], partition: Partition, role: str, clock: Clock
) -> Verify:
    """Verify by the keys of the key ring; every key of it stands for the execution role."""
    arn = f"arn:aws:sts::{partition.account}:assumed-role/{role}/modeltap"
    signatures = sigv4.Verifier(secrets, partition.region)

    def verify(request: HttpRequest, signing_name: str, payload_sha256: bytes | None) -> Caller:
        services = frozenset({signing_name})
        access_key_id = signatures.verify(request, services, clock.now_ns(), payload_sha256)
        return Caller(access_key_id, partition.account, arn)

    return verify


@dataclass(frozen=True, slots=True)
class OperationCrashed(Event):
    """A fault of ours ended a request; the client saw an `InternalFailure` and no more."""

    request_id: str
    service: str
    error: str
    place: str


class AwsApp:
    """The ASGI application of one listener."""

    def __init__(
        self,
        services: Mapping[str, Service],
        verify: Verify,
        clock: Clock,
        *,
        behind_gateway: bool = False,
    ) -> None:
        """Serve `services`, by signing name; the first one answers what names none of them.

        `behind_gateway`: the listener is the house's own Unix socket, so `x-modeltap-peer` and
        `x-modeltap-scheme` are the gateway's word on the client. Elsewhere they are ignored.
        """
        self._services = services
        self._default = next(iter(services.values()))
        self._verify = verify
        self._clock = clock
        self._behind_gateway = behind_gateway

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        inbox = Inbox(receive, scope["headers"])
        request = _request(scope, inbox, behind_gateway=self._behind_gateway)
        response = await self.answer(request)
        try:
            await _send(response, send, close=not await inbox.settle(DRAIN_BYTES_MAX))
        finally:
            if isinstance(response.body, Closable):
                await response.body.aclose()

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """Answer one request, whatever comes."""
        request_id = self._clock.uuid4()
        service = self._addressed(request)
        try:
            return await self._serve(service, request, request_id)
        except ModeltapError as error:
            failed = error
        except Exception as error:  # the named border of every dialect: a fault of ours
            emit(_crashed(request_id, service, error))
            failed = InternalFailure("We encountered an internal error. Please try again.")
        resource = request.path.decode("ascii", "replace")
        head = request.method == "HEAD"
        return fault(service.model, failed, request_id, resource=resource, head=head)

    def _addressed(self, request: HttpRequest) -> Service:
        """Tell who is asked: by target, else by credential scope, else the default."""
        target = (request.header(b"x-amz-target") or b"").decode("latin-1").rpartition(".")[0]
        for service in self._services.values():
            if target and service.model.metadata.get("targetPrefix") == target:
                return replace(service, model=service.by_target or service.model)
        try:
            return self._services.get(sigv4.scope(request).service, self._default)
        except AuthError:
            return self._default  # whose `verify` raises the same error, in its own words

    async def _serve(self, service: Service, request: HttpRequest, request_id: str) -> HttpResponse:
        if sigv4.scope(request).service not in self._services:
            served = ", ".join(sorted(self._services))
            raise UnknownOperation(f"modeltap does not serve this service; it serves {served}.")
        name = service.model.signing_name
        if service.model.protocol == "rest-xml":
            caller = self._verify(request, name, None)
            return await _call(
                service, replace(request, body=held_to_hash(request)), caller, request_id
            )
        body = await whole(request.body, BODY_BYTES_MAX)
        caller = self._verify(request, name, hexlify(hashlib.sha256(body).digest()))
        body = unpacked(request, body, BODY_BYTES_MAX)
        return await _call(service, replace(request, body=body), caller, request_id)


async def _call(
    service: Service, request: HttpRequest, caller: Caller, request_id: str
) -> HttpResponse:
    """Walk an authenticated request through its operation."""
    request = service.view(request)
    form = request.body if isinstance(request.body, bytes) else None
    name = catalog.operation_named(request, service.model, form)
    operation, model = _served(service, name), service.model.operation_model(name)
    stream = None
    if model.has_streaming_input and not isinstance(request.body, bytes):
        stream, body = request.body, b""
    else:
        body = await whole(request.body, BODY_BYTES_MAX)
    params = parse(model, request, body)
    validate(model, params)
    result = await operation(Call(params, caller, request, request_id, stream))
    return result if isinstance(result, HttpResponse) else serialize(model, result, request_id)


def _served(service: Service, name: str) -> Operation:
    if name not in service.operations:
        served = ", ".join(sorted(service.operations))
        raise UnknownOperation(f"modeltap does not serve {name}; it serves {served}.")
    return service.operations[name]


def _request(scope: Any, inbox: Inbox, *, behind_gateway: bool) -> HttpRequest:
    query = scope["query_string"]
    headers = tuple((name, value.strip()) for name, value in scope["headers"])
    said = dict(headers) if behind_gateway else {}
    client = scope.get("client") or ("",)
    return HttpRequest(
        method=scope["method"],
        target=scope["raw_path"] + (b"?" + query if query else b""),
        headers=headers,
        body=inbox,
        secure=said.get(b"x-modeltap-scheme", scope["scheme"].encode()) == b"https",
        peer=said.get(b"x-modeltap-peer", client[0].encode()).decode("latin-1"),
    )


async def _send(response: HttpResponse, send: Any, *, close: bool) -> None:
    headers = list(response.headers)
    sized = response.status in (204, 304) or any(name == b"content-length" for name, _ in headers)
    if isinstance(response.body, bytes) and not sized:
        headers.append((b"content-length", str(len(response.body)).encode()))
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if isinstance(response.body, bytes):
        await send({"type": "http.response.body", "body": response.body})
        return
    async for chunk in response.body:  # one that fails is cut off: uvicorn drops the connection
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _crashed(request_id: str, service: Service, error: Exception) -> OperationCrashed:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{PurePath(frame.filename).name}:{frame.lineno}"
    return OperationCrashed(request_id, service.model.service_name, type(error).__name__, place)
