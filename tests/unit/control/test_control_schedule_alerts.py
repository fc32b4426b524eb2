"""What the ends of runs leave behind: turns of the alert, and notices to the webhook."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from schedule_world import PARTITION, World, turn

from modeltap.clock import utc
from modeltap.control.jobs import JobEvent
from modeltap.control.schedule_states import Schedules
from modeltap.state.alerts import Alerts, TurnQuery
from modeltap.state.outbox import Outbox

HOUR = 3600
VIOLATED = "CompletedWithViolations: Job completed successfully with 12 violations."
CLEAN = "Completed: Job completed successfully with no violations."


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


def turns(world: World) -> list[str]:
    found, _ = Alerts(world.store).turns(TurnQuery(descending=False))
    return [each.status.value for each in found]


def test_violations_are_told_as_the_job_counted_them(world: World) -> None:
    world.put("A/2024/02/29/21/1.jsonl")
    world.schedule()
    turn(world)
    world.clock.advance(HOUR)
    turn(world)
    assert world.notices() == []
    world.end_jobs(JobEvent.COMPLETED, exit_message=VIOLATED)
    turn(world)
    assert world.execution().violations == 12
    run, alert = world.notices()
    assert run["data"]["Violations"] == 12
    (job,) = world.requests()
    output = job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]
    assert run["data"]["ReportS3Uri"] == output["S3Uri"]
    assert alert["data"]["AlertStatus"] == "InAlert"
    assert turns(world) == ["InAlert"]


def test_a_job_that_counts_nothing_leaves_the_number_out(world: World) -> None:
    """A user's own image says in its exit message what it likes."""
    world.put("A/2024/02/29/21/1.jsonl")
    world.schedule()
    turn(world)
    world.clock.advance(HOUR)
    turn(world)
    world.end_jobs(JobEvent.COMPLETED, exit_message="CompletedWithViolations: look at it")
    turn(world)
    assert "Violations" not in world.notices()[0]["data"]


def test_a_schedule_owes_nothing_anew_when_its_history_is_cut(world: World) -> None:
    """Each hour is made once, though all but the newest two are forgotten."""
    world.schedules = Schedules(world.store, world.clock, PARTITION, world.catch_up, kept_max=2)
    world.schedule()
    turn(world)
    made: set[int] = set()
    for hours in (1, 1, 5, 1):
        world.clock.advance(hours * HOUR)
        turn(world, 2)
        fresh = {each.scheduled_ns for each in world.executions()} - made
        assert len(fresh) == min(hours, 5)
        made |= fresh
    turn(world, 3)
    assert {each.scheduled_ns for each in world.executions()} <= made
    assert len(made) == 8


def test_each_end_is_told_once_wherever_control_is_killed(world: World) -> None:
    """Three hours a round: one is violated, one clean, one has no data. Lives of growing length."""
    world.schedule()
    turn(world)
    told: Counter[str] = Counter()
    for steps in range(1, 100):
        lived = []
        for hour in range(3):
            at = f"A/{_folder(world)}/1.jsonl"
            if hour < 2:
                world.put(at)
            world.clock.advance(HOUR)
            lived.append(turn(world, 1, steps))
            turn(world)
            message = VIOLATED if hour == 0 else CLEAN
            world.end_jobs(JobEvent.COMPLETED, exit_message=message)
            lived.append(turn(world, 1, steps))
            turn(world)
        told += _taken(world)
        statuses = Counter(each.status for each in world.executions())
        assert statuses == {
            "CompletedWithViolations": steps,
            "Completed": steps,
            "Failed": steps,
        }
        assert told == {
            "monitoring.execution.violations": steps,
            "monitoring.execution.failed": steps,
            "monitoring.alert.changed": 2 * steps,
        }
        assert turns(world)[-2 * steps :] == ["InAlert", "OK"] * steps
        if all(lived):
            break
    else:
        raise AssertionError("no life was long enough")
    assert steps > 3


def _folder(world: World) -> str:
    """Name the hour that is now."""
    return utc(world.clock.now_ns()).strftime("%Y/%m/%d/%H")


def _taken(world: World) -> Counter[str]:
    """Take all notices out of the outbox; count them by their type."""
    box, types = Outbox(world.store), Counter(each["type"] for each in world.notices())
    while found := box.due(world.clock.now_ns(), 0):
        for each in found:
            box.remove(each)
    return types
