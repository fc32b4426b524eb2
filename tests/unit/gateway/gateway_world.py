"""A real gateway on a free loopback port, with real small neighbours, all in one loop.

The worker speaks frames with the annex's own codec; clients are boto3 and raw sockets; the backends
are real uvicorn servers on Unix sockets. Nothing of ours is replaced.
"""

import asyncio
import contextlib
import json
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import uvicorn
import uvloop
from botocore.config import Config
from uvicorn._types import ASGIApplication

from modeltap.auth.sigv4 import Verifier
from modeltap.clock import SystemClock
from modeltap.gateway.app import Gateway, Paths
from modeltap.link.links import Links
from modeltap.nouns import CapturePlan, Exchange, Instance, Route, RoutingTable, Told, Variant
from modeltap.router.router import Router
from modeltap.router.table import encode
from modeltap.settings import Settings
from modeltap.telemetry.meters import Meters, make_pages
from modeltap_worker import frames

KEY_ID, SECRET = "AKIATESTTESTTESTTEST", "secret"
SECONDS_MAX = 20.0

Model = Callable[[frames.Call], Awaitable[frames.Reply]]


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Run one test's coroutine on the loop that the gateway runs on."""

    async def bounded() -> None:
        async with asyncio.timeout(SECONDS_MAX):
            await scenario

    uvloop.run(bounded())


async def echo(call: frames.Call) -> frames.Reply:
    return frames.Reply(200, call.content_type, call.custom_attributes, call.body)


class Worker:
    """A model worker: answers each call by `model`, in tasks of its own, until it is closed."""

    def __init__(self, path: Path, model: Model = echo) -> None:
        self.path = path
        self.calls: list[frames.Call] = []
        self.cancelled: list[int] = []
        self._model = model
        self._writers: list[asyncio.StreamWriter] = []
        self._answers: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "Worker":
        self._server = await asyncio.start_unix_server(self._serve, str(self.path))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.die()

    def die(self) -> None:
        """Close everything at once, as `kill -9` does."""
        assert self._server is not None
        self._server.close()
        self.path.unlink(missing_ok=True)
        for answer in self._answers:
            answer.cancel()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        decoder = frames.Decoder()
        opened: dict[int, tuple[frames.Call, list[bytes]]] = {}
        while data := await reader.read(65536):
            for frame in decoder.feed(data):
                self._take(frame, opened, writer)

    def _take(
        self,
        frame: frames.Frame,
        opened: dict[int, tuple[frames.Call, list[bytes]]],
        writer: asyncio.StreamWriter,
    ) -> None:
        match frame.kind:
            case frames.PING:
                writer.write(frames.encode_pong(frame.id))
                return
            case frames.CANCEL:
                self.cancelled.append(frame.id)
                return
            case frames.OPEN:
                call = frames.decode_call(frame)
                opened[frame.id] = call, [call.body]
            case _:
                opened[frame.id][1].append(frame.payload)
        if frame.end:
            first, parts = opened.pop(frame.id)
            whole = frames.Call(
                first.content_type, first.accept, first.custom_attributes, b"".join(parts)
            )
            self.calls.append(whole)
            answer = asyncio.ensure_future(self._answer(frame.id, whole, writer))
            self._answers.add(answer)
            answer.add_done_callback(self._answers.discard)

    async def _answer(self, number: int, call: frames.Call, writer: asyncio.StreamWriter) -> None:
        reply = await self._model(call)
        writer.writelines(frames.encode_reply(number, reply))


