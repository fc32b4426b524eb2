"""Checksums of uploads: `x-amz-checksum-*` and `Content-MD5`, computed as the body streams by."""

import base64
import hashlib
import zlib
from collections.abc import Callable
from typing import Protocol

import crc32c

from modeltap.errors import BadDigest, InvalidArgument, NotImplementedByStore
from modeltap.nouns import HttpRequest

HEADER_PREFIX = "x-amz-checksum-"

_SETTINGS = {"x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-checksum-type"}
"""Headers with the prefix that carry no checksum."""


class Checksum(Protocol):
    """What `hashlib` has; CRCs come in the same shape, big-endian as S3 sends them."""

    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc:
    def __init__(self, step: Callable[[bytes, int], int]) -> None:
        self._step = step
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = self._step(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


_ALGORITHMS: dict[str, Callable[[], Checksum]] = {
    "crc32": lambda: _Crc(zlib.crc32),
    "crc32c": lambda: _Crc(crc32c.crc32c),
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
    "md5": lambda: hashlib.md5(usedforsecurity=False),
}


def new(algorithm: str) -> Checksum:
    """Start a checksum by S3's name for it, in either case.

    Raise `NotImplementedByStore` for one that is not kept here (CRC64NVME).
    """
    try:
        return _ALGORITHMS[algorithm.lower()]()
    except KeyError:
        known = ", ".join(name.upper() for name in _ALGORITHMS if name != "md5")
        raise NotImplementedByStore(
            f"The checksum algorithm is not implemented; these are: {known}."
        ) from None


def text(checksum: Checksum) -> str:
    """Write a checksum as S3's headers and documents have it."""
    return base64.b64encode(checksum.digest()).decode()


class Verifier:
    """Checks a body against the checksums that its request's headers announce.

    Feed it the decoded body, then `finish`. Trailers are checked by `chunked.AwsChunked`.
    """

    def __init__(self, request: HttpRequest) -> None:
        """Read the headers. Raise `InvalidArgument` where one is no base64 of its length."""
        self._awaited = [(new(name), _digest(name, value)) for name, value in _announced(request)]

    def update(self, data: bytes) -> None:
        for checksum, _ in self._awaited:
            checksum.update(data)

    def finish(self) -> None:
        """Compare. Raise `BadDigest` where the body is not the announced one."""
        if any(checksum.digest() != awaited for checksum, awaited in self._awaited):
            raise BadDigest("The checksum you specified did not match the calculated checksum.")


def _announced(request: HttpRequest) -> list[tuple[str, bytes]]:
    announced = []
    for raw, value in request.headers:
        name = raw.decode("latin-1")
        if name == "content-md5":
            announced.append(("md5", value))
        elif name.startswith(HEADER_PREFIX) and name not in _SETTINGS:
            announced.append((name.removeprefix(HEADER_PREFIX), value))
    return announced


def _digest(name: str, value: bytes) -> bytes:
    try:
        digest = base64.b64decode(value, validate=True)
    except ValueError:
        digest = b""
    if len(digest) != len(new(name).digest()):
        raise InvalidArgument(f"The value of the {name} checksum is invalid.")
    return digest
