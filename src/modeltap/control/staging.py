"""A job's inputs: from S3 to where its program looks for them (contract §4.2).

`S3Prefix`: every object whose key begins with the URI's, as text. Its file is named by what stands
after the URI in its key; an object that the URI names whole, by the last part of its key (as AWS's
local mode does). `ManifestFile`: the objects that a JSON list at the URI names, each by its name
in it. Folder markers (empty objects, with or without a slash at the end) are no files.

Bounds: `OBJECTS_MAX` objects of an input, `VolumeSizeInGB` for all inputs of a job together. Every
failure leaves here as a `LaunchFailed` whose text is the job's `FailureReason`.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from modeltap.control.jobs import Job
from modeltap.control.patience import Patience
from modeltap.errors import (
    LaunchFailed,
    ObjectNotFound,
    ObjectStoreError,
    ObjectTooLarge,
)
from modeltap.hosting.jobs import ML_ROOT
from modeltap.nouns import Document
from modeltap.objects.port import ObjectInfo, ObjectStore
from modeltap.objects.remote import split_uri

OBJECTS_MAX = 1_000_000
MANIFEST_BYTES_MAX = 64 * 1024 * 1024
FETCHES_AT_ONCE = 8
GIB = 1024**3

Stores = Callable[[str], tuple[ObjectStore, str]]
"""The bucket that a URI names, and the key in it; raises `StoreRefused` for what is no URI."""

Tell = Callable[[str], None]
"""Takes one line for the job's log."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object of a bucket, and the path of its file below the input's folder."""

    store: ObjectStore
    key: str
    name: str
    uri: str


class Staging:
    """Fetches inputs, over the hands that do."""

    def __init__(self, stores: Stores, patience: Patience, region: str) -> None:
        self._stores = stores
        self._patience = patience
        self._region = region

    async def stage(self, job: Job, ml: Path, tell: Tell) -> None:
        """Fetch every input of a job into its `/opt/ml`. Raise `LaunchFailed`, `OSError`."""
        left = job.spec["ProcessingResources"]["ClusterConfig"]["VolumeSizeInGB"] * GIB
        for given in job.spec.get("ProcessingInputs", []):
            if not given.get("AppManaged", False):
                left -= await self._stage(job, given, ml, left, tell)

    async def _stage(self, job: Job, given: Document, ml: Path, left: int, tell: Tell) -> int:
        """Fetch one input; give its size in bytes."""
        name, source = given["InputName"], given["S3Input"]
        uri, folder = source["S3Uri"], inside(ml, source["LocalPath"])
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        nothing = nothing_found(uri, self._region, job.spec["RoleArn"])
        try:
            wanted = await self._patience.of(partial(wanted_by, self._stores, source))
            if not wanted:
                raise LaunchFailed(nothing)
            size = 0
            for batch in batches(wanted, FETCHES_AT_ONCE):
                size += await self._fetch(batch, folder, left - size)
        except ObjectTooLarge:
            raise LaunchFailed(_too_large(job, name)) from None
        except ObjectStoreError as error:
            if error.code == "NoSuchBucket":
                raise LaunchFailed(nothing) from error
            raise LaunchFailed(_unfetched(name, uri, error)) from error
        tell(f"input {name}: {len(wanted)} objects, {size} bytes, {uri} -> {source['LocalPath']}")
        return size

    async def _fetch(self, batch: Sequence[Wanted], folder: Path, left: int) -> int:
        """Fetch some objects at once; give their size together."""
        fetches = [self._fetch_one(each, folder, left) for each in batch]
        came = await asyncio.gather(*fetches, return_exceptions=True)
        for each in came:
            if isinstance(each, BaseException):
                raise each
        size = sum(each for each in came if isinstance(each, int))
        if size > left:
            raise ObjectTooLarge("the inputs together")
        return size

    async def _fetch_one(self, wanted: Wanted, folder: Path, left: int) -> int:
        path = folder / checked(wanted.name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return await self._patience.of(lambda: wanted.store.fetch(wanted.key, path, left))


def inside(ml: Path, local_path: str) -> Path:
    """Give where a path of the request really is; `front` has let none out of `/opt/ml`."""
    return ml / PurePosixPath(local_path).relative_to(ML_ROOT)


def checked(name: str) -> str:
    """Give the path of an input's file back. Raise `LaunchFailed` for one that leads elsewhere."""
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise LaunchFailed(f"ClientError: An input's object cannot be a file named {name!r}.")
    return name


