"""What every implementation of the object-store port promises (`objects/port.py`)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pytest
from store_process import Store, running

from modeltap.errors import (
    ObjectExists,
    ObjectNotFound,
    ObjectTooLarge,
    StoreRefused,
    StoreUnavailable,
)
from modeltap.objects.port import ObjectInfo, ObjectStore
from modeltap.objects.remote import Stores, s3_bucket
from modeltap.objects.simulated import SimulatedStore
from modeltap.settings import ExternalBucket, load

T = TypeVar("T")

NUMBERS = count()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with running(tmp_path_factory.mktemp("home")) as store:
        yield store


@pytest.fixture(params=["simulated", "embedded"])
def bucket(request: pytest.FixtureRequest, served: Store) -> ObjectStore:
    if request.param == "simulated":
        return SimulatedStore()
    name = f"bucket-{next(NUMBERS)}"
    served.client().create_bucket(Bucket=name)
    return opened(served, name)


def opened(served: Store, name: str, **changed: Any) -> ObjectStore:
    at = ExternalBucket(
        endpoint=served.url,
        access_key_id=served.key_id,
        secret_access_key=served.secret,
        allow_http=True,
    )
    return s3_bucket(name, at.model_copy(update=changed))


def run(work: Awaitable[T]) -> T:
    async def main() -> T:
        return await work

    return asyncio.run(main())


async def gathered(infos: AsyncIterator[ObjectInfo]) -> list[ObjectInfo]:
    return [info async for info in infos]


def test_what_was_put_is_got_whole_and_in_spans(bucket: ObjectStore) -> None:
    body = bytes(range(256)) * 1000
    stored = run(bucket.put("a/b c+d=é.bin", body))
    assert stored.etag
    assert run(bucket.get("a/b c+d=é.bin")) == body
    assert run(bucket.get("a/b c+d=é.bin", (10, 20))) == body[10:20]
    assert run(bucket.get("a/b c+d=é.bin", (255_990, 999_999))) == body[255_990:]


def test_head_tells_size_etag_and_metadata(bucket: ObjectStore) -> None:
    stored = run(bucket.put("k", b"12345", metadata={"segment": "7", "records": "3"}))
    info = run(bucket.head("k"))
    assert (info.key, info.size, info.etag) == ("k", 5, stored.etag)
    assert dict(info.metadata) == {"segment": "7", "records": "3"}
    assert info.modified_ns > 0


def test_a_second_put_replaces_unless_it_is_to_create(bucket: ObjectStore) -> None:
    run(bucket.put("k", b"first", create_only=True))
    with pytest.raises(ObjectExists):
        run(bucket.put("k", b"second", create_only=True))
    assert run(bucket.get("k")) == b"first"
    run(bucket.put("k", b"third"))
    assert run(bucket.get("k")) == b"third"


def test_a_put_under_a_key_is_taken(bucket: ObjectStore) -> None:
    run(bucket.put("k", b"body", create_only=True, kms_key_id="alias/capture"))
    assert run(bucket.get("k")) == b"body"
    with pytest.raises(ObjectExists):
        run(bucket.put("k", b"other", create_only=True, kms_key_id="alias/capture"))


def test_list_gives_keys_by_text_prefix_in_order(bucket: ObjectStore) -> None:
    for key in ("p/b/2", "p/a", "p/b-1", "p/b/1", "q", "p2"):
        run(bucket.put(key, b"x"))
    assert [info.key for info in run(gathered(bucket.list("p/b")))] == ["p/b-1", "p/b/1", "p/b/2"]
    assert [info.key for info in run(gathered(bucket.list("p/b/")))] == ["p/b/1", "p/b/2"]
    assert len(run(gathered(bucket.list()))) == 6
    assert run(gathered(bucket.list("nothing/"))) == []


def test_delete_removes_and_does_not_mind_what_is_not_there(bucket: ObjectStore) -> None:
    run(bucket.put("k", b"x"))
    run(bucket.delete("k"))
    run(bucket.delete("k"))
    with pytest.raises(ObjectNotFound):
        run(bucket.get("k"))
    with pytest.raises(ObjectNotFound):
        run(bucket.head("k"))


@pytest.mark.parametrize("size", [0, 5, 20 * 1024 * 1024])
def test_send_writes_a_file_whole_over_what_is_there(
    bucket: ObjectStore, tmp_path: Path, size: int
) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(range(256)) * (size // 256) + b"x" * (size % 256))
    run(bucket.put("d/k", b"before"))
    sent = run(bucket.send("d/k", file, kms_key_id="a key"))
    assert run(bucket.get("d/k")) == file.read_bytes()
    assert run(bucket.head("d/k")).etag == sent.etag


def test_fetch_streams_into_a_private_file(bucket: ObjectStore, tmp_path: Path) -> None:
    body = bytes(range(256)) * 40_000
    run(bucket.put("model.tar.gz", body))
    path = tmp_path / "model.tar.gz"
    assert run(bucket.fetch("model.tar.gz", path, len(body))) == len(body)
    assert path.read_bytes() == body
    assert path.stat().st_mode & 0o777 == 0o600


def test_fetch_leaves_nothing_beyond_its_bound(bucket: ObjectStore, tmp_path: Path) -> None:
    run(bucket.put("k", b"12345"))
    with pytest.raises(ObjectTooLarge):
        run(bucket.fetch("k", tmp_path / "k", 4))
    with pytest.raises(ObjectNotFound):
        run(bucket.fetch("nothing", tmp_path / "k", 4))
    assert list(tmp_path.iterdir()) == []


def test_fetch_tells_a_missing_folder_from_a_missing_object(
    bucket: ObjectStore, tmp_path: Path
) -> None:
    run(bucket.put("k", b"12345"))
    with pytest.raises(FileNotFoundError):
        run(bucket.fetch("k", tmp_path / "no such folder" / "k", 5))


def test_fetch_does_not_touch_a_file_that_is_there(bucket: ObjectStore, tmp_path: Path) -> None:
    run(bucket.put("k", b"new"))
    (tmp_path / "k").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        run(bucket.fetch("k", tmp_path / "k", 100))
    assert (tmp_path / "k").read_bytes() == b"old"


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "a/../b", "."])
def test_a_key_that_obstore_would_change_is_refused(bucket: ObjectStore, key: str) -> None:
    verbs: list[Callable[[], Awaitable[Any]]] = [
        lambda: bucket.put(key, b"x"),
        lambda: bucket.get(key),
        lambda: bucket.head(key),
        lambda: bucket.delete(key),
    ]
    for verb in verbs:
        with pytest.raises(StoreRefused):
            run(verb())


# ---------------------------------------------------------------- what only a real store can answer


def test_a_missing_bucket_and_a_wrong_secret_are_refusals(served: Store) -> None:
    with pytest.raises(StoreRefused, match="404 NoSuchBucket") as refused:
        run(opened(served, "no-such-bucket").put("k", b"x"))
    assert (refused.value.status, refused.value.code) == (404, "NoSuchBucket")
    with pytest.raises(StoreRefused, match="404 NoSuchBucket"):
        run(opened(served, "no-such-bucket").get("k"))
    with pytest.raises(StoreRefused, match="403 SignatureDoesNotMatch"):
        run(opened(served, "any-bucket", secret_access_key="wrong").put("k", b"x"))
    with pytest.raises(StoreRefused):
        run(gathered(opened(served, "any-bucket", secret_access_key="wrong").list()))


def test_the_environment_of_a_shell_does_not_go_out_with_our_keys(
    served: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.client().create_bucket(Bucket="environment")
    for name, value in {
        "AWS_SESSION_TOKEN": "a token that our keys do not have",
        "AWS_SKIP_SIGNATURE": "true",
        "AWS_S3_EXPRESS": "true",
        "AWS_UNSIGNED_PAYLOAD": "true",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
    }.items():
        monkeypatch.setenv(name, value)
    store = opened(served, "environment")
    run(store.put("k", b"x"))
    assert run(store.get("k")) == b"x"


def test_nobody_there_is_unavailable() -> None:
    nobody = ExternalBucket(
        endpoint="http://127.0.0.1:9", allow_http=True, access_key_id="AKIA", secret_access_key="s"
    )
    with pytest.raises(StoreUnavailable, match="error sending request"):
        run(s3_bucket("any-bucket", nobody).put("k", b"x"))


def test_stores_lead_to_our_own_bulk_port_or_an_external_bucket(
    served: Store, tmp_path: Path
) -> None:
    client = served.client()
    for name in ("own-bucket", "external-bucket"):
        client.create_bucket(Bucket=name)
    external = ExternalBucket(
        endpoint=served.url,
        access_key_id=served.key_id,
        secret_access_key=served.secret,
        allow_http=True,
    )
    # The first bucket is reached as our own; the other is named in the settings, and our own port
    # is one where nobody listens.
    own = load(home=tmp_path, host="0.0.0.0", port=served.http - 1)
    elsewhere = load(home=tmp_path, port=8, external_buckets={"external-bucket": external})
    keys = (served.key_id, served.secret)
    for settings, uri in (
        (own, "s3://own-bucket/d/k"),
        (elsewhere, "https://external-bucket.s3.us-east-1.amazonaws.com/d/k"),
    ):
        store, key = Stores(settings, keys).at(uri)
        run(store.put(key, uri.encode()))
        bucket = uri.partition("//")[2].partition("-bucket")[0] + "-bucket"
        assert client.get_object(Bucket=bucket, Key="d/k")["Body"].read() == uri.encode()
