"""InvokeEndpoint: from a request's bytes to the model's answer, and then to capture.

    HttpRequest ─auth.verify─▶ ─wire─▶ Invocation ─router─▶ Exchange ─▶ HttpResponse
                          and, after its bytes were handed over, Exchange ─(on_exchange)─▶ capture

The answers of a `durable` or `strict` endpoint are handed over when their record is safe; a strict
one's is refused when that takes too long, a durable one's is not.

The body is buffered, because the signature and the model need it whole, and is at most
`body_bytes_max` long; a longer one is refused unread. Every path of the runtime API is verified
before anything is said about it; of its operations only InvokeEndpoint is served.
"""

import re
from binascii import hexlify
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Final, final

from modeltap.clock import Clock
from modeltap.errors import (
    ModelError,
    ModeltapError,
    RecordNotDurable,
    ServiceUnavailable,
    UnknownOperation,
    ValidationError,
)
from modeltap.gateway.body import too_large
from modeltap.gateway.http import Turn
from modeltap.memo import Memo
from modeltap.nouns import (
    Document,
    Durability,
    Exchange,
    HttpRequest,
    HttpResponse,
    Invocation,
    Told,
)
from modeltap.router.router import Router
from modeltap.telemetry.meters import Failure, Meters
from modeltap.wire.catalog import operation_named, service
from modeltap.wire.fault import fault
from modeltap.wire.parse import parse
from modeltap.wire.shortcut import Shortcut
from modeltap.wire.validate import validate

SERVICE = "sagemaker-runtime"
SERVED = "InvokeEndpoint"
SIGNING_NAMES: Final = frozenset({"sagemaker"})

Verify = Callable[[HttpRequest, frozenset[str], int, bytes], str]
"""(request, services, time in ns, SHA-256 of the body in hex) → whose it is; raises `AuthError`."""

RETRY_SECONDS: Final = 1
"""What is refused for want of room is refused at once, and may come again after this."""

RETRY_AFTER: Final = (b"retry-after", b"%d" % RETRY_SECONDS)

Gather = Callable[[Turn, int, Callable[[bytes | ModeltapError], None]], None]
"""(turn, most bytes, told the whole body or why there is none)"""

TARGETS_MAX: Final = 128
"""Targets whose way is remembered; there is one an endpoint."""

NOT_DURABLE = (
    "The model answered, but its capture could not be made durable in time, and this endpoint "
    "gives no answer that is not captured. Retry the request."
)

_PATH = re.compile(rb"/endpoints/[^/]+/(async-invocations|invocations(-response-stream)?)")
_UNSERVED_MEMBERS: Final = (
    "EnableExplanations",
    "InferenceComponentName",
    "SessionId",
    "TargetContainerHostname",
)
"""Members that would change the answer if they were obeyed, which they are not yet."""


def is_runtime(request: HttpRequest) -> bool:
    """Tell whether a request is one of the runtime API's."""
    return request.method == "POST" and _runtime_targets.of(request.target)


def _is_runtime_target(target: bytes) -> bool:
    return _PATH.fullmatch(target.partition(b"?")[0]) is not None


_runtime_targets: Final = Memo(_is_runtime_target, TARGETS_MAX)


