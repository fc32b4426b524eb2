"""A user's own container over HTTP/1.1 (contract §3.1): `POST /invocations`, `GET /ping`.

An address is `http://host:port` or `unix+http:/path`. HTTP carries one call a connection at a time,
so there is a pool: a call takes the connection that was used last, or opens one. A container may
close an idle connection at any time, and a call that is just leaving on it is lost: so one that
was idle for `IDLE_SECONDS_MAX` is not used again (gunicorn closes after 2 s).

What a call may suffer is the same as over frames (`link`): nobody there, gone in the middle, too
late, or an answer that breaks its bounds or its protocol. HTTP cannot withdraw a call; its
connection is closed instead. Only the three headers of the contract are sent.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from modeltap.clock import Clock
from modeltap.errors import AnswerUnreadable, InstanceGone, InvocationTimedOut
from modeltap.link.bounds import fits_header
from modeltap.link.http_connection import ATTRIBUTES, HttpConnection
from modeltap.nouns import Answer, Instance, Invocation
from modeltap_worker.socketpath import short_path

CONNECT_SECONDS_MAX = 0.25
"""In this time a container must accept a connection (contract §3.1)."""

IDLE_SECONDS_MAX = 1.0
UNIX_SCHEME = "unix+http:"

_PORT = 80


class HttpLink:
    """All connections to one container. `lost` is told of each that ends with a call on it."""

    def __init__(self, instance: Instance, clock: Clock, lost: Callable[[], None]) -> None:
        self.instance = instance
        self.alive = True
        self._clock = clock
        self._lost = lost
        self._host = _host(instance.address)
        self._idle: list[HttpConnection] = []  # the last used is the last
        self._busy: set[HttpConnection] = set()
        self._connecting = 0

    async def send(self, invocation: Invocation, began: float) -> Answer:
        """Make one call. Raise `InstanceGone`, `InvocationTimedOut` or `AnswerUnreadable`.

        `began` is the monotonic time that `expire` measures from. A caller that is cancelled
        closes the call's connection.
        """
        return await self._ask(_invocation(self._host, invocation), invocation.body, began)

    async def ping(self) -> str:
        """Ask whether the container is ready: "", or what it says. Raise `InstanceGone`."""
        request = b"GET /ping HTTP/1.1\r\nhost: %s\r\n\r\n" % self._host
        try:
            answer = await self._ask(request, b"", self._clock.monotonic())
        except (AnswerUnreadable, InvocationTimedOut) as error:
            return str(error)
        return "" if answer.status == 200 else f"/ping answered {answer.status}"

    def expire(self, latest: float) -> None:
        """Give up the calls that began at `latest` or before; part with what nobody uses."""
        for connection in list(self._busy):
            if connection.began <= latest:
                connection.fail(InvocationTimedOut("the model did not answer in time"))
        self._idle = [connection for connection in self._idle if self._usable(connection)]
        self.alive = bool(self._idle or self._busy or self._connecting)

    def close(self) -> None:
        self.alive = False
        for connection in (*self._idle, *self._busy):
            connection.close()

    async def _ask(self, head: bytes, body: bytes, began: float) -> Answer:
        connection = self._take() or await self._open()
        self._busy.add(connection)
        try:
            return await connection.ask(head, body, began)
        finally:
            self._busy.discard(connection)
            connection.idle_since = self._clock.monotonic()
            if connection.alive:
                self._idle.append(connection)

    def _take(self) -> HttpConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if self._usable(connection):
                return connection
        return None

    def _usable(self, connection: HttpConnection) -> bool:
        """Tell whether an idle connection may be used; it is closed if not."""
        if self._clock.monotonic() - connection.idle_since > IDLE_SECONDS_MAX:
            connection.close()
        return connection.alive

    async def _open(self) -> HttpConnection:
        self._connecting += 1
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                return await self._connect()
        except (OSError, TimeoutError) as error:
            raise InstanceGone(self.instance.id, sent=False) from error
        finally:
            self._connecting -= 1

    async def _connect(self) -> HttpConnection:
        loop, address = asyncio.get_running_loop(), self.instance.address
        if address.startswith(UNIX_SCHEME):
            with short_path(Path(address.removeprefix(UNIX_SCHEME))) as name:
                return (await loop.create_unix_connection(self._connection, name))[1]
        url = urlsplit(address)
        if url.hostname is None:
            raise OSError(f"the address {address} names no host")
        return (await loop.create_connection(self._connection, url.hostname, url.port or _PORT))[1]

    def _connection(self) -> HttpConnection:
        return HttpConnection(self.instance.id, self._lost)


def _host(address: str) -> bytes:
    return b"localhost" if address.startswith(UNIX_SCHEME) else urlsplit(address).netloc.encode()


def _invocation(host: bytes, invocation: Invocation) -> bytes:
    """Write a request's head. Raise `ValueError` on a field that would break its line."""
    lines = [b"POST /invocations HTTP/1.1", b"host: %s" % host]
    fields = (
        (b"content-type", invocation.content_type),
        (b"accept", invocation.accept),
        (ATTRIBUTES, invocation.custom_attributes),
    )
    for name, value in fields:
        if not fits_header(value):
            raise ValueError(f"{name.decode()} has a control character")
        if value is not None:
            lines.append(b"%s: %s" % (name, value.encode()))
    lines.append(b"content-length: %d\r\n\r\n" % len(invocation.body))
    return b"\r\n".join(lines)
