"""What `Store` promises, on a real SQLite file."""

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from modeltap.errors import ResourceExists, StaleVersion, StateUnusable, ValidationException
from modeltap.state.schema import METADATA
from modeltap.state.store import Query, Resource, Store

SECOND = 1_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "state.db")
    yield opened
    opened.close()


def endpoint(name: str, *, created: int = 1, status: str = "Creating") -> Resource:
    return Resource(
        kind="endpoint",
        name=name,
        arn=f"arn:aws:sagemaker:us-east-1:000000000000:endpoint/{name.lower()}",
        spec={"EndpointName": name, "Nested": {"list": [1, 2.5, None, "é"]}},
        status={"EndpointStatus": status},
        version=1,
        created_ns=created * SECOND,
        modified_ns=created * SECOND,
    )


def names(store: Store, query: Query) -> list[str]:
    """Walk all pages."""
    found = []
    while True:
        page = store.list(query)
        found += [resource.name for resource in page.resources]
        if page.next_token is None:
            return found
        query = replace(query, next_token=page.next_token)


def test_a_resource_comes_back_as_it_was_put(store: Store) -> None:
    store.create(endpoint("Churn"))
    assert store.get("endpoint", "Churn") == endpoint("Churn")
    assert store.get("endpoint", "cHURN") == endpoint("Churn")
    assert store.by_arn(endpoint("Churn").arn) == endpoint("Churn")
    assert store.get("model", "Churn") is None
    assert store.by_arn("arn:nothing") is None


def test_a_name_is_taken_in_every_case_and_by_kind(store: Store) -> None:
    store.create(endpoint("Churn"))
    with pytest.raises(ResourceExists):
        store.create(endpoint("churN"))
    store.create(replace(endpoint("churn"), kind="model", arn="arn:model"))
    assert [resource.name for resource in store.every("endpoint")] == ["Churn"]


def test_a_kind_is_filtered_and_sorted_by_the_status_that_is_its_own(store: Store) -> None:
    for name, status in (("a", "InProgress"), ("b", "Failed"), ("c", "Stopping")):
        arn, told = f"arn:job/{name}", {"ProcessingJobStatus": status, "EndpointStatus": "no"}
        store.create(replace(endpoint(name), kind="processing-job", arn=arn, status=told))
    found = store.every("processing-job", "ProcessingJobStatus", ("InProgress", "Stopping"))
    assert [resource.name for resource in found] == ["a", "c"]
    query = Query("processing-job", "ProcessingJobStatus", descending=False, limit=1)
    assert names(store, replace(query, status="Failed")) == ["b"]
    assert names(store, replace(query, sort_by="Status")) == ["b", "a", "c"]


def test_a_refused_create_leaves_no_tags(store: Store) -> None:
    store.create(endpoint("a"), {"owner": "first"})
    with pytest.raises(ResourceExists):
        store.create(endpoint("A"), {"owner": "second"})
    assert store.tags(endpoint("a").arn) == {"owner": "first"}


def test_deleting_removes_the_tags_and_tells_whether_it_was_there(store: Store) -> None:
    store.create(endpoint("a"), {"owner": "me"})
    assert store.delete("endpoint", "A")
    assert store.tags(endpoint("a").arn) == {}
    assert not store.delete("endpoint", "a")


def test_a_status_is_written_only_over_the_version_that_was_read(store: Store) -> None:
    store.create(endpoint("a"))
    read = store.get("endpoint", "a")
    assert read is not None
    written = store.put_status(read, {"EndpointStatus": "InService"}, 9 * SECOND + 7)
    assert written == store.get("endpoint", "a")
    assert (written.version, written.modified_ns, written.created_ns) == (2, 9 * SECOND, SECOND)
    with pytest.raises(StaleVersion):
        store.put_status(read, {"EndpointStatus": "Failed"}, 10)
    store.delete("endpoint", "a")
    with pytest.raises(StaleVersion):
        store.put_status(written, {"EndpointStatus": "Failed"}, 11)


def test_of_many_writers_at_once_each_version_has_one(store: Store) -> None:
    store.create(endpoint("a"))
    won: list[int] = []

    def write(writer: int) -> None:
        for _ in range(20):
            read = store.get("endpoint", "a")
            assert read is not None
            try:
                won.append(store.put_status(read, {"EndpointStatus": str(writer)}, 1).version)
            except StaleVersion:
                continue

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last = store.get("endpoint", "a")
    assert last is not None
    assert sorted(won) == list(range(2, last.version + 1))


