"""The loop, over real processes, a real database, real files and real sockets."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from control_workshop import BROKEN, GOOD, IMAGE, Control, Home, gateway, ids

from modeltap.nouns import EndpointStatus as Status
from modeltap.nouns import endpoint_log_group

OTHER_IMAGE = IMAGE.replace("3.0-5", "1.7-1")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    made.close()


def live(test: Callable[[Home], Coroutine[Any, Any, None]]) -> Callable[[Home], None]:
    """Run a test on an event loop."""

    def run(home: Home) -> None:
        asyncio.run(test(home))

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run


async def serving(home: Home, **counts: int) -> Control:
    """Bring the endpoint `Live` into service."""
    control = Control(home)
    home.create("Live", home.fleet(GOOD, IMAGE, **counts))
    await control.turns()
    assert home.endpoint("Live").status is Status.IN_SERVICE
    return control


@live
async def test_an_endpoint_comes_into_service_with_all_its_instances(home: Home) -> None:
    await serving(home, a=2, b=1)
    routed = home.routed("Live")
    assert {name: len(instances) for name, instances in routed.items()} == {"a": 2, "b": 1}
    assert ids(routed) == set(home.launcher.instances())
    order = home.launcher.launched[0]
    assert (order.image.version, order.startup_seconds_max) == ("3.0.5", 30.0)
    lines = [line.text for line in home.logbook.lines(endpoint_log_group("Live"))]
    assert "building sagemaker-xgboost:3.0-5" in lines


@live
async def test_a_rest_changes_nothing(home: Home) -> None:
    control = await serving(home)
    generation = home.table.generation
    assert not await control.reconciler.turn()
    assert home.table.generation == generation


@live
async def test_in_service_waits_for_every_live_gateway(home: Home) -> None:
    (home.folder / "gateways" / "dead.sock").touch()
    async with gateway(home, "0") as quick, gateway(home, "1") as slow:
        slow.lagging = True
        control = Control(home)
        home.create("Live", home.fleet())
        await control.turns()
        assert home.endpoint("Live").status is Status.CREATING
        assert ids(home.routed("Live")) == set(home.launcher.instances())
        slow.lagging = False
        await control.turns()
        assert home.endpoint("Live").status is Status.IN_SERVICE
        assert quick.outstanding == {}


@live
async def test_an_update_drains_the_old_instances_before_it_stops_them(home: Home) -> None:
    async with gateway(home) as busy:
        control = await serving(home, a=1)
        (old,) = home.launcher.instances()
        busy.outstanding = {old: 3}
        home.update("Live", home.fleet(a=1))
        await control.turns()
        assert home.endpoint("Live").status is Status.IN_SERVICE
        assert old in home.launcher.instances() and old not in ids(home.routed("Live"))
        busy.outstanding = {old: 0}
        await control.turns()
        assert set(home.launcher.instances()) == ids(home.routed("Live")) != {old}


@live
async def test_a_drain_ends_with_the_invocation_limit(home: Home) -> None:
    async with gateway(home) as busy:
        control = await serving(home)
        (old,) = home.launcher.instances()
        busy.outstanding = {old: 1}
        home.update("Live", home.fleet())
        await control.turns()
        home.clock.advance(59)
        await control.turns()
        assert old in home.launcher.instances()
        home.clock.advance(1)
        await control.turns()
        assert old not in home.launcher.instances()


@live
async def test_a_failed_creation_says_why_and_leaves_nothing(home: Home) -> None:
    control = Control(home)
    home.create("Live", home.fleet(BROKEN, a=2))
    await control.turns()
    endpoint = home.endpoint("Live")
    assert (endpoint.status, endpoint.failure) == (Status.FAILED, "The model of a is broken.")
    assert home.launcher.instances() == []
    assert home.table.routes == {}
    lines = [line.text for line in home.logbook.lines(endpoint_log_group("Live"))]
    assert "The model of a is broken." in lines
    home.delete("Live")
    await control.turns()
    assert home.store.get("endpoint", "Live") is None


@live
async def test_a_missing_archive_and_an_unknown_image_are_named(home: Home) -> None:
    control = Control(home)
    home.create("NoArchive", home.fleet())
    home.bucket.objects.clear()
    home.create("NoImage", home.fleet(GOOD, "someone/sagemaker-something:9"))
    await control.turns()
    missing, unknown = home.endpoint("NoArchive"), home.endpoint("NoImage")
    assert missing.status is unknown.status is Status.FAILED
    assert str(missing.failure).startswith("Could not find model data at s3://bucket/")
    assert "sagemaker-xgboost:1.7-1" in str(unknown.failure)


@live
async def test_a_failed_update_goes_back_to_the_old_fleet_untouched(home: Home) -> None:
    control = await serving(home, a=2)
    before = home.endpoint("Live").serving
    instances = home.launcher.instances()
    home.update("Live", home.fleet(BROKEN, a=1))
    await control.turns()
    endpoint = home.endpoint("Live")
    assert (endpoint.status, endpoint.serving) == (Status.IN_SERVICE, before)
    assert endpoint.failure == "The model of a is broken."
    assert home.launcher.instances() == instances
    assert ids(home.routed("Live")) == set(instances)


@live
async def test_a_rollback_ends_also_where_the_old_fleet_cannot_start_again(home: Home) -> None:
    """Else the endpoint could never be deleted."""
    control = await serving(home)
    (old,) = home.launcher.instances()
    (kept,) = (home.folder / "artifacts").iterdir()
    kept.write_bytes(BROKEN)
    home.clock.advance(11)
    home.launcher.kill(old)
    home.update("Live", home.fleet(BROKEN))
    await control.turns()
    assert home.endpoint("Live").status is Status.IN_SERVICE
    home.delete("Live")
    await control.turns()
    assert home.store.get("endpoint", "Live") is None


@live
async def test_a_dead_instance_is_replaced_by_the_same_model(home: Home) -> None:
    """Also with the object gone since: the archive is kept with the fleet."""
    control = await serving(home, a=2)
    home.bucket.objects.clear()
    home.clock.advance(11)
    first, second = home.launcher.instances()
    home.launcher.kill(first)
    await control.turns()
    now = set(home.launcher.instances())
    assert (len(now), first in now, second in now) == (2, False, True)
    assert ids(home.routed("Live")) == now
    assert home.endpoint("Live").status is Status.IN_SERVICE


@live
async def test_an_instance_that_dies_young_again_and_again_rests_longer(home: Home) -> None:
    control = await serving(home)
    for rest in (1.0, 2.0, 4.0):
        (instance,) = home.launcher.instances()
        home.launcher.kill(instance)
        await control.turns()
        home.clock.advance(rest - 0.01)
        await control.turns()
        assert home.launcher.instances() == []
        assert home.routed("Live") == {"AllTraffic": []}
        home.clock.advance(0.01)
        await control.turns()
        assert len(home.launcher.instances()) == 1


@live
async def test_an_instance_that_hangs_is_replaced_and_a_busy_one_is_not(home: Home) -> None:
    """It has twice the invocation limit of 60 s, counted from its last answer."""

    async def silent(seconds: int) -> None:
        home.launcher.silent.add(hung)
        for _ in range(seconds):
            home.clock.advance(1)
            await control.turns()
        home.launcher.silent.clear()

    control = await serving(home, a=2)
    hung, fine = home.launcher.instances()
    for _ in range(2):
        await silent(110)
        home.clock.advance(5)
        await control.turns()
    assert home.launcher.instances() == [hung, fine]
    await silent(126)
    assert len(home.launcher.instances()) == 2
    assert hung not in home.launcher.instances() and fine in home.launcher.instances()
    assert ids(home.routed("Live")) == set(home.launcher.instances())
    assert home.endpoint("Live").status is Status.IN_SERVICE


@live
async def test_a_new_control_adopts_what_runs(home: Home) -> None:
    await (await serving(home, a=2)).die()
    instances, generation = home.launcher.instances(), home.table.generation
    control = Control(home)
    await control.reconciler.adopt()
    await control.turns()
    assert home.launcher.instances() == instances
    assert home.table.generation == generation


@live
async def test_after_a_restart_everything_is_started_again(home: Home) -> None:
    await (await serving(home, a=2)).die()
    generation = home.table.generation
    for instance in home.launcher.instances():
        await home.launcher.stop(instance)
    control = Control(home)
    await control.reconciler.adopt()
    await control.turns()
    assert len(home.launcher.instances()) == 2
    assert ids(home.routed("Live")) == set(home.launcher.instances())
    assert home.table.generation > generation
    assert home.endpoint("Live").status is Status.IN_SERVICE


@live
async def test_killed_at_any_turn_it_comes_to_the_same_end(home: Home) -> None:
    control = await serving(home, a=1)
    for turns in range(8):
        fleet = home.fleet(a=2)
        home.update("Live", fleet)
        for _ in range(turns):
            await control.reconciler.turn()
            await asyncio.sleep(0)
        await control.die()
        control = Control(home)
        await control.reconciler.adopt()
        await control.turns()
        endpoint = home.endpoint("Live")
        assert (endpoint.status, endpoint.serving) == (Status.IN_SERVICE, fleet)
        assert ids(home.routed("Live")) == set(home.launcher.instances())
        assert len(home.launcher.instances()) == 2


@live
async def test_a_deleted_endpoint_leaves_nothing(home: Home) -> None:
    control = await serving(home, a=2)
    home.delete("Live")
    await control.turns()
    assert home.launcher.instances() == []
    assert home.table.routes == {}
    assert home.store.get("endpoint", "Live") is None
    assert list((home.folder / "artifacts").iterdir()) == []


@live
async def test_a_name_used_again_is_another_endpoint(home: Home) -> None:
    """An instance left of the endpoint of yesterday is never taken for one of today's."""
    control = await serving(home)
    (old,) = home.launcher.instances()
    await control.die()
    home.store.delete("endpoint", "Live")
    home.create("Live", home.fleet())
    control = Control(home)
    await control.reconciler.adopt()
    await control.turns()
    assert old not in home.launcher.instances()
    assert ids(home.routed("Live")) == set(home.launcher.instances())


