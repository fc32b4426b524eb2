"""The steps of a processing job, over the hands that take them: prepare, attend, finish.

Each can be cancelled or killed anywhere and taken again: what it finds of an earlier try it does
anew. What it comes to is written to `state` over the version that it read.
"""

import asyncio
import json
import logging
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from modeltap.clock import Clock
from modeltap.control.delivery import Delivery, outputs_of
from modeltap.control.job_config import RESOURCE_CONFIG, job_config
from modeltap.control.job_states import JobStates
from modeltap.control.jobs import MESSAGE_BYTES_MAX, Job, JobEvent, Outcome, outcome, started
from modeltap.control.launching import Ensure
from modeltap.control.metric_files import MetricFiles
from modeltap.control.patience import Patience
from modeltap.control.staging import Staging, Stores, Tell
from modeltap.errors import LaunchFailed
from modeltap.hosting.containers import Container, pull
from modeltap.hosting.guests import read_bytes
from modeltap.hosting.job_images import JobImage, JobImages
from modeltap.hosting.jobs import JobLauncher, JobOrder, Stand
from modeltap.logbook import Logbook
from modeltap.nouns import PROCESSING_LOG_GROUP
from modeltap.telemetry import Event, emit

JOB_VARIABLE = "MODELTAP_JOB_NAME"
POLL_SECONDS = 0.1
"""Between two looks whether a program has ended."""
CATCH_UP_SECONDS = 2.0
"""Between two looks at the outputs that are uploaded while a job runs."""


@dataclass(frozen=True, slots=True)
class JobStepBroke(Event):
    """A step failed in a way that no hand foresaw; the text is in the job's reason."""

    level: ClassVar[int] = logging.ERROR

    job: str
    error: str


