"""One invocation, from the endpoint's name to the model's answer.

    Invocation ─table─▶ Route ─pick─▶ Variant ─gate─▶ Instance ─send─▶ Answer ─▶ Exchange

Pure but for two slots that `house` plugs in: `send`, which reaches an instance, and `on_exchange`,
which the gateway calls once the answer's bytes were handed over (before, where they wait for the
record). A call goes from callback to callback, because a task of its own would cost it as much as
all the rest here. The router holds one immutable table; publishing another is one assignment, so no
call sees half of it.

A call whose frame never left goes once to another instance. A call that was sent is never sent
again: the model may have acted on it. What the model does wrong is a `ModelError` in AWS's words
(contract §2.8), with status 0 where it gave none; a model process that died with the call in hand
has AWS's sentence for that, "the model process exited" (contract silent; decided here).
"""

from collections.abc import Callable
from typing import Final, final

from modeltap.errors import (
    AnswerUnreadable,
    HouseError,
    InstanceGone,
    InternalFailure,
    InvocationTimedOut,
    ModelError,
    ModeltapError,
    ServiceUnavailable,
    ValidationError,
)
from modeltap.nouns import (
    Answer,
    Cancellable,
    Exchange,
    Instance,
    Invocation,
    Partition,
    Route,
    RoutingTable,
    Told,
    Variant,
    endpoint_log_group,
)
from modeltap.router import pick
from modeltap.router.gate import Gate

Outcome = Answer | HouseError
Send = Callable[[Instance, Invocation, Callable[[Outcome], None]], Cancellable]
"""Sends a call to an instance, and tells its outcome once, unless it is cancelled before."""

Done = Callable[[Exchange | ModeltapError], None]
OnExchange = Callable[[Exchange, Told | None], None]
"""Offers an exchange to capture; who waits for its record hears whether that is durable."""

ATTEMPTS_MAX: Final = 2
"""Instances that one call may be offered to; only while nothing of it was sent."""

TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the "
    "latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)
EXITED = "An error occurred while handling request as the model process exited."


@final
class Router:
    """Serves from one routing table.

    The outcomes of `send` are an answer, `InstanceGone`, `InvocationTimedOut`, `AnswerUnreadable`
    or `CallFailed`. `chance` gives numbers in [0, 1).
    """

    def __init__(
        self,
        send: Send,
        on_exchange: OnExchange,
        chance: Callable[[], float],
        partition: Partition,
    ) -> None:
        self.on_exchange: Final = on_exchange
        self.gate: Final = Gate()
        self.send: Final = send
        self.chance: Final = chance
        self.unanswered: Final[dict[str, Invocation]] = {}  # that capture may want, by id
        self._partition = partition
        self._table = RoutingTable(generation=0)

    @property
    def generation(self) -> int:
        return self._table.generation

    @property
    def outstanding(self) -> dict[str, int]:
        """Calls in flight by instance id, also of instances that left the table."""
        return self.gate.outstanding

    @property
    def receipts(self) -> dict[str, int]:
        """When the oldest call of each endpoint was received that capture may still be offered.

        In ns; an endpoint that is not named has none. An answer leaves here in the turn of the loop
        in which it is offered: who looks between two turns finds it here or in capture's counters.
        """
        oldest: dict[str, int] = {}
        for call in self.unanswered.values():
            found = oldest.get(call.endpoint, call.received_ns)
            oldest[call.endpoint] = min(found, call.received_ns)
        return oldest

    def publish(self, table: RoutingTable) -> None:
        """Serve from this table from now on; calls in flight finish where they are."""
        self._table = table
        self.gate.reopen()

    def invoke(self, invocation: Invocation, done: Done) -> Cancellable:
        """Have the model answer; give what withdraws the call.

        `done` gets the exchange, `ModelError` or `ServiceUnavailable` (no instance lives). Raise
        `ValidationError` (no such endpoint, variant, or not a multi-model endpoint), or
        `ServiceUnavailable` (all instances are busy, or none lives).
        """
        route = self._route(invocation)
        variant = self._variant(route, invocation.target_variant)
        call = _Call(self, invocation, route, variant, done)
        try:
            call.offer()
        except ModeltapError as error:
            raise call.located(error) from None
        return call

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
        variant = pick.by_weight(route, self.chance())
        if variant is None:
            raise ValidationError(f"No variant of endpoint {route.endpoint} has a weight above 0.")
        return variant

    def model_error(self, endpoint: str, status: int, text: str | None) -> ModelError:
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


@final
class _Call:
    """One call on its way: from instance to instance, until one has taken it."""

    def __init__(
        self, router: Router, invocation: Invocation, route: Route, variant: Variant, done: Done
    ) -> None:
        self._router = router
        self._invocation = invocation
        self._route = route
        self._variant = variant
        self._done = done
        self._attempts = 0
        self._instance: Instance | None = None
        self._sent: Cancellable | None = None

    def offer(self) -> None:
        """Send it to an instance. Raise `ServiceUnavailable`."""
        router = self._router
        instance = router.gate.choose(self._variant, router.chance())
        self._attempts += 1
        self._instance = instance
        router.gate.take(instance)
        if self._route.capture is not None:
            router.unanswered[self._invocation.id] = self._invocation
        try:
            self._sent = router.send(instance, self._invocation, self._take)
        except InstanceGone as gone:
            self._take(gone)
        except BaseException:
            router.gate.give_back(instance)
            self._leave()
            raise

    def cancel(self) -> None:
        """Withdraw it: nobody is told anything more."""
        if self._instance is not None:
            self._router.gate.give_back(self._instance)
            self._instance = None
        if self._sent is not None:
            self._sent.cancel()
        self._leave()

    def located(self, error: ModeltapError) -> ModeltapError:
        """Note where an error happened."""
        error.variant = self._route.endpoint, self._variant.name
        return error

    def _take(self, outcome: Outcome) -> None:
        instance, self._instance = self._instance, None
        self._sent = None  # which holds this call: together they would wait for the collector
        assert instance is not None
        self._router.gate.give_back(instance)
        if not isinstance(outcome, Answer):
            self._take_error(instance, outcome)
        elif outcome.status >= 400:
            self._fail(self._refused(outcome))
        else:
            self._leave()
            self._done(Exchange(self._invocation, outcome, self._variant.name, self._route.capture))

    def _take_error(self, instance: Instance, error: HouseError) -> None:
        endpoint, router = self._invocation.endpoint, self._router
        if isinstance(error, InstanceGone):
            router.gate.lose(instance)
            if error.sent:
                self._fail(router.model_error(endpoint, 0, EXITED))
            else:
                self._offer_again()
        elif isinstance(error, InvocationTimedOut):
            self._fail(router.model_error(endpoint, 0, TIMED_OUT))
        elif isinstance(error, AnswerUnreadable):
            self._fail(router.model_error(endpoint, error.status, None))
        else:
            self._fail(InternalFailure("The call could not be made."))

    def _offer_again(self) -> None:
        try:
            if self._attempts >= ATTEMPTS_MAX:
                raise ServiceUnavailable(f"No instance of variant {self._variant.name} answers.")
            self.offer()
        except ModeltapError as error:
            self._fail(error)

    def _fail(self, error: ModeltapError) -> None:
        self._leave()
        self._done(self.located(error))

    def _leave(self) -> None:
        """Nothing more comes of it that capture could want."""
        self._router.unanswered.pop(self._invocation.id, None)

    def _refused(self, answer: Answer) -> ModelError:
        try:
            text: str | None = answer.body.decode()
        except UnicodeDecodeError:
            text = None
        return self._router.model_error(self._invocation.endpoint, answer.status, text)
