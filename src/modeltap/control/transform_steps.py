"""The steps of a transform job, over the hands that take them: run it to its end, and clear up.

    list the objects, once ─▶ a crew: each member launches, and takes object after object
    ─▶ the manifests, if it captures ─▶ Completed

An object that cannot be transformed leaves no output, and the others are transformed all the same;
then the job has failed, and its reason names the object (AWS does so, too). What would fail each of
them ends the job at once: a model that does not load, a bucket that takes nothing.

A run can be cancelled or killed anywhere and taken again (`transform_files`).
"""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from modeltap.clock import Clock
from modeltap.control.job_states import JobStates
from modeltap.control.job_steps import JobStepBroke
from modeltap.control.jobs import Job, JobEvent, Outcome, started
from modeltap.control.launching import Launching
from modeltap.control.patience import Patience
from modeltap.control.rounds import Spawn
from modeltap.control.staging import Stores, Wanted, nothing_found, wanted_by
from modeltap.control.transform_crew import Crew, ObjectFailed
from modeltap.control.transform_files import Item, TransformFiles
from modeltap.control.transform_object import ObjectTransform
from modeltap.control.transform_shift import Failures, Shift
from modeltap.errors import LaunchFailed, ObjectStoreError, StateUnusable
from modeltap.hosting.launcher import Launcher
from modeltap.logbook import Logbook
from modeltap.nouns import TRANSFORM_LOG_GROUP
from modeltap.objects.remote import split_uri
from modeltap.telemetry import emit
from modeltap.transform.captured import SIDES, capture_id, manifest, manifest_key
from modeltap.transform.terms import Terms, terms_of

SAID_CHARS_MAX = 500  # of a model's words about an error, in the job's log