@live
async def test_a_slow_build_holds_up_nobody_else(home: Home) -> None:
    control = Control(home)
    control.building["sagemaker-xgboost:1.7-1"] = asyncio.Event()
    home.create("Slow", home.fleet(GOOD, OTHER_IMAGE))
    home.create("Quick", home.fleet())
    while home.endpoint("Quick").status is Status.CREATING:
        await control.turns(waiting=False)
        await asyncio.sleep(0)
    assert home.endpoint("Slow").status is Status.CREATING
    home.delete("Quick")
    control.building["sagemaker-xgboost:1.7-1"].set()
    await control.turns()
    assert home.endpoint("Slow").status is Status.IN_SERVICE


@live
async def test_a_store_that_is_still_starting_is_waited_for(home: Home) -> None:
    control = Control(home)
    home.bucket.away = True
    home.create("Live", home.fleet())
    await control.turns(waiting=False)
    for _ in range(5):
        await asyncio.sleep(0)
        home.clock.advance(1)
    home.bucket.away = False
    while control.tasks:
        home.clock.advance(1)
        await asyncio.sleep(0)
    await control.turns()
    assert home.endpoint("Live").status is Status.IN_SERVICE


@live
async def test_a_store_that_stays_away_fails_the_creation(home: Home) -> None:
    control = Control(home)
    home.bucket.away = True
    home.create("Live", home.fleet())
    await control.turns(waiting=False)
    while control.tasks:
        home.clock.advance(1)
        await asyncio.sleep(0)
    await control.turns()
    endpoint = home.endpoint("Live")
    assert endpoint.status is Status.FAILED
    assert "Could not fetch model data at s3://bucket/" in str(endpoint.failure)


@live
async def test_the_loop_runs_by_itself(home: Home) -> None:
    control = Control(home)
    control.spawn(control.reconciler.run())
    home.create("Live", home.fleet())
    control.reconciler.wake()
    async with asyncio.timeout(20):
        while home.endpoint("Live").status is not Status.IN_SERVICE:
            await asyncio.sleep(0.01)
        (instance,) = home.launcher.instances()
        home.launcher.kill(instance)
        while instance in home.launcher.instances() or not home.launcher.instances():
            home.clock.advance(1)  # the beat
            await asyncio.sleep(0.01)
    await control.die()
