"""uvicorn's HTTP protocol for connections that we accept ourselves.

The store's port speaks HTTP, TLS and CONNECT on one socket, which uvicorn's own server cannot: it
gets each connection from `accept.serve` or `detour` instead. Where a socket speaks plain HTTP only,
as control's does, `uvicorn.Server` is enough.
"""

import asyncio

from uvicorn import Config
from uvicorn._types import ASGIApplication
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from modeltap.clock import Clock

DRAIN_POLL_SECONDS = 0.05


class UvicornProtocol:
    """A factory of protocols over one ASGI application; call it once a connection."""

    def __init__(self, app: ASGIApplication, clock: Clock, *, keep_alive_seconds: int = 60) -> None:
        self._clock = clock
        self._state = ServerState()
        self._config = Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=keep_alive_seconds,
        )
        self._config.load()

    def __call__(self) -> asyncio.Protocol:
        return HttpToolsProtocol(self._config, self._state, {})

    async def drain(self) -> None:
        """Close idle connections, and wait until the others have been answered."""
        for connection in tuple(self._state.connections):
            connection.shutdown()
        while self._state.connections:
            await self._clock.sleep(DRAIN_POLL_SECONDS)
