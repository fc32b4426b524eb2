"""Requests out of a connection's bytes. No socket: what it reads it is fed.

The parser is llhttp (httptools); `guard` judges each head that it has read. A request whose body
came whole with its head carries bytes; another's carries a `Body`, which goes on being fed here.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, final

import httptools

from modeltap.errors import BadRequest
from modeltap.gateway.body import Body
from modeltap.gateway.guard import HEADERS_BYTES_MAX, LINE_BYTES_MAX, Head, name_of, reason
from modeltap.memo import Memo
from modeltap.nouns import HttpRequest

NAMES_MAX: Final = 256
"""Header names that are kept in lower case: clients send the same few again and again."""

_names: Final = Memo(name_of, NAMES_MAX)


@final
class Arrival:
    """One request, and what its answer needs to know of it."""

    def __init__(
        self, request: HttpRequest, version: str, body: Body | None, keep_alive: bool
    ) -> None:
        self.request: Final = request
        self.version: Final = version
        self.body: Final = body
        self.keep_alive: Final = keep_alive


@final
class Reader:
    """Reads one connection. `flow` and `proceed` are those of its bodies (`body`)."""

    def __init__(
        self, flow: Callable[[], None], proceed: Callable[[], None], secure: bool, peer: str
    ) -> None:
        self.arrived: Final[deque[Arrival]] = deque()
        self.body: Body | None = None  # the one that is still arriving
        self.window_bytes = 0  # of it, since whoever measures its rate set this to 0
        self.ended = False  # the client has announced that nothing follows
        self._flow = flow
        self._proceed = proceed
        self._secure = secure
        self._peer = peer
        self._room = 0
        self._head: Head | None = None  # one that is not whole yet
        self._head_bytes = 0
        self._incoming: Head | None = None  # one that is whole, and its body is not
        self._parts: list[bytes] = []
        self._parser = httptools.HttpRequestParser(self)

    @property
    def in_head(self) -> bool:
        """Tell whether a head has begun and is not whole yet."""
        return self._head is not None

    def feed(self, data: bytes, room: int) -> None:
        """Take what came; at most `room` more requests may arrive. Raise `BadRequest`."""
        head = self._head
        self._room = room
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.ended = True  # the offer of another protocol is passed over; RFC 9110 §7.8
        except httptools.HttpParserError as error:
            raise reason(error) from None
        if self._incoming is not None:
            self._begin_body(self._incoming)
        elif self._head is not None:
            self._bound_head(0 if self._head is not head else len(data))

    def stop(self) -> None:
        """Forget what is under way: nothing more will be read."""
        self.ended = True
        self._head = self._incoming = self.body = None

    def _bound_head(self, more: int) -> None:
        # The parser holds an unfinished token back, so the bytes that it holds are counted here.
        self._head_bytes = self._head_bytes + more if more else 0
        if self._head_bytes > LINE_BYTES_MAX + HEADERS_BYTES_MAX:
            raise BadRequest("the headers are too long or too many", status=431)

    # ------------------------------------------------------------ the parser's calls

    def on_message_begin(self) -> None:
        self._head = Head()

    def on_url(self, part: bytes) -> None:
        assert self._head is not None
        self._head.add_target(part)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head is None:
            raise BadRequest("trailers are not taken")
        self._head.headers.append((_names.of(name), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        assert self._head is not None
        self._head.check(self._parser.get_http_version())
        if len(self.arrived) >= self._room:
            raise BadRequest("too many requests wait on this connection", status=503)
        self._incoming, self._head = self._head, None

    def on_body(self, part: bytes) -> None:
        if self.body is None:
            self._parts.append(part)
        else:
            self.window_bytes += len(part)
            self.body.feed(part)

    def on_message_complete(self) -> None:
        if self.body is not None:
            self.body.end()
            self.body = None
        elif self._incoming is not None:
            parts = self._taken()
            self._arrive(self._incoming, parts[0] if len(parts) == 1 else b"".join(parts), None)
        if not self._parser.should_keep_alive():
            self.ended = True

    # ------------------------------------------------------------ what arrives

    def _begin_body(self, head: Head) -> None:
        """Let a request arrive whose body is still to come."""
        expects = head.expects and head.version == "1.1"
        self.body = body = Body(self._flow, self._proceed if expects else None)
        for part in self._taken():
            body.feed(part)
        self._arrive(head, body, body)

    def _taken(self) -> list[bytes]:
        parts, self._parts = self._parts, []
        self.window_bytes = sum(map(len, parts))
        return parts

    def _arrive(self, head: Head, body: Body | bytes, stream: Body | None) -> None:
        self._incoming = None
        parser = self._parser
        method = parser.get_method().decode()
        request = HttpRequest(
            method, head.target, tuple(head.headers), body, self._secure, self._peer
        )
        keep_alive = (
            head.version == "1.1" and parser.should_keep_alive() and not parser.should_upgrade()
        )
        self.arrived.append(Arrival(request, head.version, stream, keep_alive))
