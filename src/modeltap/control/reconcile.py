"""The loop that makes what was asked for so.

A turn reads the endpoints from `state` and the placements from the launcher, writes the routing
table that follows from them, hears the gateways, and does what `endpoints.plan` says. It is woken
by each write of the API, by each launch and stop that ends, and once a second.

Nothing slow happens in a turn: launches and stops run as coroutines of their own, started by the
`spawn` that house gives, one for each instance; so a slow build holds up neither another endpoint
nor the replacement of an instance that died. What they report is a placement's phase.

Killed anywhere and begun again, it ends the same: wishes and statuses are in `state`, instances are
adopted, the table is computed anew. A status is written only over the version it was planned from.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from modeltap.clock import Clock
from modeltap.control.endpoints import (
    KIND,
    Action,
    Endpoint,
    Forget,
    Launch,
    Phase,
    Placement,
    Retire,
    Settle,
    Slot,
    Stop,
    View,
    endpoint_of,
    plan,
    routes,
    settled,
    status_document,
)
from modeltap.control.fleets import Fleet
from modeltap.control.launching import Launching, berth_of
from modeltap.control.publish import GatewayView, Publisher
from modeltap.control.watch import Spawn, Watch
from modeltap.errors import LaunchFailed, StaleVersion, StateUnusable
from modeltap.hosting.launcher import Launcher
from modeltap.logbook import Logbook
from modeltap.state.store import Resource, Store
from modeltap.telemetry import Event, emit

TURN_SECONDS = 1.0
YOUNG_SECONDS = 10.0
"""An instance that dies younger than this rests before it is replaced."""
REST_SECONDS_MAX = 30.0
REASON_CHARS_MAX = 1024  # botocore: `FailureReason`


@dataclass(frozen=True, slots=True)
class EndpointTurned(Event):
    """An endpoint took another status."""

    endpoint: str
    status: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class InstanceDied(Event):
    level: ClassVar[int] = logging.WARNING

    endpoint: str
    variant: str
    instance: str


@dataclass(frozen=True, slots=True)
class InstanceHung(Event):
    """An instance lives, but answered no ping for too long (`watch`); it is replaced."""

    level: ClassVar[int] = logging.WARNING

    endpoint: str
    variant: str
    instance: str


@dataclass(frozen=True, slots=True)
class TurnFailed(Event):
    """The state database or the disk could not be used; the next turn tries again."""

    level: ClassVar[int] = logging.ERROR

    reason: str


@dataclass(frozen=True, slots=True)
class LogsUntrimmed(Event):
    """The logs may grow over their bounds; the next second tries again."""

    level: ClassVar[int] = logging.WARNING

    reason: str


class Reconciler:
    """Control's mind. `run` it as one task; everything else is for those that watch."""

    def __init__(
        self,
        store: Store,
        launcher: Launcher,
        launching: Launching,
        publisher: Publisher,
        logbook: Logbook,
        clock: Clock,
        spawn: Spawn,
        *,
        invocation_seconds_max: float,
    ) -> None:
        self._store = store
        self._launcher = launcher
        self._launching = launching
        self._publisher = publisher
        self._logbook = logbook
        self._clock = clock
        self._spawn = spawn
        self._invocation_seconds_max = invocation_seconds_max
        self._placements: dict[str, Placement] = {}
        self._since: dict[str, float] = {}  # when a placement took its phase
        self._failures = Counter[Slot]()  # in a row
        self._woken = asyncio.Event()
        self._watch = Watch(launcher, clock, spawn, invocation_seconds_max=invocation_seconds_max)

    def wake(self) -> None:
        """Have the next turn begin at once; to be called on the loop."""
        self._woken.set()

    async def run(self) -> None:
        """Adopt what runs, then turn for ever."""
        await self.adopt()
        self._spawn(self._beat())
        while True:
            try:
                if await self.turn():
                    self.wake()
            except (StateUnusable, OSError) as error:
                emit(TurnFailed(str(error)))
            await self._woken.wait()

    async def _beat(self) -> None:
        while True:
            self.wake()
            try:
                await asyncio.to_thread(self._logbook.keep, self._clock.now_ns())
            except OSError as error:
                emit(LogsUntrimmed(str(error)))
            await self._clock.sleep(TURN_SECONDS)

    async def adopt(self) -> None:
        """Take over the instances that an earlier control left running."""
        for each in await self._launcher.adopt():
            slot = Slot(each.endpoint, each.fleet, each.variant)
            instance = each.instance
            self._place(Placement(instance.id, slot, Phase.RUNNING, instance.address))

    async def turn(self) -> bool:
        """Look, plan and act once; tell whether there was anything to do.

        Raise `StateUnusable`.
        """
        self._woken.clear()
        resources = await asyncio.to_thread(self._store.every, KIND)
        endpoints = {resource.name: endpoint_of(resource) for resource in resources}
        await self._tidy(endpoints.values())
        self._bury()
        placements = tuple(self._placements.values())  # what the table is written from
        await asyncio.to_thread(self._publisher.write, routes(endpoints.values(), placements))
        view = self._view(await self._publisher.survey())
        acted = False
        for name, resource in _subjects(resources, placements).items():
            endpoint = endpoints.get(name)
            mine = [each for each in placements if each.slot.endpoint == name]
            for action in plan(endpoint, mine, view):
                await self._carry_out(action, endpoint, resource)
                acted = True
        return self._end_rests(placements) or acted

    async def _tidy(self, endpoints: Iterable[Endpoint]) -> None:
        """Forget what was kept for fleets that are no more."""
        fleets = {
            fleet.id
            for endpoint in endpoints
            for fleet in (endpoint.serving, endpoint.next)
            if fleet is not None
        }
        for slot in [slot for slot in self._failures if slot.fleet not in fleets]:
            del self._failures[slot]
        await asyncio.to_thread(self._launching.forget_all_but, fleets)

    # ------------------------------------------------------------ what is

    def _bury(self) -> None:
        running = [each for each in self._placements.values() if each.phase is Phase.RUNNING]
        for each in running:
            slot = each.slot
            if not self._launcher.alive(each.id):
                emit(InstanceDied(slot.endpoint, slot.variant, each.id))
                self._lost(each)
            elif self._watch.hangs(each.id):
                emit(InstanceHung(slot.endpoint, slot.variant, each.id))
                self._lost(each)
        self._watch.look(each.id for each in running if each.id in self._placements)

    def _end_rests(self, planned: Iterable[Placement]) -> bool:
        """Free the places of those who rested enough, once a plan has seen why they rest."""
        rested = [
            each.id
            for each in planned
            if each.phase is Phase.RESTING
            and each.id in self._placements
            and self._age(each) >= self._rest_seconds(each.slot)
        ]
        for placement_id in rested:
            self._remove(placement_id)
        return bool(rested)

    def _lost(self, placement: Placement) -> None:
        slot = placement.slot
        young = self._age(placement) < YOUNG_SECONDS
        self._spawn(self._launcher.stop(placement.id))  # clear away what it left
        self._remove(placement.id)
        if not young:
            del self._failures[slot]
        else:
            self._rest(
                replace(placement, id=self._new_id()),
                f"The primary container for production variant {slot.variant} died right after "
                f"it had started. See: modeltap logs {slot.endpoint}",
            )

    def _rest(self, placement: Placement, failure: str) -> None:
        self._failures[placement.slot] += 1
        failure = failure[:REASON_CHARS_MAX]
        self._place(replace(placement, phase=Phase.RESTING, address="", failure=failure))

    def _rest_seconds(self, slot: Slot) -> float:
        return min(REST_SECONDS_MAX, 2.0 ** (self._failures[slot] - 1))

    def _view(self, gateways: list[GatewayView]) -> View:
        generation = self._publisher.written.generation
        followed = all(gateway.generation >= generation for gateway in gateways)
        busy = {
            instance
            for gateway in gateways
            for instance, calls in gateway.outstanding.items()
            if calls
        }
        drained = frozenset(
            each.id
            for each in self._placements.values()
            if each.phase is Phase.LEAVING
            and ((followed and each.id not in busy) or self._waited_enough(each))
        )
        return View(followed, drained)

    def _waited_enough(self, placement: Placement) -> bool:
        return self._age(placement) >= self._invocation_seconds_max

    def _place(self, placement: Placement) -> None:
        self._placements[placement.id] = placement
        self._since[placement.id] = self._clock.monotonic()

    def _remove(self, placement_id: str) -> None:
        del self._placements[placement_id]
        del self._since[placement_id]

    def _age(self, placement: Placement) -> float:
        return self._clock.monotonic() - self._since[placement.id]

    def _new_id(self) -> str:
        return f"i-{self._clock.uuid4().replace('-', '')[:17]}"

    # ------------------------------------------------------------ what to do

    async def _carry_out(
        self, action: Action, endpoint: Endpoint | None, resource: Resource | None
    ) -> None:
        match action:
            case Launch(slot):
                assert endpoint is not None
                self._start(slot, endpoint)
            case Retire(placement_id):
                self._place(replace(self._placements[placement_id], phase=Phase.LEAVING))
            case Stop(placement_id):
                self._stop(self._placements[placement_id])
            case Settle():
                assert endpoint is not None and resource is not None
                await self._settle(resource, settled(endpoint, action))
            case Forget():
                assert resource is not None
                await asyncio.to_thread(self._store.delete, KIND, resource.name)

    def _start(self, slot: Slot, endpoint: Endpoint) -> None:
        fleets = (endpoint.serving, endpoint.next)
        fleet = next(each for each in fleets if each is not None and each.id == slot.fleet)
        placement = Placement(self._new_id(), slot, Phase.STARTING)
        self._place(placement)
        self._spawn(self._launch(placement, fleet))

    async def _launch(self, placement: Placement, fleet: Fleet) -> None:
        slot = placement.slot
        try:
            berth = berth_of(placement.id, slot.endpoint, fleet, slot.variant)
            instance = await self._launching.launch(berth)
        except LaunchFailed as error:
            self._rest(placement, str(error))
        else:
            self._place(replace(placement, phase=Phase.RUNNING, address=instance.address))
        self.wake()

    def _stop(self, placement: Placement) -> None:
        if placement.phase is Phase.RESTING:
            self._remove(placement.id)
        else:
            self._place(replace(placement, phase=Phase.STOPPING))
            self._spawn(self._end(placement.id))

    async def _end(self, placement_id: str) -> None:
        await self._launcher.stop(placement_id)
        self._remove(placement_id)
        self.wake()

    async def _settle(self, resource: Resource, endpoint: Endpoint) -> None:
        now = self._clock.now_ns()
        try:
            await asyncio.to_thread(
                self._store.put_status, resource, status_document(endpoint), now
            )
        except StaleVersion:
            return  # another write came between: the next turn plans from it
        emit(EndpointTurned(endpoint.name, endpoint.status, endpoint.failure))


def _subjects(
    resources: Iterable[Resource], placements: Iterable[Placement]
) -> dict[str, Resource | None]:
    """Give all endpoints, and the names of those of which only instances are left."""
    left = {each.slot.endpoint: None for each in placements}
    return {**left, **{resource.name: resource for resource in resources}}
