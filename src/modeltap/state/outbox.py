"""Notices in the state database: what the webhook is still to be told.

A notice is written in the transaction of what it tells of, and removed when it is delivered: a kill
between loses none, and may have one told twice, by the same id.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from modeltap.state.schema import NOTICES
from modeltap.state.store import Store

BATCH_MAX = 20
"""Notices that are given at once."""


@dataclass(frozen=True, slots=True)
class Notice:
    id: str
    body: str  # JSON, as it is sent each time
    created_ns: int
    due_ns: int = 0  # when it is tried next
    attempts: int = 0


class Outbox:
    """The notices that are not delivered yet."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def due(self, now_ns: int, pause_ns_max: int) -> tuple[Notice, ...]:
        """Give notices that are to be tried now, by the time that they were due at.

        No pause is longer than `pause_ns_max`: what is due later was put off by a clock that ran
        ahead, and is due, too.
        """
        due_ns = NOTICES.c.due_ns
        is_due = or_(due_ns <= now_ns, due_ns > now_ns + pause_ns_max)
        statement = select(NOTICES).where(is_due).order_by(due_ns, NOTICES.c.created_ns)
        with self._store.reading() as connection:
            rows = connection.execute(statement.limit(BATCH_MAX)).all()
        return tuple(Notice(**row._mapping) for row in rows)

    def put_off(self, notice: Notice, due_ns: int) -> None:
        """Count an attempt that failed, and try again at a time."""
        changes = {"attempts": notice.attempts + 1, "due_ns": due_ns}
        statement = update(NOTICES).where(NOTICES.c.id == notice.id).values(**changes)
        with self._store.writing() as connection:
            connection.execute(statement)

    def remove(self, notice: Notice) -> None:
        """Forget a notice that is delivered, or given up."""
        with self._store.writing() as connection:
            connection.execute(delete(NOTICES).where(NOTICES.c.id == notice.id))

    def waiting(self) -> int:
        with self._store.reading() as connection:
            return connection.scalar(select(func.count()).select_from(NOTICES)) or 0


def add(connection: Connection, notices: Iterable[Notice]) -> None:
    """Add notices to what else a transaction writes."""
    rows = [asdict(each) for each in notices]
    if rows:
        connection.execute(insert(NOTICES), rows)
