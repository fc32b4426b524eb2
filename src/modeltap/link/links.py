"""All instances that this gateway talks to: connects when first needed, sweeps what has expired.

`send` fills the router's slot. `sweep` is a coroutine that house runs beside it: it is the only
timer of all calls, so a call may outlive its limit by `SWEEP_SECONDS`. The address tells the way:
`unix:` frames to a model's worker, `http:` or `unix+http:` to a user's own container. Both keep the
same promises (`tests/contract/test_link_send.py`).
"""

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from modeltap.clock import Clock
from modeltap.errors import InstanceGone
from modeltap.link.http import HttpLink
from modeltap.link.link import Link
from modeltap.nouns import Answer, Instance, Invocation
from modeltap.telemetry import Event, emit
from modeltap_worker.socketpath import short_path

SWEEP_SECONDS = 0.1
PING_SECONDS_MAX = 5.0
SCHEME = "unix:"


@dataclass(frozen=True, slots=True)
class LinkLost(Event):
    """An instance closed its connection, died, or was cut off; `in_flight` calls failed with it."""

    level: ClassVar[int] = logging.WARNING
    instance: str
    in_flight: int


class Links:
    """One link an instance. `seconds_max` bounds a call from `send` to its answer's end."""

    def __init__(self, clock: Clock, seconds_max: float) -> None:
        self._clock = clock
        self._seconds_max = seconds_max
        self._links: dict[str, Link | HttpLink] = {}
        self._connecting = asyncio.Lock()

    def send(self, instance: Instance, invocation: Invocation) -> Awaitable[Answer]:
        """Make one call. Raise `InstanceGone`, `InvocationTimedOut` or `AnswerUnreadable`."""
        link = self._live(instance)
        if link is None:
            return self._send_first(instance, invocation)
        return link.send(invocation, self._clock.monotonic())

    async def _send_first(self, instance: Instance, invocation: Invocation) -> Answer:
        link = await self._connect(instance)
        return await link.send(invocation, self._clock.monotonic())

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
        try:
            with short_path(path) as name:
                _, link = await loop.create_unix_connection(
                    lambda: Link(instance, self._lost), name
                )
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