def test_lists_are_cut_into_pages_in_every_order(store: Store) -> None:
    created = {"b": 3, "a": 1, "C": 2, "d": 3}
    for name, second in created.items():
        store.create(endpoint(name, created=second, status="InService" if name > "a" else "Failed"))
    for limit in (1, 2, 3, 4, 5):
        query = Query("endpoint", limit=limit)
        assert names(store, query) == ["d", "b", "C", "a"]
        assert names(store, replace(query, descending=False)) == ["a", "C", "b", "d"]
        by_name = replace(query, sort_by="Name", descending=False)
        assert names(store, by_name) == ["a", "b", "C", "d"]
        by_status = replace(query, sort_by="Status", descending=False)
        assert names(store, by_status) == ["a", "C", "b", "d"]


def test_lists_are_filtered(store: Store) -> None:
    for second, name in enumerate(("alpha", "alp_a", "BETA"), start=1):
        store.create(
            endpoint(name, created=second, status="Failed" if second == 2 else "InService")
        )
    query = Query("endpoint", sort_by="Name", descending=False)
    assert names(store, replace(query, name_contains="LP")) == ["alp_a", "alpha"]
    assert names(store, replace(query, name_contains="_")) == ["alp_a"]
    assert names(store, replace(query, status="InService")) == ["alpha", "BETA"]
    assert names(store, replace(query, created_after_ns=2 * SECOND)) == ["alp_a", "BETA"]
    assert names(store, replace(query, created_before_ns=2 * SECOND)) == ["alpha"]
    read = store.get("endpoint", "alpha")
    assert read is not None
    store.put_status(read, read.status, 9 * SECOND)
    assert names(store, replace(query, modified_after_ns=4 * SECOND)) == ["alpha"]
    assert names(store, replace(query, modified_before_ns=4 * SECOND)) == ["alp_a", "BETA"]


def test_a_page_neither_repeats_nor_hides_what_stays(store: Store) -> None:
    for name in "abcdef":
        store.create(endpoint(name))
    first = store.list(Query("endpoint", sort_by="Name", descending=False, limit=3))
    store.delete("endpoint", "b")
    store.delete("endpoint", "c")
    store.create(endpoint("aa"))
    rest = Query("endpoint", sort_by="Name", descending=False, next_token=first.next_token)
    assert names(store, rest) == ["d", "e", "f"]


@pytest.mark.parametrize("token", ["!", "bm9uc2Vuc2U=", "WzFd", "W251bGwsICJhIl0=", "e30="])
def test_a_token_that_is_not_ours_is_refused(store: Store, token: str) -> None:
    with pytest.raises(ValidationException):
        store.list(Query("endpoint", next_token=token))


def test_tags_are_put_replaced_deleted_and_counted(store: Store) -> None:
    store.create(endpoint("a"), {"b": "1", "a": "2"})
    arn = endpoint("a").arn
    assert list(store.tags(arn)) == ["a", "b"]
    assert store.put_tags(arn, {"b": "3", "c": "4"}) == {"a": "2", "b": "3", "c": "4"}
    store.delete_tags(arn, ["a", "never"])
    assert store.tags(arn) == {"b": "3", "c": "4"}
    with pytest.raises(ValidationException):
        store.put_tags(arn, {str(number): "" for number in range(49)})
    assert store.tags(arn) == {"b": "3", "c": "4"}


def test_what_was_written_is_there_after_opening_again(tmp_path: Path) -> None:
    first = Store.open(tmp_path / "state.db")
    first.create(endpoint("a"))
    first.close()
    again = Store.open(tmp_path / "state.db")
    assert again.get("endpoint", "a") == endpoint("a")
    again.close()


def test_the_migrations_lead_to_the_tables_as_declared(tmp_path: Path) -> None:
    Store.open(tmp_path / "state.db").close()
    engine = create_engine(f"sqlite:///{tmp_path / 'state.db'}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()


def test_the_database_is_for_its_owner_alone(tmp_path: Path) -> None:
    Store.open(tmp_path / "home" / "state.db").close()
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "home" / "state.db").stat().st_mode & 0o777 == 0o600


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(StateUnusable, match="not a database"):
        Store.open(tmp_path / "state.db")


def test_a_locked_database_is_named(tmp_path: Path, store: Store) -> None:
    store.create(endpoint("a"))
    impatient = Store.open(tmp_path / "state.db", busy_seconds_max=0.05)
    other = sqlite3.connect(tmp_path / "state.db")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StateUnusable, match="locked"):
        impatient.create(endpoint("b"))
    assert impatient.get("endpoint", "a") is not None  # readers never wait for a writer
    other.rollback()
    other.close()
    impatient.create(endpoint("b"))
    impatient.close()
