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

from modeltap.clock import Clock
from modeltap.errors import BackendGone, BadRequest, ServiceUnavailable
from modeltap.gateway.http import Respond
from modeltap.gateway.upstream import STALL_SECONDS_MAX, Upstream, connect
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

    async def serve(self, request: HttpRequest, respond: Respond) -> None:
        """Forward a request and stream its answer back. Raise `BadRequest` if its body fails."""
        answered = False
        try:
            upstream = await connect(self._backend, request.method)
            try:
                status, headers = await self._exchange(upstream, request)
                answered = True
                await respond(HttpResponse(status, end_to_end(headers), in_turns(upstream.body)))
            finally:
                upstream.close()
        except BackendGone:
            if not answered:
                await respond(self._unavailable(request))

    async def _exchange(self, upstream: Upstream, request: HttpRequest) -> tuple[int, Headers]:
        """Send the request, and wait for the head of its answer, which may come before the end."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as limit:
                sending = loop.create_task(_send(upstream, request))
                sending.add_done_callback(
                    lambda _: limit.reschedule(loop.time() + ANSWER_SECONDS_MAX)
                )
                return await upstream.head()
        except TimeoutError as error:
            raise BackendGone("the backend did not answer in time") from error

    def _unavailable(self, request: HttpRequest) -> HttpResponse:
        error = ServiceUnavailable("The service is restarting. Please try again.")
        resource = request.path.decode("latin-1")
        return fault(service(self._dialect), error, self._clock.uuid4(), resource=resource)
