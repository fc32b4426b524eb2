"""Executions in `state`, over a real SQLite file."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modeltap.errors import StaleVersion, ValidationException
from modeltap.state.executions import Execution, ExecutionQuery, Executions, Ran, Span
from modeltap.state.store import Store

HOUR = 3600 * 10**9


@pytest.fixture
def executions(tmp_path: Path) -> Iterator[Executions]:
    store = Store.open(tmp_path / "state.db")
    yield Executions(store)
    store.close()


def execution(hour: int, schedule: str = "Hourly", **more: Any) -> Execution:
    return Execution(
        schedule_id=more.pop("schedule_id", f"id-of-{schedule}"),
        scheduled_ns=hour * HOUR,
        schedule=schedule,
        endpoint=more.pop("endpoint", "Churn"),
        definition=more.pop("definition", None),
        monitoring_type="DataQuality",
        status=more.pop("status", "Pending"),
        spec={"a": [1]},
        created_ns=more.pop("created_ns", hour * HOUR + 10**9),
        modified_ns=hour * HOUR + 10**9,
        **more,
    )


def hours(executions: Executions, **query: Any) -> list[int]:
    """Walk all pages."""
    asked, found = ExecutionQuery(**{"sort_by": "ScheduledTime", **query}), []
    while True:
        page, token = executions.list(asked)
        found += [each.scheduled_ns // HOUR for each in page]
        if token is None:
            return found
        asked = replace(asked, next_token=token)


def test_there_is_one_for_a_schedule_and_a_time(executions: Executions) -> None:
    assert executions.add(execution(1))
    assert not executions.add(execution(1, status="Failed"))
    assert executions.add(execution(1, schedule_id="another"))
    assert executions.get("id-of-Hourly", HOUR) == execution(1)
    assert executions.get("id-of-Hourly", 2 * HOUR) is None


def test_it_is_written_only_over_what_was_read(executions: Executions) -> None:
    executions.add(execution(1))
    read = execution(1)
    written = executions.put(read, 9 * HOUR, status="InProgress", job="j")
    assert (written.version, written.status, written.job) == (2, "InProgress", "j")
    assert executions.get("id-of-Hourly", HOUR) == written
    with pytest.raises(StaleVersion):
        executions.put(read, 9 * HOUR, status="Failed")


def test_how_far_a_schedule_has_come(executions: Executions) -> None:
    for hour in (1, 2, 7):
        executions.add(execution(hour))
    assert executions.ran(["id-of-Hourly", "x"], 5 * HOUR) == {
        "id-of-Hourly": Ran(2 * HOUR, 7 * HOUR)
    }
    last = executions.last("id-of-Hourly")
    assert last is not None
    assert last.scheduled_ns == 7 * HOUR
    assert executions.last("x") is None


def test_what_is_left_to_do(executions: Executions) -> None:
    executions.add(execution(2))
    executions.add(execution(1, "Other", status="InProgress"))
    executions.add(execution(3, status="Completed"))
    found = executions.in_status(("Pending", "InProgress"))
    assert [each.scheduled_ns // HOUR for each in found] == [1, 2]
    assert len(executions.in_status(("Pending", "InProgress"), "id-of-Hourly")) == 1


def test_lists_filter_sort_and_page(executions: Executions) -> None:
    for hour in (1, 2, 3):
        executions.add(execution(hour, created_ns=(10 - hour) * HOUR, status=f"{9 - hour}"))
    executions.add(execution(2, "Daily", endpoint="Other", definition="d", created_ns=0))
    for limit in (1, 2, 5):
        assert hours(executions, schedule="hourly", limit=limit) == [3, 2, 1]
        assert hours(executions, limit=limit) in ([3, 2, 2, 1],)
        assert hours(executions, limit=limit, descending=False) == [1, 2, 2, 3]
        assert hours(executions, limit=limit, sort_by="CreationTime") == [1, 2, 3, 2]
        assert hours(executions, limit=limit, sort_by="Status", schedule="Hourly") == [1, 2, 3]
    assert hours(executions, endpoint="Other") == [2]
    assert hours(executions, definition="d") == [2]
    assert hours(executions, monitoring_type="ModelQuality") == []
    assert hours(executions, status="7") == [2]
    assert hours(executions, scheduled=Span(2 * HOUR, 3 * HOUR)) == [2, 2]
    assert hours(executions, created=Span(8 * HOUR)) == [2, 1]
    assert hours(executions, modified=Span(None, 2 * HOUR)) == [1]


@pytest.mark.parametrize("token", ["!", "WzFd", "WzEsImEiXQ==", "WzEsImEiLCJiIl0="])
def test_a_token_that_is_not_ours_is_refused(executions: Executions, token: str) -> None:
    with pytest.raises(ValidationException):
        executions.list(ExecutionQuery(next_token=token))