class TransformSteps:
    """What can be done for one transform job. `folder` holds a folder a job."""

    def __init__(
        self,
        states: JobStates,
        launching: Launching,
        launcher: Launcher,
        stores: Stores,
        logbook: Logbook,
        clock: Clock,
        spawn: Spawn,
        folder: Path,
        *,
        region: str,
        patience_seconds: float,
        object_bytes_max: int,
    ) -> None:
        self._states = states
        self._launching = launching
        self._launcher = launcher
        self._stores = stores
        self._patience = Patience(clock, patience_seconds)
        self._logbook = logbook
        self._clock = clock
        self._spawn = spawn
        self._folder = folder
        self._region = region
        self._object_bytes_max = object_bytes_max
        self._crews: dict[str, Crew] = {}

    async def begin(self) -> None:
        """End the instances that an earlier control left: their jobs launch their own."""
        left = await self._launcher.adopt()
        await asyncio.gather(*(self._launcher.stop(each.instance.id) for each in left))

    async def run(self, job: Job) -> Outcome:
        """Take a job to its end. Raise `StateUnusable`."""
        try:
            return await self._run(job)
        except StateUnusable:
            raise
        except LaunchFailed as error:
            return Outcome(JobEvent.FAILED, str(error))
        except Exception as error:  # border: what one job provokes must not end control
            emit(JobStepBroke(job.name, type(error).__name__))
            reason = f"InternalServerError: This machine could not go on with the job: {error}."
            return Outcome(JobEvent.FAILED, reason)

    async def _run(self, job: Job) -> Outcome:
        terms, files = terms_of(job.spec), self._files(job.name)
        items = await self._items(job, terms, files)
        now = self._clock.now_ns()
        begun = await asyncio.to_thread(self._states.change, job.name, partial(started, now_ns=now))
        failures = await self._transform(job, terms, files, items)
        if failures:
            return Outcome(JobEvent.FAILED, _reason(job, items, failures))
        if terms.capture is not None and begun is not None:
            await self._capture(begun, terms, items)
        return Outcome(JobEvent.COMPLETED)

    async def conclude(self, job: Job, came: Outcome) -> None:
        """Write what a job has come to, and clear away what is left of it."""
        if came.failure is not None:
            self._tell(job, came.failure)
        if (crew := self._crews.pop(job.name, None)) is not None:
            await crew.dismiss()
        await asyncio.to_thread(self._states.conclude, job.name, came)
        await asyncio.to_thread(self._files(job.name).clear)

    def sweep(self, active: Collection[str]) -> None:
        """Remove what is left of jobs that have ended. For a thread."""
        self._launching.forget_all_but(active)
        with suppress(FileNotFoundError):
            for folder in self._folder.iterdir():
                if folder.name not in active:
                    TransformFiles(folder).clear()

    # ------------------------------------------------------------ which objects

    async def _items(self, job: Job, terms: Terms, files: TransformFiles) -> list[Item]:
        """Give a job's objects, as they were first listed. Raise `LaunchFailed`."""
        items = await asyncio.to_thread(files.items)
        if items is None:
            wanted = await self._wanted(job, terms)
            items = _distinct([Item(each.uri, each.name) for each in wanted])
            await asyncio.to_thread(files.decide, items)
            self._tell(job, f"{len(items)} objects, {terms.source['S3Uri']} -> {terms.output}")
        return items

    async def _wanted(self, job: Job, terms: Terms) -> list[Wanted]:
        uri = terms.source["S3Uri"]
        assert job.model is not None
        nothing = nothing_found(uri, self._region, job.model.get("ExecutionRoleArn", ""))
        try:
            wanted = await self._patience.of(partial(wanted_by, self._stores, terms.source))
        except ObjectStoreError as error:
            if error.code == "NoSuchBucket":
                raise LaunchFailed(nothing) from error
            raise LaunchFailed(
                f"ClientError: The objects of {uri} could not be listed: {error}. Check "
                "TransformInput.DataSource.S3DataSource and the settings of its store."
            ) from error
        if not wanted:
            raise LaunchFailed(nothing)
        return wanted

    # ------------------------------------------------------------ through the model

    async def _transform(
        self, job: Job, terms: Terms, files: TransformFiles, items: Sequence[Item]
    ) -> Failures:
        """Transform what is not done yet; give what could not be. Raise `LaunchFailed`."""
        done = await asyncio.to_thread(files.done)
        left = [number for number in range(len(items)) if number not in done]
        crew = Crew(job, terms, self._launching, self._launcher, self._clock)
        self._crews[job.name] = crew
        tell = partial(self._tell_failed, job)
        work = self._work(terms, files)
        shift = Shift(items, left, crew, terms, work, tell, self._clock, self._spawn)
        return await shift.run()

    def _work(self, terms: Terms, files: TransformFiles) -> ObjectTransform:
        return ObjectTransform(
            terms,
            files,
            self._stores,
            self._patience,
            self._clock,
            object_bytes_max=self._object_bytes_max,
        )

    # ------------------------------------------------------------ what is captured

    async def _capture(self, job: Job, terms: Terms, items: Sequence[Item]) -> None:
        """Write the two manifests. Raise `LaunchFailed`."""
        assert terms.capture is not None and job.started_ns is not None
        destination = terms.capture["DestinationS3Uri"]
        bucket = "/".join(filter(None, split_uri(terms.output)))  # and the folder in it
        uris = {
            "input": [item.uri for item in items],
            "output": [f"s3://{bucket}/{item.name}.out" for item in items],
        }
        store, prefix = self._stores(destination)
        for side in SIDES:
            key = manifest_key(prefix, side, job.started_ns, capture_id(job.arn, job.created_ns))
            put = partial(
                store.put, key, manifest(uris[side]), kms_key_id=terms.capture.get("KmsKeyId")
            )
            try:
                await self._patience.of(put)
            except ObjectStoreError as error:
                raise LaunchFailed(
                    f"ClientError: The outputs are written, but the manifest of the {side} could "
                    f"not be written to {destination}: {error}. Check DataCaptureConfig and the "
                    "settings of its store."
                ) from error

    # ------------------------------------------------------------ the log

    def _tell_failed(self, job: Job, item: Item, error: ObjectFailed) -> None:
        self._tell(job, f"{item.uri}: {error}")
        if error.said:
            said = error.said[: 4 * SAID_CHARS_MAX].decode(errors="replace")
            line = "".join(char if char.isprintable() else " " for char in said)
            self._tell(job, f"the model said: {line[:SAID_CHARS_MAX]}")

    def _tell(self, job: Job, line: str) -> None:
        """Add a line to a job's log; one that cannot be written does not hold it up."""
        with suppress(OSError):
            self._logbook.append(TRANSFORM_LOG_GROUP, job.log_stream, line)

    def _files(self, name: str) -> TransformFiles:
        return TransformFiles(self._folder / name)


def _distinct(items: Sequence[Item]) -> list[Item]:
    """Give the objects back. Raise `LaunchFailed` where two would have one output."""
    names = set[str]()
    for item in items:
        if item.name in names:
            raise LaunchFailed(
                f"ClientError: Two objects would have the same output, {item.name}.out. Give "
                "TransformInput.DataSource.S3DataSource an S3Uri that ends with a slash, or a "
                "manifest that names each object once."
            )
        names.add(item.name)
    return list(items)


def _reason(job: Job, items: Sequence[Item], failures: Failures) -> str:
    number = min(failures)
    more = f" So it was with {len(failures) - 1} objects more." if len(failures) > 1 else ""
    return (
        f"{failures[number].whose}: {items[number].uri}: {failures[number]}.{more} What went "
        f"wrong: modeltap logs --job {job.name}. The other objects have their outputs; mend this, "
        "and create a job under another name."
    )