class JobSteps:
    """What can be done for one job."""

    def __init__(
        self,
        states: JobStates,
        launcher: JobLauncher,
        ensure: Ensure,
        stores: Stores,
        logbook: Logbook,
        metrics: MetricFiles,
        images: JobImages,
        clock: Clock,
        *,
        region: str,
        patience_seconds: float,
        analyzer: Mapping[str, str],
    ) -> None:
        """`analyzer`: what the built-in analyzer is told of this house, as variables."""
        patience = Patience(clock, patience_seconds)
        self._states = states
        self._launcher = launcher
        self._ensure = ensure
        self._staging = Staging(stores, patience, region)
        self._deliver = partial(Delivery, stores=stores, patience=patience)
        self._deliveries: dict[str, Delivery] = {}
        self._logbook = logbook
        self._metrics = metrics
        self._images = images
        self._clock = clock
        self._analyzer = analyzer

    async def prepare(self, job: Job) -> None:
        """Stage a job's inputs and start its program, or conclude it."""
        try:
            await self._prepare(job)
        except LaunchFailed as error:
            await self._conclude(job, Outcome(JobEvent.FAILED, str(error)))
        else:
            await self._note_start(job)

    async def _prepare(self, job: Job) -> None:
        tell = partial(self.tell, job)
        app = job.spec["AppSpecification"]
        entrypoint = app.get("ContainerEntrypoint", ())
        image = await asyncio.to_thread(self._images.resolve, job.image, entrypoint)
        ml = await self._launcher.furnish(job.name)
        await asyncio.to_thread(_write_config, job, ml)
        await self._staging.stage(job, ml, tell)  # first: what is missing is told in seconds
        programs = await self._programs(job, image, tell)
        for output in outputs_of(job, ml):
            output.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The rest of the words may hold what is nobody's to read.
        tell(f"starting {f'a container of {job.image}' if image.engine else image.entrypoint[0]}")
        await self._launcher.start(self._order(job, image, programs))

    async def _programs(self, job: Job, image: JobImage, tell: Tell) -> Path:
        """Have an image on this machine; give the folder in which its programs are."""
        if image.engine is not None:
            await pull(image.engine, job.image, tell)
        if image.environment is not None:
            return (await self._ensure(image.environment, tell)).parent
        return (image.program or Path(sys.executable)).parent

    def _order(self, job: Job, image: JobImage, programs: Path) -> JobOrder:
        arguments = tuple(job.spec["AppSpecification"].get("ContainerArguments", ()))
        ours = {**self._analyzer, JOB_VARIABLE: job.name} if image.is_built_in else {}
        container = None
        if image.engine is not None:
            isolated = job.spec.get("NetworkConfig", {}).get("EnableNetworkIsolation", False)
            container = Container(image.engine, job.image, image.entrypoint, isolated)
        return JobOrder(
            job=job.name,
            command=arguments if container else (*image.entrypoint, *arguments),
            environment=image.variables() | job.spec.get("Environment", {}) | ours,
            programs=programs,
            log=self._logbook.path(PROCESSING_LOG_GROUP, job.log_stream),
            seconds_max=float(job.seconds_max),
            container=container,
        )

    async def attend(self, job: Job) -> None:
        """Wait until a job's program has ended; upload meanwhile what is to be."""
        await self._note_start(job)
        delivery = self._delivery(job)
        look_at = self._clock.monotonic() + CATCH_UP_SECONDS
        while self._launcher.stand(job.name) is Stand.RUNNING:
            await self._clock.sleep(POLL_SECONDS)
            if delivery.continuous and self._clock.monotonic() >= look_at:
                with suppress(OSError):  # what is unreadable for good is told at the end
                    await delivery.catch_up()
                look_at = self._clock.monotonic() + CATCH_UP_SECONDS

    async def _note_start(self, job: Job) -> None:
        if job.started_ns is None:
            now = self._clock.now_ns()
            await asyncio.to_thread(self._states.change, job.name, partial(started, now_ns=now))

    async def finish(self, job: Job) -> None:
        """Upload the outputs of a job that does not run, take its metrics, and conclude it."""
        came = await self._outcome(job)
        await self._take_metrics(job)  # before its end is told: who waits for that finds them
        await self._conclude(job, came)
        await self._launcher.clear(job.name)

    async def _take_metrics(self, job: Job) -> None:
        try:
            told = await asyncio.to_thread(self._metrics.take, job, self._launcher.ml(job.name))
        except OSError as error:
            told = [f"metrics: the files are unreadable: {error}"]
        for line in told:
            self.tell(job, line)

    async def _outcome(self, job: Job) -> Outcome:
        stand = self._launcher.stand(job.name)
        if stand is Stand.ABSENT:
            return outcome(job, None, stand)
        await self._note_start(job)
        ended = self._launcher.exit(job.name) if stand is Stand.ENDED else None
        await self._launcher.bury(job.name)  # nothing may write to the outputs any more
        try:
            message = await asyncio.to_thread(_message, self._launcher.ml(job.name))
            undelivered = await self._delivery(job).complete()
        except OSError as error:
            message, undelivered = b"", f"InternalServerError: Its outputs are unreadable: {error}."
        return outcome(job, ended, stand, message, undelivered)

    async def give_up(self, job: Job, error: Exception) -> None:
        """Conclude a job of which a step broke."""
        emit(JobStepBroke(job.name, type(error).__name__))
        reason = f"InternalServerError: This machine could not go on with the job: {error}."
        await self._conclude(job, Outcome(JobEvent.FAILED, reason))

    async def _conclude(self, job: Job, came: Outcome) -> None:
        if came.failure is not None:
            self.tell(job, came.failure)
        await asyncio.to_thread(self._states.conclude, job.name, came)
        self._deliveries.pop(job.name, None)

    def tell(self, job: Job, line: str) -> None:
        """Add a line to a job's log; one that cannot be written does not hold it up."""
        with suppress(OSError):
            self._logbook.append(PROCESSING_LOG_GROUP, job.log_stream, line)

    def _delivery(self, job: Job) -> Delivery:
        if job.name not in self._deliveries:
            ml, tell = self._launcher.ml(job.name), partial(self.tell, job)
            self._deliveries[job.name] = self._deliver(job, ml, tell=tell)
        return self._deliveries[job.name]


def _write_config(job: Job, ml: Path) -> None:
    config = ml / "config"
    for folder in (config, ml / "output", ml / "processing"):
        folder.mkdir(mode=0o700, exist_ok=True)
    documents = {"processingjobconfig": job_config(job), "resourceconfig": RESOURCE_CONFIG}
    for name, document in documents.items():
        (config / f"{name}.json").write_text(json.dumps(document, indent=2))


def _message(ml: Path) -> bytes:
    """Read what a program has to say; it may have put anything in its place."""
    with suppress(OSError):
        return read_bytes(ml / "output" / "message", MESSAGE_BYTES_MAX + 1)
    return b""
