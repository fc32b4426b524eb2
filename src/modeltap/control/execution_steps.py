"""What is done for one execution: wait for its window, create its job, follow it.

Each step can be killed anywhere and taken again. A job's name follows from schedule and scheduled
time, so the job that an earlier try created is found, and there is one report for each.

The window is complete when its end has passed, no call that came before is in flight, and all its
records are delivered; of batch transforms, when none that has begun in it runs. After the grace the
execution goes on without, and its report says so.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from modeltap.clock import Clock
from modeltap.control import endpoints, jobs
from modeltap.control.batch_captures import BatchCaptures, batch_dataset, destination_of
from modeltap.control.job_states import JobStates
from modeltap.control.monitor_jobs import (
    Baseline,
    Captured,
    Dataset,
    Hour,
    baseline_of,
    came_to,
    captured_of,
    endpoint_dataset,
    hours_of,
    report_of,
    request,
    violations_of,
    window_of,
)
from modeltap.control.schedules import KIND, job_name
from modeltap.control.staging import Stores
from modeltap.errors import (
    LedgerUnreadable,
    ObjectStoreError,
    ResourceExists,
    StaleVersion,
    StoreUnavailable,
)
from modeltap.nouns import WITH_VIOLATIONS, Partition
from modeltap.state.executions import Execution, Executions
from modeltap.state.store import Resource, Store
from modeltap.telemetry import Event, emit

REASON_CHARS_MAX = 1024  # botocore: `FailureReason`
NO_DATA = "Job inputs had no data"
"""AWS's text for an empty window (contract §4.7)."""
SEAL_SECONDS = 1.0
"""Between two asks for a seal by one that waits."""


@dataclass(frozen=True, slots=True)
class ExecutionTurned(Event):
    """An execution took another status."""

    schedule: str
    scheduled_ns: int
    status: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class CaptureView:
    """What capture and the gateways tell of a window."""

    undelivered: Callable[[str, int, int], int]
    """(endpoint, start, end) → records on their way. Raise `LedgerUnreadable`, `OSError`."""
    ask_seal: Callable[[], None]
    in_flight: Callable[[str, int], Awaitable[bool]]
    """Whether a call of an endpoint, received before a time (ns), may still become a record."""


@dataclass(frozen=True, slots=True)
class Bounds:
    grace_seconds: float
    jobs_max: int


class _Failed(Exception):
    """An execution ends without a job; the text is its failure."""


