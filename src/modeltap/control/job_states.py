"""Jobs as `state` has them: read, changed over the version that was read, concluded once."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from modeltap.clock import Clock
from modeltap.control.jobs import (
    ACTIVE,
    KIND,
    STATUS_MEMBERS,
    IllegalJobStep,
    Job,
    Outcome,
    concluded,
    job_document,
    job_of,
)
from modeltap.errors import StaleVersion
from modeltap.state.store import Store
from modeltap.telemetry import Event, emit


@dataclass(frozen=True, slots=True)
class JobTurned(Event):
    """A job took another status."""

    job: str
    status: str
    reason: str | None


class JobStates:
    """The jobs of one kind. Its methods are for threads; they raise `StateUnusable`."""

    def __init__(self, store: Store, clock: Clock, kind: str = KIND) -> None:
        self._store = store
        self._clock = clock
        self._kind = kind

    def active(self) -> list[Job]:
        found = self._store.every(self._kind, STATUS_MEMBERS[self._kind], ACTIVE)
        return [job_of(each) for each in found]

    def get(self, name: str) -> Job | None:
        resource = self._store.get(self._kind, name)
        return None if resource is None else job_of(resource)

    def change(self, name: str, change: Callable[[Job], Job]) -> Job | None:
        """Read, decide and write; anew if another wrote between. None: the job is gone."""
        while (resource := self._store.get(self._kind, name)) is not None:
            job = change(job_of(resource))
            try:
                self._store.put_status(resource, job_document(job), self._clock.now_ns())
            except StaleVersion:
                continue
            return job
        return None

    def conclude(self, name: str, came: Outcome) -> None:
        """Write what a job has come to, unless it is concluded already."""
        now = self._clock.now_ns()
        with suppress(IllegalJobStep):  # an earlier control has concluded it
            done = self.change(name, lambda job: concluded(job, came, now))
            if done is not None:
                emit(JobTurned(done.name, done.status, done.failure))
