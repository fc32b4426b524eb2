"""A real server of the control APIs on a loopback port, for real boto3 clients."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import uvicorn
from botocore.config import Config

from modeltap.clock import SystemClock
from modeltap.control.endpoints import Settle, endpoint_of, settled, status_document
from modeltap.control.lifecycle import Event
from modeltap.control.schedule_states import Schedules
from modeltap.errors import StoreUnavailable
from modeltap.front.app import AwsApp, verifier
from modeltap.front.cloudwatch import monitoring_service
from modeltap.front.iam import iam_service
from modeltap.front.logs import logs_service
from modeltap.front.own import own_service
from modeltap.front.sagemaker import sagemaker_service
from modeltap.front.sts import sts_service
from modeltap.hosting.commands import Commands
from modeltap.hosting.containers import Containers, Limits
from modeltap.hosting.job_images import JobImages
from modeltap.logbook import Logbook
from modeltap.nouns import CatchUp, Durability, Partition
from modeltap.state.alarms import Alarms
from modeltap.state.points import Points
from modeltap.state.store import Store

SESSION = boto3.Session()  # reads botocore's models once

PARTITION = Partition("123456789012", "us-east-1")
ROLE = "ModeltapExecutionRole"
INSTANCES_MAX = 10
JOBS_MAX = 3
ALLOWED = Path("/bin/sh")  # of the programs of this machine, as a job's image
KEY_ID, SECRET = "AKIAEXAMPLEEXAMPLE00", "secret"


@dataclass
class World:
    """The server, the state below it, and what its model archives are said to be."""

    store: Store
    logbook: Logbook
    port: int = 0
    archives: set[str] = field(default_factory=set)
    unreachable: set[str] = field(default_factory=set)
    wakes: int = 0
    stopped: dict[str, str] = field(default_factory=dict)  # why, by endpoint

    @property
    def schedules(self) -> Schedules:
        return Schedules(self.store, SystemClock(), PARTITION, CatchUp.RUN)

    def client(self, service: str) -> Any:
        return SESSION.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name=PARTITION.region,
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            config=Config(retries={"total_max_attempts": 1}),
        )

    def settle(self, endpoint: str, event: Event, reason: str | None = None) -> None:
        """Do as control does when a build ended."""
        resource = self.store.get("endpoint", endpoint)
        assert resource is not None
        after = settled(endpoint_of(resource), Settle(event, reason))
        now = SystemClock().now_ns()
        self.store.put_status(resource, status_document(after), now)

    async def exists(self, uri: str) -> bool:
        if uri in self.unreachable:
            raise StoreUnavailable("no answer")
        return uri in self.archives

    def wake(self) -> None:
        self.wakes += 1


def app(world: World) -> AwsApp:
    clock = SystemClock()
    services = {
        "sagemaker": sagemaker_service(
            world.store,
            clock,
            PARTITION,
            exists=world.exists,
            wake=world.wake,
            wake_jobs=world.wake,
            wake_schedules=world.wake,
            schedules=world.schedules,
            wake_transforms=world.wake,
            stopped=lambda endpoint: world.stopped.get(endpoint),
            images=JobImages(Commands([ALLOWED]), Containers("", Limits())),
            instances_max=INSTANCES_MAX,
            jobs_max=JOBS_MAX,
            durability=Durability.BESTEFFORT,
        ),
        "sts": sts_service(PARTITION, ROLE),
        "iam": iam_service(PARTITION, ROLE),
        "logs": logs_service(world.logbook, clock, PARTITION),
        "monitoring": monitoring_service(
            Points(world.store), Alarms(world.store), clock, PARTITION
        ),
        "modeltap": own_service(world.store, clock, PARTITION, world.schedules, world.wake),
    }
    secrets = {KEY_ID: SECRET.encode()}
    return AwsApp(services, verifier(secrets.get, PARTITION, ROLE, clock), clock)


@contextmanager
def serving(folder: Path, logbook: Logbook | None = None) -> Iterator[World]:
    world = World(Store.open(folder / "state.db"), logbook or Logbook(folder / "logs"))
    config = uvicorn.Config(app(world), port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    socket = config.bind_socket()
    socket.listen()  # callers queue until the server accepts
    world.port = socket.getsockname()[1]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    try:
        yield world
    finally:
        server.should_exit = True
        thread.join()
        socket.close()
        world.store.close()
