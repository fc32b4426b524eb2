"""The plan converges: whatever fails on the way, it ends with exactly what was asked for.

A small world does what `plan` says, with launches that fail, instances that die, gateways that lag
and a control that is killed between any two turns. It shares nothing with the reconciler.
"""

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from modeltap.control.endpoints import (
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
    created,
    deleted,
    plan,
    routes,
    settled,
    updated,
)
from modeltap.control.fleets import Fleet, fleet_of
from modeltap.nouns import EndpointStatus as Status

NAME = "Churn"
TURNS_MAX = 100


def fleet(fleet_id: str, counts: dict[str, int]) -> Fleet:
    variants = [
        {
            "VariantName": name,
            "ModelName": "m",
            "InitialInstanceCount": count,
            "InstanceType": "ml.m5.large",
        }
        for name, count in counts.items()
    ]
    config = {"EndpointConfigName": f"config-{fleet_id}", "ProductionVariants": variants}
    return fleet_of(fleet_id, config, {"m": {"ModelName": "m"}}, 0)


class World:
    """One endpoint and its instances; `chance` decides what goes wrong."""

    def __init__(self, endpoint: Endpoint, chance: list[bool]) -> None:
        self.endpoint: Endpoint | None = endpoint
        self.placements: dict[str, Placement] = {}
        self.chance = list(chance)
        self.serial = 0
        self.history = [endpoint.status]

    @property
    def gone(self) -> bool:
        return self.endpoint is None

    def unlucky(self) -> bool:
        return self.chance.pop(0) if self.chance else False

    def turn(self) -> list[Action]:
        if self.unlucky():
            self.control_is_killed()
        if self.unlucky():
            self.an_instance_dies()
        self.check_traffic()
        view = View(followed=not self.unlucky(), drained=self.drained())
        actions = plan(self.endpoint, self.placements.values(), view)
        for action in actions:
            self.carry_out(action)
        return actions

    def control_is_killed(self) -> None:
        """A new control finds the instances that run, and nothing else."""
        self.placements = {
            each.id: replace(each, phase=Phase.RUNNING)
            for each in self.placements.values()
            if each.phase in (Phase.RUNNING, Phase.LEAVING)
        }

    def an_instance_dies(self) -> None:
        running = [each for each in self.placements.values() if each.phase is Phase.RUNNING]
        if running:
            del self.placements[running[0].id]

    def drained(self) -> frozenset[str]:
        leaving = (each for each in self.placements.values() if each.phase is Phase.LEAVING)
        return frozenset(each.id for each in leaving if not self.unlucky())

    def check_traffic(self) -> None:
        """Traffic goes to one whole fleet, and only to instances that run."""
        endpoints = [] if self.endpoint is None else [self.endpoint]
        for route in routes(endpoints, self.placements.values()).values():
            assert self.endpoint is not None
            fleets = {
                self.placements[instance.id].slot.fleet
                for variant in route.variants
                for instance in variant.instances
            }
            assert len(fleets) <= 1
            phases = {
                self.placements[instance.id].phase
                for variant in route.variants
                for instance in variant.instances
            }
            assert phases <= {Phase.RUNNING}

    def carry_out(self, action: Action) -> None:
        match action:
            case Launch(slot):
                self.serial += 1
                self.launch(f"i-{self.serial:03}", slot)
            case Retire(placement_id):
                self.move(placement_id, Phase.LEAVING)
            case Stop(placement_id):
                del self.placements[placement_id]
            case Settle():
                assert self.endpoint is not None
                self.endpoint = settled(self.endpoint, action)
                self.history.append(self.endpoint.status)
            case Forget():
                self.endpoint = None

    def launch(self, placement_id: str, slot: Slot) -> None:
        failed = self.unlucky()
        self.placements[placement_id] = Placement(
            placement_id,
            slot,
            Phase.RESTING if failed else Phase.RUNNING,
            address="" if failed else f"unix:/{placement_id}",
            failure="it did not load" if failed else None,
        )

    def move(self, placement_id: str, phase: Phase) -> None:
        self.placements[placement_id] = replace(self.placements[placement_id], phase=phase)

    def settle_down(self) -> None:
        """Turn until there is nothing to do; what rests, ends its rest."""
        for _ in range(TURNS_MAX):
            lucky = not self.chance
            actions = self.turn()
            resting = [e.id for e in self.placements.values() if e.phase is Phase.RESTING]
            if lucky and not actions and not resting:
                return
            for placement_id in resting if not actions else ():
                del self.placements[placement_id]
        raise AssertionError("the plan did not converge")

    def standing(self) -> Counter[Slot]:
        assert {each.phase for each in self.placements.values()} <= {Phase.RUNNING}
        return Counter(each.slot for each in self.placements.values())


