"""The status socket: how control learns what a gateway serves, and makes it look at the file.

Format (`docs/architecture.md`, routing table): a Unix stream socket; each line `reload` makes the
gateway load the routing file if it is newer, and is answered with one line of JSON,

    {"generation": 7, "outstanding": {"instance-id": 2}, "receipts": {"endpoint": 1709240400000}}

where an instance that is not named has no call in flight, and `receipts` (ns) are those of the
oldest calls that may still become records: an endpoint that is not named has none. Anything else
ends the connection. A gateway is live if its socket accepts. The socket is bound under another name
and renamed, so that a successor takes its predecessor's place at once; it is 0600, and is not
unlinked at the end, because it may be the successor's by then.

Constraints: a line of at most `LINE_BYTES_MAX`, and silence of at most `IDLE_SECONDS_MAX`.
"""

import asyncio
import os
import socket
from contextlib import closing
from pathlib import Path

import orjson

from modeltap.gateway.tablefile import TableFile
from modeltap.router.router import Router
from modeltap_worker.socketpath import short_path

LINE_BYTES_MAX = 1024
IDLE_SECONDS_MAX = 60.0
RELOAD = b"reload\n"


class StatusSocket:
    """Serves one gateway's status at a path."""

    def __init__(self, path: Path, router: Router, table: TableFile) -> None:
        self._path = path
        self._router = router
        self._table = table

    async def serve(self) -> None:
        """Answer for ever. Raise `OSError` if the socket cannot be made."""
        listener = bind(self._path)
        server = await asyncio.start_unix_server(
            self._converse, sock=listener, limit=LINE_BYTES_MAX
        )
        async with server:
            await server.serve_forever()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            try:
                async with asyncio.timeout(IDLE_SECONDS_MAX) as limit:
                    while await reader.readline() == RELOAD:
                        limit.reschedule(asyncio.get_running_loop().time() + IDLE_SECONDS_MAX)
                        self._table.load()
                        writer.write(self._status() + b"\n")
                        await writer.drain()
            except (OSError, ValueError):
                return  # control is gone, silent, or talks too long: it will come again

    def _status(self) -> bytes:
        router = self._router
        return orjson.dumps(
            {
                "generation": router.generation,
                "outstanding": router.outstanding,
                "receipts": router.receipts,
            }
        )


def bind(path: Path) -> socket.socket:
    """Bind a Unix socket in the place of what is at a path. Raise `OSError`."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with short_path(beside) as name:
        listener.bind(name)
    beside.chmod(0o600)
    listener.listen()
    listener.setblocking(False)
    beside.replace(path)
    return listener
