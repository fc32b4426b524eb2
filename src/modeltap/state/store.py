"""Every statement about resources and their tags that modeltap sends to its state database.

Constraints. One writer process (control); reads from many threads. Synchronous, because at the
rates of a control plane the asynchronous engines are the slow ones: callers on an event loop use
`asyncio.to_thread`. Statements are portable between SQLite and PostgreSQL. A transaction either
only reads or begins with its write, so that SQLite never has to refuse an upgrade of a lock.

A resource is known by its kind and its name without regard to case (contract §2.3). Its `version`
counts its writes: `put_status` names the version that it read and is refused if another came
between. Times are kept in whole milliseconds, the finest that AWS shows: so a time that was told
finds what it was told of, when it comes back in a filter. Pages are cut by the sort value and the
name of their last row, not by an offset, so that rows which come or go between two pages neither
repeat nor hide others.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Delete,
    Engine,
    Insert,
    Row,
    Select,
    create_engine,
    delete,
    event,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError

from modeltap.errors import ResourceExists, StaleVersion, StateUnusable, ValidationException
from modeltap.nouns import Document
from modeltap.state import tokens
from modeltap.state.schema import RESOURCES, TAGS

BUSY_SECONDS_MAX = 5.0
"""How long a statement waits for another writer's lock before the database counts as locked."""

TAGS_MAX = 50
"""Tags of one resource (botocore: `TagList`)."""


Also = Sequence[Insert | Delete]
"""What is written in the same transaction."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One row: what was asked for, and what became of it."""

    kind: str
    name: str
    arn: str
    spec: Document
    status: Document
    version: int
    created_ns: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Query:
    """Which resources of a kind, in what order, how many; after ≤ time < before."""

    kind: str
    status_member: str = "EndpointStatus"  # of the status document: lists filter and sort by it
    name_contains: str = ""
    status: str | None = None
    created_after_ns: int | None = None
    created_before_ns: int | None = None
    modified_after_ns: int | None = None
    modified_before_ns: int | None = None
    sort_by: str = "CreationTime"  # Name | CreationTime | Status
    descending: bool = True
    limit: int = 10
    next_token: str | None = None
    members: Mapping[str, str] = field(default_factory=dict)  # of the status document: equal


@dataclass(frozen=True, slots=True)
class Page:
    resources: tuple[Resource, ...]
    next_token: str | None


