"""An endpoint, and the plan from what is to what was asked. Pure: values in, values out.

`serving` is the fleet that takes traffic, `next` the one being built beside it. The loop in
`reconcile.py` reads endpoints from `state` and placements from the launcher, asks `plan` for what
to do now, does it, and asks again, until there is nothing to do. Nothing is remembered between
two plans but endpoints and placements, so a loop that was killed anywhere and begins again with
the placements that it finds comes to the same end.

The life of a placement: starting → running → leaving → stopping → gone; or starting → resting →
gone, where an instance that did not start, or died young, rests for a while, so that it is not
tried again at once. While it rests it holds its place.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from modeltap.capture.plan import plan_of
from modeltap.control.fleets import Fleet, fleet_document, fleet_from
from modeltap.control.lifecycle import FIRST, Event, step
from modeltap.nouns import Document, EndpointStatus, Instance, Route, Variant
from modeltap.state.store import Resource

KIND = "endpoint"
"""The kind of the resources that are endpoints."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    name: str
    status: EndpointStatus
    serving: Fleet | None = None
    next: Fleet | None = None
    failure: str | None = None  # the `FailureReason` of the last build, if it failed


# ---------------------------------------------------------------- what happens to an endpoint


def created(name: str, fleet: Fleet) -> Endpoint:
    return Endpoint(name, FIRST, next=fleet)


def updated(endpoint: Endpoint, fleet: Fleet) -> Endpoint:
    """Ask for another fleet. Raise `IllegalStep` unless in service."""
    status = step(endpoint.status, Event.UPDATE)
    return replace(endpoint, status=status, next=fleet, failure=None)


def deleted(endpoint: Endpoint) -> Endpoint:
    """Ask for its end. Raise `IllegalStep` while another change is in progress."""
    return replace(endpoint, status=step(endpoint.status, Event.DELETE))


def settled(endpoint: Endpoint, settle: "Settle") -> Endpoint:
    """Let a build end, well or not."""
    after = replace(endpoint, status=step(endpoint.status, settle.event), next=None)
    if settle.event is Event.BUILT:
        return replace(after, serving=endpoint.next)
    return replace(after, failure=settle.reason or endpoint.failure)


# ---------------------------------------------------------------- what is


class Phase(StrEnum):
    RUNNING = "running"
    STARTING = "starting"
    RESTING = "resting"  # it did not start, or died young
    LEAVING = "leaving"  # out of the routing table, waiting for its last calls
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Slot:
    """Where in which fleet an instance belongs."""

    endpoint: str
    fleet: str
    variant: str


@dataclass(frozen=True, slots=True)
class Placement:
    """One instance, or the attempt to have one, at its slot. `address` is set once it runs."""

    id: str
    slot: Slot
    phase: Phase
    address: str = ""
    failure: str | None = None  # why it rests


@dataclass(frozen=True, slots=True)
class View:
    """What the gateways say of the routing table that was written last."""

    followed: bool  # every live gateway serves it
    drained: frozenset[str] = frozenset()  # placements outside it without a call in flight


# ---------------------------------------------------------------- what to do


@dataclass(frozen=True, slots=True)
class Launch:
    """Start one instance."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class Retire:
    """Take an instance out of the routing table, so that it drains."""

    id: str


@dataclass(frozen=True, slots=True)
class Stop:
    """End an instance that has drained, or forget an attempt."""

    id: str


@dataclass(frozen=True, slots=True)
class Settle:
    """Let the endpoint take its next status."""

    event: Event
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove the endpoint: nothing of it runs any more."""


Action = Launch | Retire | Stop | Settle | Forget

_GOING = (Phase.LEAVING, Phase.STOPPING)

_PRECEDENCE = {phase: rank for rank, phase in enumerate(Phase)}
"""Who keeps its place where there are more than wanted: those that run."""


def plan(endpoint: Endpoint | None, placements: Iterable[Placement], view: View) -> list[Action]:
    """Say what to do now for one endpoint, or for what is left of one that is gone."""
    mine = sorted(placements, key=lambda each: (_PRECEDENCE[each.phase], each.id))
    wanted = Counter[Slot]() if endpoint is None else wanted_by(endpoint)
    actions: list[Action] = [*_launches(wanted, mine), *_removals(wanted, mine, view)]
    if endpoint is not None:
        actions += _conclusion(endpoint, mine, view)
    return actions


def wanted_by(endpoint: Endpoint) -> Counter[Slot]:
    """Count the instances that should stand at each slot, the next fleet's beside the serving."""
    wanted = Counter[Slot]()
    if endpoint.status not in (EndpointStatus.FAILED, EndpointStatus.DELETING):
        wanted |= _slots(endpoint.name, endpoint.serving)
        wanted |= _slots(endpoint.name, endpoint.next)
    return wanted


def _slots(endpoint: str, fleet: Fleet | None) -> Counter[Slot]:
    if fleet is None:
        return Counter()
    slots = {Slot(endpoint, fleet.id, name): share.count for name, share in fleet.shares.items()}
    return Counter(slots)


