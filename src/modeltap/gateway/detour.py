"""The CONNECT detour: how clients that insist on `https://sts.{region}.amazonaws.com` reach us.

The SageMaker SDK builds its STS client with that address, and no endpoint variable redirects it; an
HTTPS proxy does. On a fresh connection that begins with `CONNECT host:port`:

* `*.amazonaws.com:443` is answered here: 200, then TLS under the local CA. An S3 host goes to the
  store's own protocol; any other is spliced, decrypted, to the gateway's port. Nothing is rewritten
  on the way, so every signature stays what it was.
* any other host is tunnelled unread while we are bound to loopback, so that the user's shell goes
  on working with the proxy set, and refused otherwise: an open proxy would be a gift to strangers.

Constraints: a head of at most `HEAD_BYTES_MAX`, read to its last byte and not beyond, because what
follows belongs to TLS; `TUNNELS_MAX` splices and tunnels at once; two buffers of 64 KiB each; a
tunnel that is silent for `IDLE_SECONDS_MAX` ends; the first side to end ends both. The pumps are
tasks of their connection and end with it.
"""

import asyncio
import re
import socket
import ssl
from contextlib import suppress

from modeltap.gateway.accept import ProtocolFactory, hand_over, readable

HEAD_BYTES_MAX = 8 * 1024
CHUNK_BYTES_MAX = 64 * 1024
TUNNELS_MAX = 256
PORT_MAX = 65535
CONNECT_SECONDS_MAX = 10.0
IDLE_SECONDS_MAX = 600.0

_CONNECT = re.compile(
    rb"CONNECT ([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):([0-9]{1,5}) HTTP/1\.[01]\r\n"
)
_S3_HOST = re.compile(
    r"([a-z0-9._-]+\.)?s3(-[a-z0-9-]+)?(\.dualstack)?(\.[a-z]{2}(-[a-z]+)+-[0-9]+)?\.amazonaws\.com"
)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Detour:
    """A taker of connections for `accept.serve`.

    `store` makes the store's HTTP protocol; `tls` holds a leaf for `*.amazonaws.com`; `gateway` is
    the loopback address of the gateway's port; `tunnels` tells whether other hosts are let through.
    """

    def __init__(
        self,
        store: ProtocolFactory,
        tls: ssl.SSLContext,
        gateway: tuple[str, int],
        *,
        tunnels: bool,
    ) -> None:
        self._store = store
        self._tls = tls
        self._gateway = gateway
        self._tunnels = tunnels
        self._open = 0

    async def __call__(self, connection: socket.socket, first: bytes) -> bool:
        """Take a connection that begins with CONNECT; leave any other."""
        if first != b"CONNECT ":
            return False
        async with asyncio.timeout(CONNECT_SECONDS_MAX):
            asked = _CONNECT.match(await _read_head(connection))
        if asked is None or int(asked[2]) > PORT_MAX:
            await _refuse(connection, "400 Bad Request", "This is not a CONNECT request.")
        elif self._open >= TUNNELS_MAX:
            await _refuse(connection, "503 Service Unavailable", "Too many tunnels are open.")
        else:
            host = asked[1].decode().lower().strip("[]")
            await self._route(connection, host, int(asked[2]))
        return True

    async def _route(self, connection: socket.socket, host: str, port: int) -> None:
        if port == 443 and is_s3(host):
            await _accept(connection)
            await hand_over(connection, self._store, self._tls, CONNECT_SECONDS_MAX)
        elif port == 443 and host.endswith(".amazonaws.com"):
            await self._tunnel(connection, self._tls, *self._gateway)
        elif self._tunnels:
            await self._tunnel(connection, None, host, port)
        else:
            said = "Only *.amazonaws.com:443 is answered here; unset HTTPS_PROXY for other hosts."
            await _refuse(connection, "403 Forbidden", said)

    async def _tunnel(
        self, connection: socket.socket, tls: ssl.SSLContext | None, host: str, port: int
    ) -> None:
        """Splice a connection, decrypted if `tls` is given, to an address."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                reader, writer = await asyncio.open_connection(host, port, limit=CHUNK_BYTES_MAX)
        except (OSError, UnicodeError):  # a label may be too long to be a name
            said = f"{host} could not be reached on port {port}."
            await _refuse(connection, "502 Bad Gateway", said)
            return
        self._open += 1
        try:
            await _accept(connection)
            await _splice(await _streams(connection, tls), (reader, writer))
        finally:
            self._open -= 1
            writer.close()


def is_s3(host: str) -> bool:
    """Tell whether a host name of AWS's is S3's, in path or virtual-host style."""
    return _S3_HOST.fullmatch(host) is not None


async def _read_head(connection: socket.socket) -> bytes:
    """Read one head and not a byte more. Raise `OSError` if it does not come."""
    loop = asyncio.get_running_loop()
    head = b""
    while b"\r\n\r\n" not in head:
        await readable(connection)
        seen = connection.recv(HEAD_BYTES_MAX - len(head), socket.MSG_PEEK)
        end = (head + seen).find(b"\r\n\r\n")
        wanted = len(seen) if end < 0 else end + 4 - len(head)
        if not wanted:
            raise ConnectionError("the connection ended, or its head is too long")
        head += await loop.sock_recv(connection, wanted)
    return head


async def _accept(connection: socket.socket) -> None:
    await asyncio.get_running_loop().sock_sendall(
        connection, b"HTTP/1.1 200 Connection established\r\n\r\n"
    )


async def _refuse(connection: socket.socket, status: str, said: str) -> None:
    """Answer with an error; the connection is closed by whoever accepted it."""
    answer = (
        f"HTTP/1.1 {status}\r\ncontent-type: text/plain\r\n"
        f"content-length: {len(said) + 1}\r\nconnection: close\r\n\r\n{said}\n"
    )
    await asyncio.get_running_loop().sock_sendall(connection, answer.encode())


async def _streams(connection: socket.socket, tls: ssl.SSLContext | None) -> Streams:
    """Make streams of an accepted connection, after the handshake if there is to be one."""
    reader = asyncio.StreamReader(limit=CHUNK_BYTES_MAX)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport = await hand_over(connection, lambda: protocol, tls, CONNECT_SECONDS_MAX)
    return reader, asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())


async def _splice(one: Streams, other: Streams) -> None:
    """Carry bytes both ways until one side ends, in whatever way."""
    pumps = {
        asyncio.create_task(_pump(one[0], other[1])),
        asyncio.create_task(_pump(other[0], one[1])),
    }
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for pump in pumps:
            pump.cancel()
        one[1].close()
        other[1].close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes one way until an end, a failure of either side, or a long silence."""
    with suppress(OSError):
        while True:
            async with asyncio.timeout(IDLE_SECONDS_MAX):
                data = await reader.read(CHUNK_BYTES_MAX)
                if not data:
                    return
                writer.write(data)
                await writer.drain()
