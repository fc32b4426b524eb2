"""The coroutines of a gateway's HTTP: all that waits stands here, all that must be quick in `http`.

Why apart: `http` is compiled, and a compiled coroutine leaves the exception that it handled behind
as the thread's current one (`docs/decisions/0004`).

The task that runs a turn's coroutine belongs to its connection and is cancelled with it: with the
reconciler the exception to "only house starts tasks". `_run` is one of this process's borders for
`except Exception`.
"""

import asyncio
from collections.abc import AsyncIterable, Callable, Coroutine
from typing import Any

from modeltap.clock import Clock
from modeltap.errors import ModeltapError
from modeltap.gateway.body import read_whole
from modeltap.gateway.connections import Connections
from modeltap.gateway.http import Turn
from modeltap.gateway.response import LAST_CHUNK, Framing, encode_chunk
from modeltap.nouns import HttpResponse

SWEEP_SECONDS = 0.25


def run(turn: Turn, coroutine: Coroutine[Any, Any, None]) -> None:
    """Have a coroutine answer a turn, or prepare the work that will."""
    turn.work = asyncio.get_running_loop().create_task(_run(turn, coroutine))


async def _run(turn: Turn, coroutine: Coroutine[Any, Any, None]) -> None:
    try:
        await coroutine
    except Exception as error:  # border
        turn.fail(error)
    else:
        if turn.work is asyncio.current_task():  # else it left the answer to other work
            turn.finish()


async def stream(turn: Turn, response: HttpResponse) -> None:
    """Answer from the coroutine that a turn runs, as fast as the client takes it."""
    if isinstance(response.body, bytes):
        turn.respond(response)
        return
    frame = turn.begin(response)
    await _stream(turn, response.body, frame)
    turn.ended = True


async def _stream(turn: Turn, body: AsyncIterable[bytes], frame: Framing) -> None:
    async for part in body:
        if part and frame is not Framing.NONE:
            turn.write(encode_chunk(part) if frame is Framing.CHUNKED else part)
        if turn.writable is not None:
            await turn.writable
    if frame is Framing.CHUNKED:
        turn.write(LAST_CHUNK)


def gather(turn: Turn, bytes_max: int, done: Callable[[bytes | ModeltapError], None]) -> None:
    """Wait for the whole body of a turn's request; `done` gets it, or `PayloadTooLarge`."""
    run(turn, _gather(turn, bytes_max, done))


async def _gather(
    turn: Turn, bytes_max: int, done: Callable[[bytes | ModeltapError], None]
) -> None:
    try:
        outcome: bytes | ModeltapError = await read_whole(turn.request, bytes_max)
    except ModeltapError as error:
        outcome = error
    done(outcome)


async def sweep(connections: Connections, clock: Clock) -> None:
    """Look at all deadlines, for ever."""
    while True:
        await clock.sleep(SWEEP_SECONDS)
        connections.expire()


async def drain(connections: Connections) -> None:
    """Take no more, close the idle, and wait until the others have been answered."""
    emptied = asyncio.Event()
    connections.end(emptied.set)
    await emptied.wait()
