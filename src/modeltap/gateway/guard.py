"""What a request's head may be: stricter than the parser, so that no two readers differ on it.

The parser (llhttp) already refuses bare line feeds, folded headers, a space before the colon,
doubled or signed lengths, a length beside chunks, and control characters. This guard adds the rest
of threat S5 and S6, and the bounds (`LINE_BYTES_MAX`, `HEADERS_BYTES_MAX`, `HEADERS_MAX`):
one Host, an origin-form target, HTTP/1.0 or 1.1, `chunked` alone and only on 1.1, no underscore in
a name, no trailers. Values lose the white space around them and nothing else; nothing is decoded.
"""

from typing import Final, final

import httptools

from modeltap.errors import BadRequest

LINE_BYTES_MAX: Final = 8 * 1024
HEADERS_BYTES_MAX: Final = 32 * 1024
HEADERS_MAX: Final = 100


@final
class Head:
    """Gathers one head as the parser reports it, and judges it as a whole.

    Its bytes are bounded by the connection meanwhile.
    """

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.version = ""
        self.expects = False  # an interim answer before it sends the body

    def add_target(self, part: bytes) -> None:
        """Take a part of the target. Raise `BadRequest`."""
        self.target += part
        if len(self.target) > LINE_BYTES_MAX:
            raise BadRequest("the request line is too long", status=414)

    def check(self, version: str) -> None:
        """Judge the whole head. Raise `BadRequest`."""
        self.version = version
        if version not in ("1.0", "1.1"):
            raise BadRequest("only versions 1.0 and 1.1 are spoken here", status=505)
        _check_target(self.target)
        size, hosts, codings = 0, 0, 0
        for name, value in self.headers:
            size += len(name) + len(value)
            if name == b"host":
                hosts += 1 if value else 2
            elif name == b"expect":
                self._expect(value)
            elif name == b"transfer-encoding":
                codings += 1
                _check_coding(value, codings, version)
        if hosts != 1:
            raise BadRequest("there is not exactly one Host header")
        if len(self.headers) > HEADERS_MAX or size > HEADERS_BYTES_MAX:
            raise BadRequest("the headers are too long or too many", status=431)

    def _expect(self, value: bytes) -> None:
        if value.lower() != b"100-continue":
            raise BadRequest("the only expectation is 100-continue", status=417)
        self.expects = True


def name_of(raw: bytes) -> bytes:
    """Give a header's name in lower case. Raise `BadRequest`."""
    name = raw.lower()
    if b"_" in name:
        raise BadRequest("a header name has an underscore")
    return name


def _check_target(target: bytes) -> None:
    if not target.startswith(b"/"):
        raise BadRequest("the request target does not start with a slash")
    if target.find(b"#") >= 0:  # `in` costs five times as much: it tries the other as a number
        raise BadRequest("the request target has a fragment")


def _check_coding(value: bytes, count: int, version: str) -> None:
    if count > 1 or version == "1.0" or value.lower() != b"chunked":
        raise BadRequest("the only transfer coding is chunked, on HTTP/1.1", status=501)


def reason(error: httptools.HttpParserError) -> BadRequest:
    """Give the guard's own refusal where it stopped the parser, else one for the parser's."""
    cause = error.__context__
    if isinstance(cause, BadRequest):
        return cause
    if isinstance(error, httptools.HttpParserCallbackError):
        raise error
    return BadRequest("this is not well-formed HTTP")
