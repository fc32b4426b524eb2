"""Which runs of schedules are due, over a simulated clock."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from modeltap.clock import SimulatedClock, stamp, utc
from modeltap.control.schedules import (
    NEVER,
    NoSuchRun,
    Schedule,
    ScheduleEvent,
    ScheduleStatus,
    asked_for,
    due,
    is_to_be_run,
    job_name,
    next_due,
    report_uri,
    step,
    updated,
)
from modeltap.control.windows import Timing, timing_of
from modeltap.nouns import CatchUp, Document
from modeltap.state.executions import Execution, Ran

HOUR = 3600
HOURLY, DAILY, NOW = "cron(0 * ? * * *)", "cron(0 6 ? * * *)", "NOW"


def ns(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp()) * 10**9  # type: ignore[arg-type,misc]


def timing(expression: str) -> Timing:
    asked: Document = {"ScheduleExpression": expression}
    if expression == NOW:
        asked |= {"DataAnalysisStartTime": "-PT1H", "DataAnalysisEndTime": "-PT0H"}
    source = {"MonitoringInputs": [{"EndpointInput": {"EndpointName": "e"}}]}
    return timing_of({"ScheduleConfig": asked}, source)


def schedule(since_ns: int, status: ScheduleStatus = ScheduleStatus.SCHEDULED) -> Schedule:
    return Schedule("id", "Hourly", {}, "e", status, since_ns)


@dataclass
class World:
    """A schedule, its executions, and a clock; `turn` does what the loop does."""

    clock: SimulatedClock
    schedule: Schedule
    timing: Timing
    catch_up: CatchUp = CatchUp.RUN
    made: list[int] = field(default_factory=list)

    def turn(self) -> None:
        now_ns = self.clock.now_ns()
        past = [each for each in self.made if each <= now_ns]
        ran = Ran(max(past, default=0), max(self.made, default=0)) if self.made else NEVER
        for scheduled_ns in due(self.schedule, self.timing, ran, now_ns, self.catch_up):
            if scheduled_ns not in self.made:  # as the primary key has it
                self.made.append(scheduled_ns)

    def live(self, seconds: float, tick: float = 600) -> None:
        for _ in range(int(seconds // tick)):
            self.clock.advance(tick)
            self.turn()

    def stamps(self) -> list[str]:
        return [stamp(each) for each in self.made]


def world(start_ns: int, expression: str, catch_up: CatchUp = CatchUp.RUN) -> World:
    clock = SimulatedClock(start_ns=start_ns)
    return World(clock, schedule(start_ns), timing(expression), catch_up)


def hours(start_ns: int, count: int, step_hours: int = 1) -> Iterator[str]:
    return (
        (utc(start_ns) + timedelta(hours=at * step_hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
        for at in range(count)
    )


@pytest.mark.parametrize("start", [(2024, 2, 10, 0, 20), (2024, 12, 15, 0, 20)])
def test_a_month_of_hours_has_one_run_each(start: tuple[int, ...]) -> None:
    """Over a leap day, and over the end of a year."""
    lived = world(ns(*start), HOURLY)
    lived.live(31 * 24 * HOUR)
    assert lived.stamps() == list(hours(ns(*start[:3], 1), 31 * 24))


def test_a_month_of_days() -> None:
    lived = world(ns(2024, 2, 10), DAILY)
    lived.live(31 * 24 * HOUR)
    assert lived.stamps() == list(hours(ns(2024, 2, 10, 6), 31, 24))
    windows = [lived.timing.window(each) for each in lived.made]
    assert all(a.end_ns == b.start_ns for a, b in pairwise(windows))


def test_whatever_the_clock_does_no_hour_runs_twice_and_none_is_lost() -> None:
    """It is set back and forward at random, the server is down at random, for a month."""
    for seed in range(20):
        chance = random.Random(seed)
        start_ns = ns(2024, 2, 10, 0, 20)
        lived = world(start_ns, HOURLY)
        for _ in range(400):
            if chance.random() < 0.1:
                lived.clock.step(chance.uniform(-5 * HOUR, 5 * HOUR))
            lived.clock.advance(chance.choice([30, HOUR, 7 * HOUR]) * chance.random())
            lived.turn()
        lived.clock.step(40 * 24 * HOUR)
        lived.live(HOUR * 24)
        made = sorted(lived.made)
        assert len(made) == len(set(made))
        assert [stamp(each) for each in made] == list(hours(ns(2024, 2, 10, 1), len(made)))


def test_a_clock_that_ran_ahead_does_not_stop_a_schedule() -> None:
    lived = world(ns(2024, 1, 1, 0, 20), HOURLY, CatchUp.LATEST)
    lived.live(2 * HOUR)
    lived.clock.step(1000 * HOUR)
    lived.turn()
    lived.clock.step(-1000 * HOUR)
    lived.live(2 * HOUR)
    assert lived.stamps() == [
        "2024-01-01T01:00:00Z",
        "2024-01-01T02:00:00Z",
        "2024-02-11T18:00:00Z",
        "2024-01-01T03:00:00Z",
        "2024-01-01T04:00:00Z",
    ]


@pytest.mark.parametrize(
    ("catch_up", "down", "made"),
    [
        (CatchUp.RUN, 4.5, [1, 2, 3, 4, 5, 6]),
        (CatchUp.LATEST, 4.5, [1, 5, 6]),
        (CatchUp.SKIP, 4.5, [1, 6]),
        (CatchUp.SKIP, 4.02, [1, 5, 6]),  # up again within the five minutes
    ],
)
def test_after_downtime_runs_are_made_up_for_as_set(
    catch_up: CatchUp, down: float, made: list[int]
) -> None:
    lived = world(ns(2024, 1, 1), HOURLY, catch_up)
    lived.live(HOUR)
    lived.clock.advance(down * HOUR)
    lived.turn()
    lived.live(6 * HOUR - (1 + down) * HOUR + 60, 60)
    assert [utc(each).hour for each in lived.made] == made


def test_a_year_of_downtime_is_made_up_for_in_turns() -> None:
    lived = world(ns(2024, 1, 1), HOURLY)
    lived.clock.advance(366 * 24 * HOUR)
    lived.turn()
    assert len(lived.made) == 100
    for _ in range(100):
        lived.turn()
    assert lived.stamps() == list(hours(ns(2024, 1, 1, 1), 366 * 24))


def test_now_runs_once_whatever_the_clock_does() -> None:
    lived = world(ns(2024, 1, 1, 0, 20) + 5_000_000, NOW)
    lived.clock.step(-HOUR)
    lived.turn()
    assert lived.made == [ns(2024, 1, 1, 0, 20) + 5_000_000]
    lived.live(3 * HOUR)
    assert len(lived.made) == 1


def test_what_is_not_scheduled_does_not_run() -> None:
    lived = world(ns(2024, 1, 1), HOURLY)
    for status in ScheduleStatus:
        lived.schedule = schedule(ns(2024, 1, 1), status)
        lived.clock.advance(HOUR)
        lived.turn()
    assert [utc(each).hour for each in lived.made] == [1, 2]  # it was `Scheduled` the second time


def test_a_schedule_that_is_started_again_owes_nothing() -> None:
    lived = world(ns(2024, 1, 1), HOURLY)
    lived.live(HOUR)
    for event, hours_between in ((ScheduleEvent.STOP, 3), (ScheduleEvent.START, 0)):
        lived.schedule = step(lived.schedule, event, lived.clock.now_ns())
        lived.live(hours_between * HOUR)
    assert lived.schedule.status is ScheduleStatus.PENDING
    lived.schedule = step(lived.schedule, ScheduleEvent.SETTLED, lived.clock.now_ns())
    lived.live(HOUR)
    assert [utc(each).hour for each in lived.made] == [1, 5]


def test_a_start_that_changes_nothing_forgets_nothing() -> None:
    before = schedule(5)
    assert step(before, ScheduleEvent.START, 9_000_000) == before


def test_an_update_begins_anew_and_wakes_nobody() -> None:
    after = updated(schedule(5), {"a": 1}, "other", 9_000_000)
    assert (after.status, after.since_ns, after.endpoint) == (
        ScheduleStatus.PENDING,
        9_000_000,
        "other",
    )
    stopped = replace(schedule(5), status=ScheduleStatus.STOPPED)
    assert updated(stopped, {}, "e", 9).status is ScheduleStatus.STOPPED


def test_the_next_run_of_all() -> None:
    timings = [timing(HOURLY), timing(DAILY), timing(NOW)]
    assert next_due(timings, ns(2024, 1, 1, 3, 30)) == ns(2024, 1, 1, 4)
    assert next_due([timing(NOW)], 0) is None


# ---------------------------------------------------------------- asked for by hand

AT_20 = "cron(20 * ? * * *)"


@pytest.mark.parametrize(
    ("expression", "hour", "now", "scheduled"),
    [
        (HOURLY, None, (2024, 1, 1, 3, 30), (2024, 1, 1, 3)),
        (HOURLY, None, (2024, 1, 1, 3), (2024, 1, 1, 3)),
        (HOURLY, (2023, 12, 1, 9, 59), (2024, 1, 1, 3), (2023, 12, 1, 9)),
        (AT_20, None, (2024, 1, 1, 3, 19), (2024, 1, 1, 2, 20)),
        (AT_20, (2024, 1, 1, 2), (2024, 1, 1, 3), (2024, 1, 1, 2, 20)),
        (DAILY, None, (2024, 1, 1, 3), (2023, 12, 31, 6)),
        (DAILY, (2024, 1, 1, 6, 30), (2024, 1, 2), (2024, 1, 1, 6)),
        (NOW, None, (2024, 1, 1, 3, 30, 7), (2024, 1, 1, 3, 30, 7)),
        (NOW, (2024, 1, 1, 2, 59), (2024, 1, 1, 3), (2024, 1, 1, 2)),
    ],
)
def test_a_run_is_asked_for_by_its_hour(
    expression: str, hour: tuple[int, ...] | None, now: tuple[int, ...], scheduled: tuple[int, ...]
) -> None:
    assert asked_for(timing(expression), ns(*hour) if hour else None, ns(*now)) == ns(*scheduled)


def test_the_last_run_may_be_asked_for_within_a_second_of_the_next() -> None:
    assert asked_for(timing(HOURLY), None, ns(2024, 1, 1, 3) - 1) == ns(2024, 1, 1, 2)


@pytest.mark.parametrize(
    ("expression", "hour", "told"),
    [
        (HOURLY, (2024, 1, 1, 4), "2024-01-01T04:00:00Z has not come yet"),
        (AT_20, (2024, 1, 1, 3), "2024-01-01T03:20:00Z has not come yet"),
        (DAILY, (2024, 1, 1, 5), "one at 2023-12-31T06:00:00Z and at 2024-01-01T06:00:00Z."),
        (NOW, (2024, 1, 1, 4), "2024-01-01T04:00:00Z has not come yet"),
        ("cron(0 * ? * * 2030)", None, "None of this schedule's times has come yet."),
        ("cron(0 0 1 1 ? 2030)", (2024, 1, 1, 3), "there is one at 2030-01-01T00:00:00Z."),
    ],
)
def test_an_hour_without_a_run_is_refused(
    expression: str, hour: tuple[int, ...] | None, told: str
) -> None:
    with pytest.raises(NoSuchRun) as refused:
        asked_for(timing(expression), ns(*hour) if hour else None, ns(2024, 1, 1, 3, 10))
    assert told in str(refused.value)


def test_what_failed_is_run_anew_and_what_has_a_report_on_demand() -> None:
    statuses = ("Pending", "InProgress", "Stopping", "Completed", "CompletedWithViolations")
    assert [is_to_be_run(each, again=False) for each in (*statuses, "Failed", "Stopped")] == [
        *[False] * 5,
        *[True] * 2,
    ]
    assert [is_to_be_run(each, again=True) for each in (*statuses, "Failed", "Stopped")] == [
        *[False] * 3,
        *[True] * 4,
    ]


def execution(schedule_id: str, scheduled_ns: int, **spec: int) -> Execution:
    return Execution(schedule_id, scheduled_ns, "S", "E", None, "DataQuality", "", spec, 1, 1)


def test_names() -> None:
    at = ns(2024, 2, 29, 23)
    assert report_uri("s3://b/out/", "Churn", "Hourly", at) == (
        "s3://b/out/Churn/Hourly/2024/02/29/23"
    )
    name = job_name(execution("an-id", at))
    assert name == job_name(execution("an-id", at)) != job_name(execution("another", at))
    assert name == job_name(execution("an-id", at, Attempt=1))
    assert name != job_name(execution("an-id", at, Attempt=2))
    assert name.startswith("model-monitoring-202402292300-")
    assert len(name) == len("model-monitoring-202402292300-") + 24
