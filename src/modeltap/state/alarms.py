"""Alarms in the state database: what is watched, how it stands, and what it went through.

A name counts with its case, as in CloudWatch. `put` replaces what is asked for and leaves the state
as it is; `turn` changes the state of an alarm as it was read, or of none: its `version` counts its
writes. The history is the last `HISTORY_MAX` items, the newest first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from modeltap.errors import StaleVersion
from modeltap.nouns import Document
from modeltap.state.schema import ALARMS
from modeltap.state.store import Store

HISTORY_MAX = 100


@dataclass(frozen=True, slots=True)
class Alarm:
    name: str
    arn: str
    spec: Document  # a PutMetricAlarm request
    status: Document
    history: tuple[Document, ...]
    version: int
    configured_ns: int


class Alarms:
    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, alarm: Alarm) -> bool:
        """Ask for an alarm, anew or otherwise; tell whether it is new.

        Of one that is there the status stays, and `history` is put before its own.
        """
        with self._store.writing() as connection:
            # A write comes first, so that nobody comes between.
            named = ALARMS.c.name == alarm.name
            changed = {"spec": alarm.spec, "configured_ns": alarm.configured_ns}
            statement = update(ALARMS).where(named)
            written = statement.values(**changed, version=ALARMS.c.version + 1)
            if connection.execute(written).rowcount == 0:
                connection.execute(insert(ALARMS).values(**_values(alarm)))
                return True
            before = connection.execute(select(ALARMS.c.history).where(named)).scalar_one()
            connection.execute(statement.values(history=_kept([*alarm.history, *before])))
            return False

    def get(self, name: str) -> Alarm | None:
        with self._store.reading() as connection:
            row = connection.execute(select(ALARMS).where(ALARMS.c.name == name)).one_or_none()
        return None if row is None else _alarm(row)

    def every(self) -> list[Alarm]:
        """Give all alarms, in order of their names."""
        with self._store.reading() as connection:
            rows = connection.execute(select(ALARMS).order_by(ALARMS.c.name)).all()
        return [_alarm(row) for row in rows]

    def turn(self, read: Alarm, status: Document, items: Sequence[Document]) -> None:
        """Replace the status of an alarm as it was read, and add to its history.

        Raise `StaleVersion` if it was written or deleted since.
        """
        statement = (
            update(ALARMS)
            .where(ALARMS.c.name == read.name, ALARMS.c.version == read.version)
            .values(status=status, history=_kept([*items, *read.history]), version=read.version + 1)
        )
        with self._store.writing() as connection:
            if connection.execute(statement).rowcount != 1:
                raise StaleVersion("alarm", read.name)

    def delete(self, names: Sequence[str]) -> None:
        with self._store.writing() as connection:
            connection.execute(delete(ALARMS).where(ALARMS.c.name.in_(names)))


def _kept(history: list[Document]) -> list[Document]:
    return history[:HISTORY_MAX]


def _values(alarm: Alarm) -> dict[str, Any]:
    return {
        "name": alarm.name,
        "arn": alarm.arn,
        "spec": alarm.spec,
        "status": alarm.status,
        "history": list(alarm.history),
        "version": alarm.version,
        "configured_ns": alarm.configured_ns,
    }


def _alarm(row: Row[Any]) -> Alarm:
    return Alarm(**{**row._mapping, "history": tuple(row.history)})
