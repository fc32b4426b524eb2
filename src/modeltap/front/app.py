"""The ASGI border of every AWS dialect.

A dialect is a `Service`: botocore's model of it and an explicit table from operation name to a
coroutine function. An operation takes a `Call`, and gives the output document in AWS's member
names (serialized by `wire`), or a finished `HttpResponse` where it must shape the answer itself.
It raises the leaves of `errors.ModeltapError`; it never sees a byte that was not authenticated.
"""

from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from dataclasses import dataclass

from botocore.model import ServiceModel

from modeltap.nouns import Caller, Document, HttpRequest, HttpResponse


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated, parsed and validated call of an operation."""

    params: Document  # as the service model names and types it; absent members are absent
    caller: Caller
    request: HttpRequest
    request_id: str
    body: AsyncIterable[bytes] | None = None  # the payload of a streaming operation only


Operation = Callable[[Call], Awaitable[Document | HttpResponse]]


@dataclass(frozen=True, slots=True)
class Service:
    """One AWS service as served here: what its model knows, and what we answer."""

    model: ServiceModel
    operations: Mapping[str, Operation]
