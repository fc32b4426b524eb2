"""The routing table's file, and gateways that answer, lag, stay silent or are gone."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

import pytest

from modeltap.clock import SimulatedClock
from modeltap.control.publish import SILENT, GatewayView, Publisher
from modeltap.nouns import Instance, Route, Variant
from modeltap.router.table import decode
from modeltap_worker.socketpath import short_path

ROUTES = {"a": Route("a", (Variant("v", 1.0, (Instance("i-1", "unix:/socket"),)),))}
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


CLOCK = SimulatedClock()
FIRST = CLOCK.now_ns() // 1_000_000 + 1


def publisher(folder: Path) -> Publisher:
    (folder / "gateways").mkdir(exist_ok=True)
    return Publisher(folder / "routing.json", folder / "gateways", CLOCK)


def test_the_first_table_is_written_also_when_it_is_empty(tmp_path: Path) -> None:
    publisher(tmp_path).write({})
    assert decode((tmp_path / "routing.json").read_bytes()).generation == FIRST
    assert (tmp_path / "routing.json").stat().st_mode & 0o777 == 0o600


def test_generations_grow_with_changes_alone_and_across_restarts(tmp_path: Path) -> None:
    first = publisher(tmp_path)
    for _ in range(2):
        first.write(ROUTES)
    assert first.written.generation == FIRST
    again = publisher(tmp_path)
    assert again.written == first.written
    again.write(ROUTES)
    again.write({})
    assert (again.written.generation, again.written.routes) == (FIRST + 1, {})
    assert [path.name for path in tmp_path.glob("routing*")] == ["routing.json"]


@pytest.mark.parametrize("damaged", [b"", b"{}", b'{"version": 2}', b"\xff", None])
def test_from_a_damaged_or_lost_file_control_goes_on_above_what_gateways_serve(
    tmp_path: Path, damaged: bytes | None
) -> None:
    first = publisher(tmp_path)
    for routes in (ROUTES, {}, ROUTES):
        first.write(routes)
    path = tmp_path / "routing.json"
    path.unlink() if damaged is None else path.write_bytes(damaged)
    CLOCK.advance(1)
    again = publisher(tmp_path)
    again.write({})  # also if nothing is routed: a gateway may still serve the lost table
    assert decode(path.read_bytes()).generation > first.written.generation
    aside = tmp_path / "routing.json.damaged"
    assert (aside.read_bytes() if aside.exists() else None) == damaged


Asked = TypeVar("Asked")


def beside(
    folder: Path, answer: Answer, ask: Callable[[Publisher], Awaitable[Asked]], sockets: int = 1
) -> Asked:
    """Ask a publisher something while gateways answer so."""

    async def asked() -> Asked:
        async with AsyncExitStack() as stack:
            for number in range(sockets):
                with short_path(folder / "gateways" / f"{number}.sock") as name:
                    server = await asyncio.start_unix_server(answer, name)
                await stack.enter_async_context(server)
            return await ask(made)

    made = publisher(folder)
    return asyncio.run(asked())


def survey(folder: Path, answer: Answer) -> list[GatewayView]:
    return beside(folder, answer, lambda made: made.survey())


def saying(data: bytes) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(data)
        writer.close()

    return answer


def test_a_live_gateway_tells_what_it_serves(tmp_path: Path) -> None:
    told = b'{"generation": 7, "outstanding": {"i-1": 2}, "receipts": {"churn": 5}}\n'
    assert survey(tmp_path, saying(told)) == [GatewayView(7, {"i-1": 2}, {"churn": 5})]


@pytest.mark.parametrize("told", [b"", b"nonsense\n", b"[]\n", b"{}\n"])
def test_one_that_makes_no_sense_serves_nothing_to_rely_on(tmp_path: Path, told: bytes) -> None:
    assert survey(tmp_path, saying(told)) == [SILENT]


def test_a_home_may_be_deep(tmp_path: Path) -> None:
    """Deeper than the 107 bytes that a socket's address holds."""
    deep = tmp_path / ("x" * 120)
    (deep / "gateways").mkdir(parents=True)
    told = b'{"generation": 7, "outstanding": {}, "receipts": {}}\n'
    assert survey(deep, saying(told)) == [GatewayView(7, {}, {})]


def test_one_that_is_gone_is_not_counted(tmp_path: Path) -> None:
    made = publisher(tmp_path)
    (tmp_path / "gateways" / "0.sock").touch()
    assert asyncio.run(made.survey()) == []


def in_flight(folder: Path, *told: bytes, endpoint: str = "churn", before_ns: int = 100) -> bool:
    """Ask whether a call is in flight, of as many gateways as say something."""
    lines = iter(told)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await saying(next(lines))(reader, writer)

    return beside(
        folder, answer, lambda made: made.in_flight(endpoint, before_ns), sockets=len(told)
    )


def receiving(**receipts: int) -> bytes:
    return json.dumps({"generation": 1, "outstanding": {}, "receipts": receipts}).encode() + b"\n"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ((receiving(),), False),
        ((receiving(churn=99),), True),
        ((receiving(churn=100),), False),
        ((receiving(other=1),), False),
        ((receiving(), receiving(churn=99)), True),
        ((receiving(), b""), True),  # it is live, and says nothing
    ],
)
def test_a_call_counts_that_was_received_before(
    tmp_path: Path, told: tuple[bytes, ...], expected: bool
) -> None:
    assert in_flight(tmp_path, *told) is expected


def test_a_gateway_that_is_dead_has_no_call_in_flight(tmp_path: Path) -> None:
    """Its socket is still there: nobody accepts on it."""
    made = publisher(tmp_path)
    with short_path(tmp_path / "gateways" / "0.sock") as name, socket.socket(socket.AF_UNIX) as it:
        it.bind(name)
        it.listen()
    assert asyncio.run(made.in_flight("churn", 100)) is False
