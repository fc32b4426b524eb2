"""Every statement about executions that modeltap sends to its state database.

An execution is one run of a monitoring schedule. There is one for a schedule and a scheduled time,
which the primary key holds: whoever comes second, after a kill or a clock that was set back, finds
it there. Executions outlive their schedule, as on AWS; a schedule of the same name made later has
another `schedule_id`. Of each schedule the newest `kept_max` are kept, and what has not ended.

The transaction in which an execution ends also judges the schedule's alert and writes the notices
for the webhook: they are there if, and only if, the end is. Constraints and times: as in
`store.py`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    delete,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError

from modeltap.errors import StaleVersion
from modeltap.nouns import EXECUTION_COMPLETED, EXECUTION_FAILED, Document
from modeltap.state import outbox, tokens
from modeltap.state.alerts import TellTurn, judged
from modeltap.state.outbox import Notice
from modeltap.state.schema import EXECUTIONS
from modeltap.state.store import Store, shown

ENDED = (*EXECUTION_COMPLETED, *EXECUTION_FAILED)
"""Statuses that an execution leaves only to be run anew, by hand."""

KEPT_MAX = 1000


@dataclass(frozen=True, slots=True)
class Execution:
    """One row: what is to run, and what became of it."""

    schedule_id: str
    scheduled_ns: int  # whole milliseconds
    schedule: str
    endpoint: str  # "": it looks at batch transforms
    definition: str | None  # name of the job definition, if it has one
    monitoring_type: str
    status: str
    spec: Document
    created_ns: int
    modified_ns: int
    job: str | None = None  # name of the processing job
    failure: str | None = None
    violations: int | None = None  # their number, where the job has told it
    version: int = 1


@dataclass(frozen=True, slots=True)
class Span:
    """Times with after ≤ time < before."""

    after_ns: int | None = None
    before_ns: int | None = None


@dataclass(frozen=True, slots=True)
class ExecutionQuery:
    """Which executions, in what order, how many."""

    schedule: str | None = None
    endpoint: str | None = None
    definition: str | None = None
    monitoring_type: str | None = None
    status: str | None = None
    scheduled: Span = Span()
    created: Span = Span()
    modified: Span = Span()
    sort_by: str = "CreationTime"  # CreationTime | ScheduledTime | Status
    descending: bool = True
    limit: int = 10
    next_token: str | None = None


@dataclass(frozen=True, slots=True)
class Ran:
    """The last scheduled times of a schedule: of those until now, and of all."""

    until_now_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class Tell:
    """Words what the webhook hears: of an execution that has ended, of an alert that turned."""

    ended: Callable[[Execution], Notice | None]
    turned: TellTurn


SILENT = Tell(lambda _: None, lambda _: None)


class Executions:
    """The executions in a state database."""

    def __init__(self, store: Store, tell: Tell = SILENT, kept_max: int = KEPT_MAX) -> None:
        self._store = store
        self._tell = tell
        self._kept_max = kept_max

    def add(self, execution: Execution) -> bool:
        """Add an execution; tell whether it is new. The oldest beyond those kept are forgotten."""
        try:
            with self._store.writing() as connection:
                connection.execute(insert(EXECUTIONS).values(_row(execution)))
                if execution.status in ENDED:
                    self._ended(connection, execution)
                _trim(connection, execution, self._kept_max)
        except IntegrityError:
            return False
        return True

    def get(self, schedule_id: str, scheduled_ns: int) -> Execution | None:
        return self._one(select(EXECUTIONS).where(_is(schedule_id, scheduled_ns)))

    def last(self, schedule_id: str) -> Execution | None:
        """Give the execution of a schedule with the latest scheduled time."""
        mine = select(EXECUTIONS).where(EXECUTIONS.c.schedule_id == schedule_id)
        return self._one(mine.order_by(EXECUTIONS.c.scheduled_ns.desc()).limit(1))

    def in_status(
        self, statuses: Sequence[str], schedule_id: str | None = None
    ) -> tuple[Execution, ...]:
        """Give all executions in some statuses, of one schedule or of all, oldest first."""
        statement = select(EXECUTIONS).where(EXECUTIONS.c.status.in_(statuses))
        if schedule_id is not None:
            statement = statement.where(EXECUTIONS.c.schedule_id == schedule_id)
        return self._all(statement.order_by(EXECUTIONS.c.scheduled_ns, EXECUTIONS.c.schedule_id))

    def ran(self, schedule_ids: Sequence[str], now_ns: int) -> dict[str, Ran]:
        """Tell how far each schedule that has run has come."""
        with self._store.reading() as connection:
            lasts = {each: connection.scalar(_newest(each)) for each in schedule_ids}
            return {
                each: Ran(connection.scalar(_newest(each, now_ns)) or 0, last_ns)
                for each, last_ns in lasts.items()
                if last_ns is not None
            }

    def put(self, read: Execution, now_ns: int, **changes: Any) -> Execution:
        """Write an execution as it was read, with changes. Raise `StaleVersion` if it moved on."""
        written = replace(read, version=read.version + 1, modified_ns=shown(now_ns), **changes)
        same = _is(read.schedule_id, read.scheduled_ns) & (EXECUTIONS.c.version == read.version)
        with self._store.writing() as connection:
            done = connection.execute(update(EXECUTIONS).where(same).values(_row(written)))
            if done.rowcount != 1:
                raise StaleVersion("execution", read.schedule)
            if written.status in ENDED and read.status not in ENDED:
                self._ended(connection, written)
        return written

    def _ended(self, connection: Connection, execution: Execution) -> None:
        turn = judged(connection, execution.schedule_id, execution.modified_ns)
        told = self._tell.ended(execution), None if turn is None else self._tell.turned(turn)
        outbox.add(connection, [each for each in told if each is not None])

    def list(self, query: ExecutionQuery) -> tuple[tuple[Execution, ...], str | None]:
        """Give one page and the token of the next. Raise `ValidationException` on a bad token."""
        found = self._all(_listing(query))
        page = found[: query.limit]
        if len(found) <= query.limit:
            return page, None
        last = page[-1]
        value = getattr(last, _SORTED.get(query.sort_by, "created_ns"))
        return page, tokens.written(value, last.schedule_id, last.scheduled_ns)

    def _one(self, statement: Select[Any]) -> Execution | None:
        return next(iter(self._all(statement)), None)

    def _all(self, statement: Select[Any]) -> tuple[Execution, ...]:
        with self._store.reading() as connection:
            return tuple(map(_execution, connection.execute(statement)))


_SORTED = {"ScheduledTime": "scheduled_ns", "Status": "status"}


def _is(schedule_id: str, scheduled_ns: int) -> ColumnElement[bool]:
    columns = EXECUTIONS.c
    return and_(columns.schedule_id == schedule_id, columns.scheduled_ns == scheduled_ns)


def _newest(schedule_id: str, until_ns: int | None = None) -> Select[Any]:
    """Select the last scheduled time: one step in the primary key, however long the history is."""
    column = EXECUTIONS.c.scheduled_ns
    statement = select(column).where(EXECUTIONS.c.schedule_id == schedule_id)
    if until_ns is not None:
        statement = statement.where(column <= until_ns)
    return statement.order_by(column.desc()).limit(1)


def _trim(connection: Connection, execution: Execution, kept_max: int) -> None:
    """Forget what is older than the newest `kept_max` until now.

    What a clock that ran ahead has made does not count: else it would push out the last one until
    now, and everything since the schedule's beginning would be due again.
    """
    columns, mine = EXECUTIONS.c, EXECUTIONS.c.schedule_id == execution.schedule_id
    until_now = mine & (columns.scheduled_ns <= execution.created_ns)
    newest = select(columns.scheduled_ns).where(until_now).order_by(columns.scheduled_ns.desc())
    beyond_ns = connection.scalar(newest.offset(kept_max).limit(1))
    if beyond_ns is not None:
        old = mine & (columns.scheduled_ns <= beyond_ns) & columns.status.in_(ENDED)
        connection.execute(delete(EXECUTIONS).where(old))


def _listing(query: ExecutionQuery) -> Select[Any]:
    """Select one row more than the page holds: it tells whether there is a next page."""
    columns = EXECUTIONS.c
    value = columns[_SORTED.get(query.sort_by, "created_ns")]
    position = (value, columns.schedule_id, columns.scheduled_ns)
    statement = select(EXECUTIONS).where(*_filters(query))
    if query.next_token is not None:
        after = tuple_(*tokens.read(query.next_token, str, int))
        here = tuple_(*position)
        statement = statement.where(here < after if query.descending else here > after)
    order = [each.desc() if query.descending else each.asc() for each in position]
    return statement.order_by(*order).limit(query.limit + 1)


def _filters(query: ExecutionQuery) -> Iterator[ColumnElement[bool]]:
    columns = EXECUTIONS.c
    for column, wanted in (
        (columns.key, query.schedule and query.schedule.lower()),
        (columns.endpoint, query.endpoint),
        (columns.definition, query.definition),
        (columns.monitoring_type, query.monitoring_type),
        (columns.status, query.status),
    ):
        if wanted is not None:
            yield column == wanted
    for column, span in (
        (columns.scheduled_ns, query.scheduled),
        (columns.created_ns, query.created),
        (columns.modified_ns, query.modified),
    ):
        if span.after_ns is not None:
            yield column >= span.after_ns
        if span.before_ns is not None:
            yield column < span.before_ns


def _row(execution: Execution) -> dict[str, Any]:
    shown_ns = {"created_ns": shown(execution.created_ns)}
    return asdict(execution) | {"key": execution.schedule.lower()} | shown_ns


def _execution(row: Row[Any]) -> Execution:
    values = dict(row._mapping)
    del values["key"]
    return Execution(**values)
