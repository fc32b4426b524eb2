"""The HTTP way against small servers that say, word for word, what a test tells them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
import uvloop

from asking import CALL_ID, ask, links_of
from modeltap.clock import SimulatedClock
from modeltap.errors import AnswerUnreadable, CallFailed, InstanceGone
from modeltap.link.http import IDLE_SECONDS_MAX
from modeltap.link.http_connection import HEADERS_BYTES_MAX
from modeltap.link.links import Links
from modeltap.nouns import Answer, Instance, Invocation

CALL = Invocation(
    CALL_ID, "e", b"body", content_type="text/csv", accept="*/*", custom_attributes="c"
)
SENT = (
    b"POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/csv\r\naccept: */*\r\n"
    b"x-amzn-sagemaker-custom-attributes: c\r\ncontent-length: 4\r\n\r\nbody"
)
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"


class Container:
    """Says one of its answers after each request, byte by byte if `slowly`; keeps count."""

    def __init__(self, path: Path, *answers: bytes, hang_up: bool = False) -> None:
        self.instance = Instance("i-1", f"unix+http:{path}")
        self.connections = 0
        self.asked: list[bytes] = []
        self._path = path
        self._answers = list(answers)
        self._hang_up = hang_up

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Links]:
        server = await asyncio.start_unix_server(self._serve, self._path)
        links = links_of(SimulatedClock(), 60)
        try:
            yield links
        finally:
            links.close()
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.closing(writer):
            while request := await reader.read(1 << 16):
                self.asked.append(request)
                writer.write(self._answers.pop(0))
                if self._hang_up:
                    return


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await scenario

    uvloop.run(bounded())


def asked(path: Path, *answers: bytes, hang_up: bool = False) -> tuple[Container, Sequence[Any]]:
    """Make one call after the other; give what came of each."""
    container = Container(path / "s", *answers, hang_up=hang_up)
    results: list[Any] = []

    async def scenario() -> None:
        async with container.running() as links:
            for _ in answers:
                try:
                    results.append(await ask(links, container.instance, CALL))
                except (AnswerUnreadable, InstanceGone) as error:
                    results.append(error)

    run(scenario())
    return container, results


def test_calls_go_one_after_the_other_on_one_connection(tmp_path: Path) -> None:
    container, results = asked(tmp_path, FINE, FINE, FINE)
    assert results == [Answer(200, None, b"fine")] * 3
    assert container.asked == [SENT] * 3
    assert container.connections == 1


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nfine", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nfine", False),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nfi\r\n2\r\nne\r\n0\r\n\r\n",
            True,
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + FINE, True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nContent-Type: a/b\r\n\r\n" + FINE, True),
        (FINE + FINE, False),
        (FINE + b"nonsense", False),
    ],
)
def test_an_answer_ends_where_http_says(tmp_path: Path, answer: bytes, kept: bool) -> None:
    container, results = asked(tmp_path, answer, FINE)
    assert results == [Answer(200, None, b"fine")] * 2
    assert container.connections == (1 if kept else 2)


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_ends_with_its_headers(tmp_path: Path, status: int) -> None:
    container, results = asked(tmp_path, b"HTTP/1.1 %d x\r\n\r\n" % status, FINE)
    assert results == [Answer(status, None, b""), Answer(200, None, b"fine")]
    assert container.connections == 1


def test_an_answer_without_a_length_ends_with_the_connection(tmp_path: Path) -> None:
    _, results = asked(tmp_path, b"HTTP/1.1 200 OK\r\n\r\nall of it", hang_up=True)
    assert results == [Answer(200, None, b"all of it")]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nnot ten",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nfi\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_half_an_answer_is_none(tmp_path: Path, answer: bytes) -> None:
    _, (error,) = asked(tmp_path, answer, hang_up=True)
    assert isinstance(error, InstanceGone)
    assert error.sent


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"\x00\x01 no http", 0),
        (b"GET / HTTP/1.1\r\n\r\n", 0),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", 0),
        (b"HTTP/1.1 999 x\r\nContent-Length: 0\r\n\r\n", 0),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", 0),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 0),
        (b"HTTP/1.1 200 OK\r\nContent-Type: a\x00b\r\nContent-Length: 0\r\n\r\n", 0),
        (b"HTTP/1.1 200 OK\r\nContent-Type: \xff\r\nContent-Length: 0\r\n\r\n", 200),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 200),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * (HEADERS_BYTES_MAX + 1), 0),
        (b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * (HEADERS_BYTES_MAX // 6 + 1), 0),
    ],
)
def test_what_is_no_http_is_no_answer_and_ends_the_connection(
    tmp_path: Path, answer: bytes, status: int
) -> None:
    container, (error, after) = asked(tmp_path, answer, FINE)
    assert isinstance(error, AnswerUnreadable)
    assert error.status == status
    assert after == Answer(200, None, b"fine")
    assert container.connections == 2


def test_a_connection_that_was_idle_is_not_used_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = SimulatedClock()
        container = Container(tmp_path / "s", FINE, FINE, FINE)
        async with container.running() as links:
            links = links_of(clock, 60)
            await ask(links, container.instance, CALL)
            clock.advance(IDLE_SECONDS_MAX)
            await ask(links, container.instance, CALL)
            assert container.connections == 1
            clock.advance(IDLE_SECONDS_MAX + 0.1)
            await ask(links, container.instance, CALL)
            assert container.connections == 2
            links.close()

    run(scenario())


@pytest.mark.parametrize("field", ["a\r\nx-evil: 1", "a\nb", "a\x00b"])
def test_a_field_that_would_break_its_line_is_not_sent(tmp_path: Path, field: str) -> None:
    async def scenario() -> None:
        container = Container(tmp_path / "s")
        async with container.running() as links:
            with pytest.raises(CallFailed, match="ValueError"):
                call = Invocation(CALL_ID, "e", b"", content_type=field)
                await ask(links, container.instance, call)
        assert container.asked == []

    run(scenario())


def test_a_ping_tells_what_keeps_the_container(tmp_path: Path) -> None:
    async def scenario() -> None:
        starting = b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n"
        container = Container(tmp_path / "s", starting, b"\x00", FINE)
        async with container.running() as links:
            assert await links.ping(container.instance) == "/ping answered 503"
            assert await links.ping(container.instance) == "the answer is no HTTP/1.1"
            assert await links.ping(container.instance) is None
        assert container.asked == [b"GET /ping HTTP/1.1\r\nhost: localhost\r\n\r\n"] * 3

    run(scenario())


def test_an_address_that_names_no_host_is_nobody() -> None:
    async def scenario() -> None:
        with pytest.raises(InstanceGone) as caught:
            await ask(links_of(SimulatedClock(), 60), Instance("i-1", "http://"), CALL)
        assert caught.value.sent is False

    run(scenario())
