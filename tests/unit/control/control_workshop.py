"""What the tests of control are made with: a small house of real parts.

`ChildLauncher` keeps the launcher's promises with the lightest of real processes. `Gateway` speaks
the status socket's protocol over a real socket. `Control` is one life of control: built over the
same home again, it is the next life.
"""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from modeltap.clock import SimulatedClock
from modeltap.control.endpoints import (
    Endpoint,
    created,
    deleted,
    endpoint_of,
    status_document,
    updated,
)
from modeltap.control.fleets import Fleet, fleet_of
from modeltap.control.launching import Launching
from modeltap.control.publish import Publisher
from modeltap.control.reconcile import Reconciler
from modeltap.errors import LaunchFailed, ObjectNotFound, StoreUnavailable
from modeltap.hosting.images import Image
from modeltap.hosting.launcher import Adopted, Launcher, LaunchOrder
from modeltap.logbook import Logbook
from modeltap.nouns import Document, Instance, Partition, RoutingTable
from modeltap.router.table import decode
from modeltap.state.store import Resource, Store

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.0-5"
GOOD, BROKEN = b"a good model", b"a broken model"
TURNS_MAX = 50


class ChildLauncher:
    """Runs `sleep` for a model; one that is broken does not start. It outlives control."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self.launched: list[LaunchOrder] = []
        self.silent: set[str] = set()  # these live, but answer no ping
        folder.mkdir(parents=True, exist_ok=True)

    async def launch(self, order: LaunchOrder) -> Instance:
        self.launched.append(order)
        assert order.artifact is not None
        if order.artifact.read_bytes() == BROKEN:
            raise LaunchFailed(f"The model of {order.variant} is broken.")
        child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        self._children[order.id] = child
        record = [order.endpoint, order.variant, order.fleet]
        (self._folder / order.id).write_text(json.dumps(record))
        return self._instance(order.id)

    async def probe(self, instance: str, seconds_max: float) -> bool:
        return self.alive(instance) and instance not in self.silent

    def alive(self, instance: str) -> bool:
        return self._children[instance].poll() is None

    async def adopt(self) -> list[Adopted]:
        adopted = []
        for path in sorted(self._folder.iterdir()):
            endpoint, variant, fleet = json.loads(path.read_text())
            adopted.append(Adopted(self._instance(path.name), endpoint, variant, fleet))
        return adopted

    async def stop(self, instance: str) -> None:
        if not (self._folder / instance).exists():
            return
        self.kill(instance)
        (self._folder / instance).unlink()

    def kill(self, instance: str) -> None:
        """End one instance at once, as an operator's `kill -9` does."""
        self._children[instance].kill()
        self._children[instance].wait()

    def instances(self) -> list[str]:
        return sorted(path.name for path in self._folder.iterdir())

    def _instance(self, instance: str) -> Instance:
        return Instance(instance, f"unix:/{instance}/socket")


class Gateway:
    """A live gateway's end of the status socket; `lagging`, it does not load the new table."""

    def __init__(self, table: Path) -> None:
        self._table = table
        self._generation = 0
        self.lagging = False
        self.outstanding: dict[str, int] = {}

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"reload\n"
        if not self.lagging:
            self._generation = decode(self._table.read_bytes()).generation
        told = {
            "generation": self._generation,
            "outstanding": self.outstanding,
            "receipts": {},
        }
        writer.write(json.dumps(told).encode() + b"\n")
        await writer.drain()
        writer.close()


