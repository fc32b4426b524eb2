"""All instances that this gateway talks to: connects when first needed, sweeps what has expired.

`send` fills the router's slot. `sweep` is a coroutine that house runs beside it: it is the only
timer of all calls, so a call may outlive its limit by `SWEEP_SECONDS`. The address tells the way:
`unix:` frames to a model's worker, `http:` or `unix+http:` to a user's own container. Both keep the
same promises (`tests/contract/test_link_send.py`).
"""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from modeltap.clock import Clock
from modeltap.errors import CallFailed, HouseError, InstanceGone
from modeltap.link.events import LinkLost
from modeltap.link.http import HttpLink
from modeltap.link.link import Done, Link
from modeltap.link.openlinks import OpenLinks
from modeltap.nouns import Answer, Cancellable, Instance, Invocation
from modeltap.telemetry import emit
from modeltap_worker.socketpath import short_path

SWEEP_SECONDS = 0.1
PING_SECONDS_MAX = 5.0
SCHEME = "unix:"


Outcome = TypeVar("Outcome")

Spawn = Callable[[Coroutine[Any, Any, None]], Cancellable]


class Links:
    """One link an instance. `seconds_max` bounds a call from `send` to its answer's end.

    `spawn` runs what takes more than a callback: to connect, and a call over HTTP. `send` makes one
    call and gives what withdraws it; its `done` gets the answer, or `InstanceGone`,
    `InvocationTimedOut`, `AnswerUnreadable` or `CallFailed`.
    """

    def __init__(self, clock: Clock, seconds_max: float, spawn: Spawn) -> None:
        self._clock = clock
        self._seconds_max = seconds_max
        self._spawn = spawn
        self._open = OpenLinks(clock, self._slowly)
        self.send: Final = self._open.send
        self._connecting = asyncio.Lock()

    async def ping(self, instance: Instance) -> str | None:
        """Ask an instance whether it is ready: None, or the text of what keeps it."""
        try:
            async with asyncio.timeout(PING_SECONDS_MAX):
                link = self._open.live(instance) or await self._connect(instance)
                return await _ping(link) or None
        except InstanceGone as gone:
            return str(gone)
        except TimeoutError:
            return f"instance {instance.id} did not answer a ping in {PING_SECONDS_MAX} s"

    async def sweep(self) -> None:
        """End calls that have passed their limit, for ever."""
        while True:
            await self._clock.sleep(SWEEP_SECONDS)
            latest = self._clock.monotonic() - self._seconds_max
            for link in self._open.every():
                link.expire(latest)
                self._open.forget(link)

    def close(self) -> None:
        for link in self._open.every():
            link.close()

    def _slowly(self, instance: Instance, invocation: Invocation, done: Done) -> Cancellable:
        return self._spawn(self._send(instance, invocation, done))

    async def _send(self, instance: Instance, invocation: Invocation, done: Done) -> None:
        try:
            link = self._open.live(instance) or await self._connect(instance)
            answer = await _answer(link, invocation, self._clock.monotonic())
        except HouseError as error:
            done(error)
        except Exception as error:  # border: a task that fails ends its process
            done(CallFailed(type(error).__name__))
        else:
            done(answer)

    async def _connect(self, instance: Instance) -> Link | HttpLink:
        # One lock for all: a Unix socket connects or refuses at once.
        async with self._connecting:
            link = self._open.live(instance)
            if link is None:
                link = await self._opened(instance)
                self._open.add(link)
            return link

    async def _opened(self, instance: Instance) -> Link | HttpLink:
        if not instance.address.startswith(SCHEME):
            return HttpLink(instance, self._clock, lambda: emit(LinkLost(instance.id, 1)))
        loop = asyncio.get_running_loop()
        path = Path(instance.address.removeprefix(SCHEME))
        link = Link(instance, loop.call_soon, self._lost)
        try:
            with short_path(path) as name:
                await loop.create_unix_connection(lambda: cast(asyncio.Protocol, link), name)
        except OSError as error:
            raise InstanceGone(instance.id, sent=False) from error
        return link

    def _lost(self, link: Link) -> None:
        if self._open.forget(link):
            emit(LinkLost(link.instance.id, link.in_flight))


async def _ping(link: Link | HttpLink) -> str:
    """Ask for a model's load error, "" if there is none. Raise `InstanceGone`."""
    if isinstance(link, HttpLink):
        return await link.ping()
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    link.ping(_into(told))
    return await told


async def _answer(link: Link | HttpLink, invocation: Invocation, began: float) -> Answer:
    """Make one call and wait for its answer. Raise `HouseError`."""
    if isinstance(link, HttpLink):
        return await link.send(invocation, began)
    told: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    flight = link.send(invocation, began, _into(told))
    try:
        return await told
    except asyncio.CancelledError:
        flight.cancel()
        raise


def _into(told: "asyncio.Future[Outcome]") -> Callable[[Outcome | HouseError], None]:
    """Give a callback that makes an outcome a future's; what comes too late is let go."""

    def done(outcome: Outcome | HouseError) -> None:
        if told.done():
            return
        if isinstance(outcome, HouseError):
            told.set_exception(outcome)
        else:
            told.set_result(outcome)

    return done