class Invocations:
    """Serves the runtime API from a router. `gather` is that of `waiting`."""

    def __init__(
        self,
        router: Router,
        verify: Verify,
        gather: Gather,
        clock: Clock,
        meters: Meters,
        *,
        body_bytes_max: int,
    ) -> None:
        self.router: Final = router
        self.clock: Final = clock
        self.meters: Final = meters
        self._verify = verify
        self._gather = gather
        self._body_bytes_max = body_bytes_max
        self._service = service(SERVICE)
        self._operation = self._service.operation_model(SERVED)
        self._shortcut = Shortcut(self._operation)

    def serve(self, turn: Turn) -> None:
        """Have one request answered; errors that a caller can see are told in the API's words."""
        call = _Call(self, turn)
        if isinstance(turn.request.body, bytes):
            call.begin(turn.request.body)
        else:
            self._gather(turn, self._body_bytes_max, call.gathered)

    def read(self, call_id: str, request: HttpRequest, body: bytes) -> Invocation:
        """Verify a request and read what it asks for. Raise `ClientError`."""
        if len(body) > self._body_bytes_max:
            raise too_large(self._body_bytes_max)
        received_ns = self.clock.now_ns()
        self._verify(request, SIGNING_NAMES, received_ns, hexlify(sha256(body).digest()))
        params = self._shortcut.read(request, body)
        if params is None:
            params = self._parsed(replace(request, body=body), body)
        for member in _UNSERVED_MEMBERS:
            if member in params:
                raise ValidationError(f"modeltap does not serve {member} yet.")
        return _invocation(call_id, params, body, received_ns)

    def refusal(self, error: ModeltapError, call_id: str) -> HttpResponse:
        """Tell an error in the API's words."""
        answer = fault(self._service, error, call_id)
        if error.status != ServiceUnavailable.status:
            return answer
        return replace(answer, headers=(*answer.headers, RETRY_AFTER))

    def response(self, exchange: Exchange) -> HttpResponse:
        """Tell an answer. Raise `InternalFailure` on a line break in a field of it."""
        answer = exchange.answer
        result = {
            "Body": answer.body,
            "ContentType": answer.content_type,
            "InvokedProductionVariant": exchange.variant,
            "CustomAttributes": answer.custom_attributes,
        }
        return self._shortcut.write(result, exchange.invocation.id)

    def _parsed(self, request: HttpRequest, body: bytes) -> Document:
        """Read a request the long way, which knows what is wrong with it."""
        name = operation_named(request, self._service)
        if name != SERVED:
            raise UnknownOperation(f"modeltap does not serve {name}; of this API, {SERVED} only.")
        params = parse(self._operation, request, body)
        validate(self._operation, params)
        return params


@final
class _Call:
    """One request, from its bytes to its answer and its capture."""

    def __init__(self, api: Invocations, turn: Turn) -> None:
        self._api = api
        self._turn = turn
        self._id = api.clock.uuid4()
        self._began = api.clock.monotonic()
        self._asked = 0.0

    def gathered(self, outcome: bytes | ModeltapError) -> None:
        """Begin when the whole body has come."""
        if isinstance(outcome, bytes):
            self.begin(outcome)
        else:
            self._refuse(outcome)

    def begin(self, body: bytes) -> None:
        """Verify, read, and route."""
        api, turn = self._api, self._turn
        try:
            invocation = api.read(self._id, turn.request, body)
            self._asked = api.clock.monotonic()
            turn.work = api.router.invoke(invocation, self._take)
        except ModeltapError as error:
            self._refuse(error)

    def _take(self, outcome: Exchange | ModeltapError) -> None:
        try:
            if isinstance(outcome, Exchange):
                self._answer(outcome)
            else:
                self._refuse(outcome)
        except Exception as error:  # border: a link calls this, and must not fail with it
            self._turn.fail(error)

    def _answer(self, exchange: Exchange) -> None:
        api, plan = self._api, exchange.plan
        answered = api.clock.monotonic()
        response = api.response(exchange)
        if plan is None or plan.durability is Durability.BESTEFFORT:
            self._turn.respond(response)
            api.router.on_exchange(exchange, None)
            self._measure(exchange, answered)
        else:
            api.router.on_exchange(exchange, self._held(exchange, response, answered))

    def _held(self, exchange: Exchange, response: HttpResponse, answered: float) -> Told:
        """Give what answers once it is told whether the record is safe."""

        def told(durable: bool) -> None:
            plan = exchange.plan
            if not durable and plan is not None and plan.durability is Durability.STRICT:
                error = RecordNotDurable(NOT_DURABLE)
                error.variant = exchange.invocation.endpoint, exchange.variant
                self._refuse(error)
                return
            self._turn.respond(response)
            self._measure(exchange, answered)

        return told

    def _measure(self, exchange: Exchange, answered: float) -> None:
        api = self._api
        model_seconds = answered - self._asked
        overhead_seconds = api.clock.monotonic() - self._began - model_seconds
        api.meters.answered(
            exchange.invocation.endpoint,
            exchange.variant,
            int(model_seconds * 1_000_000),
            int(overhead_seconds * 1_000_000),
        )

    def _refuse(self, error: ModeltapError) -> None:
        self._api.meters.failed(*error.variant, _failure(error))
        if error.status == ServiceUnavailable.status:
            self._turn.rest(RETRY_SECONDS)
        self._turn.respond(self._api.refusal(error, self._id))


def _failure(error: ModeltapError) -> Failure:
    if isinstance(error, ModelError):
        return Failure.MODEL
    return Failure.SERVER if error.status >= 500 else Failure.CLIENT


def _invocation(call_id: str, params: Document, body: bytes, received_ns: int) -> Invocation:
    return Invocation(
        call_id,
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
