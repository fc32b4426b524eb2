"""What the tests of transform jobs are made with: real frames, files and state, a bucket in memory.

`Models` keeps the launcher's promises with servers on the loop of the test: each takes frames, as a
model's worker does, and does what a record tells it. `Home` outlives control; `Control` is one life
of it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from stepped import stepped

from modeltap.clock import SystemClock
from modeltap.control.job_states import JobStates
from modeltap.control.jobs import TRANSFORM, Job, new_transform
from modeltap.control.launching import Launching
from modeltap.control.transform_loop import TransformLoop
from modeltap.control.transform_steps import TransformSteps
from modeltap.hosting.images import Image
from modeltap.hosting.launcher import Adopted, LaunchOrder, Unhealthy
from modeltap.logbook import Logbook
from modeltap.nouns import TRANSFORM_LOG_GROUP, Document, Instance, Partition
from modeltap.objects.port import ObjectStore
from modeltap.objects.remote import split_uri
from modeltap.objects.simulated import SimulatedStore
from modeltap.state.store import Resource, Store
from modeltap_worker import frames
from modeltap_worker.frames import Reply
from modeltap_worker.socketpath import short_path

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.0-5"
GOOD, BROKEN = b"a good model", b"a broken model"
PARTITION = Partition("000000000000", "us-east-1")
MODEL: Document = {
    "ModelName": "M",
    "ExecutionRoleArn": "arn:aws:iam::123456789012:role/R",
    "PrimaryContainer": {
        "Image": IMAGE,
        "ModelDataUrl": "s3://bucket/model.tar.gz",
        "Environment": {"A": "model", "B": "model"},
    },
}


class Models:
    """A launcher. A model answers each line with the number of its fields, and obeys:

    `refuse` 400 · `fail` 500 · `flaky` 500 the first time · `die` ends its instance the first time
    · `hang` never an answer · `bytes` something that is no CSV
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.launched: list[LaunchOrder] = []
        self.fails: set[int] = set()  # launches by their number, from 1
        self.bodies: list[bytes] = []
        self.fields: list[tuple[str | None, str | None]] = []  # content type, accept
        self.tries = Counter[bytes]()
        self.most_at_once = 0  # requests that one read brought
        self._running: dict[str, asyncio.Server] = {}
        self._writers: dict[str, list[asyncio.StreamWriter]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    async def launch(self, order: LaunchOrder) -> Instance:
        self.launched.append(order)
        assert order.artifact is not None
        if order.artifact.read_bytes() == BROKEN or len(self.launched) in self.fails:
            raise Unhealthy("an endpoint's words", "It is no model.")

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._writers.setdefault(order.id, []).append(writer)
            with suppress(asyncio.CancelledError, OSError):  # its loop ends
                await self._serve(order.id, reader, writer)

        path = self._folder / f"{order.id}.sock"
        with short_path(path) as name:
            server = await asyncio.start_unix_server(serve, name, start_serving=False)
            self._running[order.id] = server  # known before a cancel can come
            await server.start_serving()
        return Instance(order.id, f"unix:{path}")

    async def probe(self, instance: str, seconds_max: float) -> bool:
        return self.alive(instance)

    def alive(self, instance: str) -> bool:
        return instance in self._running

    async def adopt(self) -> list[Adopted]:
        return [Adopted(Instance(each, ""), "", "", "") for each in list(self._running)]

    async def stop(self, instance: str) -> None:
        self.kill(instance)

    def kill(self, instance: str) -> None:
        if (server := self._running.pop(instance, None)) is not None:
            server.close()
        for writer in self._writers.pop(instance, []):
            writer.transport.abort()

    def instances(self) -> list[str]:
        return list(self._running)

    async def _serve(
        self, instance: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        decoder, calls = frames.Decoder(), dict[int, frames.Call]()
        bodies: dict[int, bytes] = {}
        while data := await reader.read(1 << 16):
            whole = []
            for frame in decoder.feed(data):
                if frame.kind == frames.OPEN:
                    calls[frame.id] = frames.decode_call(frame)
                    bodies[frame.id] = calls[frame.id].body
                elif frame.kind == frames.CHUNK:
                    bodies[frame.id] += frame.payload
                if frame.end and frame.kind in (frames.OPEN, frames.CHUNK):
                    whole.append(frame.id)
            self.most_at_once = max(self.most_at_once, len(whole))
            for number in whole:
                call, body = calls.pop(number), bodies.pop(number)
                self.fields.append((call.content_type, call.accept))
                reply = self._reply(instance, body)
                if reply is not None:
                    writer.writelines(frames.encode_reply(number, reply))

    def _reply(self, instance: str, body: bytes) -> Reply | None:
        self.bodies.append(body)
        self.tries[body] += 1
        first = self.tries[body] == 1
        if b"hang" in body:
            return None
        if b"die" in body and first:
            self.kill(instance)
            return None
        if b"refuse" in body:
            return Reply(400, "text/plain", None, b"no such column")
        if b"fail" in body or (b"flaky" in body and first):
            return Reply(500, "text/plain", None, b"out of luck")
        if b"bytes" in body:
            return Reply(200, "application/octet-stream", None, b"\xff\n\n")
        counts = [str(line.count(b",") + 1) for line in body.split(b"\n")]
        return Reply(200, "text/csv; charset=utf-8", None, ("\n".join(counts) + "\n").encode())


class Home:
    """What outlives control: folder, database, bucket, log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store.open(folder / "state.db")
        self.states = JobStates(self.store, SystemClock(), TRANSFORM)
        self.bucket = SimulatedStore()
        self.logbook = Logbook(folder / "logs")
        self.models = Models(folder / "models")
        self.put("model.tar.gz", GOOD)

    def at(self, uri: str) -> tuple[ObjectStore, str]:
        return self.bucket, split_uri(uri)[1]

    def put(self, key: str, data: bytes) -> None:
        asyncio.run(self.bucket.put(key, data))

    def create(self, name: str = "Job", **more: Any) -> None:
        """Do as the API does."""
        now = SystemClock().now_ns()
        spec = request(name) | more
        arn = PARTITION.arn(TRANSFORM, name)
        self.store.create(Resource(TRANSFORM, name, arn, spec, new_transform(MODEL), 1, now, now))

    def job(self, name: str = "Job") -> Job:
        job = self.states.get(name)
        assert job is not None
        return job

    def outputs(self, prefix: str = "out/") -> dict[str, bytes]:
        async def read() -> dict[str, bytes]:
            keys = [info.key async for info in self.bucket.list(prefix)]
            return {key.removeprefix(prefix): await self.bucket.get(key) for key in keys}

        return asyncio.run(read())

    def left(self) -> list[str]:
        """Name the folders of jobs that are left."""
        return sorted(path.name for path in (self.folder / "jobs").glob("*"))

    def said(self) -> str:
        return "\n".join(line.text for line in self.logbook.lines(TRANSFORM_LOG_GROUP))


def request(name: str) -> Document:
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/in"}
    return {
        "TransformJobName": name,
        "ModelName": "M",
        "TransformInput": {
            "DataSource": {"S3DataSource": source},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        "TransformOutput": {"S3OutputPath": "s3://bucket/out/", "AssembleWith": "Line"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        "ModelClientConfig": {"InvocationsMaxRetries": 1},
    }


def reading(uri: str = "s3://bucket/in", kind: str = "S3Prefix", **more: Any) -> Document:
    """Give a TransformInput."""
    source = {"S3DataType": kind, "S3Uri": uri}
    given = {"DataSource": {"S3DataSource": source}, "ContentType": "text/csv"}
    return {"TransformInput": {**given, "SplitType": "Line", **more}}


class Control:
    """One life of control; it may take `steps` steps, and is dead then."""

    def __init__(self, home: Home, steps: int | None = None) -> None:
        self.home = home
        self.tasks: set[asyncio.Task[None]] = set()
        self.dead = asyncio.Event()
        self.steps = steps
        clock = SystemClock()
        launching = Launching(
            home.models,
            self._ensure,
            self._fetch,
            home.logbook,
            home.folder / "artifacts",
            clock,
            startup_seconds_max=0.0,
        )
        transform_steps = TransformSteps(
            home.states,
            launching,
            home.models,
            home.at,
            home.logbook,
            clock,
            self.spawn,
            home.folder / "jobs",
            region="us-east-1",
            patience_seconds=0.0,
            object_bytes_max=1 << 30,
        )
        self.loop = TransformLoop(home.states, transform_steps, clock, self.spawn)

    async def _ensure(self, image: Image, told: Callable[[str], None]) -> Path:
        return Path("python")

    async def _fetch(self, uri: str, path: Path) -> None:
        store, key = self.home.at(uri)
        await store.fetch(key, path, 1 << 20)

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(stepped(self, work))
        task.add_done_callback(lambda _: work.close())  # it may never have begun
        self.tasks.add(task)
        return task

    def die(self) -> None:
        self.dead.set()

    async def live(self, until: Callable[[], bool]) -> bool:
        """Live until a condition holds, or to the end of the steps; tell whether it held."""
        self.spawn(self.loop.run())
        try:
            async with asyncio.timeout(30):
                while not until():
                    if self.dead.is_set():
                        return False
                    await asyncio.sleep(0.005)
            return True
        finally:
            done = await self._ended()
            for instance in self.home.models.instances():
                self.home.models.kill(instance)
            assert [each for each in done if isinstance(each, Exception)] == []

    async def _ended(self) -> list[BaseException | None]:
        """Cancel all tasks and give what they came to; one that will not end is shown."""
        for task in self.tasks:
            task.cancel()
        _, left = await asyncio.wait(self.tasks, timeout=30)
        for task in left:
            task.print_stack()
        assert not left, f"{len(left)} tasks go on after a cancel"
        return await asyncio.gather(*self.tasks, return_exceptions=True)


def ended(home: Home, *names: str) -> Callable[[], bool]:
    """Tell whether jobs are concluded and cleared away."""

    def condition() -> bool:
        done = all(home.job(name).ended_ns is not None for name in names)
        return done and not set(names) & set(home.left())

    return condition


def run(home: Home, *names: str) -> Job:
    """Let control live until jobs have ended; give the first."""
    names = names or ("Job",)
    assert asyncio.run(Control(home).live(ended(home, *names)))
    return home.job(names[0])
