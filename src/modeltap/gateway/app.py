"""One gateway process, put together from its parts.

House opens the sockets, builds links, router and capture, makes a `Gateway` of them, and runs
`accept` and each of `duties` as tasks of its own; to stop, it cancels `accept`, awaits `drain`, and
cancels the rest. A gateway needs neither control, nor store, nor any database to serve invocations.

Which way a request goes (`docs/architecture.md`): the runtime API's paths are served here; `GET
/ping` is answered 200, unsigned; an `x-amz-target` header, or a form posted to `/`, goes to
control; everything else is S3's, to store.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from modeltap.clock import Clock
from modeltap.gateway import accept
from modeltap.gateway.connections import Connections
from modeltap.gateway.http import Connection, Serve, Turn
from modeltap.gateway.invocations import Invocations, Verify, is_runtime
from modeltap.gateway.passthrough import Passthrough
from modeltap.gateway.status import StatusSocket
from modeltap.gateway.tablefile import TableFile
from modeltap.gateway.waiting import drain, gather, sweep
from modeltap.nouns import HttpRequest, HttpResponse, Instance
from modeltap.router.router import Router
from modeltap.settings import Settings
from modeltap.telemetry.meters import Meters

REVIVE_SECONDS = 1.0
FORM = b"application/x-www-form-urlencoded"

Ping = Callable[[Instance], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class Paths:
    """Where a gateway meets the other processes."""

    table: Path
    status: Path
    control: Path
    store: Path


class Gateway:
    """Serves one listening socket.

    `ping` answers None for an instance that is ready. `verify` is that of `auth.sigv4.Verifier`.
    `tls` makes the port speak TLS beside plain HTTP.
    """

    def __init__(
        self,
        listener: socket.socket,
        router: Router,
        ping: Ping,
        verify: Verify,
        paths: Paths,
        meters: Meters,
        settings: Settings,
        clock: Clock,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._listener = listener
        self._router = router
        self._ping = ping
        self._clock = clock
        self._tls = tls
        self._header_seconds_max = settings.header_seconds_max
        self._connections = Connections(clock, settings.header_seconds_max)
        self._table = TableFile(paths.table, router)
        self._status = StatusSocket(paths.status, router, self._table)
        self._runtime = Invocations(
            router,
            verify,
            gather,
            clock,
            meters,
            body_bytes_max=settings.body_bytes_max,
        )
        self._sagemaker = Passthrough(paths.control, "sagemaker", clock)
        self._query = Passthrough(paths.control, "sts", clock)
        self._store = Passthrough(paths.store, "s3", clock)

    async def accept(self) -> None:
        """Accept connections for ever, from the table that the file holds now."""
        self._table.load()
        await accept.serve(
            self._listener,
            lambda: cast(asyncio.Protocol, Connection(self.serve, self._connections)),
            clock=self._clock,
            tls=self._tls,
            seconds_max=self._header_seconds_max,
        )

    def duties(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """Give what must run beside `accept`, each for ever."""
        return (
            sweep(self._connections, self._clock),
            self._table.poll(self._clock),
            self._status.serve(),
            self._revive(),
        )

    async def drain(self) -> None:
        """Answer what is in hand and close every connection; `accept` must have ended."""
        await drain(self._connections)

    def serve(self, turn: Turn) -> None:
        """Have one request answered, whichever way it goes."""
        self._way(turn.request)(turn)

    def _way(self, request: HttpRequest) -> Serve:
        if is_runtime(request):
            return self._runtime.serve
        if request.header(b"x-amz-target") is not None:
            return self._sagemaker.serve
        if is_form(request):
            return self._query.serve
        if request.method == "GET" and request.target == b"/ping":
            return _pong
        return self._store.serve

    async def _revive(self) -> None:
        """Ask the instances that were found gone whether they are back, for ever."""
        while True:
            await self._clock.sleep(REVIVE_SECONDS)
            gone = self._router.gate.gone
            errors = await asyncio.gather(*(self._ping(instance) for instance in gone))
            for instance, error in zip(gone, errors, strict=True):
                if error is None:
                    self._router.gate.find(instance)


def is_form(request: HttpRequest) -> bool:
    """Tell whether a request is of the query protocol: a form posted to the root."""
    kind = request.header(b"content-type") or b""
    return (
        request.method == "POST"
        and request.path == b"/"
        and kind.partition(b";")[0].strip().lower() == FORM
    )


def _pong(turn: Turn) -> None:
    turn.respond(HttpResponse(200))
