"""Writes answers as HTTP/1.1 bytes: status line, framing headers, body or its chunks.

Format: `content-length` where the size is known (the body is bytes, or the answer brings the
header), else `transfer-encoding: chunked`, and on HTTP/1.0 the connection's end. Answers to HEAD,
and 1xx, 204 and 304, have no body (RFC 9110 §6.4.1); a length that they bring is kept but for 204.
"""

import re
from email.utils import formatdate
from enum import Enum
from http import HTTPStatus

from modeltap.errors import BadRequest
from modeltap.nouns import HttpResponse

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_UNSAFE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def date(now_ns: int) -> bytes:
    """Write the value of the `date` header (RFC 9110 §5.6.7)."""
    return formatdate(now_ns // 1_000_000_000, usegmt=True).encode()


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
    status = response.status
    dated = measured = False
    fields: list[bytes] = []
    for name, value in response.headers:
        if name == b"content-length":
            measured = True
            if status == 204:
                continue
        dated = dated or name == b"date"
        fields.append(name + b": " + value)
    _check_safe(b"".join(fields))
    if not dated:
        fields.append(b"date: " + date)
    if frame is Framing.CHUNKED:
        fields.append(b"transfer-encoding: chunked")
    elif isinstance(response.body, bytes) and not measured and status not in (204, 304):
        fields.append(b"content-length: %d" % len(response.body))
    if not keep_alive:
        fields.append(b"connection: close")
    line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    return line + b"\r\n".join(fields) + b"\r\n\r\n"


def _check_safe(text: bytes) -> None:
    # What Python calls printable is safe, and told ten times sooner than by an expression.
    if not text.decode("latin-1").isprintable() and _UNSAFE.search(text):
        raise ValueError("a header has a control character")


def encode_chunk(part: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(part), part)


def plain(error: BadRequest) -> HttpResponse:
    """Answer a message whose dialect is not known."""
    return HttpResponse(error.status, ((b"content-type", b"text/plain"),), f"{error}\n".encode())
