"""The router with plain functions in its slots: no loop of ours, no socket."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeltap.errors import (
    AnswerUnreadable,
    CallFailed,
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
    CapturePlan,
    Exchange,
    Instance,
    Invocation,
    Partition,
    Route,
    RoutingTable,
    Variant,
)
from modeltap.router.gate import OUTSTANDING_MAX, Gate
from modeltap.router.pick import by_weight
from modeltap.router.router import Outcome, Router

ONE, TWO = Instance("i-1", "unix:/1"), Instance("i-2", "unix:/2")
CALL = Invocation("call", "churn", b"1,2")
OK = Answer(200, "text/csv", b"0.5")


def router(*variants: Variant, send: Callable[[Instance], Answer]) -> Router:
    def sent(
        instance: Instance, invocation: Invocation, done: Callable[[Outcome], None]
    ) -> Cancellable:
        try:
            done(send(instance))
        except HouseError as error:
            done(error)
        return Sent()

    made = Router(sent, lambda *_: None, random.Random(0).random, Partition("0" * 12, "eu-west-1"))
    made.publish(RoutingTable(1, {"churn": Route("churn", variants)}))
    return made


class Sent:
    """A call that `send` is busy with."""

    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


def invoke(made: Router, invocation: Invocation = CALL) -> Exchange:
    told: list[Exchange | ModeltapError] = []
    made.invoke(invocation, told.append)
    [outcome] = told
    if isinstance(outcome, Exchange):
        return outcome
    raise outcome


def raising(error: Exception) -> Callable[[Instance], Answer]:
    def send(instance: Instance) -> Answer:
        raise error

    return send


def test_the_exchange_names_the_variant_and_the_plan() -> None:
    exchange = invoke(router(Variant("A", 1.0, (ONE,)), send=lambda _: OK))
    assert (exchange.invocation, exchange.answer, exchange.variant) == (CALL, OK, "A")
    assert exchange.plan is None


@given(
    st.lists(st.floats(0, 10, allow_nan=False), min_size=1, max_size=5),
    st.floats(0, 1, exclude_max=True),
)
def test_weight_0_gets_none_and_any_other_chance_gets_one(
    weights: list[float], chance: float
) -> None:
    route = Route("e", tuple(Variant(str(n), weight, ()) for n, weight in enumerate(weights)))
    picked = by_weight(route, chance)
    if any(weight > 0 for weight in weights):
        assert picked is not None and picked.weight > 0
    else:
        assert picked is None


def test_traffic_follows_the_weights() -> None:
    route = Route("e", (Variant("A", 3.0, ()), Variant("B", 1.0, ()), Variant("C", 0.0, ())))
    chance = random.Random(1).random
    names = [variant.name for _ in range(4000) if (variant := by_weight(route, chance()))]
    assert 2850 < names.count("A") < 3150
    assert names.count("C") == 0


def test_a_named_variant_overrides_the_weights() -> None:
    made = router(Variant("A", 1.0, (ONE,)), Variant("B", 0.0, (TWO,)), send=lambda _: OK)
    assert invoke(made, Invocation("call", "churn", b"", target_variant="B")).variant == "B"


def test_an_endpoint_whose_variants_weigh_nothing_says_so() -> None:
    with pytest.raises(ValidationError, match="weight above 0"):
        invoke(router(Variant("A", 0.0, (ONE,)), send=lambda _: OK))


def test_a_call_that_never_left_goes_once_to_another() -> None:
    tried: list[str] = []

    def send(instance: Instance) -> Answer:
        tried.append(instance.id)
        if len(tried) == 1:
            raise InstanceGone(instance.id, sent=False)
        return OK

    made = router(Variant("A", 1.0, (ONE, TWO)), send=send)
    assert invoke(made).answer == OK
    assert sorted(tried) == ["i-1", "i-2"]
    assert [gone.id for gone in made.gate.gone] == tried[:1]


def test_with_nobody_left_the_service_is_unavailable() -> None:
    made = router(Variant("A", 1.0, (ONE, TWO)), send=raising(InstanceGone("i", sent=False)))
    with pytest.raises(ServiceUnavailable):
        invoke(made)
    assert {one.id for one in made.gate.gone} == {"i-1", "i-2"}
    made.publish(RoutingTable(2, {"churn": Route("churn", (Variant("A", 1.0, (ONE,)),))}))
    assert list(made.gate.gone) == []


def test_a_call_that_was_sent_is_never_sent_again() -> None:
    tried: list[str] = []

    def send(instance: Instance) -> Answer:
        tried.append(instance.id)
        raise InstanceGone(instance.id, sent=True)

    made = router(Variant("A", 1.0, (ONE, TWO)), send=send)
    with pytest.raises(ModelError) as caught:
        invoke(made)
    assert len(tried) == 1
    assert caught.value.original_status == 0
    assert caught.value.members["ErrorCode"] == "INTERNAL_FAILURE_FROM_MODEL"


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (InvocationTimedOut("late"), 0, 'server error (0) from primary with message "Your invoc'),
        (AnswerUnreadable("long", status=200), 200, "could not load the entire response body"),
    ],
)
def test_what_the_model_does_wrong_is_a_model_error(
    error: Exception, status: int, said: str
) -> None:
    made = router(Variant("A", 1.0, (ONE,)), send=raising(error))
    with pytest.raises(ModelError) as caught:
        invoke(made)
    assert caught.value.original_status == status
    assert said in caught.value.message
    assert made.outstanding == {}
    assert made.gate.gone == ()


def test_the_least_loaded_that_lives_is_chosen() -> None:
    gate, variant = Gate(), Variant("A", 1.0, (ONE, TWO))
    gate.take(ONE)
    assert {gate.choose(variant, chance).id for chance in (0.0, 0.5, 0.99)} == {"i-2"}
    gate.take(TWO)
    gate.take(TWO)
    assert gate.choose(variant, 0.9) == ONE
    gate.lose(ONE)
    assert gate.choose(variant, 0.0) == TWO
    gate.find(ONE)
    assert gate.choose(variant, 0.0) == ONE
    assert gate.outstanding == {"i-1": 1, "i-2": 2}
    for taken in (ONE, TWO, TWO):
        gate.give_back(taken)
    assert gate.outstanding == {}


def test_chance_decides_between_equals() -> None:
    gate, variant = Gate(), Variant("A", 1.0, (ONE, TWO))
    assert [gate.choose(variant, chance).id for chance in (0.1, 0.6)] == ["i-1", "i-2"]


def test_an_instance_has_its_hands_full_at_the_bound() -> None:
    gate, variant = Gate(), Variant("A", 1.0, (ONE,))
    for _ in range(OUTSTANDING_MAX):
        assert gate.choose(variant, 0.0) == ONE
        gate.take(ONE)
    with pytest.raises(ServiceUnavailable, match="busy"):
        gate.choose(variant, 0.0)
    gate.give_back(ONE)
    assert gate.choose(variant, 0.0) == ONE


def test_a_fault_of_the_link_is_ours_and_not_the_models() -> None:
    made = router(Variant("A", 1.0, (ONE,)), send=raising(CallFailed("ValueError")))
    with pytest.raises(InternalFailure):
        invoke(made)
    assert made.outstanding == {}


def test_a_call_that_nobody_waits_for_is_withdrawn_and_told_to_nobody() -> None:
    sent, told = Sent(), list[object]()
    tell: list[Callable[[Outcome], None]] = []

    def send(instance: Instance, _: Invocation, done: Callable[[Outcome], None]) -> Cancellable:
        tell.append(done)
        return sent

    made = Router(send, lambda *_: None, random.Random(0).random, Partition("0" * 12, "eu-west-1"))
    made.publish(RoutingTable(1, {"churn": Route("churn", (Variant("A", 1.0, (ONE,)),))}))
    call = made.invoke(CALL, told.append)
    assert made.outstanding == {"i-1": 1}
    call.cancel()
    assert sent.cancelled
    assert (made.outstanding, told) == ({}, [])


def test_an_error_at_an_instance_names_the_variant() -> None:
    made = router(Variant("A", 1.0, (ONE,)), send=raising(InvocationTimedOut("late")))
    with pytest.raises(ModelError) as caught:
        invoke(made)
    assert caught.value.variant == ("churn", "A")


# ---------------------------------------------------------------- the oldest receipt in flight

PLAN = CapturePlan(1, "s3://b/p", input=True, output=True)


class Pending:
    """Takes calls and keeps them; an instance in `refuse` is gone before a frame left."""

    def __init__(self) -> None:
        self.tell: dict[str, Callable[[Outcome], None]] = {}
        self.refuse: set[str] = set()
        self.broken = False
        self.router = Router(self.send, lambda *_: None, lambda: 0.0, Partition("0" * 12, "x-y-1"))
        self.router.publish(
            RoutingTable(
                1,
                {
                    name: Route(name, (Variant("A", 1.0, (ONE, TWO)),), plan)
                    for name, plan in (("churn", PLAN), ("other", PLAN), ("plain", None))
                },
            )
        )

    def send(
        self, instance: Instance, call: Invocation, done: Callable[[Outcome], None]
    ) -> Cancellable:
        if self.broken:
            raise ZeroDivisionError
        if instance.id in self.refuse:
            raise InstanceGone("gone", sent=False)
        self.tell[call.id] = done
        return Sent()

    def invoke(self, received_ns: int, endpoint: str = "churn", name: str = "") -> Cancellable:
        call = Invocation(name or str(received_ns), endpoint, b"1", received_ns=received_ns)
        return self.router.invoke(call, lambda _: None)


def test_the_oldest_receipt_of_each_endpoint_that_captures_is_told() -> None:
    it = Pending()
    assert it.router.receipts == {}
    for at, name in ((10, "churn"), (20, "other"), (30, "churn"), (40, "plain"), (50, "other")):
        it.invoke(at, name)
    assert it.router.receipts == {"churn": 10, "other": 20}
    it.tell["10"](OK)
    it.tell["20"](OK)
    assert it.router.receipts == {"churn": 30, "other": 50}
    it.invoke(25)  # the clock was set back
    assert it.router.receipts["churn"] == 25


@pytest.mark.parametrize(
    "outcome",
    [
        OK,
        Answer(400, None, b"no"),
        InvocationTimedOut("late"),
        InstanceGone("gone", sent=True),
        AnswerUnreadable("long", status=200),
        CallFailed("ValueError"),
    ],
)
def test_a_receipt_is_told_until_the_call_has_ended(outcome: Outcome) -> None:
    it = Pending()
    it.invoke(10)
    assert it.router.receipts == {"churn": 10}
    it.tell["10"](outcome)
    assert it.router.receipts == {}


def test_a_call_that_goes_to_another_instance_is_still_in_flight() -> None:
    it = Pending()
    it.invoke(10)
    it.tell["10"](InstanceGone("gone", sent=False))
    assert it.router.receipts == {"churn": 10}
    it.tell["10"](InstanceGone("gone", sent=False))
    assert it.router.receipts == {}


def test_what_was_never_sent_or_was_withdrawn_is_in_flight_no_more() -> None:
    it = Pending()
    it.invoke(10).cancel()
    assert it.router.receipts == {}
    it.broken = True
    with pytest.raises(ZeroDivisionError):
        it.invoke(20)
    assert it.router.receipts == {}
    it.broken, it.refuse = False, {"i-1", "i-2"}
    it.invoke(30)
    with pytest.raises(ServiceUnavailable):
        it.invoke(40)  # both are known to be gone
    assert it.router.receipts == {}


def test_an_answer_leaves_in_the_turn_in_which_it_is_offered() -> None:
    """Who looks between two turns of the loop sees it here or there: it is told in one step."""
    it, seen = Pending(), list[object]()
    call = Invocation("a", "churn", b"1", received_ns=10)
    it.router.invoke(call, lambda told: seen.append((type(told), dict(it.router.receipts))))
    it.tell["a"](OK)
    assert seen == [(Exchange, {})]
