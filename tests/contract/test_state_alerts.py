"""Alerts and the outbox in `state`, and the history that is kept, over a real SQLite file."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

from modeltap.errors import StaleVersion, ValidationException
from modeltap.state.alerts import (
    Alert,
    Alerts,
    AlertStatus,
    AlertTurn,
    TurnQuery,
    added,
    removed,
)
from modeltap.state.executions import Execution, ExecutionQuery, Executions, Tell
from modeltap.state.outbox import Notice, Outbox
from modeltap.state.store import Resource, Store

HOUR = 3600 * 10**9
VIOLATED = "CompletedWithViolations"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "state.db")
    yield opened
    opened.close()


def schedule(store: Store, name: str = "Hourly") -> None:
    """Create a schedule with its alert, as control does."""
    resource = Resource("monitoring-schedule", name, f"arn:{name}", {}, {"Id": name}, 1, 1, 1)
    store.create(resource, also=[added(name, name, HOUR)])


def execution(hour: int, status: str, schedule: str = "Hourly", **more: Any) -> Execution:
    at = hour * HOUR
    more = {"created_ns": at, "modified_ns": at, **more}
    return Execution(schedule, at, schedule, "e", None, "DataQuality", status, {}, **more)


def ran(executions: Executions, hour: int, status: str, schedule: str = "Hourly") -> None:
    """Run an execution to its end."""
    pending = execution(hour, "Pending", schedule)
    assert executions.add(pending)
    executions.put(pending, hour * HOUR + 1, status=status)


def told(store: Store) -> list[str]:
    return [each.body for each in Outbox(store).due(10**18, 10**18)]


def words(count: Iterator[int]) -> Tell:
    """Word notices as a test can read them."""

    def notice(words: str) -> Notice:
        return Notice(f"{next(count):04}", words, 1)

    return Tell(
        lambda ended: notice(f"{ended.scheduled_ns // HOUR} {ended.status}"),
        lambda turn: notice(turn.status),
    )


def turns(store: Store, **query: Any) -> list[tuple[str, int]]:
    """Walk all pages."""
    asked, found = TurnQuery(**query), []
    while True:
        page, token = Alerts(store).turns(asked)
        found += [(each.status.value, each.created_ns // HOUR) for each in page]
        if token is None:
            return found
        asked = replace(asked, next_token=token)


# ---------------------------------------------------------------- alerts


def test_a_schedule_has_one_alert_that_goes_with_it(store: Store) -> None:
    schedule(store)
    alerts = Alerts(store)
    fresh = Alert("Hourly", "Hourly", 1, 1, AlertStatus.OK, HOUR, HOUR)
    assert alerts.get("Hourly") == fresh
    ran(Executions(store), 1, VIOLATED)
    assert turns(store) == [("InAlert", 1)]
    assert store.delete("monitoring-schedule", "Hourly", removed("Hourly"))
    assert alerts.get("Hourly") is None
    assert turns(store) == []
    ran(Executions(store), 2, VIOLATED)  # one that ends beside the deletion
    assert turns(store) == []


def test_a_name_that_is_taken_makes_no_second_alert(store: Store) -> None:
    schedule(store)
    with pytest.raises(Exception, match="exists"):
        store.create(
            Resource("monitoring-schedule", "hourly", "arn:x", {}, {}, 1, 1, 1),
            also=[added("another", "hourly", HOUR)],
        )
    assert Alerts(store).get("another") is None


def test_it_turns_by_the_datapoints_of_its_period(store: Store) -> None:
    """AWS's own example: two of three; before there are three, too (developer guide, alerts)."""
    schedule(store)
    assert Alerts(store).update("Hourly", 2, 3, 2 * HOUR)
    executions, seen = Executions(store), []
    for hour, status in enumerate([VIOLATED, VIOLATED, "Completed", "Completed", VIOLATED], 1):
        ran(executions, hour, status)
        alert = Alerts(store).get("Hourly")
        assert alert is not None
        seen.append(alert.status.value)
    assert seen == ["OK", "InAlert", "InAlert", "OK", "OK"]
    assert turns(store) == [("OK", 4), ("InAlert", 2)]