def _launches(wanted: Counter[Slot], placements: list[Placement]) -> Iterator[Launch]:
    held = Counter(each.slot for each in placements if each.phase not in _GOING)
    for slot, count in (wanted - held).items():
        yield from [Launch(slot)] * count


def _removals(
    wanted: Counter[Slot], placements: list[Placement], view: View
) -> Iterator[Retire | Stop]:
    """Let go what stands beyond the count; an attempt in flight is judged when it has ended."""
    room = Counter(wanted)
    for placement in placements:
        if placement.phase in _GOING:
            if placement.phase is Phase.LEAVING and placement.id in view.drained:
                yield Stop(placement.id)
        elif room[placement.slot] > 0:
            room[placement.slot] -= 1
        elif placement.phase is Phase.RUNNING:
            yield Retire(placement.id)
        elif placement.phase is Phase.RESTING:
            yield Stop(placement.id)


def _conclusion(
    endpoint: Endpoint, placements: list[Placement], view: View
) -> Iterator[Settle | Forget]:
    match endpoint.status:
        case EndpointStatus.CREATING | EndpointStatus.UPDATING:
            reason = _failure(endpoint, placements)
            if reason is not None:
                yield Settle(Event.BUILD_FAILED, reason)
            elif view.followed and _complete(endpoint.name, endpoint.next, placements):
                yield Settle(Event.BUILT)
        case EndpointStatus.ROLLING_BACK:
            if view.followed and _alone(endpoint, placements):
                yield Settle(Event.RESTORED)
        case EndpointStatus.DELETING:
            if not _standing(placements):
                yield Forget()


def _failure(endpoint: Endpoint, placements: list[Placement]) -> str | None:
    slots = _slots(endpoint.name, endpoint.next)
    reasons = (each.failure for each in placements if each.slot in slots)
    return next((reason for reason in reasons if reason is not None), None)


def _complete(endpoint: str, fleet: Fleet | None, placements: Iterable[Placement]) -> bool:
    running = Counter(each.slot for each in placements if each.phase is Phase.RUNNING)
    return fleet is not None and _slots(endpoint, fleet) <= running


def _alone(endpoint: Endpoint, placements: list[Placement]) -> bool:
    """Tell whether nothing stands but the serving fleet.

    It need not be complete, as it need not be in service: an endpoint that waited here for an
    instance that cannot start could neither be updated nor deleted.
    """
    standing = Counter(each.slot for each in _standing(placements))
    return standing <= _slots(endpoint.name, endpoint.serving)


def _standing(placements: list[Placement]) -> list[Placement]:
    return [each for each in placements if each.phase in (Phase.RUNNING, *_GOING)]


# ---------------------------------------------------------------- routes


def routes(endpoints: Iterable[Endpoint], placements: Iterable[Placement]) -> dict[str, Route]:
    """Say where the traffic goes: to the next fleet once it is complete, until then as before.

    An endpoint in service whose instances are all starting again keeps its route, without
    instances: it is not there for now, rather than unknown.
    """
    running: dict[Slot, list[Instance]] = defaultdict(list)
    everyone = list(placements)
    for each in sorted(everyone, key=lambda placement: placement.id):
        if each.phase is Phase.RUNNING:
            running[each.slot].append(Instance(each.id, each.address))
    table = {}
    for endpoint in endpoints:
        fleet = _routed(endpoint, everyone)
        if fleet is not None:
            table[endpoint.name] = _route(endpoint.name, fleet, running)
    return table


def _routed(endpoint: Endpoint, placements: list[Placement]) -> Fleet | None:
    if endpoint.status in (EndpointStatus.FAILED, EndpointStatus.DELETING):
        return None
    complete = _complete(endpoint.name, endpoint.next, placements)
    return endpoint.next if complete else endpoint.serving


def _route(name: str, fleet: Fleet, running: Mapping[Slot, list[Instance]]) -> Route:
    variants = tuple(
        Variant(variant, share.weight, tuple(running.get(Slot(name, fleet.id, variant), ())))
        for variant, share in fleet.shares.items()
    )
    return Route(name, variants, plan_of(fleet.config.get("DataCaptureConfig"), fleet.durability))


# ---------------------------------------------------------------- as a resource in `state`


def endpoint_of(resource: Resource) -> Endpoint:
    status = resource.status
    return Endpoint(
        name=resource.name,
        status=EndpointStatus(status["EndpointStatus"]),
        serving=fleet_from(status["Serving"]) if status.get("Serving") else None,
        next=fleet_from(status["Next"]) if status.get("Next") else None,
        failure=status.get("FailureReason"),
    )


def status_document(endpoint: Endpoint) -> Document:
    return {
        "EndpointStatus": endpoint.status.value,
        "FailureReason": endpoint.failure,
        "Serving": fleet_document(endpoint.serving) if endpoint.serving else None,
        "Next": fleet_document(endpoint.next) if endpoint.next else None,
    }
