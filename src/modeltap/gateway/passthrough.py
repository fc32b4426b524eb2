"""Everything that is no invocation goes on to control or store, unread and in step.

Constraints: bodies stream both ways with back-pressure, at most `TURN_BYTES_MAX` in a turn of the
loop, so that an upload does not hold up an inference. The raw target and the header list arrive
untouched, but for hop-by-hop headers (RFC 9110 §7.6.1) and the framing, which is written anew;
`x-modeltap-*` is ours alone: what a client sends under it is dropped. `Expect: 100-continue` is the
backend's to answer: its interim answer lets the body be read, and reading sends it on.

A backend that is absent, or dies before it has answered, is a 503 in the caller's own dialect;
dying within its answer it breaks the client's connection off, because no other sign is left. The
sending of a body is a task of its request and ends with it.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import Any

from modeltap.clock import Clock
from modeltap.errors import BackendGone, BadRequest, ServiceUnavailable
from modeltap.gateway.http import Turn
from modeltap.gateway.response import LAST_CHUNK, encode_chunk
from modeltap.gateway.upstream import Upstream, connect
from modeltap.gateway.waiting import run, stream
from modeltap.nouns import Headers, HttpRequest, HttpResponse
from modeltap.wire.catalog import service
from modeltap.wire.fault import fault

TURN_BYTES_MAX = 64 * 1024
ANSWER_SECONDS_MAX = 300.0
"""From a request's last byte to the first of its answer."""

OWN_PREFIX = b"x-modeltap-"
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_NEVER_HOP_BY_HOP = frozenset({b"host", b"content-length", b"expect"})


class Passthrough:
    """Forwards requests to the one backend behind a Unix socket.

    `dialect` names the service in whose words a backend's absence is told.
    """

    def __init__(self, backend: Path, dialect: str, clock: Clock) -> None:
        self._backend = backend
        self._dialect = dialect
        self._clock = clock

    def serve(self, turn: Turn) -> None:
        """Forward a request and stream its answer back."""
        run(turn, self._forward(turn))

    async def _forward(self, turn: Turn) -> None:
        """Raise `BadRequest` if the request's body fails."""
        request, answered = turn.request, False
        try:
            upstream = await connect(self._backend, request.method)
            sending = asyncio.create_task(_send(upstream, request))
            try:
                status, headers = await _head(upstream, sending)
                answered = True
                answer = HttpResponse(status, end_to_end(headers), in_turns(upstream.body))
                await stream(turn, answer)
            finally:
                sending.cancel()
                upstream.close()
        except BackendGone:
            if not answered:
                turn.respond(self._unavailable(request))

    def _unavailable(self, request: HttpRequest) -> HttpResponse:
        error = ServiceUnavailable("The service is restarting. Please try again.")
        resource = request.path.decode("latin-1")
        return fault(service(self._dialect), error, self._clock.uuid4(), resource=resource)


async def _head(upstream: Upstream, sending: asyncio.Task[None]) -> tuple[int, Headers]:
    """Wait for the head of the answer, which may come before the request's end."""
    either: set[asyncio.Future[Any]] = {sending, upstream.head}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            return await upstream.head
    except TimeoutError as error:
        raise BackendGone("the backend did not answer in time") from error


async def _send(upstream: Upstream, request: HttpRequest) -> None:
    """Send a request; what keeps it from its end is told to whoever waits for the answer."""
    try:
        await upstream.write(request_head(request))
        if not isinstance(request.body, bytes) and request.header(b"expect") is not None:
            await upstream.continued()
        chunked = _is_chunked(request)
        async for part in in_turns(request.body):
            if upstream.head.done():
                return  # it has answered already: the rest interests nobody
            await upstream.write(encode_chunk(part) if chunked else part)
        if chunked:
            await upstream.write(LAST_CHUNK)
    except (BackendGone, BadRequest) as error:
        upstream.abort(error)


async def in_turns(body: bytes | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Give a body in parts of at most `TURN_BYTES_MAX`, one in a turn of the loop."""
    async for chunk in _whole(body) if isinstance(body, bytes) else body:
        for start in range(0, len(chunk), TURN_BYTES_MAX):
            yield chunk[start : start + TURN_BYTES_MAX]
            await asyncio.sleep(0)


async def _whole(body: bytes) -> AsyncIterator[bytes]:
    yield body


# ---------------------------------------------------------------- heads


def request_head(request: HttpRequest) -> bytes:
    """Write the head that the backend gets; target and values are those that were received."""
    lines = [b"%s %s HTTP/1.1\r\n" % (request.method.encode(), request.target)]
    lines += [b"%s: %s\r\n" % field for field in end_to_end(request.headers)]
    lines.append(b"%speer: %s\r\n" % (OWN_PREFIX, request.peer.encode()))
    lines.append(b"%sscheme: %s\r\n" % (OWN_PREFIX, b"https" if request.secure else b"http"))
    if _is_chunked(request):
        lines.append(b"transfer-encoding: chunked\r\n")
    lines.append(b"connection: close\r\n\r\n")
    return b"".join(lines)


def end_to_end(headers: Headers) -> Headers:
    """Leave out what is meant for one hop only, and what is ours alone."""
    dropped = HOP_BY_HOP | (_named(headers) - _NEVER_HOP_BY_HOP)
    return tuple(
        (name, value)
        for name, value in headers
        if name not in dropped and not name.startswith(OWN_PREFIX)
    )


def _named(headers: Headers) -> set[bytes]:
    """Give the names that `Connection` lists as meant for this hop."""
    lists = [value for name, value in headers if name == b"connection"]
    return {name.strip().lower() for names in lists for name in names.split(b",")}


def _is_chunked(request: HttpRequest) -> bool:
    return request.header(b"transfer-encoding") is not None
