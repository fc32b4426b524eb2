"""What the tests of hosting are made with: real models, real archives, real sockets."""

import asyncio
import atexit
import functools
import io
import os
import tarfile
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from modeltap.clock import SystemClock
from modeltap.hosting.environments import Environments
from modeltap.hosting.images import resolve
from modeltap.hosting.launcher import LaunchOrder
from modeltap.hosting.processes import ProcessLauncher
from modeltap.nouns import Instance
from modeltap_worker import frames
from modeltap_worker.frames import Call, Decoder, Frame, Reply
from modeltap_worker.socketpath import short_path

COLUMNS = 5
NEWEST = resolve("sagemaker-xgboost:3.0-5")


@functools.cache
def lean_python() -> Path:
    """Build the newest image's environment: its XGBoost starts faster without scikit-learn."""
    folder = tempfile.TemporaryDirectory(prefix="modeltap-environments-")
    atexit.register(folder.cleanup)
    return Environments(Path(folder.name)).ensure(NEWEST, lambda line: None)


def rows(count: int, columns: int = COLUMNS) -> np.ndarray:
    return np.random.default_rng(7).random((count, columns)).astype(np.float32)


def csv_of(data: np.ndarray) -> bytes:
    return "\n".join(",".join(map(repr, row)) for row in data.astype(float).tolist()).encode()


def train(objective: str = "binary:logistic", **parameters: object) -> xgboost.Booster:
    data = rows(200)
    classes = int(str(parameters.get("num_class", 2)))
    labels = (data[:, 0] * classes).astype(int)
    told = {"objective": objective, "max_depth": 3, "nthread": 1, **parameters}
    return xgboost.train(told, xgboost.DMatrix(data, label=labels), 5)


def pack(archive: Path, files: Mapping[str, bytes]) -> Path:
    with tarfile.open(archive, "w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return archive


class RunsAtLoad:
    """A model whose pickle runs a statement of Python where it is loaded, as a stranger's may."""

    def __init__(self, statement: str) -> None:
        self._statement = statement

    def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
        return exec, (self._statement,)


@dataclass(frozen=True)
class Bench:
    """A launcher with a life pipe of its own."""

    launcher: ProcessLauncher
    instances: Path
    life: int  # read end
    end_of_life: int  # write end

    def another_launcher(self) -> ProcessLauncher:
        """Give what a new control would have."""
        return _launcher(self.instances, self.life)


def _launcher(instances: Path, life: int) -> ProcessLauncher:
    return ProcessLauncher(
        instances, life=life, clock=SystemClock(), stop_seconds_max=5.0, batch_rows_max=256
    )


@contextmanager
def bench(instances: Path) -> Iterator[Bench]:
    """Offer a bench; nothing that was started on it survives."""
    life, end_of_life = os.pipe()
    made = Bench(_launcher(instances, life), instances, life, end_of_life)
    try:
        yield made
    finally:
        left = [folder.name for folder in instances.iterdir()] if instances.exists() else []
        for instance in left:
            asyncio.run(made.launcher.stop(instance))
        os.close(life)
        os.close(end_of_life)


def order(artifact: Path, instance: str = "i-1", **environment: str) -> LaunchOrder:
    return LaunchOrder(
        id=instance,
        endpoint="churn",
        variant="AllTraffic",
        fleet="fleet-1",
        image=NEWEST,
        python=lean_python(),
        artifact=artifact,
        environment=environment,
        log=artifact.parent / "logs" / f"{instance}.log",
        startup_seconds_max=60.0,
    )


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for another process to have done something."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


class Caller:
    """A gateway's end of the link, in its simplest form."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = Decoder()
        self._waiting: list[Frame] = []

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def frame(self) -> Frame:
        while not self._waiting:
            data = await self._reader.read(65536)
            if not data:
                raise ConnectionResetError
            self._waiting += self._decoder.feed(data)
        return self._waiting.pop(0)

    async def reply(self) -> tuple[int, Reply]:
        first = await self.frame()
        assert first.kind == frames.ANSWER
        head = frames.decode_reply(first)
        parts, last = [head.body], first
        while not last.end:
            last = await self.frame()
            parts.append(last.payload)
        body = b"".join(parts)
        return first.id, Reply(head.status, head.content_type, head.custom_attributes, body)

    async def call(self, call: Call) -> Reply:
        self.send(b"".join(frames.encode_call(1, call)))
        return (await self.reply())[1]


@asynccontextmanager
async def calling(instance: Instance) -> AsyncIterator[Caller]:
    with short_path(Path(instance.address.removeprefix("unix:"))) as name:
        reader, writer = await asyncio.open_unix_connection(name)
    try:
        yield Caller(reader, writer)
    finally:
        writer.close()
