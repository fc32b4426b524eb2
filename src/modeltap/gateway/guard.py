"""What a request's head may be: stricter than the parser, so that no two readers differ on it.

The parser (llhttp) already refuses bare line feeds, folded headers, a space before the colon,
doubled or signed lengths, a length beside chunks, and control characters. This guard adds the rest
of threat S5 and S6, and the bounds (`LINE_BYTES_MAX`, `HEADERS_BYTES_MAX`, `HEADERS_MAX`):
one Host, an origin-form target, HTTP/1.0 or 1.1, `chunked` alone and only on 1.1, no underscore in
a name, no trailers. Values lose the white space around them and nothing else; nothing is decoded.
"""

import httptools

from modeltap.errors import BadRequest

LINE_BYTES_MAX = 8 * 1024
HEADERS_BYTES_MAX = 32 * 1024
HEADERS_MAX = 100


class Head:
    """Gathers one head as the parser reports it; `fields` are there once it was checked.

    It is judged as a whole, in few steps: its bytes are bounded by the connection meanwhile.
    """

    __slots__ = ("fields", "headers", "target", "version")

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.fields: dict[bytes, bytes] = {}
        self.version = ""

    def add_target(self, part: bytes) -> None:
        """Take a part of the target. Raise `BadRequest`."""
        self.target += part
        if len(self.target) > LINE_BYTES_MAX:
            raise BadRequest("the request line is too long", status=414)

    def check(self, version: str) -> None:
        """Judge the whole head. Raise `BadRequest`."""
        self.version = version
        self.fields = fields = dict(self.headers)
        if version not in ("1.0", "1.1"):
            raise BadRequest("only versions 1.0 and 1.1 are spoken here", status=505)
        _check_target(self.target)
        if not fields.get(b"host"):
            raise BadRequest("there is not exactly one Host header")
        _check_names_and_size(self.headers)
        if len(fields) < len(self.headers) or not _SPECIAL.isdisjoint(fields):
            _check_special(self.headers, version)


_SPECIAL = frozenset({b"transfer-encoding", b"expect"})


def _check_names_and_size(headers: list[tuple[bytes, bytes]]) -> None:
    names, values = zip(*headers, strict=True)
    joined = b"".join(names)
    if len(headers) > HEADERS_MAX or len(joined) + sum(map(len, values)) > HEADERS_BYTES_MAX:
        raise BadRequest("the headers are too long or too many", status=431)
    if b"_" in joined:
        raise BadRequest("a header name has an underscore")


def _check_target(target: bytes) -> None:
    if not target.startswith(b"/"):
        raise BadRequest("the request target does not start with a slash")
    if b"#" in target:
        raise BadRequest("the request target has a fragment")


def _check_special(headers: list[tuple[bytes, bytes]], version: str) -> None:
    if len(_values(headers, b"host")) != 1:
        raise BadRequest("there is not exactly one Host header")
    codings = _values(headers, b"transfer-encoding")
    if codings and (version == "1.0" or [one.lower() for one in codings] != [b"chunked"]):
        raise BadRequest("the only transfer coding is chunked, on HTTP/1.1", status=501)
    if any(value.lower() != b"100-continue" for value in _values(headers, b"expect")):
        raise BadRequest("the only expectation is 100-continue", status=417)


def _values(headers: list[tuple[bytes, bytes]], wanted: bytes) -> list[bytes]:
    return [value for name, value in headers if name == wanted]


def reason(error: httptools.HttpParserError) -> BadRequest:
    """Give the guard's own refusal where it stopped the parser, else one for the parser's."""
    cause = error.__context__
    if isinstance(cause, BadRequest):
        return cause
    if isinstance(error, httptools.HttpParserCallbackError):
        raise error
    return BadRequest("this is not well-formed HTTP")
