"""What a request's head may be: stricter than the parser, so that no two readers differ on it.

The parser (llhttp) already refuses bare line feeds, folded headers, a space before the colon,
doubled or signed lengths, a length beside chunks, and control characters. This guard adds the rest
of threat S5 and S6, and the bounds (`LINE_BYTES_MAX`, `HEADERS_BYTES_MAX`, `HEADERS_MAX`):
one Host, an origin-form target, HTTP/1.0 or 1.1, `chunked` alone and only on 1.1, no underscore in
a name, no trailers. Values lose the white space around them and nothing else; nothing is decoded.
"""

from modeltap.errors import BadRequest
from modeltap.nouns import Headers

LINE_BYTES_MAX = 8 * 1024
HEADERS_BYTES_MAX = 32 * 1024
HEADERS_MAX = 100


class Head:
    """Gathers one head as the parser reports it, within bounds. Raises `BadRequest`."""

    def __init__(self) -> None:
        self._target: list[bytes] = []
        self._headers: list[tuple[bytes, bytes]] = []
        self._line_bytes = 0
        self._header_bytes = 0

    @property
    def target(self) -> bytes:
        return b"".join(self._target)

    @property
    def headers(self) -> Headers:
        return tuple(self._headers)

    def add_target(self, part: bytes) -> None:
        self._line_bytes += len(part)
        if self._line_bytes > LINE_BYTES_MAX:
            raise BadRequest("the request line is too long", status=414)
        self._target.append(part)

    def add_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > HEADERS_BYTES_MAX or len(self._headers) >= HEADERS_MAX:
            raise BadRequest("the headers are too long or too many", status=431)
        self._headers.append((name.lower(), value.strip(b" \t")))

    def check(self, version: str) -> None:
        """Judge the whole head. Raise `BadRequest`."""
        if version not in ("1.0", "1.1"):
            raise BadRequest("only versions 1.0 and 1.1 are spoken here", status=505)
        _check_target(self.target)
        _check_headers(self._headers, version)


def _check_target(target: bytes) -> None:
    if not target.startswith(b"/"):
        raise BadRequest("the request target does not start with a slash")
    if b"#" in target:
        raise BadRequest("the request target has a fragment")


def _check_headers(headers: list[tuple[bytes, bytes]], version: str) -> None:
    if any(b"_" in name for name, _ in headers):
        raise BadRequest("a header name has an underscore")
    hosts = _values(headers, b"host")
    if len(hosts) != 1 or not hosts[0]:
        raise BadRequest("there is not exactly one Host header")
    codings = _values(headers, b"transfer-encoding")
    if codings and (version == "1.0" or [one.lower() for one in codings] != [b"chunked"]):
        raise BadRequest("the only transfer coding is chunked, on HTTP/1.1", status=501)
    if any(value.lower() != b"100-continue" for value in _values(headers, b"expect")):
        raise BadRequest("the only expectation is 100-continue", status=417)


def _values(headers: list[tuple[bytes, bytes]], wanted: bytes) -> list[bytes]:
    return [value for name, value in headers if name == wanted]