@dataclass
class World:
    """What a test talks to and looks at."""

    gateway: Gateway
    router: Router
    links: Links
    port: int
    paths: Paths
    pages: int  # of the meters
    exchanges: list[Exchange] = field(default_factory=list)
    waiting: list[Told] = field(default_factory=list)  # answers that wait for their record

    def client(self, **given: Any) -> Any:
        return boto3.client(
            "sagemaker-runtime",
            endpoint_url=f"{given.pop('scheme', 'http')}://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id=given.pop("key_id", KEY_ID),
            aws_secret_access_key=given.pop("secret", SECRET),
            config=Config(
                retries={"total_max_attempts": 1}, read_timeout=given.pop("read_timeout", 60)
            ),
            **given,
        )

    async def invoke(self, client: Any, **params: Any) -> dict[str, Any]:
        """Invoke with a real client in a thread, and read the body."""

        def call() -> dict[str, Any]:
            answer = client.invoke_endpoint(**({"EndpointName": "churn", "Body": b"1,2"} | params))
            return {**answer, "Body": answer["Body"].read()}

        return await asyncio.to_thread(call)

    async def raw(self, sent: bytes, *, then: bytes = b"") -> bytes:
        """Send bytes, and give all that comes back until the gateway ends the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        with contextlib.closing(writer):
            writer.write(sent)
            if then:
                await writer.drain()
                writer.write(then)
            return await reader.read()

    async def publish(self, table: RoutingTable) -> dict[str, Any]:
        """Write a table and nudge the gateway, as control does; give its status."""
        beside = self.paths.table.with_suffix(".new")
        beside.write_bytes(encode(table))
        beside.replace(self.paths.table)
        return await self.reload()

    async def reload(self) -> dict[str, Any]:
        while not self.paths.status.exists():
            await asyncio.sleep(0.005)
        reader, writer = await asyncio.open_unix_connection(str(self.paths.status))
        writer.write(b"reload\n")
        line = await reader.readline()
        writer.close()
        status: dict[str, Any] = json.loads(line)
        return status


def table(
    generation: int, *instances: Instance, weight: float = 1.0, plan: CapturePlan | None = None
) -> RoutingTable:
    variants = (Variant("AllTraffic", weight, instances),)
    return RoutingTable(generation, {"churn": Route("churn", variants, plan)})


def listening() -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener


@contextlib.asynccontextmanager
async def world(
    folder: Path, *, tls: ssl.SSLContext | None = None, **settings: Any
) -> AsyncIterator[World]:
    """Run a gateway as house does: its parts as tasks, cancelled at the end."""
    clock = SystemClock()
    given = Settings(home=folder, **settings)
    exchanges: list[Exchange] = []
    waiting: list[Told] = []

    def take(exchange: Exchange, told: Told | None) -> None:
        exchanges.append(exchange)
        if told is not None:
            waiting.append(told)

    links = Links(clock, given.invocation_seconds_max, asyncio.ensure_future)
    router = Router(links.send, take, clock.random, given.partition)
    paths = Paths(
        folder / "routing.json",
        folder / "0.sock",
        folder / "control.sock",
        folder / "store.sock",
    )
    listener = listening()
    verifier = Verifier({KEY_ID: SECRET.encode()}.get, given.region)
    pages = make_pages("meters", 1)
    gateway = Gateway(
        listener, router, links.ping, verifier.verify, paths, Meters(pages, 0), given, clock, tls
    )
    port = listener.getsockname()[1]
    with contextlib.closing(listener):
        async with running(links.sweep(), *gateway.duties()):
            try:
                async with running(gateway.accept()):
                    yield World(gateway, router, links, port, paths, pages, exchanges, waiting)
            finally:
                await gateway.drain()
        links.close()
    os.close(pages)


@contextlib.asynccontextmanager
async def running(*coroutines: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run coroutines beside the block; the first to fail fails it."""
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception):
            raise error


@contextlib.asynccontextmanager
async def backend(path: Path, app: ASGIApplication) -> AsyncIterator[None]:
    """Serve an ASGI application on a Unix socket, as control and store do."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()
    config = uvicorn.Config(app, http="httptools", ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    with contextlib.closing(listener), unsignalled(server):
        async with running(server.serve(sockets=[listener])):
            while not server.started:
                await asyncio.sleep(0.01)
            yield
            server.force_exit = server.should_exit = True
            await asyncio.sleep(0.15)


@contextlib.contextmanager
def unsignalled(server: uvicorn.Server) -> Iterator[None]:
    """Leave the signals to pytest."""
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
    yield


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something that is under way has come about; the test's own limit bounds it."""
    while not condition():
        await asyncio.sleep(0.005)
