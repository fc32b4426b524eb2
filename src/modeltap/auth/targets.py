"""The request target in a signature: rules 2 and 3 of `sigv4`.

Outside S3 the canonical path encodes the target's octets once more (`%` becomes `%25`); in S3 it is
decoded and encoded once. In queries a `+` is a space, for the signature and the reader.
"""

import re
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from modeltap.errors import SerializationException
from modeltap.memo import Memo

_TARGET = re.compile(rb"/(?:[!\"$&-~]|%[0-9A-Fa-f]{2})*")  # visible ASCII without # and bare %
_HIDDEN = re.compile(rb"%(2f|5c|00)", re.IGNORECASE)


def canonical(target: bytes, *, s3: bool) -> tuple[bytes, bytes]:
    """Give the canonical path and query. Raise `SerializationException` on a malformed target."""
    return (_s3_targets if s3 else _targets).of(target)


def _plain(target: bytes) -> tuple[bytes, bytes]:
    path, query = _split(target)
    if not _is_normal(path):
        raise _malformed()
    return _quoted(path, safe="/"), _query(query)


def _s3(target: bytes) -> tuple[bytes, bytes]:
    path, query = _split(target)
    return _quoted(unquote_to_bytes(path), safe="/"), _query(query)


def _split(target: bytes) -> tuple[bytes, bytes]:
    if not _TARGET.fullmatch(target):
        raise _malformed()
    path, _, query = target.partition(b"?")
    return path, query


def _malformed() -> SerializationException:
    return SerializationException("The request target is malformed.")


def _is_normal(path: bytes) -> bool:
    parts = unquote_to_bytes(path).split(b"/")[1:]
    is_aliased = b"" in parts[:-1] or b"." in parts or b".." in parts
    return not is_aliased and not _HIDDEN.search(path)


def _query(query: bytes) -> bytes:
    if not query:
        return b""
    fields = []
    for part in query.split(b"&"):
        name, _, value = part.replace(b"+", b" ").partition(b"=")
        fields.append((_quoted(unquote_to_bytes(name)), _quoted(unquote_to_bytes(value))))
    return b"&".join([name + b"=" + value for name, value in sorted(fields)])


def _quoted(octets: bytes, safe: str = "") -> bytes:
    return quote_from_bytes(octets, safe=safe).encode()


_targets: Final = Memo(_plain)
_s3_targets: Final = Memo(_s3)
