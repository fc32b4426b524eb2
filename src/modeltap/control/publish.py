"""The routing table's file, and what the gateways say of it (`docs/architecture.md`, seams).

Control writes the file beside the old one, syncs it, renames it, and syncs the folder: a reader
sees one whole table or the other, also after a loss of power. Generations only grow: a new control
goes on from the number in the file that it finds. Where there is none that it can read, it begins
at the time in milliseconds: a table of an earlier control, still served by a gateway, is older. A
file that cannot be read is set aside as `routing.json.damaged`.

A gateway is live if its status socket accepts. Told `reload`, it answers with the generation that
it serves, its calls in flight by instance, and the oldest receipt of each endpoint among them. One
that accepts and then stays silent for `ANSWER_SECONDS_MAX` is live and serves nothing that we may
rely on.
"""

import asyncio
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import orjson

from modeltap.clock import Clock
from modeltap.errors import UnreadableTable
from modeltap.nouns import Route, RoutingTable
from modeltap.router.table import decode, encode
from modeltap.telemetry import Event, emit
from modeltap_worker.socketpath import short_path

ANSWER_SECONDS_MAX = 2.0
ANSWER_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class GatewayView:
    """What one live gateway serves, and its calls in flight by instance id.

    `receipts`: when the oldest call of an endpoint was received that may become a record, ns.
    """

    generation: int
    outstanding: Mapping[str, int]
    receipts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TableSetAside(Event):
    """The routing file could not be read; it is written anew from `state` and what runs."""

    level: ClassVar[int] = logging.ERROR

    reason: str


SILENT = GatewayView(generation=-1, outstanding={}, receipts={})


class Publisher:
    """The one writer of the routing table's file."""

    def __init__(self, path: Path, gateways: Path, clock: Clock) -> None:
        self._path = path
        self._gateways = gateways
        found = _found(path)
        self._stands = found is not None  # there is a file, and it holds `_written`
        self._written = found or RoutingTable(clock.now_ns() // 1_000_000)

    @property
    def written(self) -> RoutingTable:
        """The table in the file, once the first was written."""
        return self._written

    def write(self, routes: Mapping[str, Route]) -> None:
        """Make these the routes, under the next generation, unless they are already."""
        if self._stands and routes == self._written.routes:
            return
        table = RoutingTable(self._written.generation + 1, routes)
        _replace(self._path, encode(table))
        self._written, self._stands = table, True

    async def survey(self) -> list[GatewayView]:
        """Nudge every gateway to the file, and give what the live ones say."""
        sockets = sorted(self._gateways.glob("*.sock"))
        answers = await asyncio.gather(*(_ask(socket) for socket in sockets))
        return [answer for answer in answers if answer is not None]

    async def in_flight(self, endpoint: str, before_ns: int) -> bool:
        """Tell whether a call of an endpoint, received before a time, may still become a record.

        The time must have passed: a call that is received from here on is no matter then. Who
        answers nothing may have one; who is dead has none.
        """
        views = await self.survey()
        oldest = (view.receipts.get(endpoint, before_ns) for view in views)
        return SILENT in views or min(oldest, default=before_ns) < before_ns


async def _ask(socket: Path) -> GatewayView | None:
    """Ask one gateway; None if it is not live."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            with short_path(socket) as name:
                reader, writer = await asyncio.open_unix_connection(name, limit=ANSWER_BYTES_MAX)
    except (OSError, TimeoutError):
        return None
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            writer.write(b"reload\n")
            answer = orjson.loads(await reader.readline())
            return GatewayView(answer["generation"], answer["outstanding"], answer["receipts"])
    except (OSError, TimeoutError, ValueError, TypeError, KeyError):
        return SILENT
    finally:
        writer.close()


def _found(path: Path) -> RoutingTable | None:
    try:
        return decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except UnreadableTable as error:
        emit(TableSetAside(str(error)))
        path.replace(path.with_name(f"{path.name}.damaged"))
        return None


def _replace(path: Path, data: bytes) -> None:
    beside = path.with_name(f"{path.name}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
