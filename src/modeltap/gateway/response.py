"""Writes answers as HTTP/1.1 bytes: status line, framing headers, body or its chunks.

Format: `content-length` where the size is known (the body is bytes, or the answer brings the
header), else `transfer-encoding: chunked`, and on HTTP/1.0 the connection's end. Answers to HEAD,
and 1xx, 204 and 304, have no body (RFC 9110 §6.4.1); a length that they bring is kept but for 204.
"""

import re
from collections.abc import Mapping
from email.utils import formatdate
from enum import Enum
from http import HTTPStatus
from itertools import chain

from modeltap.clock import Clock
from modeltap.errors import BadRequest
from modeltap.nouns import HttpResponse

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_UNSAFE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class Stamp:
    """The `date` header's value, made once a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = -1
        self._text = b""

    def __call__(self) -> bytes:
        second = self._clock.now_ns() // 1_000_000_000
        if second != self._second:
            self._second = second
            self._text = formatdate(second, usegmt=True).encode()
        return self._text


class Framing(Enum):
    """How the client tells where a body ends."""

    NONE = "there is no body"
    LENGTH = "by its announced length"
    CHUNKED = "by the last chunk"
    CLOSE = "by the end of the connection"


def framing(response: HttpResponse, method: str, version: str) -> Framing:
    """Choose for an answer to a method of a client that speaks this version of HTTP."""
    if method == "HEAD" or response.status < 200 or response.status in (204, 304):
        return Framing.NONE
    if isinstance(response.body, bytes) or b"content-length" in dict(response.headers):
        return Framing.LENGTH
    return Framing.CHUNKED if version == "1.1" else Framing.CLOSE


def encode_head(response: HttpResponse, frame: Framing, *, keep_alive: bool, date: bytes) -> bytes:
    """Give the head's bytes. Raise `ValueError` on a header that would break the line it is on."""
    fields = dict(response.headers)
    _check_safe(b"".join(chain.from_iterable(response.headers)))
    lines = [_STATUS_LINES.get(response.status) or b"HTTP/1.1 %d \r\n" % response.status]
    for name, value in response.headers:
        if not (name == b"content-length" and response.status == 204):
            lines.append(b"%b: %b\r\n" % (name, value))
    if b"date" not in fields:
        lines.append(b"date: %b\r\n" % date)
    if frame is Framing.CHUNKED:
        lines.append(b"transfer-encoding: chunked\r\n")
    elif isinstance(response.body, bytes) and not _is_bodiless(response, fields):
        lines.append(b"content-length: %d\r\n" % len(response.body))
    lines.append(b"\r\n" if keep_alive else b"connection: close\r\n\r\n")
    return b"".join(lines)


def _check_safe(text: bytes) -> None:
    # What Python calls printable is safe, and told ten times sooner than by an expression.
    if not text.decode("latin-1").isprintable() and _UNSAFE.search(text):
        raise ValueError("a header has a control character")


def encode_chunk(part: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(part), part)


def plain(error: BadRequest) -> HttpResponse:
    """Answer a message whose dialect is not known."""
    return HttpResponse(error.status, ((b"content-type", b"text/plain"),), f"{error}\n".encode())


def _is_bodiless(response: HttpResponse, fields: Mapping[bytes, bytes]) -> bool:
    """Tell whether a length of our own would be wrong: it is there, or the status forbids it."""
    return response.status in (204, 304) or b"content-length" in fields
