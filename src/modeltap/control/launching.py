"""One instance from nothing: its model's archive, its image's environment, its launch.

An endpoint's variant runs instances, and so does a transform job. The archive is fetched once for
a variant of a fleet (or a job) and kept while that is: an instance that died is replaced by the
same model, also when the object was overwritten since, or the object store is away. Files are named
by us: `{fleet id}-{number of the variant}.tar.gz`.

Every failure leaves here as a `LaunchFailed` whose text is a `FailureReason`: it says what to do. A
store that does not answer is waited for: it may be starting beside us.

What one model provokes must not end control: what it belongs to is in `state`, so that the next
control would end of it as well.
"""

import asyncio
import logging
import os
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from modeltap.clock import Clock
from modeltap.control.fleets import Fleet, model_spec, variant_config
from modeltap.errors import (
    ArchiveRefused,
    LaunchFailed,
    ObjectNotFound,
    ObjectStoreError,
    StoreUnavailable,
)
from modeltap.hosting.images import Image, resolve
from modeltap.hosting.launcher import Launcher, LaunchOrder
from modeltap.logbook import Logbook
from modeltap.nouns import Instance, ModelSpec, endpoint_log_group
from modeltap.telemetry import Event, emit

FETCH_PAUSE_SECONDS = 1.0

Fetch = Callable[[str, Path], Awaitable[None]]
"""Write the object at an S3 URI into a new file; raise `ObjectStoreError`."""

Ensure = Callable[[Image, Callable[[str], None]], Awaitable[Path]]
"""Give the Python of an image's environment, built if need be; progress is told line by line, from
any thread. Raise `LaunchFailed`."""


@dataclass(frozen=True, slots=True)
class LaunchProgress(Event):
    """A step towards an instance that may take its time."""

    endpoint: str
    variant: str
    instance: str
    step: str


@dataclass(frozen=True, slots=True)
class LaunchBroke(Event):
    """A launch failed in a way that no hand foresaw; the text is in the endpoint's reason."""

    level: ClassVar[int] = logging.ERROR

    endpoint: str
    variant: str
    instance: str
    error: str


@dataclass(frozen=True, slots=True)
class Berth:
    """Where a new instance is to stand, and what it is to host."""

    id: str
    whose: str  # in words: "endpoint" or "transform job"
    owner: str  # its name
    variant: str
    fleet: str  # the id of a fleet, or of a job
    archive: str  # the name of its model's archive among the artifacts, without suffixes
    model: ModelSpec
    log_group: str
    log_stream: str
    startup_seconds_max: float | None = None  # if it has one of its own


def berth_of(instance: str, endpoint: str, fleet: Fleet, variant: str) -> Berth:
    """Give the place of an instance of an endpoint's variant."""
    config = variant_config(fleet, variant)
    return Berth(
        id=instance,
        whose="endpoint",
        owner=endpoint,
        variant=variant,
        fleet=fleet.id,
        archive=f"{fleet.id}-{list(fleet.shares).index(variant)}",
        model=model_spec(fleet, variant),
        log_group=endpoint_log_group(endpoint),
        log_stream=f"{variant}/{instance}",
        startup_seconds_max=config.get("ContainerStartupHealthCheckTimeoutInSeconds"),
    )


class Launching:
    """The steps to an instance, over the hands that take them."""

    def __init__(
        self,
        launcher: Launcher,
        ensure: Ensure,
        fetch: Fetch,
        logbook: Logbook,
        artifacts: Path,
        clock: Clock,
        *,
        startup_seconds_max: float,
    ) -> None:
        self._launcher = launcher
        self._ensure = ensure
        self._fetch = fetch
        self._logbook = logbook
        self._artifacts = artifacts
        self._clock = clock
        self._startup_seconds_max = startup_seconds_max
        self._fetching: defaultdict[Path, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._building: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def launch(self, berth: Berth) -> Instance:
        """Give an instance that answers. Raise `LaunchFailed`, also told in its log."""
        try:
            return await self._told_launch(berth)
        except LaunchFailed:
            raise
        except Exception as error:  # border: see the module head
            emit(LaunchBroke(berth.owner, berth.variant, berth.id, type(error).__name__))
            raise LaunchFailed(f"This machine could not start an instance: {error}.") from error

    async def _told_launch(self, berth: Berth) -> Instance:
        try:
            return await self._launch(berth)
        except LaunchFailed as error:
            self._tell(berth, str(error))
            raise

    async def _launch(self, berth: Berth) -> Instance:
        spec = berth.model
        image = resolve(spec.image)
        artifact = await self._artifact(berth, spec.model_data_url)
        self._tell(berth, f"environment of {image.name}")
        async with self._building[image.name]:
            python = await self._ensure(image, partial(self._tell, berth))
        order = LaunchOrder(
            id=berth.id,
            endpoint=berth.owner,
            variant=berth.variant,
            fleet=berth.fleet,
            image=image,
            python=python,
            artifact=artifact,
            environment=spec.environment,
            log=self._logbook.path(berth.log_group, berth.log_stream),
            startup_seconds_max=berth.startup_seconds_max or self._startup_seconds_max,
        )
        self._tell(berth, f"loading {spec.name}")
        try:
            return await self._launcher.launch(order)
        except ArchiveRefused as error:
            raise LaunchFailed(f"Model data at {spec.model_data_url}: {error}") from error

    async def _artifact(self, berth: Berth, url: str | None) -> Path:
        """Give the variant's archive, fetched by the first who needs it."""
        if url is None:
            raise LaunchFailed(
                f"The model {berth.model.name} has no ModelDataUrl. "
                "Create the model with the S3 address of its model.tar.gz."
            )
        path = self._artifacts / f"{berth.archive}.tar.gz"
        async with self._fetching[path]:
            if not path.exists():
                self._tell(berth, f"fetching {url}")
                await self._fetch_patiently(berth, url, path)
        return path

    async def _fetch_patiently(self, berth: Berth, url: str, path: Path) -> None:
        deadline = self._clock.monotonic() + self._startup_seconds_max
        part = path.with_suffix(".part")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            part.unlink(missing_ok=True)
            try:
                await self._fetch(url, part)
                await asyncio.to_thread(_sync, part)
                part.rename(path)  # durable first: what has its name is never fetched again
                return
            except StoreUnavailable as error:
                if self._clock.monotonic() >= deadline:
                    raise _unfetched(berth, url, error) from error
            except ObjectStoreError as error:
                raise _unfetched(berth, url, error) from error
            await self._clock.sleep(FETCH_PAUSE_SECONDS)

    def forget_all_but(self, fleets: Collection[str]) -> None:
        """Remove the archives of fleets, or jobs, that are no more."""
        for path in self._artifacts.glob("*.tar.*"):
            if path.name.rpartition("-")[0] not in fleets:
                path.unlink(missing_ok=True)
                self._fetching.pop(path, None)

    def _tell(self, berth: Berth, step: str) -> None:
        self._logbook.append(berth.log_group, berth.log_stream, step)
        emit(LaunchProgress(berth.owner, berth.variant, berth.id, step))


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _unfetched(berth: Berth, url: str, error: ObjectStoreError) -> LaunchFailed:
    if isinstance(error, ObjectNotFound):
        return LaunchFailed(
            f"Could not find model data at {url}. Upload the archive there and create the "
            f"{berth.whose} again."
        )
    return LaunchFailed(
        f"Could not fetch model data at {url}: {error}. Check the address and the settings of "
        f"its store, and create the {berth.whose} again."
    )
