"""The links that are open, and the quick way to one: no coroutine, because it is compiled."""

from collections.abc import Callable
from typing import final

from modeltap.clock import Clock
from modeltap.link.http import HttpLink
from modeltap.link.link import Done, Link
from modeltap.nouns import Cancellable, Instance, Invocation

Slowly = Callable[[Instance, Invocation, Done], Cancellable]
"""Makes a call that takes more than a callback: over HTTP, or to whom no link is open."""


@final
class OpenLinks:
    """One link an instance, as long as it is of use."""

    def __init__(self, clock: Clock, slowly: Slowly) -> None:
        self._now = clock.monotonic
        self._slowly = slowly
        self._links: dict[str, Link | HttpLink] = {}

    def send(self, instance: Instance, invocation: Invocation, done: Done) -> Cancellable:
        """Make one call; give what withdraws it.

        `done` gets its answer, or `InstanceGone`, `InvocationTimedOut` or `AnswerUnreadable`.
        """
        link = self._links.get(instance.id)
        if isinstance(link, Link) and link.alive:
            return link.send(invocation, self._now(), done)
        return self._slowly(instance, invocation, done)

    def live(self, instance: Instance) -> Link | HttpLink | None:
        link = self._links.get(instance.id)
        return link if link is not None and link.alive else None

    def add(self, link: Link | HttpLink) -> None:
        self._links[link.instance.id] = link

    def every(self) -> list[Link | HttpLink]:
        return list(self._links.values())

    def forget(self, link: Link | HttpLink) -> bool:
        """Part with a link that is of no more use; tell whether it was known."""
        if link.alive or self._links.get(link.instance.id) is not link:
            return False
        del self._links[link.instance.id]
        return True
