"""InvokeEndpoint: from a request's bytes to the model's answer, and then to capture.

    HttpRequest ─auth.verify─▶ ─wire─▶ Invocation ─router─▶ Exchange ─▶ HttpResponse
                          and, after its bytes were handed over, Exchange ─(on_exchange)─▶ capture

The body is buffered, because the signature and the model need it whole, and is at most
`body_bytes_max` long; a longer one is refused unread. Every path of the runtime API is verified
before anything is said about it; of its operations only InvokeEndpoint is served.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256

from modeltap.auth.sigv4 import verify
from modeltap.clock import Clock, utc
from modeltap.errors import (
    ModelError,
    ModeltapError,
    ServiceUnavailable,
    UnknownOperation,
    ValidationError,
)
from modeltap.gateway.body import read_whole
from modeltap.gateway.http import Respond
from modeltap.nouns import Document, Exchange, HttpRequest, HttpResponse, Invocation
from modeltap.router.router import Router
from modeltap.telemetry.meters import Failure, Meters
from modeltap.wire.catalog import operation_named, service
from modeltap.wire.fault import fault
from modeltap.wire.parse import parse
from modeltap.wire.shortcut import Shortcut
from modeltap.wire.validate import validate

SERVICE = "sagemaker-runtime"
SERVED = "InvokeEndpoint"
SIGNING_NAMES = frozenset({"sagemaker"})
RETRY_AFTER = (b"retry-after", b"1")
"""What is refused for want of room is refused at once, and may come again in a second."""

TARGETS_MAX = 128
"""Targets whose way is remembered; there is one an endpoint."""

_PATH = re.compile(rb"/endpoints/[^/]+/(async-invocations|invocations(-response-stream)?)")
_UNSERVED_MEMBERS = frozenset(
    {"TargetContainerHostname", "EnableExplanations", "InferenceComponentName", "SessionId"}
)
"""Members that would change the answer if they were obeyed, which they are not yet."""


def is_runtime(request: HttpRequest) -> bool:
    """Tell whether a request is one of the runtime API's."""
    return request.method == "POST" and _is_runtime_target(request.target)


@lru_cache(maxsize=TARGETS_MAX)
def _is_runtime_target(target: bytes) -> bool:
    return _PATH.fullmatch(target.partition(b"?")[0]) is not None


class Invocations:
    """Serves the runtime API from a router. `secrets` gives the secret of an access key id."""

    def __init__(
        self,
        router: Router,
        secrets: Callable[[str], bytes | None],
        clock: Clock,
        meters: Meters,
        *,
        region: str,
        body_bytes_max: int,
    ) -> None:
        self._router = router
        self._secrets = secrets
        self._clock = clock
        self._meters = meters
        self._region = region
        self._body_bytes_max = body_bytes_max
        self._service = service(SERVICE)
        self._operation = self._service.operation_model(SERVED)
        self._shortcut = Shortcut(self._operation)

    async def serve(self, request: HttpRequest, respond: Respond) -> None:
        """Answer one request; errors that a caller can see are answered in the API's words."""
        now = self._clock.monotonic
        began, request_id = now(), self._clock.uuid4()
        try:
            invocation = await self._read(request)
            asked = now()
            exchange = await self._router.invoke(invocation)
            model_seconds = now() - asked
        except ModeltapError as error:
            self._meters.failed(error.variant, _failure(error))
            await respond(self._refusal(error, request_id))
            return
        await respond(self._response(exchange, request_id))
        self._router.on_exchange(exchange)
        overhead_seconds = now() - began - model_seconds
        self._meters.answered(
            (invocation.endpoint, exchange.variant),
            int(model_seconds * 1_000_000),
            int(overhead_seconds * 1_000_000),
        )

    async def _read(self, request: HttpRequest) -> Invocation:
        received_ns = self._clock.now_ns()
        body = await read_whole(request, self._body_bytes_max)
        verify(
            request,
            self._secrets,
            now=utc(received_ns),
            region=self._region,
            services=SIGNING_NAMES,
            payload_sha256=sha256(body).hexdigest(),
        )
        params = self._shortcut.read(request, body) or self._parsed(
            replace(request, body=body), body
        )
        if not _UNSERVED_MEMBERS.isdisjoint(params):
            _refuse_unserved(params)
        return _invocation(params, body, received_ns)

    def _parsed(self, request: HttpRequest, body: bytes) -> Document:
        """Read a request the long way, which knows what is wrong with it."""
        name = operation_named(request, self._service)
        if name != SERVED:
            raise UnknownOperation(f"modeltap does not serve {name}; of this API, {SERVED} only.")
        params = parse(self._operation, request, body)
        validate(self._operation, params)
        return params

    def _refusal(self, error: ModeltapError, request_id: str) -> HttpResponse:
        answer = fault(self._service, error, request_id)
        if error.status != ServiceUnavailable.status:
            return answer
        return replace(answer, headers=(*answer.headers, RETRY_AFTER))

    def _response(self, exchange: Exchange, request_id: str) -> HttpResponse:
        answer = exchange.answer
        result = {
            "Body": answer.body,
            "ContentType": answer.content_type,
            "InvokedProductionVariant": exchange.variant,
            "CustomAttributes": answer.custom_attributes,
        }
        return self._shortcut.write(result, request_id)


def _failure(error: ModeltapError) -> Failure:
    if isinstance(error, ModelError):
        return Failure.MODEL
    return Failure.SERVER if error.status >= 500 else Failure.CLIENT


def _refuse_unserved(params: Document) -> None:
    unserved = min(_UNSERVED_MEMBERS.intersection(params))
    raise ValidationError(f"modeltap does not serve {unserved} yet.")


def _invocation(params: Document, body: bytes, received_ns: int) -> Invocation:
    return Invocation(
        params["EndpointName"],
        body,
        content_type=params.get("ContentType"),
        accept=params.get("Accept"),
        custom_attributes=params.get("CustomAttributes"),
        target_variant=params.get("TargetVariant"),
        target_model=params.get("TargetModel"),
        inference_id=params.get("InferenceId"),
        received_ns=received_ns,
    )
