"""The control process: AWS's control APIs, state, and the reconcile loop."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Protocol, cast

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn._types import ASGIApplication

from modeltap.auth.keyring import Keyring
from modeltap.capture.account import on_the_way
from modeltap.capture.disk import SystemDisk
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.inventory import Inventory
from modeltap.capture.standing import standing, stopped
from modeltap.capture.undelivered import ask_seal, undelivered
from modeltap.control.capturez import capturez
from modeltap.control.execution_steps import Bounds, CaptureView, ExecutionSteps
from modeltap.control.job_loop import JobLoop
from modeltap.control.job_states import JobStates
from modeltap.control.job_steps import JobSteps
from modeltap.control.jobs import TRANSFORM
from modeltap.control.launching import Ensure, Launching
from modeltap.control.metric_beat import MetricBeat
from modeltap.control.metric_files import MetricFiles
from modeltap.control.metrics import CONTENT_TYPE, Look, exposition
from modeltap.control.notices import telling
from modeltap.control.publish import Publisher
from modeltap.control.reconcile import Reconciler
from modeltap.control.schedule_loop import ScheduleLoop
from modeltap.control.schedule_states import Schedules
from modeltap.control.transform_loop import TransformLoop
from modeltap.control.transform_steps import TransformSteps
from modeltap.control.webhook import Webhook
from modeltap.errors import LedgerUnreadable, ObjectNotFound
from modeltap.front.app import AwsApp, verifier
from modeltap.front.cloudwatch import monitoring_service
from modeltap.front.iam import iam_service
from modeltap.front.logs import logs_service
from modeltap.front.own import own_service
from modeltap.front.sagemaker import sagemaker_service
from modeltap.front.sts import sts_service
from modeltap.gateway import accept
from modeltap.gateway.asgi import UvicornProtocol
from modeltap.hosting.commands import Commands
from modeltap.hosting.containers import Containers, Limits
from modeltap.hosting.environments import Environments, Progress
from modeltap.hosting.images import Image
from modeltap.hosting.job_images import KNOWN_FOR_JOBS, JobImages
from modeltap.hosting.jobs import JobLauncher
from modeltap.hosting.launcher import Launcher
from modeltap.hosting.processes import ProcessLauncher
from modeltap.house.process import Process, Tasks
from modeltap.link.post import Post
from modeltap.logbook import Logbook
from modeltap.objects.remote import Stores
from modeltap.settings import Settings
from modeltap.state.alarms import Alarms
from modeltap.state.executions import SILENT
from modeltap.state.outbox import Outbox
from modeltap.state.points import Points
from modeltap.state.store import Store


class Work(Protocol):
    async def run(self) -> None:
        """Go on for ever."""
        ...


async def serve(process: Process) -> None:
    """Serve the control APIs behind the gateways; make so what they ask for.

    Models go on running when this process ends: its successor adopts them.
    """
    settings, clock, layout = process.settings, process.clock, process.settings.layout
    keys, partition = Keyring.open(layout.keys, clock), settings.partition
    stores = Stores(settings, keys.first())
    store = Store.open(layout.database)
    tasks = Tasks(process)
    environments = Environments(layout.environments)
    ensure, logbook = _ensure(environments), Logbook(layout.logs)
    publisher = Publisher(layout.routing, layout.gateways, clock)
    reconciler = _reconciler(process, store, stores, ensure, publisher, logbook, tasks)
    points, alarms = Points(store), Alarms(store)
    images = _images(settings)
    jobs = _jobs(process, store, stores, ensure, logbook, points, images, tasks)
    beat = MetricBeat(points, alarms, clock, settings.metrics_retention_days)
    transforms = _transforms(process, store, stores, ensure, logbook, tasks)
    inventory = Inventory(SpoolFolder(layout.spool, SystemDisk()))
    rings = process.descriptors("ring")
    schedules, webhooks = _schedules(process, store), _webhooks(process, store)
    runs = _runs(process, store, stores, schedules, inventory, publisher, jobs.wake, tasks)
    services = {
        "sagemaker": sagemaker_service(
            store,
            clock,
            partition,
            _exists(stores),
            reconciler.wake,
            jobs.wake,
            runs.wake,
            schedules,
            transforms.wake,
            partial(stopped, rings),
            images,
            instances_max=settings.instances_max,
            jobs_max=settings.processing_jobs_max,
            durability=settings.capture_durability,
        ),
        "sts": sts_service(partition, settings.role),
        "iam": iam_service(partition, settings.role),
        "logs": logs_service(logbook, clock, partition),
        "monitoring": monitoring_service(points, alarms, clock, partition),
        "modeltap": own_service(store, clock, partition, schedules, runs.wake),
    }
    verify = verifier(keys.secret, partition, settings.role, clock)
    works: tuple[Work, ...] = reconciler, jobs, transforms, runs, beat, *webhooks
    for work in works:
        tasks.spawn(work.run())
    inside = AwsApp(services, verify, clock, behind_gateway=True)
    pages = _pages(process, partial(standing, inventory, rings), rings, points, webhooks)
    await _answering(process, tasks, {"inside": inside, "metrics": pages})
    await tasks.end()
    environments.close()  # only now: a build that was stopped is no build that failed
    store.close()


async def _answering(process: Process, tasks: Tasks, apps: Mapping[str, ASGIApplication]) -> None:
    """Answer on the sockets of these names until the process is to stop; end what is under way."""
    clock = process.clock
    protocols = {name: UvicornProtocol(app, clock) for name, app in apps.items()}
    listeners = [
        tasks.spawn(accept.serve(process.socket(name), protocol, clock=clock))
        for name, protocol in protocols.items()
    ]
    process.ready()
    await process.stopping.wait()
    for listener in listeners:
        listener.cancel()
    for protocol in protocols.values():
        await protocol.drain()


def _pages(
    process: Process,
    look: Look,
    rings: Sequence[int],
    points: Points,
    webhooks: Sequence[Webhook],
) -> ASGIApplication:
    """Make the application of the metrics port: `/metrics`, for Prometheus, and `/capturez`."""
    meters = process.assignment.fds["meters"]
    home, clock = str(process.settings.home), process.clock

    async def metrics(_: Request) -> Response:
        told = meters, look, points, clock.now_ns(), webhooks
        text = await asyncio.to_thread(exposition, *told)
        return Response(text, headers={"content-type": CONTENT_TYPE})

    async def capture(_: Request) -> Response:
        try:
            found = await asyncio.to_thread(look)
        except (LedgerUnreadable, OSError) as error:
            return JSONResponse({"home": home, "state": "unknown", "reason": str(error)}, 503)
        return JSONResponse(capturez(found, on_the_way(rings), home, clock.now_ns()))

    routes = [Route("/metrics", metrics), Route("/capturez", capture)]
    return cast(ASGIApplication, Starlette(routes=routes))


def _reconciler(
    process: Process,
    store: Store,
    stores: Stores,
    ensure: Ensure,
    publisher: Publisher,
    logbook: Logbook,
    tasks: Tasks,
) -> Reconciler:
    settings, clock, layout = process.settings, process.clock, process.settings.layout
    launcher = _launcher(process, layout.instances)
    launching = _launching(process, launcher, stores, ensure, logbook, layout.artifacts)
    return Reconciler(
        store,
        launcher,
        launching,
        publisher,
        logbook,
        clock,
        tasks.spawn,
        invocation_seconds_max=settings.invocation_seconds_max,
    )


def _launcher(process: Process, instances: Path) -> ProcessLauncher:
    return ProcessLauncher(
        instances,
        life=process.assignment.fds["life"],
        clock=process.clock,
        stop_seconds_max=process.settings.stop_seconds_max,
        batch_rows_max=process.settings.batch_rows_max,
    )


def _launching(
    process: Process,
    launcher: Launcher,
    stores: Stores,
    ensure: Ensure,
    logbook: Logbook,
    artifacts: Path,
) -> Launching:
    return Launching(
        launcher,
        ensure,
        _fetch(stores, process.settings.object_bytes_max),
        logbook,
        artifacts,
        process.clock,
        startup_seconds_max=process.settings.startup_seconds_max,
    )


def _transforms(
    process: Process,
    store: Store,
    stores: Stores,
    ensure: Ensure,
    logbook: Logbook,
    tasks: Tasks,
) -> TransformLoop:
    settings, clock, place = process.settings, process.clock, process.settings.layout.transforms
    states = JobStates(store, clock, TRANSFORM)
    launcher = _launcher(process, place / "instances")
    steps = TransformSteps(
        states,
        _launching(process, launcher, stores, ensure, logbook, place / "artifacts"),
        launcher,
        stores.at,
        logbook,
        clock,
        tasks.spawn,
        place / "jobs",
        region=settings.region,
        patience_seconds=settings.startup_seconds_max,
        object_bytes_max=settings.object_bytes_max,
    )
    return TransformLoop(states, steps, clock, tasks.spawn)


def _jobs(
    process: Process,
    store: Store,
    stores: Stores,
    ensure: Ensure,
    logbook: Logbook,
    points: Points,
    images: JobImages,
    tasks: Tasks,
) -> JobLoop:
    settings, clock = process.settings, process.clock
    states = JobStates(store, clock)
    launcher = JobLauncher(
        settings.layout.jobs,
        life=process.assignment.fds["life"],
        stop_seconds_max=settings.stop_seconds_max,
    )
    steps = JobSteps(
        states,
        launcher,
        ensure,
        stores.at,
        logbook,
        MetricFiles(points, clock),
        images,
        clock,
        region=settings.region,
        patience_seconds=settings.startup_seconds_max,
        analyzer={
            "MODELTAP_MEMORY_BYTES_MAX": str(settings.monitor_memory_bytes_max),
            "MODELTAP_SUMMARIES": str(settings.layout.summaries),
        },
    )
    return JobLoop(states, launcher, steps, clock, tasks.spawn)


def _schedules(process: Process, store: Store) -> Schedules:
    settings, clock = process.settings, process.clock
    return Schedules(
        store,
        clock,
        settings.partition,
        settings.monitor_catch_up,
        telling(clock, settings.partition) if settings.webhook_url else SILENT,
        settings.monitor_executions_max,
    )


def _webhooks(process: Process, store: Store) -> list[Webhook]:
    """Make what posts notices, if there is where to."""
    settings, clock = process.settings, process.clock
    if not settings.webhook_url:
        return []
    post, key = Post(settings.webhook_url, clock), settings.webhook_key
    return [Webhook(Outbox(store), post, key, clock, settings.webhook_attempts_max)]


def _images(settings: Settings) -> JobImages:
    limits = Limits(settings.container_memory_bytes_max, settings.container_cpus_max)
    containers = Containers(settings.container_program, limits)
    return JobImages(Commands(settings.commands), containers)


def _runs(
    process: Process,
    store: Store,
    stores: Stores,
    schedules: Schedules,
    inventory: Inventory,
    publisher: Publisher,
    wake_jobs: Callable[[], None],
    tasks: Tasks,
) -> ScheduleLoop:
    settings, clock, rings = process.settings, process.clock, process.descriptors("ring")
    looks = partial(undelivered, inventory, rings), partial(ask_seal, rings)
    steps = ExecutionSteps(
        store,
        schedules.executions,
        JobStates(store, clock),
        stores.at,
        CaptureView(*looks, publisher.in_flight),
        clock,
        settings.partition,
        Bounds(settings.monitor_grace_seconds, settings.processing_jobs_max),
        wake_jobs,
    )
    return ScheduleLoop(schedules, steps, clock, tasks.spawn)


def _ensure(environments: Environments) -> Ensure:
    # Builds take minutes: threads of their own, or statements would wait behind them. One of an
    # image is built at a time, so with a thread an image none waits for another either.
    pool = ThreadPoolExecutor(len(KNOWN_FOR_JOBS), "build")
    building: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def ensure(image: Image, progress: Progress) -> Path:
        loop = asyncio.get_running_loop()
        async with building[image.name]:
            return await loop.run_in_executor(pool, environments.ensure, image, progress)

    return ensure


def _fetch(stores: Stores, bytes_max: int) -> Callable[[str, Path], Awaitable[None]]:
    async def fetch(uri: str, path: Path) -> None:
        store, key = stores.at(uri)
        await store.fetch(key, path, bytes_max)

    return fetch


def _exists(stores: Stores) -> Callable[[str], Awaitable[bool]]:
    async def exists(uri: str) -> bool:
        store, key = stores.at(uri)
        try:
            await store.head(key)
        except ObjectNotFound:
            return False
        return True

    return exists
