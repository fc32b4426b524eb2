"""The object-store port: all that the house asks of a bucket, wherever the bucket lives.

One store is one bucket. Five verbs, and `fetch` and `send` between it and files; every
implementation passes one contract suite (`tests/contract/test_objects_port.py`). Keys are S3 keys:
non-empty text of at most 1,024 UTF-8 bytes, no leading slash. No call retries: the caller owns the
pace. The errors are

    ObjectNotFound    no such key
    ObjectExists      `create_only`, and the key is taken
    ObjectTooLarge    `fetch` beyond its bound
    StoreRefused      configuration or credentials: no such bucket, denied; a retry alone is no help
    StoreUnavailable  no answer, or a server's error; the write may or may not have happened

The last two carry the store's status and code: `refusal` tells them apart, for every store alike.
"""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from modeltap.errors import ObjectStoreError, StoreRefused, StoreUnavailable

BUSY = frozenset({408, 409, 429, 500, 502, 503, 504})
"""Statuses that a later try may change; 409 is a race of two conditional writes."""

BUSY_CODES = frozenset({"BadDigest", "IncompleteBody", "RequestTimeout", "SlowDown"})
"""Codes of a 400 that say that the request was hurt on its way."""

UNNAMEABLE = re.compile(r"^$|^/|/$|//|(?:^|/)\.{1,2}(?:/|$)")


def nameable(key: str) -> str:
    """Give a key back; raise `StoreRefused` for one that obstore would change (`remote.py`)."""
    if UNNAMEABLE.search(key):
        raise StoreRefused(f"this store cannot name the key {key!r}")
    return key


def refusal(status: int, code: str) -> ObjectStoreError:
    """Give the error that an answer other than "done", "exists" and "not there" is."""
    kind = StoreUnavailable if status in BUSY or code in BUSY_CODES else StoreRefused
    return kind(f"the store answered {status} {code}".rstrip(), status=status, code=code)


@dataclass(frozen=True, slots=True)
class Stored:
    """What a put left behind."""

    etag: str  # without quotes


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store tells of an object without its bytes."""

    key: str
    size: int  # bytes
    etag: str  # without quotes
    modified_ns: int
    metadata: Mapping[str, str] = field(default_factory=dict)  # user metadata; empty from `list`


class ObjectStore(Protocol):
    """One bucket."""

    async def put(
        self,
        key: str,
        data: bytes,
        *,
        metadata: Mapping[str, str] | None = None,
        create_only: bool = False,
        kms_key_id: str | None = None,
    ) -> Stored:
        """Write one whole object, replacing what is there unless `create_only`.

        With a key the store is asked to encrypt the object under it (SSE-KMS); embedded buckets
        note the wish and do not encrypt.
        """
        ...

    async def send(self, key: str, path: Path, *, kms_key_id: str | None = None) -> Stored:
        """Write a file as one object, in pieces where it is large, replacing what is there.

        A file that grows or shrinks meanwhile may give an object that it never was.
        """
        ...

    async def get(self, key: str, span: tuple[int, int] | None = None) -> bytes:
        """Read an object, or its bytes start … end (end excluded), cut at the object's end."""
        ...

    async def head(self, key: str) -> ObjectInfo:
        """Tell of one object, with its user metadata (keys in lower case)."""
        ...

    def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        """Give every object whose key starts with the prefix, as text, in key order."""
        ...

    async def delete(self, key: str) -> None:
        """Remove an object; removing what is not there is no error."""
        ...

    async def fetch(self, key: str, path: Path, bytes_max: int) -> int:
        """Stream an object into a new file (0600); give its size in bytes.

        Above `bytes_max` nothing is left behind and `ObjectTooLarge` is raised.
        """
        ...
