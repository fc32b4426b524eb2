"""Every statement about monitoring alerts that modeltap sends to its state database.

A schedule has one alert; it comes and goes with the schedule, in one transaction. Its status is a
function of its criterion and of the schedule's datapoints, the executions that completed: `judged`
is called in the transaction in which an execution ends or the criterion changes, so that each turn
of the status is in the history once, wherever control is killed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Insert,
    Row,
    Select,
    delete,
    insert,
    select,
    tuple_,
    update,
)

from modeltap.nouns import EXECUTION_COMPLETED, WITH_VIOLATIONS
from modeltap.state import outbox, tokens
from modeltap.state.outbox import Notice
from modeltap.state.schema import ALERT_TURNS, ALERTS, EXECUTIONS
from modeltap.state.store import Store, shown

CRITERION = {"datapoints": 1, "period": 1}
"""What a new alert has; AWS's own default is documented nowhere."""


class AlertStatus(StrEnum):
    OK = "OK"
    IN_ALERT = "InAlert"


@dataclass(frozen=True, slots=True)
class Alert:
    """In alert while at least `datapoints` of the last `period` datapoints have violations."""

    schedule_id: str
    schedule: str
    datapoints: int
    period: int
    status: AlertStatus
    created_ns: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class AlertTurn:
    """An alert took another status: one item of its history."""

    schedule: str
    status: AlertStatus
    datapoints: int
    period: int
    created_ns: int
    id: int = 0


@dataclass(frozen=True, slots=True)
class TurnQuery:
    """Which turns, in what order, how many; after ≤ time ≤ before, as AWS has it of these."""

    schedule_id: str | None = None
    status: str | None = None
    after_ns: int | None = None
    before_ns: int | None = None
    by_status: bool = False  # else by time
    descending: bool = True
    limit: int = 100
    next_token: str | None = None


TellTurn = Callable[[AlertTurn], Notice | None]


class Alerts:
    """The alerts in a state database."""

    def __init__(self, store: Store, tell: TellTurn = lambda _: None) -> None:
        """`tell` words what the webhook hears of a turn."""
        self._store = store
        self._tell = tell

    def get(self, schedule_id: str) -> Alert | None:
        statement = select(ALERTS).where(ALERTS.c.schedule_id == schedule_id)
        with self._store.reading() as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else _alert(row)

    def update(self, schedule_id: str, datapoints: int, period: int, now_ns: int) -> bool:
        """Give an alert another criterion and judge it by that; tell whether it is there."""
        changes = {"datapoints": datapoints, "period": period, "modified_ns": shown(now_ns)}
        statement = update(ALERTS).where(ALERTS.c.schedule_id == schedule_id).values(**changes)
        with self._store.writing() as connection:
            if connection.execute(statement).rowcount != 1:
                return False
            turn = judged(connection, schedule_id, now_ns)
            notice = None if turn is None else self._tell(turn)
            outbox.add(connection, [] if notice is None else [notice])
        return True

    def turns(self, query: TurnQuery) -> tuple[tuple[AlertTurn, ...], str | None]:
        """Give one page and the token of the next. Raise `ValidationException` on a bad token."""
        with self._store.reading() as connection:
            rows = connection.execute(_listing(query)).all()
        found = tuple(_turn(row) for row in rows[: query.limit])
        if len(rows) <= query.limit:
            return found, None
        last = found[-1]
        return found, tokens.written(last.status if query.by_status else last.created_ns, last.id)


def added(schedule_id: str, schedule: str, now_ns: int) -> Insert:
    """Give what is written with a new schedule."""
    times = {"created_ns": shown(now_ns), "modified_ns": shown(now_ns)}
    row = {"schedule_id": schedule_id, "schedule": schedule, "status": AlertStatus.OK.value}
    return insert(ALERTS).values(**row, **CRITERION, **times)


def removed(schedule_id: str) -> tuple[Delete, ...]:
    """Give what is written when a schedule is deleted."""
    tables = ALERTS, ALERT_TURNS
    return tuple(delete(each).where(each.c.schedule_id == schedule_id) for each in tables)


def judged(connection: Connection, schedule_id: str, now_ns: int) -> AlertTurn | None:
    """Judge a schedule's alert by the executions as the transaction sees them; give its turn."""
    mine = ALERTS.c.schedule_id == schedule_id
    # A write comes first, so that two executions that end at once are judged one by one.
    touched = connection.execute(update(ALERTS).where(mine).values(schedule=ALERTS.c.schedule))
    if touched.rowcount != 1:
        return None  # the schedule is deleted
    alert = _alert(connection.execute(select(ALERTS).where(mine)).one())
    status = status_of(_violated(connection, alert), alert.datapoints)
    if status is alert.status:
        return None
    turn = AlertTurn(alert.schedule, status, alert.datapoints, alert.period, shown(now_ns))
    changes = {"status": status.value, "modified_ns": turn.created_ns}
    connection.execute(update(ALERTS).where(mine).values(**changes))
    connection.execute(insert(ALERT_TURNS).values(**_row(turn), schedule_id=schedule_id))
    return turn


def status_of(violated: Sequence[bool], datapoints: int) -> AlertStatus:
    """Judge the last datapoints, as many as the period has or as there are."""
    return AlertStatus.IN_ALERT if sum(violated) >= datapoints else AlertStatus.OK


def _violated(connection: Connection, alert: Alert) -> list[bool]:
    columns = EXECUTIONS.c
    # What failed or was stopped judged no data: it is no datapoint.
    mine = columns.schedule_id == alert.schedule_id, columns.status.in_(EXECUTION_COMPLETED)
    newest = select(columns.status).where(*mine).order_by(columns.scheduled_ns.desc())
    return [each == WITH_VIOLATIONS for each in connection.scalars(newest.limit(alert.period))]


def _listing(query: TurnQuery) -> Select[Any]:
    """Select one row more than the page holds: it tells whether there is a next page."""
    columns = ALERT_TURNS.c
    position = (columns.status if query.by_status else columns.created_ns, columns.id)
    statement = select(ALERT_TURNS).where(*_filters(query))
    if query.next_token is not None:
        after, here = tuple_(*tokens.read(query.next_token, int)), tuple_(*position)
        statement = statement.where(here < after if query.descending else here > after)
    order = [each.desc() if query.descending else each.asc() for each in position]
    return statement.order_by(*order).limit(query.limit + 1)


def _filters(query: TurnQuery) -> Iterator[ColumnElement[bool]]:
    columns = ALERT_TURNS.c
    if query.schedule_id is not None:
        yield columns.schedule_id == query.schedule_id
    if query.status is not None:
        yield columns.status == query.status
    if query.after_ns is not None:
        yield columns.created_ns >= query.after_ns
    if query.before_ns is not None:
        yield columns.created_ns <= query.before_ns


def _alert(row: Row[Any]) -> Alert:
    return Alert(**{**row._mapping, "status": AlertStatus(row.status)})


def _row(turn: AlertTurn) -> dict[str, Any]:
    return {
        "schedule": turn.schedule,
        "status": turn.status.value,
        "datapoints": turn.datapoints,
        "period": turn.period,
        "created_ns": turn.created_ns,
    }


def _turn(row: Row[Any]) -> AlertTurn:
    values = {**row._mapping, "status": AlertStatus(row.status)}
    del values["schedule_id"]
    return AlertTurn(**values)
