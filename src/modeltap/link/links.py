"""All instances that this gateway talks to: connects when first needed, sweeps what has expired.

`send` fills the router's slot. `sweep` is a coroutine that house runs beside it: it is the only
timer of all calls, so a call may outlive its limit by `SWEEP_SECONDS`. The address tells the way:
`unix:` frames to a model's worker, `http:` or `unix+http:` to a user's own container. Both keep the
same promises (`tests/contract/test_link_send.py`).
"""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast, final

from modeltap.clock import Clock
from modeltap.errors import CallFailed, HouseError, InstanceGone
from modeltap.link.events import LinkLost
from modeltap.link.http import HttpLink
from modeltap.link.link import Done, Link
from modeltap.nouns import Answer, Cancellable, Instance, Invocation
from modeltap.telemetry import emit
from modeltap_worker.socketpath import short_path

SWEEP_SECONDS = 0.1
PING_SECONDS_MAX = 5.0
SCHEME = "unix:"


Spawn = Callable[[Coroutine[Any, Any, None]], Cancellable]


@final
class Links:
    """One link an instance. `seconds_max` bounds a call from `send` to its answer's end.

    `spawn` runs what takes more than a callback: to connect, and a call over HTTP.
    """

    def __init__(self, clock: Clock, seconds_max: float, spawn: Spawn) -> None:
        self._clock = clock
        self._seconds_max = seconds_max
        self._spawn = spawn
        self._links: dict[str, Link | HttpLink] = {}
        self._connecting = asyncio.Lock()

    def send(self, instance: Instance, invocation: Invocation, done: Done) -> Cancellable:
        """Make one call; give what withdraws it.

        `done` gets its answer, or `InstanceGone`, `InvocationTimedOut` or `AnswerUnreadable`.
        """
        link = self._links.get(instance.id)
        if isinstance(link, Link) and link.alive:
            return link.send(invocation, self._clock.monotonic(), done)
        return self._spawn(self._send(instance, invocation, done))

    async def _send(self, instance: Instance, invocation: Invocation, done: Done) -> None:
        try:
            link = self._live(instance) or await self._connect(instance)
            began = self._clock.monotonic()
            answer = await _answer(link, invocation, began)
        except HouseError as error:
            done(error)
        except Exception as error:  # border: a task that fails ends its process
            done(CallFailed(type(error).__name__))
        else:
            done(answer)

    async def ping(self, instance: Instance) -> str | None:
        """Ask an instance whether it is ready: None, or the text of what keeps it."""
        try:
            async with asyncio.timeout(PING_SECONDS_MAX):
                link = self._live(instance) or await self._connect(instance)
                return await link.ping() or None
        except InstanceGone as gone:
            return str(gone)
        except TimeoutError:
            return f"instance {instance.id} did not answer a ping in {PING_SECONDS_MAX} s"

    async def sweep(self) -> None:
        """End calls that have passed their limit, for ever."""
        while True:
            await self._clock.sleep(SWEEP_SECONDS)
            latest = self._clock.monotonic() - self._seconds_max
            for link in list(self._links.values()):
                link.expire(latest)
                self._forget(link)

    def close(self) -> None:
        for link in list(self._links.values()):
            link.close()

    def _live(self, instance: Instance) -> Link | HttpLink | None:
        link = self._links.get(instance.id)
        return link if link is not None and link.alive else None

    async def _connect(self, instance: Instance) -> Link | HttpLink:
        # One lock for all: a Unix socket connects or refuses at once.
        async with self._connecting:
            link = self._live(instance)
            if link is None:
                link = self._links[instance.id] = await self._open(instance)
            return link

    async def _open(self, instance: Instance) -> Link | HttpLink:
        if not instance.address.startswith(SCHEME):
            return HttpLink(instance, self._clock, lambda: emit(LinkLost(instance.id, 1)))
        loop = asyncio.get_running_loop()
        path = Path(instance.address.removeprefix(SCHEME))
        link = Link(instance, self._lost)
        try:
            with short_path(path) as name:
                await loop.create_unix_connection(lambda: cast(asyncio.Protocol, link), name)
        except OSError as error:
            raise InstanceGone(instance.id, sent=False) from error
        return link

    def _lost(self, link: Link) -> None:
        if self._forget(link):
            emit(LinkLost(link.instance.id, link.in_flight))

    def _forget(self, link: Link | HttpLink) -> bool:
        """Part with a link that is of no more use; tell whether it was known."""
        if link.alive or self._links.get(link.instance.id) is not link:
            return False
        del self._links[link.instance.id]
        return True


async def _answer(link: Link | HttpLink, invocation: Invocation, began: float) -> Answer:
    """Make one call and wait for its answer. Raise `HouseError`."""
    if isinstance(link, HttpLink):
        return await link.send(invocation, began)
    answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def done(outcome: Answer | HouseError) -> None:
        if answered.done():
            return
        if isinstance(outcome, Answer):
            answered.set_result(outcome)
        else:
            answered.set_exception(outcome)

    flight = link.send(invocation, began, done)
    try:
        return await answered
    except asyncio.CancelledError:
        flight.cancel()
        raise
