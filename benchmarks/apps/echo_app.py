"""The gateway's protocol class, answering each body with one that is always the same."""

import asyncio
import socket
import sys
from typing import cast

import uvloop

from modeltap.clock import SystemClock
from modeltap.gateway import accept
from modeltap.gateway.body import read_whole
from modeltap.gateway.connections import Connections
from modeltap.gateway.http import Connection, Turn
from modeltap.gateway.waiting import run, sweep
from modeltap.nouns import HttpResponse

ANSWER = HttpResponse(200, ((b"content-type", b"text/csv"),), b"0.9670537114143372")


def echo(turn: Turn) -> None:
    if isinstance(turn.request.body, bytes):
        turn.respond(ANSWER)
    else:
        run(turn, read_and_answer(turn))


async def read_and_answer(turn: Turn) -> None:
    await read_whole(turn.request, 1024 * 1024)
    turn.respond(ANSWER)


async def main(port: int) -> None:
    clock = SystemClock()
    connections = Connections(clock, 10.0)
    listener = socket.create_server(("127.0.0.1", port), backlog=512)
    sweeping = asyncio.create_task(sweep(connections, clock))
    await accept.serve(
        listener, lambda: cast(asyncio.Protocol, Connection(echo, connections)), clock=clock
    )
    sweeping.cancel()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