def slots(wanted: Fleet) -> Counter[Slot]:
    return Counter({Slot(NAME, wanted.id, n): share.count for n, share in wanted.shares.items()})


COUNTS = st.dictionaries(st.sampled_from("ab"), st.integers(1, 3), min_size=1)
CHANCE = st.lists(st.booleans(), max_size=40)


@given(COUNTS, CHANCE)
@settings(deadline=None)
def test_a_creation_ends_in_service_complete_or_failed_empty(
    counts: dict[str, int], chance: list[bool]
) -> None:
    wanted = fleet("one", counts)
    world = World(created(NAME, wanted), chance)
    world.settle_down()
    assert world.endpoint is not None
    if world.endpoint.status is Status.IN_SERVICE:
        assert world.standing() == slots(wanted)
        assert world.endpoint.serving == wanted
    else:
        assert world.endpoint.status is Status.FAILED
        assert world.endpoint.failure == "it did not load"
        assert world.standing() == Counter()


@given(COUNTS, COUNTS, CHANCE)
@settings(deadline=None)
def test_an_update_ends_with_one_whole_fleet_new_or_old(
    before: dict[str, int], after: dict[str, int], chance: list[bool]
) -> None:
    old, new = fleet("old", before), fleet("new", after)
    world = World(created(NAME, old), [])
    world.settle_down()
    assert world.endpoint is not None
    world.endpoint = updated(world.endpoint, new)
    world.chance = list(chance)
    world.settle_down()
    assert world.endpoint.status is Status.IN_SERVICE
    failed = Status.ROLLING_BACK in world.history
    assert world.endpoint.serving == (old if failed else new)
    assert world.endpoint.failure == ("it did not load" if failed else None)
    assert world.standing() == slots(old if failed else new)


@given(COUNTS, COUNTS)
@settings(deadline=None)
def test_a_rescaled_fleet_keeps_the_instances_that_it_has(
    before: dict[str, int], after: dict[str, int]
) -> None:
    old = fleet("same", before)
    world = World(created(NAME, old), [])
    world.settle_down()
    kept = set(world.placements)
    rescaled = replace(old, shares={**old.shares, **fleet("same", after).shares})
    assert world.endpoint is not None
    world.endpoint = updated(world.endpoint, rescaled)
    world.settle_down()
    assert world.standing() == slots(rescaled)
    gone = kept - set(world.placements)
    assert (slots(old) - slots(rescaled)).total() == len(gone)


@given(COUNTS, CHANCE)
@settings(deadline=None)
def test_a_deleted_endpoint_leaves_nothing(counts: dict[str, int], chance: list[bool]) -> None:
    world = World(created(NAME, fleet("one", counts)), [])
    world.settle_down()
    assert world.endpoint is not None
    world.endpoint = deleted(world.endpoint)
    assert routes([world.endpoint], world.placements.values()) == {}
    world.chance = list(chance)
    world.settle_down()
    assert (world.gone, world.placements) == (True, {})


@given(COUNTS, CHANCE)
@settings(deadline=None)
def test_instances_without_an_endpoint_are_ended(
    counts: dict[str, int], chance: list[bool]
) -> None:
    world = World(created(NAME, fleet("one", counts)), [])
    world.settle_down()
    world.endpoint = None
    world.chance = list(chance)
    world.settle_down()
    assert world.placements == {}
