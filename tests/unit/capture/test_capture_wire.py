"""The shipper against a store whose bytes go astray on a socket: nothing lost, nothing twice (F9).

Three requests of ten meet a fault: busy, conflict, expired credentials, a reset before or after the
write, an answer that is cut. The clock is simulated, the socket is not.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from capture_world import World, exchange
from modeltap.capture.puts import read_puts
from modeltap.capture.shipper import LANES, Shipper
from modeltap.objects.remote import Stores
from modeltap.record import decode
from modeltap.settings import ExternalBucket, load

SEGMENTS = 150
RECORDS = 20
FAULT_SHARE = 0.3

REFUSALS = [
    (500, "InternalError"),
    (503, "SlowDown"),
    (400, "RequestTimeout"),
    (409, "ConditionalRequestConflict"),
    (403, "ExpiredToken"),
    (403, "RequestTimeTooSkewed"),
    (403, "AccessDenied"),
]
BREAKS = ["reset before", "reset after", "cut before", "cut after"]


class HostileServer:
    """A bucket that answers over HTTP/1.1, one request a connection."""

    def __init__(self, seed: int) -> None:
        self.objects: dict[str, tuple[bytes, list[str]]] = {}
        self.fates: Counter[str] = Counter()
        self._chance = random.Random(seed)
        self._connections: list[asyncio.Task[None]] = []

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.append(task)
        try:
            await self._serve(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def end(self) -> None:
        """End what is left: a client may hold a connection that it asked nothing on."""
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        lines = [line for line in head[1:] if line]
        headers = {name.lower(): value for name, value in (each.split(": ", 1) for each in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        method, path, _ = head[0].split(" ")
        fate = self._fate()
        self.fates[fate] += 1
        answer = self._refusal(fate)
        if not answer and "before" not in fate:
            answer = self._done(method, path, headers, body)
        if "reset" in fate:
            writer.transport.abort()
            return
        writer.write(answer[:15] if "cut" in fate else answer)
        await writer.drain()

    def _fate(self) -> str:
        if self._chance.random() >= FAULT_SHARE:
            return "well"
        return self._chance.choice([*BREAKS, *(code for _, code in REFUSALS)])

    def _refusal(self, fate: str) -> bytes:
        status = {code: status for status, code in REFUSALS}.get(fate)
        document = f"<Error><Code>{fate}</Code></Error>".encode()
        return b"" if status is None else _answer(status, document)

    def _done(self, method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
        if method == "PUT":
            if path in self.objects:
                assert headers.get("if-none-match") == "*"
                return _answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            meta = [f"{name}: {headers[name]}" for name in headers if name.startswith("x-amz-meta")]
            self.objects[path] = body, meta
            return _answer(200, b"", 'ETag: "e"')
        data, meta = self.objects[path]
        told = _answer(
            200, data, 'ETag: "e"', "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT", *meta
        )
        return told if method == "GET" else told[: len(told) - len(data)]


def _answer(status: int, body: bytes, *headers: str) -> bytes:
    lines = [
        f"HTTP/1.1 {status} Reason",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as world:
        yield world


async def deliver(world: World, server: HostileServer, home: Path) -> list[str]:
    """Run turns of every lane until nothing is pending; give the URIs that were renewed."""
    listening = await asyncio.start_server(server.meet, "127.0.0.1", 0)
    async with listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        at = ExternalBucket(
            endpoint=url, allow_http=True, access_key_id="AKIA", secret_access_key="secret"
        )
        stores = Stores(load(home=home, external_buckets={"bucket": at}), ("AKIA", "own"))
        renewed: list[str] = []

        def renew(uri: str) -> None:
            renewed.append(uri)
            stores.renew(uri)

        shipper = Shipper(world.spool, stores.at, world.ledger, world.settings, world.clock, renew)
        while world.count().pending:
            await asyncio.gather(*(shipper.turn(lane) for lane in LANES))
            world.clock.advance(10)
        await shipper.turn()
        await server.end()
        return renewed


def check(world: World, home: Path, segments: int, seed: int) -> HostileServer:
    """Seal, deliver, and see that every record is there once."""
    for segment in range(segments):
        for number in range(RECORDS):
            world.offer(exchange(segment * RECORDS + number))
        world.turn()
        world.turn(61)
    server = HostileServer(seed)
    renewed = asyncio.run(deliver(world, server, home))
    # The refusal of a HEAD has no body, hence no code: it is held.
    assert 0 < len(renewed) <= server.fates["ExpiredToken"]
    lines = [line for data, _ in server.objects.values() for line in data.splitlines()]
    numbers = [int(decode(line).event_id[-12:]) for line in lines]
    assert sorted(numbers) == list(range(segments * RECORDS))
    count = world.count()
    assert (count.delivered, count.pending, count.dropped) == (segments * RECORDS, 0, {})
    assert read_puts(world.spool).waiting == {}
    return server


@pytest.mark.parametrize("seed", range(2))
def test_a_hostile_wire_loses_and_doubles_nothing(world: World, tmp_path: Path, seed: int) -> None:
    server = check(world, tmp_path, SEGMENTS, seed)
    assert server.fates.keys() == {"well", *BREAKS, *(code for _, code in REFUSALS)}


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 200))
def test_a_hostile_wire_for_long(world: World, tmp_path: Path, seed: int) -> None:
    """A hundred thousand records, in ten parts, each of which says so."""
    server = check(world, tmp_path, 500, seed)
    print(f"seed {seed}: {500 * RECORDS} records, {dict(server.fates)}")
