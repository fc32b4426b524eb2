"""A bucket in memory, which answers as it is told: the port's fake.

`fault` is asked before each put, get, head and delete. What a put wrote whose answer is lost is
there.
"""

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from enum import Enum, auto
from pathlib import Path

from modeltap.errors import (
    ObjectExists,
    ObjectNotFound,
    ObjectTooLarge,
    StoreUnavailable,
)
from modeltap.objects.port import ObjectInfo, Stored, nameable, refusal


class Fault(Enum):
    """How a call fails."""

    DOWN = auto()  # no answer, and nothing was done
    LOST = auto()  # no answer, and it was done
    BUSY = auto()
    CONFLICT = auto()
    EXPIRED = auto()
    SKEWED = auto()
    DENIED = auto()
    NO_BUCKET = auto()
    MOVED = auto()
    REFUSED = auto()
    TOO_LARGE = auto()
    NO_CONDITIONS = auto()  # a store that knows no "create only"


ANSWERS = {
    Fault.BUSY: (503, "SlowDown"),
    Fault.CONFLICT: (409, "ConditionalRequestConflict"),
    Fault.EXPIRED: (403, "ExpiredToken"),
    Fault.SKEWED: (403, "RequestTimeTooSkewed"),
    Fault.DENIED: (403, "AccessDenied"),
    Fault.NO_BUCKET: (404, "NoSuchBucket"),
    Fault.MOVED: (301, "PermanentRedirect"),
    Fault.REFUSED: (400, "InvalidRequest"),
    Fault.TOO_LARGE: (413, "EntityTooLarge"),
}
"""The faults that are an answer: status and code. Nothing was done."""


class SimulatedStore:
    """One bucket."""

    def __init__(self, fault: Callable[[str], Fault | None] = lambda _: None) -> None:
        self.fault = fault
        self._changes = 0  # the time of an object
        self.kms_key_ids: dict[str, str | None] = {}  # as last asked for, by key
        self._objects: dict[str, tuple[ObjectInfo, bytes]] = {}

    async def put(
        self,
        key: str,
        data: bytes,
        *,
        metadata: Mapping[str, str] | None = None,
        create_only: bool = False,
        kms_key_id: str | None = None,
    ) -> Stored:
        fault = self._ask("put", key)
        if fault is Fault.NO_CONDITIONS and create_only:
            raise refusal(501, "NotImplemented")
        if create_only and key in self._objects:
            raise ObjectExists(key)
        self._changes += 1
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        info = ObjectInfo(key, len(data), etag, self._changes, dict(metadata or {}))
        self._objects[key] = info, data
        self.kms_key_ids[key] = kms_key_id
        if fault is Fault.LOST:
            raise StoreUnavailable("the answer was lost")
        return Stored(etag)

    async def send(self, key: str, path: Path, *, kms_key_id: str | None = None) -> Stored:
        return await self.put(key, path.read_bytes(), kms_key_id=kms_key_id)

    async def get(self, key: str, span: tuple[int, int] | None = None) -> bytes:
        self._ask("get", key)
        data = self._found(key)[1]
        return data if span is None else data[span[0] : span[1]]

    async def head(self, key: str) -> ObjectInfo:
        self._ask("head", key)
        return self._found(key)[0]

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        for key in sorted(self._objects):
            if key.startswith(prefix):
                info = self._objects[key][0]
                yield ObjectInfo(key, info.size, info.etag, info.modified_ns)

    async def delete(self, key: str) -> None:
        self._ask("delete", key)
        self._objects.pop(key, None)

    async def fetch(self, key: str, path: Path, bytes_max: int) -> int:
        data = await self.get(key)
        if len(data) > bytes_max:
            raise ObjectTooLarge(f"{key} is larger than {bytes_max} bytes")
        path.touch(mode=0o600, exist_ok=False)
        path.write_bytes(data)
        return len(data)

    def _ask(self, call: str, key: str) -> Fault | None:
        nameable(key)
        fault = self.fault(call)
        if fault is Fault.DOWN:
            raise StoreUnavailable("no answer")
        if fault in ANSWERS:
            raise refusal(*ANSWERS[fault])
        return fault

    def _found(self, key: str) -> tuple[ObjectInfo, bytes]:
        if key not in self._objects:
            raise ObjectNotFound(key)
        return self._objects[key]