def batches(wanted: Sequence[Wanted], size: int) -> Iterator[Sequence[Wanted]]:
    return (wanted[start : start + size] for start in range(0, len(wanted), size))


# ---------------------------------------------------------------- which objects


async def wanted_by(stores: Stores, source: Document) -> list[Wanted]:
    """List the objects of a data source (`S3DataType`, `S3Uri`), by prefix or by manifest.

    Raise `LaunchFailed` for what is no list, `ObjectStoreError`.
    """
    uri = source["S3Uri"]
    store, key = stores(uri)
    if source["S3DataType"] == "ManifestFile":
        return _by_manifest(stores, *_manifest(uri, await _document(store, key, uri)))
    return list(_by_prefix(store, split_uri(uri)[0], await _listed(store, key), key))


async def _listed(store: ObjectStore, prefix: str) -> list[ObjectInfo]:
    found = []
    async for info in store.list(prefix):
        found.append(info)
        if len(found) > OBJECTS_MAX:
            raise LaunchFailed(
                f"ClientError: More than {OBJECTS_MAX} objects have keys that begin with {prefix}. "
                "Give S3Uri a narrower prefix."
            )
    return found


def _by_prefix(
    store: ObjectStore, bucket: str, found: Sequence[ObjectInfo], prefix: str
) -> Iterator[Wanted]:
    """Name each object's file; folder markers are passed over."""
    folders = {str(each) for info in found for each in PurePosixPath(info.key).parents}
    for info in found:
        if info.size == 0 and (info.key.endswith("/") or info.key in folders):
            continue
        whole = info.key == prefix
        name = PurePosixPath(prefix).name if whole else info.key[len(prefix) :].lstrip("/")
        yield Wanted(store, info.key, name, f"s3://{bucket}/{info.key}")


async def _document(store: ObjectStore, key: str, uri: str) -> bytes:
    if (await store.head(key)).size > MANIFEST_BYTES_MAX:
        raise LaunchFailed(f"ClientError: The manifest {uri} is over {MANIFEST_BYTES_MAX} bytes.")
    return await store.get(key)


def _by_manifest(stores: Stores, prefix: str, names: Sequence[str]) -> list[Wanted]:
    store, start = stores(prefix)
    bucket = split_uri(prefix)[0]
    return [Wanted(store, f"{start}{name}", name, f"s3://{bucket}/{start}{name}") for name in names]


def _manifest(uri: str, data: bytes) -> tuple[str, list[str]]:
    """Read `[{"prefix": "s3://…"}, "name", …]`."""
    try:
        document: Any = json.loads(data)
        prefix, names = document[0]["prefix"], document[1:]
        if isinstance(prefix, str) and all(isinstance(name, str) for name in names):
            return prefix, names
    except (ValueError, LookupError, TypeError):
        pass
    raise LaunchFailed(
        f"ClientError: {uri} is no manifest: it is to be a JSON list, first an object with the "
        'member "prefix" (an S3 URI), then names that are put after it.'
    )


# ---------------------------------------------------------------- what went wrong


def nothing_found(uri: str, region: str, role: str) -> str:
    """Say it as AWS does (contract §4.7)."""
    return (
        f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure '
        f"that the bucket exists in the selected region ({region}), that objects exist "
        f'under that S3 prefix, and that the role "{role}" has '
        f'"s3:ListBucket" permissions on bucket "{split_uri(uri)[0]}".'
    )


def _unfetched(name: str, uri: str, error: ObjectStoreError) -> str:
    if isinstance(error, ObjectNotFound):
        return f"ClientError: Input {name}: {error} in the bucket of {uri}. Upload it."
    return (
        f"ClientError: Input {name} could not be fetched from {uri}: {error}. Check S3Uri and the "
        "settings of its store."
    )


def _too_large(job: Job, name: str) -> str:
    size = job.spec["ProcessingResources"]["ClusterConfig"]["VolumeSizeInGB"]
    return (
        f"ClientError: With input {name} the inputs are larger than the job's volume of {size} GB. "
        "Create the job again under another name with a larger "
        "ProcessingResources.ClusterConfig.VolumeSizeInGB."
    )