class Bucket:
    """What is at S3 addresses; `away`, it does not answer."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.away = False

    async def fetch(self, uri: str, path: Path) -> None:
        if self.away:
            raise StoreUnavailable("no answer")
        if uri not in self.objects:
            raise ObjectNotFound(uri)
        path.write_bytes(self.objects[uri])


class Home:
    """What outlives control: the folder, the database, the bucket, and the clock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store.open(folder / "state.db")
        self.clock = SimulatedClock()
        self.bucket = Bucket()
        self.logbook = Logbook(folder / "logs")
        self.launcher = ChildLauncher(folder / "instances")
        (folder / "gateways").mkdir()

    def close(self) -> None:
        for instance in self.launcher.instances():
            self.launcher.kill(instance)
        self.store.close()

    @property
    def table(self) -> RoutingTable:
        return decode((self.folder / "routing.json").read_bytes())

    def routed(self, endpoint: str) -> dict[str, list[str]]:
        """Give the instances of each variant in the table's file."""
        variants = self.table.routes[endpoint].variants
        return {each.name: [instance.id for instance in each.instances] for each in variants}

    def fleet(self, archive: bytes = GOOD, image: str = IMAGE, /, **counts: int) -> Fleet:
        """Make a fleet whose variants all host one archive, uploaded for it."""
        fleet_id = self.clock.uuid4()
        url = f"s3://bucket/{fleet_id}/model.tar.gz"
        self.bucket.objects[url] = archive
        container = {"Image": image, "ModelDataUrl": url}
        variants = [
            {
                "VariantName": name,
                "ModelName": "m",
                "InitialInstanceCount": count,
                "InstanceType": "ml.m5.large",
            }
            for name, count in (counts or {"AllTraffic": 1}).items()
        ]
        config: Document = {"EndpointConfigName": fleet_id, "ProductionVariants": variants}
        model = {"ModelName": "m", "PrimaryContainer": container}
        return fleet_of(fleet_id, config, {"m": model}, self.clock.now_ns())

    # ------------------------------------------------------------ what the API writes

    def create(self, name: str, fleet: Fleet) -> None:
        arn = Partition("000000000000", "us-east-1").arn("endpoint", name)
        now = self.clock.now_ns()
        status = status_document(created(name, fleet))
        self.store.create(Resource("endpoint", name, arn, {}, status, 1, now, now))

    def update(self, name: str, fleet: Fleet) -> None:
        self._change(name, lambda endpoint: updated(endpoint, fleet))

    def delete(self, name: str) -> None:
        self._change(name, deleted)

    def endpoint(self, name: str) -> Endpoint:
        return endpoint_of(self._resource(name))

    def _change(self, name: str, change: Callable[[Endpoint], Endpoint]) -> None:
        resource = self._resource(name)
        status = status_document(change(endpoint_of(resource)))
        self.store.put_status(resource, status, self.clock.now_ns())

    def _resource(self, name: str) -> Resource:
        resource = self.store.get("endpoint", name)
        assert resource is not None
        return resource


class Control:
    """One life of control."""

    def __init__(
        self, home: Home, *, launcher: Launcher | None = None, python: Path = Path("python")
    ) -> None:
        self.home = home
        self.tasks: set[asyncio.Task[None]] = set()
        self.building: dict[str, asyncio.Event] = {}  # images whose environments take their time
        self._python = python
        hand = launcher or home.launcher
        launching = Launching(
            hand,
            self._ensure,
            home.bucket.fetch,
            home.logbook,
            home.folder / "artifacts",
            home.clock,
            startup_seconds_max=30.0,
        )
        folder = home.folder
        self.publisher = Publisher(folder / "routing.json", folder / "gateways", home.clock)
        self.reconciler = Reconciler(
            home.store,
            hand,
            launching,
            self.publisher,
            home.logbook,
            home.clock,
            self.spawn,
            invocation_seconds_max=60.0,
        )

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _ensure(self, image: Image, progress: Callable[[str], None]) -> Path:
        progress(f"building {image.name}")
        if image.name in self.building:
            await self.building[image.name].wait()
        return self._python

    async def turns(self, *, waiting: bool = True) -> None:
        """Turn until there is nothing to do, letting launches and stops end in between."""
        for _ in range(TURNS_MAX):
            acted = await self.reconciler.turn()
            if waiting:
                await self.idle()
            if not acted and not (waiting and self.tasks):
                return
        raise AssertionError("control did not come to rest")

    async def idle(self) -> None:
        while self.tasks:
            await asyncio.gather(*self.tasks)

    async def die(self) -> None:
        """End this life in the middle of whatever it does."""
        tasks = set(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def gateway(home: Home, name: str = "0") -> AsyncIterator[Gateway]:
    made = Gateway(home.folder / "routing.json")
    path = home.folder / "gateways" / f"{name}.sock"
    server = await asyncio.start_unix_server(made.answer, path)
    async with server:
        yield made


def ids(routed: dict[str, list[str]]) -> set[str]:
    return set(flat(routed.values()))


def flat(lists: Iterable[list[str]]) -> list[str]:
    return [each for one in lists for each in one]