def test_what_failed_or_was_stopped_is_no_datapoint(store: Store) -> None:
    schedule(store)
    executions = Executions(store)
    ran(executions, 1, VIOLATED)
    ran(executions, 2, "Failed")
    ran(executions, 3, "Stopped")
    assert turns(store) == [("InAlert", 1)]
    ran(executions, 4, "Completed")
    assert turns(store) == [("OK", 4), ("InAlert", 1)]


def test_the_newest_by_their_hours_count_in_whatever_order_they_end(store: Store) -> None:
    schedule(store)
    executions = Executions(store)
    ran(executions, 2, "Completed")
    ran(executions, 1, VIOLATED)
    assert turns(store) == []


def test_another_criterion_judges_anew(store: Store) -> None:
    schedule(store)
    executions = Executions(store)
    for hour, status in ((1, VIOLATED), (2, "Completed")):
        ran(executions, hour, status)
    alerts = Alerts(store, lambda turn: Notice("n", f"{turn.status} {turn.period}", 1))
    assert alerts.update("Hourly", 1, 2, 9 * HOUR)
    assert turns(store)[0] == ("InAlert", 9)
    assert told(store) == ["InAlert 2"]
    changed = alerts.get("Hourly")
    assert changed is not None
    assert (changed.datapoints, changed.period, changed.modified_ns) == (1, 2, 9 * HOUR)
    assert not alerts.update("nobody", 1, 1, HOUR)


def test_turns_filter_sort_and_page(store: Store) -> None:
    for name in ("Hourly", "Daily"):
        schedule(store, name)
    executions = Executions(store)
    for hour, status in ((1, VIOLATED), (2, "Completed"), (3, VIOLATED)):
        ran(executions, hour, status)
    ran(executions, 2, VIOLATED, "Daily")
    mine = [("InAlert", 3), ("OK", 2), ("InAlert", 1)]
    for limit in (1, 2, 5):
        assert turns(store, schedule_id="Hourly", limit=limit) == mine
        assert turns(store, schedule_id="Hourly", limit=limit, descending=False) == mine[::-1]
        by_status = turns(store, by_status=True, limit=limit, descending=False)
        assert by_status == [("InAlert", 1), ("InAlert", 3), ("InAlert", 2), ("OK", 2)]
    assert turns(store, status="OK") == [("OK", 2)]
    assert turns(store, schedule_id="Hourly", after_ns=2 * HOUR) == mine[:2]
    assert turns(store, schedule_id="Hourly", before_ns=2 * HOUR) == mine[1:]  # it is included
    with pytest.raises(ValidationException):
        Alerts(store).turns(TurnQuery(next_token="!"))


# ---------------------------------------------------------------- in one transaction


def test_an_end_its_turn_and_its_notices_are_written_together(store: Store) -> None:
    schedule(store)
    executions = Executions(store, words(iter(range(100))))
    ran(executions, 1, VIOLATED)
    assert told(store) == [f"1 {VIOLATED}", "InAlert"]
    failed = execution(2, "Failed", failure="no definition")
    assert executions.add(failed)
    assert not executions.add(failed)  # who comes second tells nothing
    assert told(store)[2:] == ["2 Failed"]


def test_who_writes_over_what_has_moved_on_tells_nothing(store: Store) -> None:
    schedule(store)
    executions = Executions(store, words(iter(range(100))))
    pending = execution(1, "Pending")
    executions.add(pending)
    done = executions.put(pending, HOUR, status="Completed")
    with pytest.raises(StaleVersion):
        executions.put(pending, HOUR, status=VIOLATED)
    executions.put(done, HOUR, failure="a word more")
    assert told(store) == ["1 Completed"]
    assert turns(store) == []


