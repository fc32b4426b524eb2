"""The loop that delivers notices to the webhook. `run` it as one task.

Each `BEAT_SECONDS` it tries the notices that are due, one after the other. A notice is removed once
it was taken, and not before, so that a control that is killed tells it again. What is refused is
tried again after a pause, so many times; then it is given up. No execution waits for any of it.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from modeltap.clock import Clock
from modeltap.control.notices import PAUSE_SECONDS_MAX, headers, pause
from modeltap.errors import StateUnusable
from modeltap.state.outbox import Notice, Outbox
from modeltap.telemetry import Event, emit

BEAT_SECONDS = 1.0

Post = Callable[[Mapping[str, str], bytes], Awaitable[str | None]]
"""Post headers and a body to the webhook; None: taken. Else tell why it was refused."""


@dataclass(frozen=True, slots=True)
class NoticeDelivered(Event):
    """The webhook has taken a notice."""

    notice: str
    attempts: int


@dataclass(frozen=True, slots=True)
class NoticeRefused(Event):
    """The webhook has not taken a notice; it is tried again."""

    level: ClassVar[int] = logging.WARNING

    notice: str
    attempts: int
    reason: str
    pause_seconds: float


@dataclass(frozen=True, slots=True)
class NoticeGivenUp(Event):
    """The webhook has not taken a notice so often that it is told no more."""

    level: ClassVar[int] = logging.ERROR

    notice: str
    attempts: int
    reason: str


@dataclass(frozen=True, slots=True)
class WebhookBeatFailed(Event):
    """The state database could not be used; a later beat tries again."""

    level: ClassVar[int] = logging.ERROR

    reason: str


class Webhook:
    """`counts` are of this process's life: `delivered`, `refused` attempts, and `given_up`."""

    def __init__(
        self, outbox: Outbox, post: Post, key: bytes, clock: Clock, attempts_max: int
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.outbox = outbox
        self._post = post
        self._key = key
        self._clock = clock
        self._attempts_max = attempts_max

    async def run(self) -> None:
        """Beat for ever; more seldom while what was taken cannot be removed, and comes again."""
        failed = 0
        while True:
            try:
                await self.turn()
                failed = 0
            except StateUnusable as error:
                failed += 1
                emit(WebhookBeatFailed(str(error)))
            seconds = pause(failed, self._clock.random()) if failed else BEAT_SECONDS
            await self._clock.sleep(seconds)

    async def turn(self) -> None:
        """Try what is due once. Raise `StateUnusable`."""
        pause_ns_max = int(PAUSE_SECONDS_MAX * 1e9)
        for notice in await asyncio.to_thread(self.outbox.due, self._clock.now_ns(), pause_ns_max):
            told = headers(notice, self._key, self._clock.now_ns())
            refused = await self._post(told, notice.body.encode())
            if refused is None:
                await asyncio.to_thread(self.outbox.remove, notice)
                self.counts["delivered"] += 1
                emit(NoticeDelivered(notice.id, notice.attempts + 1))
            else:
                await self._refused(notice, refused)

    async def _refused(self, notice: Notice, reason: str) -> None:
        self.counts["refused"] += 1
        attempts = notice.attempts + 1
        if attempts >= self._attempts_max:
            await asyncio.to_thread(self.outbox.remove, notice)
            self.counts["given_up"] += 1
            emit(NoticeGivenUp(notice.id, attempts, reason))
            return
        seconds = pause(attempts, self._clock.random())
        due_ns = self._clock.now_ns() + int(seconds * 1e9)
        await asyncio.to_thread(self.outbox.put_off, notice, due_ns)
        emit(NoticeRefused(notice.id, attempts, reason, round(seconds, 1)))
