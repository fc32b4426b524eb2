"""Schedules and what they run, as `state` has them: read, changed, and made due.

Here the plan of `schedules.py` meets the database. The loop and the API both make runs due by it:
what changes a schedule first makes the runs that were due until then.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from modeltap.clock import Clock
from modeltap.control import definitions, schedules
from modeltap.control.schedules import (
    NEVER,
    Schedule,
    ScheduleEvent,
    ScheduleStatus,
    asked_for,
    attempt_of,
    due,
    is_to_be_run,
    schedule_document,
    schedule_of,
    step,
)
from modeltap.control.windows import Timing, timing_of
from modeltap.errors import StaleVersion
from modeltap.nouns import CatchUp, Document, Partition
from modeltap.state.alerts import Alerts
from modeltap.state.executions import KEPT_MAX, SILENT, Execution, Executions, Tell
from modeltap.state.store import Resource, Store

_NOTHING: Document = {"MonitoringInputs": [{"EndpointInput": {}}]}


class Schedules:
    """All schedules of a home."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        partition: Partition,
        catch_up: CatchUp,
        tell: Tell = SILENT,
        kept_max: int = KEPT_MAX,
    ) -> None:
        """`tell` words what the webhook hears; `kept_max` executions of each are kept."""
        self.executions = Executions(store, tell, kept_max)
        self.alerts = Alerts(store, tell.turned)
        self._store = store
        self._clock = clock
        self._partition = partition
        self._catch_up = catch_up

    def every(self) -> list[Schedule]:
        return [schedule_of(each) for each in self._store.every(schedules.KIND)]

    def definition(self, config: Document) -> Document | None:
        """Give what a config runs, written in it or named; None if there is none of that name."""
        written: Document | None = config.get("MonitoringJobDefinition")
        if written is not None:
            return written
        found = self._store.get(definitions.KIND, config["MonitoringJobDefinitionName"])
        return None if found is None else definitions.inline(found.spec)

    def timing(self, schedule: Schedule) -> Timing:
        """Give when a schedule runs; `front` has let in none that this refuses."""
        return timing_of(schedule.config, self.definition(schedule.config) or _NOTHING)

    def change(self, resource: Resource, change: Callable[[Schedule], Schedule]) -> None:
        """Make the runs of a schedule that are due, then write it. Raise `StaleVersion`."""
        schedule = schedule_of(resource)
        self.make([schedule])
        changed = change(schedule)
        self._store.put_status(resource, schedule_document(changed), self._clock.now_ns())

    def settle(self) -> list[Schedule]:
        """Take up what was asked for; give all schedules as they stand then."""
        now_ns = self._clock.now_ns()
        for resource in self._store.every(
            schedules.KIND, schedules.STATUS_MEMBER, (ScheduleStatus.PENDING,)
        ):
            taken = step(schedule_of(resource), ScheduleEvent.SETTLED, now_ns)
            try:
                self._store.put_status(resource, schedule_document(taken), now_ns)
            except StaleVersion:
                continue  # it was changed meanwhile: the next turn takes it up
        return self.every()

    def make(self, some: Sequence[Schedule]) -> int:
        """Make the executions that are due; who comes second finds them there. Give how many."""
        now_ns, count = self._clock.now_ns(), 0
        ran = self.executions.ran([each.id for each in some], now_ns)
        for schedule in some:
            timing = self.timing(schedule)
            for scheduled_ns in due(
                schedule, timing, ran.get(schedule.id, NEVER), now_ns, self._catch_up
            ):
                self.executions.add(self._execution(schedule, timing, scheduled_ns, now_ns))
                count += 1
        return count

    def run(
        self, schedule: Schedule, hour_ns: int | None = None, *, again: bool = False
    ) -> tuple[Execution, bool]:
        """Have the run of an hour made by hand; give it, and whether it begins now.

        One that failed begins anew, one that has a report only `again`; both go by the schedule as
        it is now. Raise `NoSuchRun`, and `StaleVersion` if another has written it between.
        """
        while self.make([schedule]):
            pass  # what is due comes first: a later run would hide it
        timing, now_ns = self.timing(schedule), self._clock.now_ns()
        scheduled_ns = asked_for(timing, hour_ns, now_ns)
        made = self._execution(schedule, timing, scheduled_ns, now_ns)
        there = self.executions.get(schedule.id, scheduled_ns)
        if there is None:
            if not self.executions.add(made):
                raise StaleVersion("execution", schedule.name)
            return made, True
        if not is_to_be_run(there.status, again=again):
            return there, False
        return self._repeated(there, made), True

    def _repeated(self, there: Execution, made: Execution) -> Execution:
        """Put a run in the place of one that has ended; its job gets another name."""
        return self.executions.put(
            there,
            made.created_ns,
            endpoint=made.endpoint,
            definition=made.definition,
            status=made.status,
            spec={**made.spec, "Attempt": attempt_of(there) + 1},
            created_ns=made.created_ns,
            job=None,
            failure=made.failure,
            violations=None,
        )

    def next_due(self, some: Iterable[Schedule]) -> int | None:
        """Give when the next run of some schedules is due."""
        scheduled = [each for each in some if each.status is ScheduleStatus.SCHEDULED]
        return schedules.next_due(map(self.timing, scheduled), self._clock.now_ns())

    def _execution(
        self, schedule: Schedule, timing: Timing, scheduled_ns: int, now_ns: int
    ) -> Execution:
        definition, window = self.definition(schedule.config), timing.window(scheduled_ns)
        endpoint = definitions.endpoint_of(definition) if definition else schedule.endpoint
        made = Execution(
            schedule_id=schedule.id,
            scheduled_ns=scheduled_ns,
            schedule=schedule.name,
            endpoint=endpoint,
            definition=schedule.definition_name,
            monitoring_type=schedules.DATA_QUALITY,
            status="Pending",
            spec={"Definition": definition, "StartNs": window.start_ns, "EndNs": window.end_ns},
            created_ns=now_ns,
            modified_ns=now_ns,
        )
        if definition is not None:
            return made
        arn = self._partition.arn(definitions.KIND, schedule.definition_name or "")
        failure = (
            f'Could not find job definition "{arn}": it was deleted. Update the schedule with '
            "another one."
        )
        return replace(made, status="Failed", failure=failure)
