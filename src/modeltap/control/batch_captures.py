"""What batch transforms have captured within a window (contract §1.10), and the inputs it makes.

Manifests lie in the hour in which their job started. A job is of the window in which it started,
to the moment, so windows tile; manifests of jobs that this home does not know are of the window
that their hour begins in. A job that runs is awaited: its manifests come at its end.
"""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from modeltap.clock import Clock, utc
from modeltap.control.definitions import batch_input
from modeltap.control.job_states import JobStates
from modeltap.control.jobs import TRANSFORM, Job, job_of
from modeltap.control.monitor_jobs import Dataset, job_input, window_of
from modeltap.control.staging import Stores
from modeltap.control.windows import HOUR_NS
from modeltap.nouns import TRANSFORMS_CAPTURED, Document
from modeltap.objects.port import ObjectStore
from modeltap.objects.remote import split_uri
from modeltap.state.executions import Execution
from modeltap.state.store import Store
from modeltap.transform.captured import SIDES, capture_id, manifest_folder
from modeltap.transform.terms import terms_of


@dataclass(frozen=True, slots=True)
class Transformed:
    """What one transform job has captured."""

    hour: str  # yyyy/mm/dd/hh
    id: str  # of its manifests
    sides: Sequence[str]  # an output that was filtered of both is a whole row


class BatchCaptures:
    """The captures of a home's transform jobs, by `state` and by their manifests."""

    def __init__(self, store: Store, stores: Stores, clock: Clock) -> None:
        self._store = store
        self._stores = stores
        self._active = JobStates(store, clock, TRANSFORM).active

    def pending(self, execution: Execution) -> str | None:
        """Say what of the window is not captured yet; None: it is complete. For a thread."""
        window, place = window_of(execution), _place(destination_of(execution))
        running = [
            job.name
            for job in self._active()
            if _captures_to(job, place) and job.started_ns and window.has(job.started_ns)
        ]
        if not running:
            return None
        return f"{len(running)} of its transform jobs were running, as {running[0]}"

    async def found(self, execution: Execution) -> list[Transformed]:
        """Give what was captured in the window, in order. Raise `ObjectStoreError`."""
        window = window_of(execution)
        captured = [
            (hour * HOUR_NS, each)
            for hour in window.hours()
            for each in await self._of_hour(destination_of(execution), hour * HOUR_NS)
        ]
        jobs = await asyncio.to_thread(self._jobs, execution)  # each is older than its manifests
        found = []
        for begin_ns, each in captured:
            job = jobs.get(each)
            started_ns = begin_ns if job is None else job.started_ns or begin_ns
            if window.has(started_ns):
                found.append(Transformed(f"{utc(begin_ns):%Y/%m/%d/%H}", each, _sides(job)))
        return found

    async def _of_hour(self, uri: str, begin_ns: int) -> list[str]:
        """Give the ids of which both manifests are there."""
        store, prefix = self._stores(uri)
        folders = [manifest_folder(prefix, side, begin_ns) for side in SIDES]
        inputs, outputs = [await _ids(store, folder) for folder in folders]
        return sorted(inputs & outputs)

    def _jobs(self, execution: Execution) -> dict[str, Job]:
        """Give the jobs that capture to where a run looks, by the ids of their manifests."""
        place = _place(destination_of(execution))
        every = map(job_of, self._store.every(TRANSFORM))
        mine = (job for job in every if _captures_to(job, place))
        return {capture_id(job.arn, job.created_ns): job for job in mine}


async def _ids(store: ObjectStore, folder: str) -> set[str]:
    names = [info.key.removeprefix(folder) async for info in store.list(folder) if info.size]
    return {PurePosixPath(name).stem for name in names if PurePosixPath(name).suffix == ".json"}


def _captures_to(job: Job, place: tuple[str, str]) -> bool:
    capture = job.spec.get("DataCaptureConfig")
    return capture is not None and _place(capture["DestinationS3Uri"]) == place


def _place(uri: str) -> tuple[str, str]:
    bucket, key = split_uri(uri)
    return bucket, key.rstrip("/")


def _sides(job: Job | None) -> tuple[str, ...]:
    if job is None:
        return SIDES
    shaping = terms_of(job.spec).shaping
    return ("output",) if shaping.join and not shaping.output_filter.is_root else SIDES


# ---------------------------------------------------------------- as a job's inputs


def destination_of(execution: Execution) -> str:
    """Give where the transforms of a run capture to, without a trailing slash."""
    return str(_given(execution)["DataCapturedDestinationS3Uri"]).rstrip("/")


def _given(execution: Execution) -> Document:
    given = batch_input(execution.spec["Definition"])
    assert given is not None  # of an endpoint's run nobody asks
    return given


def batch_dataset(execution: Execution, found: Sequence[Transformed]) -> Dataset:
    """Give the analyzer captured transforms, laid out as they are in their bucket."""
    given = _given(execution)
    variables = {
        "dataset_format": json.dumps(_format(given["DatasetFormat"])),
        TRANSFORMS_CAPTURED: destination_of(execution),
    }
    return Dataset(variables, tuple(_inputs(execution, given["LocalPath"].rstrip("/"), found)))


def _inputs(execution: Execution, source: str, found: Sequence[Transformed]) -> Iterator[Document]:
    for number, each in enumerate(found, start=1):
        for side in each.sides:
            folder = f"{side}/{each.hour}"
            uri = f"{destination_of(execution)}/{folder}/{each.id}.json"
            yield job_input(f"batch_{side}_manifest_{number}", uri, f"{source}/{folder}")
            objects = f"{source}/{folder}/{each.id}"
            yield job_input(f"batch_{side}_{number}", uri, objects, "ManifestFile")


def _format(given: Document) -> dict[str, Any]:
    """Write a `DatasetFormat` as the container contract has it (§4.2)."""
    ((name, options),) = given.items()
    written = {
        "Csv": {"header": options.get("Header", False)},
        "Json": {"line": options.get("Line", True)},
        "Parquet": {},
    }
    return {name.lower(): written[name]}
