"""A crew at work: the objects of a job that are left, shared among its members."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from modeltap.clock import Clock
from modeltap.control.rounds import Spawn
from modeltap.control.transform_crew import Crew, Member, NoInstance, ObjectFailed
from modeltap.control.transform_files import Item
from modeltap.control.transform_object import ObjectTransform
from modeltap.link.links import Links
from modeltap.transform.terms import Terms

Failures = dict[int, ObjectFailed]
"""By the object's number."""


class Shift:
    """Each member takes the next object when it is free. `tell` hears of those that failed.

    A member that has no instance any more leaves its object to the others.
    """

    def __init__(
        self,
        items: Sequence[Item],
        left: Sequence[int],
        crew: Crew,
        terms: Terms,
        work: ObjectTransform,
        tell: Callable[[Item, ObjectFailed], None],
        clock: Clock,
        spawn: Spawn,
    ) -> None:
        self._items = items
        self._left = deque(left)
        self._crew = crew
        self._terms = terms
        self._work = work
        self._tell = tell
        self._clock = clock
        self._spawn = spawn
        self._failures: Failures = {}
        self._broken: list[Exception] = []  # what ended a member
        self._over = False  # for all of them

    async def run(self) -> Failures:
        """Transform what is left; give what could not be. Raise what is over for all objects."""
        links = Links(self._clock, self._terms.seconds_max, self._spawn)
        sweep = self._spawn(links.sweep())
        count = min(self._terms.instances, len(self._left))
        try:
            await self._together([self._spawn(self._member(links)) for _ in range(count)])
        finally:
            sweep.cancel()
            links.close()
        if self._broken and (self._left or self._over):
            raise self._broken[-1]
        return self._failures

    async def _together(self, members: Sequence["asyncio.Task[None]"]) -> None:
        """Wait for the members; who is cancelled meanwhile waits until they are gone."""
        if not members:
            return
        try:
            await asyncio.wait(members)
        except asyncio.CancelledError:
            for member in members:
                member.cancel()
            await asyncio.wait(members)
            raise

    async def _member(self, links: Links) -> None:
        try:
            member = Member(await self._crew.join(), self._crew, self._terms, links, self._clock)
            while self._left and not self._over:
                await self._object(self._left.popleft(), member)
        except NoInstance as error:
            self._broken.append(error)
        except Exception as error:  # border: `run` raises it, in the job's own task
            self._broken.append(error)
            self._over = True

    async def _object(self, number: int, member: Member) -> None:
        try:
            await member.ready()
            await self._work.transform(number, self._items[number], member)
        except NoInstance:
            self._left.append(number)  # for a member that has one
            raise
        except ObjectFailed as error:
            self._failures[number] = error
            self._tell(self._items[number], error)
