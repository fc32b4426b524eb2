"""The accept loop on a listening socket that the supervisor opened and handed in.

One port speaks plain HTTP and TLS. Which it is, the first byte tells (22 opens a TLS handshake); it
is looked at with `MSG_PEEK`, so that whoever takes the connection finds every byte still there.

Constraints: a connection that says nothing is dropped after `seconds_max`, as is a handshake that
does not end; at most `WELCOMES_MAX` are looked at at once. The task of such a welcome belongs to
its connection, and ends when a protocol has taken it over.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar

from modeltap.clock import Clock
from modeltap.telemetry import Event, emit

ProtocolFactory = Callable[[], asyncio.Protocol]
Taker = Callable[[socket.socket, bytes], Awaitable[bool]]
"""Gets a fresh connection and its first bytes, unread; True if it has taken the connection."""

PEEK_BYTES = 8
WELCOMES_MAX = 4096
SHUTDOWN_SECONDS_MAX = 1.0
"""Longest wait for a client to say goodbye in TLS; idle clients do not."""

RETRY_SECONDS = 0.1
_TLS_HANDSHAKE = 22


@dataclass(frozen=True, slots=True)
class AcceptFailed(Event):
    """The system gave no connection, for want of descriptors or memory; tried again shortly."""

    level: ClassVar[int] = logging.ERROR
    error: str


async def serve(
    listener: socket.socket,
    plain: ProtocolFactory,
    *,
    clock: Clock,
    tls: ssl.SSLContext | None = None,
    taker: Taker | None = None,
    seconds_max: float = 10.0,
) -> None:
    """Accept for ever. The listener stays open: it is its opener's to close."""
    loop = asyncio.get_running_loop()
    listener.setblocking(False)
    welcomes: set[asyncio.Task[None]] = set()
    try:
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:
                emit(AcceptFailed(type(error).__name__))
                await clock.sleep(RETRY_SECONDS)
                continue
            if len(welcomes) >= WELCOMES_MAX:
                connection.close()
                continue
            welcome = loop.create_task(_welcome(connection, plain, tls, taker, seconds_max))
            welcomes.add(welcome)
            welcome.add_done_callback(welcomes.discard)
    finally:
        for welcome in welcomes:
            welcome.cancel()


async def _welcome(
    connection: socket.socket,
    plain: ProtocolFactory,
    tls: ssl.SSLContext | None,
    taker: Taker | None,
    seconds_max: float,
) -> None:
    """Find out what a connection speaks and hand it over."""
    try:
        async with asyncio.timeout(seconds_max):
            first = await peek(connection)
        if taker is not None and await taker(connection, first):
            return
        if first:
            secure = first[0] == _TLS_HANDSHAKE
            await hand_over(connection, plain, tls if secure else None, seconds_max)
    except OSError:
        # The client is gone, silent, or fails the handshake: there is nobody to tell.
        return
    finally:
        connection.close()


async def hand_over(
    connection: socket.socket,
    protocol: ProtocolFactory,
    tls: ssl.SSLContext | None,
    seconds_max: float,
) -> asyncio.Transport:
    """Give a connection to a protocol, after the handshake if there is to be one.

    The descriptor moves: closing `connection` afterwards closes nothing. Raise `OSError`.
    """
    transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
        protocol,
        socket.socket(fileno=connection.detach()),
        ssl=tls,
        ssl_handshake_timeout=seconds_max if tls is not None else None,
        ssl_shutdown_timeout=SHUTDOWN_SECONDS_MAX if tls is not None else None,
    )
    return transport


async def peek(connection: socket.socket) -> bytes:
    """Give the first `PEEK_BYTES`, unread; fewer only if the client has sent no more and ended."""
    connection.setblocking(False)
    # Below this mark the socket does not count as readable, so a slow start is no busy loop.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, PEEK_BYTES)
    first = _peeked(connection)
    if len(first) < PEEK_BYTES:
        await readable(connection)
        first = _peeked(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
    return first


def _peeked(connection: socket.socket) -> bytes:
    try:
        return connection.recv(PEEK_BYTES, socket.MSG_PEEK)
    except BlockingIOError:
        return b""


async def readable(connection: socket.socket) -> None:
    """Wait until a socket has something to read, or its end."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(connection, wake)
    try:
        await ready
    finally:
        loop.remove_reader(connection)