class ExecutionSteps:
    """What can be done for one execution."""

    def __init__(
        self,
        store: Store,
        executions: Executions,
        states: JobStates,
        stores: Stores,
        view: CaptureView,
        clock: Clock,
        partition: Partition,
        bounds: Bounds,
        wake_jobs: Callable[[], None],
    ) -> None:
        self._store = store
        self._executions = executions
        self._states = states
        self._stores = stores
        self._view = view
        self._clock = clock
        self._partition = partition
        self._bounds = bounds
        self._wake_jobs = wake_jobs
        self._batches = BatchCaptures(store, stores, clock)
        self._sealed_at = float("-inf")
        self._creating = asyncio.Lock()

    async def take(self, execution: Execution) -> None:
        """Take the next step of an execution, if it is time for it. Raise `StateUnusable`."""
        with suppress(StaleVersion):  # another has written it: the next turn reads it anew
            if execution.status == "Pending":
                await self._begin(execution)
            else:
                await asyncio.to_thread(self._follow, execution)

    async def fail(self, execution: Execution, reason: str) -> None:
        """End an execution."""
        with suppress(StaleVersion):
            await self._put(execution, status="Failed", failure=reason[:REASON_CHARS_MAX])

    # ------------------------------------------------------------ its beginning

    async def _begin(self, execution: Execution) -> None:
        name = job_name(execution)
        if await asyncio.to_thread(self._states.get, name) is not None:
            await self._put(execution, status="InProgress", job=name)
            return
        if self._clock.now_ns() < window_of(execution).end_ns:
            return
        try:
            captured = await asyncio.to_thread(self._captured, execution)  # None: no endpoint
            pending = await self._pending(execution)
            if pending and not self._is_late(execution):
                self._hurry(execution)
            else:
                async with self._creating:  # one at a time, or all would find the last place free
                    if not await asyncio.to_thread(self._is_full):
                        await self._create(name, execution, captured, pending)
        except _Failed as error:
            await self.fail(execution, str(error))

    def _captured(self, execution: Execution) -> Captured | None:
        if not execution.endpoint:
            return None
        found = self._store.get(endpoints.KIND, execution.endpoint)
        if found is None:
            arn = self._partition.arn(endpoints.KIND, execution.endpoint)
            raise _Failed(f'Could not find endpoint "{arn}": delete the schedule, too.')
        captured = captured_of(endpoints.endpoint_of(found))
        if captured is None:
            raise _Failed(
                f"Endpoint {execution.endpoint} captures nothing: update it to a config with a "
                "DataCaptureConfig."
            )
        return captured

    async def _pending(self, execution: Execution) -> str | None:
        """Say what of the window is not there yet; None: it is complete."""
        if not execution.endpoint:
            return await asyncio.to_thread(self._batches.pending, execution)
        window = window_of(execution)
        # Calls first: what is answered meanwhile is looked for behind them.
        if await self._view.in_flight(execution.endpoint, window.end_ns):
            return "calls that were received before had no answer"
        try:
            count = await asyncio.to_thread(
                self._view.undelivered, execution.endpoint, window.start_ns, window.end_ns
            )
        except (LedgerUnreadable, OSError) as error:
            return f"the spool could not be read ({error})"
        return f"{count} of its records were not delivered" if count else None

    def _is_late(self, execution: Execution) -> bool:
        since_ns = max(window_of(execution).end_ns, execution.created_ns)
        return self._clock.now_ns() >= since_ns + int(self._bounds.grace_seconds * 1e9)

    def _hurry(self, execution: Execution) -> None:
        now = self._clock.monotonic()
        if execution.endpoint and now - self._sealed_at >= SEAL_SECONDS:
            self._sealed_at = now
            self._view.ask_seal()

    def _is_full(self) -> bool:
        return len(self._states.active()) >= self._bounds.jobs_max

    async def _create(
        self, name: str, execution: Execution, captured: Captured | None, pending: str | None
    ) -> None:
        try:
            dataset = await self._dataset(execution, captured)
        except StoreUnavailable as error:
            if not self._is_late(execution):
                return  # it may be starting beside us
            raise _Failed(f"The captured records could not be listed: {error}.") from error
        except ObjectStoreError as error:
            at = destination_of(execution) if captured is None else captured.destination
            raise _Failed(
                f"The captured records could not be listed at {at}: {error}. "
                "Check the bucket and the settings of its store."
            ) from error
        note = self._note(pending)
        if not dataset.inputs:
            raise _Failed(" ".join(filter(None, (_no_data(execution, captured), note))))
        if not await self._is_cleared(execution):
            return
        await asyncio.to_thread(self._create_job, name, execution, dataset, note)
        self._wake_jobs()
        await self._put(execution, status="InProgress", job=name)

    async def _dataset(self, execution: Execution, captured: Captured | None) -> Dataset:
        """Find what there is of a window. Raise `ObjectStoreError`."""
        if captured is not None:
            every = hours_of(execution, captured)
            hours = [each for each in every if await self._has_objects(each)]
            return endpoint_dataset(execution, captured, hours)
        return batch_dataset(execution, await self._batches.found(execution))

    async def _has_objects(self, hour: Hour) -> bool:
        store, prefix = self._stores(hour.uri)
        async for info in store.list(f"{prefix}/"):
            if info.size:
                return True
        return False

    async def _is_cleared(self, execution: Execution) -> bool:
        """Remove what an earlier run left in the report's folder; tell whether that is done.

        No violations are no file: those of the earlier run would be taken for this one's.
        """
        uri = report_of(execution)
        try:
            store, prefix = self._stores(uri)
            async for info in store.list(f"{prefix}/"):
                await store.delete(info.key)
        except ObjectStoreError as error:
            if isinstance(error, StoreUnavailable) and not self._is_late(execution):
                return False
            raise _Failed(
                f"The report's folder {uri} could not be cleared: {error}. Check that the bucket "
                "exists and the settings of its store."
            ) from error
        return True

    def _create_job(
        self, name: str, execution: Execution, dataset: Dataset, note: str | None
    ) -> None:
        arn = self._partition.arn(jobs.KIND, name)
        schedule = self._partition.arn(KIND, execution.schedule)
        baseline = self._baseline(execution)
        spec = request(name, schedule, execution, dataset, baseline, note)
        now_ns = self._clock.now_ns()
        with suppress(ResourceExists):  # an earlier try has created it
            self._store.create(Resource(jobs.KIND, name, arn, spec, jobs.NEW, 1, now_ns, now_ns))

    def _baseline(self, execution: Execution) -> Baseline:
        definition = execution.spec["Definition"]
        name = definition.get("BaselineConfig", {}).get("BaseliningJobName")
        found = None if name is None else self._store.get(jobs.KIND, name)
        baseline = baseline_of(definition, None if found is None else found.spec)
        if name is not None and baseline == Baseline():
            raise _Failed(
                f"Could not find the baselining job {name}, nor other baseline documents."
            )
        return baseline

    def _note(self, pending: str | None) -> str | None:
        if pending is None:
            return None
        waited = f"{self._bounds.grace_seconds:g} s"
        return f"When this run began, {waited} after its window's end, {pending}: it is without."

    # ------------------------------------------------------------ what becomes of it

    def _follow(self, execution: Execution) -> None:
        job = self._states.get(execution.job or "")
        gone = "Failed", f"The processing job {execution.job} is gone."
        status, failure = gone if job is None else came_to(job)
        if status == execution.status:
            return
        count = violations_of(job) if job is not None and status == WITH_VIOLATIONS else None
        reason = failure and failure[:REASON_CHARS_MAX]
        self._write(execution, status=status, failure=reason, violations=count)

    async def _put(self, execution: Execution, **changes: str) -> None:
        await asyncio.to_thread(self._write, execution, **changes)

    def _write(self, execution: Execution, **changes: str | int | None) -> None:
        done = self._executions.put(execution, self._clock.now_ns(), **changes)
        emit(ExecutionTurned(done.schedule, done.scheduled_ns, done.status, done.failure))


def _no_data(execution: Execution, captured: Captured | None) -> str:
    if captured is None:
        return f"{NO_DATA}: no transform job of the window captured to {destination_of(execution)}."
    hours = [each.uri for each in hours_of(execution, captured)]
    return f"{NO_DATA}: there is no object below {hours[0]} … {hours[-1]}."