def test_a_notice_that_cannot_be_written_leaves_the_execution_as_it_was(store: Store) -> None:
    schedule(store)

    def torn(_: Execution) -> Notice:
        raise RuntimeError("killed here")

    executions = Executions(store, Tell(torn, lambda _: None))
    pending = execution(1, "Pending")
    executions.add(pending)
    with pytest.raises(RuntimeError):
        executions.put(pending, HOUR, status=VIOLATED)
    assert executions.get("Hourly", HOUR) == pending
    assert turns(store) == []
    Executions(store).put(pending, HOUR, status=VIOLATED)
    assert turns(store) == [("InAlert", 1)]


# ---------------------------------------------------------------- the outbox


def test_notices_come_when_they_are_due(store: Store) -> None:
    ran(Executions(store, words(iter(range(100)))), 1, "Failed")
    outbox = Outbox(store)
    (notice,) = outbox.due(0, 100)
    outbox.put_off(notice, 50)
    assert outbox.due(49, 100) == ()
    (again,) = outbox.due(50, 100)
    assert again == replace(notice, attempts=1, due_ns=50)
    assert outbox.due(-51, 100) == (again,)  # the clock was set back
    assert outbox.waiting() == 1
    outbox.remove(again)
    assert (outbox.due(50, 100), outbox.waiting()) == ((), 0)


# ---------------------------------------------------------------- the history


def hours(executions: Executions) -> list[int]:
    query = ExecutionQuery(sort_by="ScheduledTime", descending=False, limit=100)
    return [each.scheduled_ns // HOUR for each in executions.list(query)[0]]


def test_the_newest_executions_of_each_schedule_are_kept(store: Store) -> None:
    executions = Executions(store, kept_max=3)
    executions.add(execution(1, "Completed", "Daily"))
    for hour in range(1, 6):
        executions.add(execution(hour, "Completed"))
    assert hours(executions) == [1, 3, 4, 5]


def test_what_has_not_ended_is_kept(store: Store) -> None:
    executions = Executions(store, kept_max=2)
    for hour, status in enumerate(["Completed", "InProgress", "Pending", "Failed", "Failed"], 1):
        executions.add(execution(hour, status))
    assert hours(executions) == [2, 3, 4, 5]


def test_a_clock_that_ran_ahead_pushes_out_nothing(store: Store) -> None:
    """Else all since the schedule's beginning would be due again (`schedules.due`)."""
    executions = Executions(store, kept_max=2)
    executions.add(execution(1, "Completed"))
    for hour in range(100, 105):
        executions.add(execution(hour, "Completed", created_ns=200 * HOUR))
    executions.add(execution(2, "Completed"))
    assert executions.ran(["Hourly"], 2 * HOUR)["Hourly"].until_now_ns == 2 * HOUR


# ---------------------------------------------------------------- from an earlier version


def test_schedules_of_an_earlier_version_get_their_alert(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'state.db'}")
    config = Config()
    config.set_main_option("script_location", "modeltap.state:migrations")
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        row = {"status": json.dumps({"Id": "id-1"})}
        columns = "kind, key, name, arn, spec, status, version, created_ns, modified_ns"
        values = f"'monitoring-schedule', 'hourly', 'Hourly', 'a', '{{}}', :status, 1, {HOUR}, 1"
        connection.execute(text(f"INSERT INTO resources ({columns}) VALUES ({values})"), row)
    engine.dispose()
    store = Store.open(tmp_path / "state.db")
    assert Alerts(store).get("id-1") == Alert("id-1", "Hourly", 1, 1, AlertStatus.OK, HOUR, HOUR)
    store.close()


def test_a_turn_says_by_which_criterion(store: Store) -> None:
    schedule(store)
    Alerts(store).update("Hourly", 1, 7, HOUR)
    ran(Executions(store), 1, VIOLATED)
    ((turn,), _) = Alerts(store).turns(TurnQuery())
    assert turn == AlertTurn("Hourly", AlertStatus.IN_ALERT, 1, 7, HOUR, turn.id)
