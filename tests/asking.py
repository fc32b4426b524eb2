"""Await what tells its outcome to a callback: the calls of `Links`."""

import asyncio

from modeltap.clock import Clock
from modeltap.errors import HouseError
from modeltap.link.links import Links
from modeltap.nouns import Answer, Instance, Invocation

CALL_ID = "0f0e0d0c-0b0a-4000-8000-000000000001"


def links_of(clock: Clock, seconds_max: float) -> Links:
    """Make links whose tasks run on this loop."""
    return Links(clock, seconds_max, asyncio.ensure_future)


async def ask(links: Links, instance: Instance, invocation: Invocation) -> Answer:
    """Make one call. Raise what it fails with; a caller that is cancelled withdraws it."""
    told: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def done(outcome: Answer | HouseError) -> None:
        if isinstance(outcome, Answer):
            told.set_result(outcome)
        else:
            told.set_exception(outcome)

    call = links.send(instance, invocation, done)
    try:
        return await told
    except asyncio.CancelledError:
        call.cancel()
        raise
