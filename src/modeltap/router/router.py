"""One invocation, from the endpoint's name to the model's answer.

    Invocation ─table─▶ Route ─pick─▶ Variant ─gate─▶ Instance ─send─▶ Answer ─▶ Exchange

Pure but for two slots that `house` plugs in: `send`, which reaches an instance, and `on_exchange`,
which the gateway calls once the answer's bytes were handed over. The router holds one immutable
table; publishing another is one assignment, so no call sees half of it.

A call whose frame never left goes once to another instance. A call that was sent is never sent
again: the model may have acted on it. What the model does wrong is a `ModelError` in AWS's words
(contract §2.8), with status 0 where it gave none; a model process that died with the call in hand
has AWS's sentence for that, "the model process exited" (contract silent; decided here).
"""

from collections.abc import Awaitable, Callable

from modeltap.errors import (
    AnswerUnreadable,
    InstanceGone,
    InvocationTimedOut,
    ModelError,
    ModeltapError,
    ServiceUnavailable,
    ValidationError,
)
from modeltap.nouns import (
    Answer,
    Exchange,
    Instance,
    Invocation,
    Partition,
    Route,
    RoutingTable,
    Variant,
    endpoint_log_group,
)
from modeltap.router import pick
from modeltap.router.gate import Gate

Send = Callable[[Instance, Invocation], Awaitable[Answer]]
OnExchange = Callable[[Exchange], None]

ATTEMPTS_MAX = 2
"""Instances that one call may be offered to; only while nothing of it was sent."""

TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the "
    "latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)
EXITED = "An error occurred while handling request as the model process exited."


class Router:
    """Serves from one routing table.

    `send` raises `InstanceGone`, `InvocationTimedOut` or `AnswerUnreadable`, and nothing else.
    `chance` gives numbers in [0, 1).
    """

    def __init__(
        self,
        send: Send,
        on_exchange: OnExchange,
        chance: Callable[[], float],
        partition: Partition,
    ) -> None:
        self.on_exchange = on_exchange
        self.gate = Gate()
        self._send = send
        self._chance = chance
        self._partition = partition
        self._table = RoutingTable(generation=0)

    @property
    def generation(self) -> int:
        return self._table.generation

    @property
    def outstanding(self) -> dict[str, int]:
        """Calls in flight by instance id, also of instances that left the table."""
        return self.gate.outstanding

    def publish(self, table: RoutingTable) -> None:
        """Serve from this table from now on; calls in flight finish where they are."""
        self._table = table
        self.gate.reopen()

    async def invoke(self, invocation: Invocation) -> Exchange:
        """Get the model's answer.

        Raise `ValidationError` (no such endpoint, variant, or not a multi-model endpoint),
        `ModelError`, or `ServiceUnavailable` (no instance lives, or all are busy).
        """
        route = self._route(invocation)
        variant = self._variant(route, invocation.target_variant)
        try:
            answer = await self._answer(variant, invocation)
            if answer.status >= 400:
                raise self._refused(invocation.endpoint, answer)
        except ModeltapError as error:
            error.variant = route.endpoint, variant.name
            raise
        return Exchange(invocation, answer, variant.name, route.capture)

    def _route(self, invocation: Invocation) -> Route:
        name = invocation.endpoint
        route = self._table.routes.get(name)
        if route is None:
            raise ValidationError(
                f"Endpoint {name} of account {self._partition.account} not found."
            )
        if invocation.target_model is not None:
            raise ValidationError(
                f"Endpoint {name} is not a multi-model endpoint "
                "and does not support target model header."
            )
        return route

    def _variant(self, route: Route, target: str | None) -> Variant:
        if target is not None:
            return pick.by_name(route, target, self._partition.account)
        variant = pick.by_weight(route, self._chance())
        if variant is None:
            raise ValidationError(f"No variant of endpoint {route.endpoint} has a weight above 0.")
        return variant

    async def _answer(self, variant: Variant, invocation: Invocation) -> Answer:
        for _ in range(ATTEMPTS_MAX):
            try:
                return await self._try(variant, invocation)
            except InstanceGone as gone:
                if gone.sent:
                    raise self._model_error(invocation.endpoint, 0, EXITED) from gone
        raise ServiceUnavailable(f"No instance of variant {variant.name} answers.")

    async def _try(self, variant: Variant, invocation: Invocation) -> Answer:
        instance = self.gate.choose(variant, self._chance())
        try:
            with self.gate.held(instance):
                return await self._send(instance, invocation)
        except InstanceGone:
            self.gate.lose(instance)
            raise
        except InvocationTimedOut as error:
            raise self._model_error(invocation.endpoint, 0, TIMED_OUT) from error
        except AnswerUnreadable as error:
            raise self._model_error(invocation.endpoint, error.status, None) from error

    def _refused(self, endpoint: str, answer: Answer) -> ModelError:
        try:
            text = answer.body.decode()
        except UnicodeDecodeError:
            return self._model_error(endpoint, answer.status, None)
        return self._model_error(endpoint, answer.status, text)

    def _model_error(self, endpoint: str, status: int, text: str | None) -> ModelError:
        """Word a failure of the model as AWS does; `text` is None where its body has no text."""
        region, account = self._partition.region, self._partition.account
        group = endpoint_log_group(endpoint)
        side = "client" if 400 <= status < 500 else "server"
        said = (
            "and could not load the entire response body"
            if text is None
            else f'with message "{text}"'
        )
        return ModelError(
            f"Received {side} error ({status}) from primary {said}. "
            f"See https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
            f"#logEventViewer:group={group} in account {account} for more information.",
            status=status,
            body=text or "",
            log_stream_arn=self._partition.log_group_arn(group),
        )
