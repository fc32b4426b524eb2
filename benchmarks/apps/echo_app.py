"""The gateway's protocol class, answering each body with one that is always the same."""

import asyncio
import socket
import sys

import uvloop

from modeltap.clock import SystemClock
from modeltap.gateway import accept
from modeltap.gateway.body import read_whole
from modeltap.gateway.connections import Connections
from modeltap.gateway.http import Connection, Respond
from modeltap.nouns import HttpRequest, HttpResponse

ANSWER = HttpResponse(200, ((b"content-type", b"text/csv"),), b"0.9670537114143372")


async def echo(request: HttpRequest, respond: Respond) -> None:
    await read_whole(request, 1024 * 1024)
    await respond(ANSWER)


async def main(port: int) -> None:
    clock = SystemClock()
    connections = Connections(clock, 10.0)
    listener = socket.create_server(("127.0.0.1", port), backlog=512)
    sweep = asyncio.create_task(connections.sweep())
    await accept.serve(listener, lambda: Connection(echo, connections), clock=clock)
    sweep.cancel()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