class Store:
    """The state database, opened and migrated."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, path: Path, *, busy_seconds_max: float = BUSY_SECONDS_MAX) -> "Store":
        """Open the SQLite database at a path, made and migrated if need be.

        Raise `StateUnusable` if the file is no database of ours, or is locked.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        engine = create_engine(
            URL.create("sqlite", database=str(path)),
            connect_args={"timeout": busy_seconds_max},
        )
        event.listen(engine, "connect", _prepare)
        store = cls(engine)
        with store._guarded():
            migrate(engine)
        return store

    def close(self) -> None:
        self._engine.dispose()

    # ------------------------------------------------------------ resources

    def create(
        self, resource: Resource, tags: Mapping[str, str] | None = None, also: Also = ()
    ) -> None:
        """Add a resource with its tags, and what else comes with it.

        Raise `ResourceExists` if its name is taken.
        """
        try:
            with self.writing() as connection:
                connection.execute(insert(RESOURCES).values(_row(resource)))
                _put_tags(connection, resource.arn, tags or {})
                for statement in also:
                    connection.execute(statement)
        except IntegrityError as error:
            raise ResourceExists(resource.kind, resource.name) from error

    def get(self, kind: str, name: str) -> Resource | None:
        """Find a resource by its name in any case."""
        statement = select(RESOURCES).where(_is(kind, name))
        with self.reading() as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else _resource(row)

    def every(
        self, kind: str, status_member: str = "", statuses: Sequence[str] = ()
    ) -> tuple[Resource, ...]:
        """Give all resources of a kind, or those in one of some statuses, in order of names."""
        statement = select(RESOURCES).where(RESOURCES.c.kind == kind).order_by(RESOURCES.c.key)
        if statuses:
            statement = statement.where(_status_column(status_member).in_(statuses))
        with self.reading() as connection:
            return tuple(_resource(row) for row in connection.execute(statement))

    def list(self, query: Query) -> Page:
        """Give one page. Raise `ValidationException` on a token that is none of ours."""
        with self.reading() as connection:
            rows = connection.execute(_listing(query)).all()
        resources = tuple(_resource(row) for row in rows[: query.limit])
        more = len(rows) > query.limit
        return Page(resources, _token(query, resources[-1]) if more else None)

    def put_status(self, read: Resource, status: Document, now_ns: int) -> Resource:
        """Replace the status of a resource as it was read.

        Raise `StaleVersion` if it was written or deleted since.
        """
        modified_ns = shown(now_ns)
        written = replace(read, status=status, version=read.version + 1, modified_ns=modified_ns)
        statement = (
            update(RESOURCES)
            .where(_is(read.kind, read.name), RESOURCES.c.version == read.version)
            .values(status=status, version=written.version, modified_ns=modified_ns)
        )
        with self.writing() as connection:
            if connection.execute(statement).rowcount != 1:
                raise StaleVersion(read.kind, read.name)
        return written

    def delete(self, kind: str, name: str, also: Also = ()) -> bool:
        """Remove a resource, its tags, and what else goes with it; tell whether it was there."""
        arns = select(RESOURCES.c.arn).where(_is(kind, name)).scalar_subquery()
        with self.writing() as connection:
            for statement in (delete(TAGS).where(TAGS.c.arn == arns), *also):
                connection.execute(statement)
            return connection.execute(delete(RESOURCES).where(_is(kind, name))).rowcount == 1

    # ------------------------------------------------------------ tags

    def by_arn(self, arn: str) -> Resource | None:
        statement = select(RESOURCES).where(RESOURCES.c.arn == arn)
        with self.reading() as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else _resource(row)

    def tags(self, arn: str) -> dict[str, str]:
        """Give the tags of a resource, in order of their keys."""
        with self.reading() as connection:
            return _tags(connection, arn)

    def put_tags(self, arn: str, tags: Mapping[str, str]) -> dict[str, str]:
        """Add or replace tags, give all; `ValidationException` if they became too many."""
        with self.writing() as connection:
            _put_tags(connection, arn, tags)
            return _tags(connection, arn)

    def delete_tags(self, arn: str, keys: Sequence[str]) -> None:
        with self.writing() as connection:
            connection.execute(delete(TAGS).where(TAGS.c.arn == arn, TAGS.c.key.in_(keys)))

    # ------------------------------------------------------------ transactions

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a transaction that begins with its write. Raise `StateUnusable`."""
        with self._guarded(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a transaction that only reads. Raise `StateUnusable`."""
        with self._guarded(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as error:
            raise StateUnusable(f"The state database cannot be used: {error.orig}.") from error


def migrate(engine: Engine) -> None:
    """Bring the tables to the newest revision."""
    config = Config()
    config.set_main_option("script_location", "modeltap.state:migrations")
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


# ---------------------------------------------------------------- statements


def _is(kind: str, name: str) -> ColumnElement[bool]:
    return (RESOURCES.c.kind == kind) & (RESOURCES.c.key == name.lower())


def _listing(query: Query) -> Select[Any]:
    """Select one row more than the page holds: it tells whether there is a next page."""
    value = _sort_column(query)
    position = tuple_(value, RESOURCES.c.key)
    statement = select(RESOURCES).where(RESOURCES.c.kind == query.kind, *_filters(query))
    if query.next_token is not None:
        after = tuple_(*tokens.read(query.next_token))
        statement = statement.where(position < after if query.descending else position > after)
    columns = (value, RESOURCES.c.key)
    order = [column.desc() if query.descending else column.asc() for column in columns]
    return statement.order_by(*order).limit(query.limit + 1)


def _filters(query: Query) -> Iterator[ColumnElement[bool]]:
    columns = RESOURCES.c
    if query.name_contains:
        yield columns.key.contains(query.name_contains.lower(), autoescape=True)
    if query.status is not None:
        yield _status_column(query.status_member) == query.status
    for member, value in query.members.items():
        yield _status_column(member) == value
    for column, after, before in (
        (columns.created_ns, query.created_after_ns, query.created_before_ns),
        (columns.modified_ns, query.modified_after_ns, query.modified_before_ns),
    ):
        if after is not None:
            yield column >= after
        if before is not None:
            yield column < before


def _status_column(member: str) -> ColumnElement[Any]:
    column: ColumnElement[Any] = RESOURCES.c.status[member].as_string()
    return column


def _sort_column(query: Query) -> ColumnElement[Any]:
    if query.sort_by == "Name":
        return RESOURCES.c.key
    by_status = query.sort_by == "Status"
    return _status_column(query.status_member) if by_status else RESOURCES.c.created_ns


def _put_tags(connection: Connection, arn: str, tags: Mapping[str, str]) -> None:
    """Delete, then insert: the one upsert that every database has. A write comes first."""
    if not tags:
        return
    connection.execute(delete(TAGS).where(TAGS.c.arn == arn, TAGS.c.key.in_(tags)))
    rows = [{"arn": arn, "key": key, "value": value} for key, value in tags.items()]
    connection.execute(insert(TAGS), rows)
    if len(_tags(connection, arn)) > TAGS_MAX:
        raise ValidationException(f"A resource can have at most {TAGS_MAX} tags.")


def _tags(connection: Connection, arn: str) -> dict[str, str]:
    statement = select(TAGS.c.key, TAGS.c.value).where(TAGS.c.arn == arn).order_by(TAGS.c.key)
    return {row.key: row.value for row in connection.execute(statement)}


# ---------------------------------------------------------------- rows and tokens


def _row(resource: Resource) -> dict[str, Any]:
    times = {"created_ns": resource.created_ns, "modified_ns": resource.modified_ns}
    whole = {name: shown(time_ns) for name, time_ns in times.items()}
    return asdict(resource) | {"key": resource.name.lower()} | whole


def shown(time_ns: int) -> int:
    """Give a time as AWS shows it: in whole milliseconds."""
    return time_ns // 1_000_000 * 1_000_000


def _resource(row: Row[Any]) -> Resource:
    values = dict(row._mapping)
    del values["key"]
    return Resource(**values)


def _token(query: Query, last: Resource) -> str:
    values = {"Name": last.name.lower(), "Status": last.status.get(query.status_member)}
    return tokens.written(values.get(query.sort_by, last.created_ns), last.name.lower())


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    """Readers never wait for the writer, and a commit is on the disk when it returns."""
    for pragma in ("journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}").close()
