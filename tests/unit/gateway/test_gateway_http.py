"""The HTTP server against raw sockets: what is refused, in which order, and when it ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import cast

import pytest
from gateway_world import listening, run, running, until

from modeltap.clock import SimulatedClock, SystemClock
from modeltap.errors import BadRequest
from modeltap.gateway import accept, waiting
from modeltap.gateway.body import Body, read_whole
from modeltap.gateway.connections import Connections
from modeltap.gateway.http import PIPELINED_MAX, Connection, Turn
from modeltap.gateway.waiting import drain, stream, sweep
from modeltap.nouns import HttpRequest, HttpResponse

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CANARY = b"GET /canary HTTP/1.1\r\nHost: a\r\n\r\n"


class Site:
    """An application that reads every body whole and remembers what it was asked."""

    def __init__(self, port: int, connections: Connections) -> None:
        self.port = port
        self.connections = connections
        self.requests: list[HttpRequest] = []
        self.bodies: list[bytes] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def serve(self, turn: Turn) -> None:
        self.requests.append(turn.request)
        if turn.request.path == b"/early":
            turn.respond(HttpResponse(403, body=b"early"))
        elif turn.request.path == b"/later":
            turn.rest(1.0)
            turn.respond(HttpResponse(503, body=b"later"))
        elif turn.request.path == b"/broken-at-once":
            raise RuntimeError("not for the client")
        else:
            waiting.run(turn, self._serve(turn))

    async def _serve(self, turn: Turn) -> None:
        request = turn.request
        body = await read_whole(request, 10_000_000)
        self.bodies.append(body)
        await self.gate.wait()
        if request.path == b"/stream":
            await stream(turn, HttpResponse(200, body=self._parts()))
        elif request.path == b"/broken":
            raise RuntimeError("not for the client")
        elif request.path == b"/split":
            await stream(turn, HttpResponse(200, ((b"x", b"a\r\nb: c"),)))
        elif request.path == b"/nothing":
            await stream(turn, HttpResponse(204))
        elif request.path == b"/large":
            await stream(turn, HttpResponse(200, body=b"x" * 30_000_000))
        else:
            await stream(turn, HttpResponse(200, body=request.path + b":" + body))

    async def _parts(self) -> AsyncIterator[bytes]:
        for part in (b"one", b"", b"two"):
            yield part

    async def ask(self, *sent: bytes) -> bytes:
        """Send bytes, in as many writes, and give all that comes until the end."""
        reader, writer = await self.open()
        for part in sent:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        with contextlib.closing(writer):
            return await reader.read()

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)


@contextlib.asynccontextmanager
async def site(clock: SystemClock | SimulatedClock | None = None) -> AsyncIterator[Site]:
    clock = clock or SystemClock()
    connections = Connections(clock, header_seconds_max=10.0)
    with contextlib.closing(listening()) as listener:
        it = Site(listener.getsockname()[1], connections)
        loop = accept.serve(
            listener,
            lambda: cast(asyncio.Protocol, Connection(it.serve, connections)),
            clock=SystemClock(),
        )
        async with running(loop, sweep(connections, clock)):
            try:
                yield it
            finally:
                it.gate.set()
                await drain(connections)


# ---------------------------------------------------------------- what is refused (S5, S6, §4.4)

REFUSED = {
    "bare line feeds": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "folded header": (HEAD + b"X: a\r\n b\r\n\r\n", 400),
    "space before the colon": (HEAD + b"X : a\r\n\r\n", 400),
    "space before the first header": (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    "empty header name": (HEAD + b": a\r\n\r\n", 400),
    "header without a colon": (HEAD + b"X\r\n\r\n", 400),
    "zero octet": (HEAD + b"X: a\x00b\r\n\r\n", 400),
    "bare carriage return": (HEAD + b"X: a\rb\r\n\r\n", 400),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (HEAD + b"Host: a\r\n\r\n", 400),
    "empty Host": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    "underscore in a name": (HEAD + b"content_length: 5\r\n\r\n", 400),
    "two lengths": (POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    "two lengths that differ": (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
    "signed length": (POST + b"Content-Length: +3\r\n\r\nabc", 400),
    "list of lengths": (POST + b"Content-Length: 3, 3\r\n\r\nabc", 400),
    "hexadecimal length": (POST + b"Content-Length: 0x3\r\n\r\nabc", 400),
    "length beside chunks": (
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "chunks beside length": (
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        400,
    ),
    "two codings": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    "chunked twice": (
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "unknown coding": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    "identity coding": (POST + b"Transfer-Encoding: identity\r\n\r\n", 501),
    "chunked after identity": (
        POST + b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    "chunks on HTTP/1.0": (
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    "HTTP/0.9": (b"GET /\r\n\r\n", 505),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "unknown method": (b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "absolute target": (b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "asterisk": (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "CONNECT": (b"CONNECT b:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "fragment": (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "raw octets": (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "long request line": (b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    "many headers": (HEAD + b"X: a\r\n" * 100 + b"\r\n", 431),
    "long header": (HEAD + b"X: " + b"a" * 32768 + b"\r\n\r\n", 431),
    "endless header": (HEAD + b"X: " + b"a" * 400_000, 431),
    "other expectation": (POST + b"Expect: 200-ok\r\nContent-Length: 1\r\n\r\n", 417),
    "bad chunk size": (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    "chunk size with a sign": (POST + b"Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n", 400),
    "chunk longer than said": (POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n", 400),
    "bare line feed after a chunk size": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
        400,
    ),
    "chunk size overflow": (POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 17, 400),
    "trailer": (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: a\r\n\r\n", 400),
    "TLS to a plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
}


@pytest.mark.parametrize("name", REFUSED)
def test_malformed_requests_are_refused_and_nothing_after_them_is_run(name: str) -> None:
    sent, status = REFUSED[name]

    async def scenario() -> None:
        async with site() as it:
            received = await it.ask(sent + CANARY)
            assert received.startswith(b"HTTP/1.1 %d " % status), received[:80]
            assert received.count(b"HTTP/1.1 ") == 1
            assert b"connection: close" in received
            assert it.bodies == []
            assert all(request.path != b"/canary" for request in it.requests)

    run(scenario())


@pytest.mark.parametrize("name", ["two Hosts", "bad chunk size", "trailer", "endless header"])
def test_splitting_the_bytes_changes_nothing(name: str) -> None:
    sent, status = REFUSED[name]
    step = max(1, len(sent) // 40)

    async def scenario() -> None:
        async with site() as it:
            parts = [sent[at : at + step] for at in range(0, len(sent), step)]
            received = await it.ask(*parts)
            assert received.startswith(b"HTTP/1.1 %d " % status), received[:80]

    run(scenario())


# ---------------------------------------------------------------- what is served


def test_target_and_headers_arrive_as_they_were_sent() -> None:
    async def scenario() -> None:
        async with site() as it:
            await it.ask(
                b"GET /a%2Fb/../c?x=%20&y HTTP/1.1\r\nHost: A\r\nX-Two:  b  c \r\nx-two: d\r\n"
                b"Connection: close\r\n\r\n"
            )
        [request] = it.requests
        assert request.target == b"/a%2Fb/../c?x=%20&y"
        assert request.headers == (
            (b"host", b"A"),
            (b"x-two", b"b  c"),
            (b"x-two", b"d"),
            (b"connection", b"close"),
        )
        assert (request.secure, request.peer, request.body) == (False, "127.0.0.1", b"")

    run(scenario())


def test_pipelined_requests_are_answered_in_order() -> None:
    async def scenario() -> None:
        async with site() as it:
            it.gate.clear()
            sent = [
                b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n%02d" % (n, n)
                for n in range(PIPELINED_MAX)
            ]
            reader, writer = await it.open()
            writer.write(b"".join(sent) + HEAD + b"Connection: close\r\n\r\n")
            await until(lambda: len(it.requests) == 1)
            it.gate.set()
            received = await reader.read()
            writer.close()
        bodies = [part.rpartition(b"\r\n\r\n")[2] for part in received.split(b"HTTP/1.1 200 OK")]
        assert bodies[1:] == [b"/%d:%02d" % (n, n) for n in range(PIPELINED_MAX)] + [b"/:"]

    run(scenario())


def test_more_than_may_wait_are_cut_off_after_those_that_may() -> None:
    async def scenario() -> None:
        async with site() as it:
            it.gate.clear()
            reader, writer = await it.open()
            writer.write((HEAD + b"\r\n") * (PIPELINED_MAX + 5))
            await until(lambda: len(it.requests) == 1)
            it.gate.set()
            received = await reader.read()
            writer.close()
        assert received.count(b"HTTP/1.1 200 ") == PIPELINED_MAX + 1
        assert received.count(b"HTTP/1.1 503 ") == 1

    run(scenario())


def test_a_refusal_waits_for_the_answers_before_it() -> None:
    async def scenario() -> None:
        async with site() as it:
            it.gate.clear()
            reader, writer = await it.open()
            writer.write(HEAD + b"\r\n" + REFUSED["two Hosts"][0])
            await until(lambda: len(it.requests) == 1)
            it.gate.set()
            received = await reader.read()
            writer.close()
        assert received.index(b"HTTP/1.1 200 ") < received.index(b"HTTP/1.1 400 ")

    run(scenario())


def test_continue_is_said_when_the_body_is_wanted() -> None:
    async def scenario() -> None:
        async with site() as it:
            reader, writer = await it.open()
            writer.write(POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"abc")
            assert (await reader.readuntil(b"abc")).startswith(b"HTTP/1.1 200 OK")
            writer.close()

    run(scenario())


def test_an_answer_before_the_bodys_end_closes_without_continue() -> None:
    async def scenario() -> None:
        async with site() as it:
            early = b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n"
            received = await it.ask(early + b"Expect: 100-continue\r\n\r\n")
            assert received.startswith(b"HTTP/1.1 403 ")
            assert b"connection: close" in received
            # The body that comes all the same is heard out, so that the answer is not lost.
            received = await it.ask(early + b"\r\n", b"x" * 3_000_000)
            assert received.startswith(b"HTTP/1.1 403 ")

    run(scenario())


@pytest.mark.parametrize(
    ("sent", "ending"),
    [
        (b"GET /stream HTTP/1.1\r\nHost: a\r\n", b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"),
        (b"GET /stream HTTP/1.0\r\nHost: a\r\n", b"\r\n\r\nonetwo"),
        (b"HEAD /stream HTTP/1.1\r\nHost: a\r\n", b"\r\n\r\n"),
        (b"HEAD /abc HTTP/1.1\r\nHost: a\r\n", b"\r\n\r\n"),
        (b"GET /nothing HTTP/1.1\r\nHost: a\r\n", b"\r\n\r\n"),
    ],
)
def test_bodies_end_as_the_client_can_tell(sent: bytes, ending: bytes) -> None:
    async def scenario() -> None:
        async with site() as it:
            received = await it.ask(sent + b"Connection: close\r\n\r\n")
            assert received.endswith(ending)
            head, _, body = received.partition(b"\r\n\r\n")
            assert ending.removeprefix(b"\r\n\r\n") == body
            if sent.startswith(b"HEAD /abc"):
                assert b"content-length: 5\r\n" in received
            if b"/nothing" in sent:
                assert b"content-length" not in head

    run(scenario())


def test_an_offer_of_another_protocol_is_passed_over() -> None:
    async def scenario() -> None:
        async with site() as it:
            received = await it.ask(HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        assert received.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close" in received

    run(scenario())


def test_a_fault_of_ours_is_a_500_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario() -> None:
        async with site() as it:
            for path in (b"/broken", b"/broken-at-once", b"/split"):
                received = await it.ask(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path)
                assert received.startswith(b"HTTP/1.1 500 ")
                assert received.endswith(b"\r\n\r\n")

    run(scenario())
    said = capsys.readouterr().out
    assert "RequestFailed" in said and "not for the client" not in said


# ---------------------------------------------------------------- deadlines (S7), simulated time


def test_headers_that_do_not_end_are_given_up() -> None:
    async def scenario() -> None:
        clock = SimulatedClock()
        async with site(clock) as it:
            reader, writer = await it.open()
            writer.write(HEAD)
            await until(lambda: len(it.connections) == 1)
            await _pass(clock, 11)
            assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
            writer.close()

    run(scenario())


def test_a_body_that_only_drips_is_given_up() -> None:
    async def scenario() -> None:
        clock = SimulatedClock()
        async with site(clock) as it:
            reader, writer = await it.open()
            writer.write(POST + b"Content-Length: 1000000\r\n\r\n")
            await until(lambda: len(it.requests) == 1)
            writer.write(b"x" * 20_000)
            await asyncio.sleep(0.02)
            await _pass(clock, 10.3)  # fast enough so far
            writer.write(b"x")
            await asyncio.sleep(0.02)
            await _pass(clock, 10.3)
            assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
            writer.close()

    run(scenario())


def test_an_idle_connection_is_closed_without_a_word() -> None:
    async def scenario() -> None:
        clock = SimulatedClock()
        async with site(clock) as it:
            reader, writer = await it.open()
            writer.write(HEAD + b"\r\n")
            answer = await reader.readuntil(b"/:")
            assert b"connection: close" not in answer
            await _pass(clock, 61)
            assert await reader.read() == b""
            writer.close()

    run(scenario())


def test_a_client_that_does_not_read_is_cut_off() -> None:
    async def scenario() -> None:
        clock = SimulatedClock()
        async with site(clock) as it:
            reader, writer = await it.open()
            writer.write(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            await until(lambda: len(it.bodies) == 1)
            await asyncio.sleep(0.05)
            await _pass(clock, 61)
            await until(lambda: len(it.connections) == 0)
            del reader
            writer.close()

    run(scenario())


def test_a_slow_answer_is_not_the_clients_fault() -> None:
    async def scenario() -> None:
        clock = SimulatedClock()
        async with site(clock) as it:
            it.gate.clear()
            reader, writer = await it.open()
            writer.write(POST + b"Content-Length: 1\r\n\r\nx")
            await until(lambda: len(it.bodies) == 1)
            await _pass(clock, 1000)
            it.gate.set()
            assert (await reader.readuntil(b"/:x")).startswith(b"HTTP/1.1 200 ")
            writer.close()

    run(scenario())


def test_a_silent_connection_is_dropped() -> None:
    async def scenario() -> None:
        served = accept.serve(
            listener := listening(),
            lambda: pytest.fail("nothing was said"),
            clock=SystemClock(),
            seconds_max=0.05,
        )
        async with running(served):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            assert await reader.read() == b""
            writer.close()
        listener.close()

    run(scenario())


def test_who_is_told_to_come_later_is_not_read_before() -> None:
    async def scenario() -> None:
        clock = SimulatedClock()
        async with site(clock) as it:
            reader, writer = await it.open()
            other_reader, other = await it.open()
            writer.write(b"GET /later HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await reader.readuntil(b"later")).startswith(b"HTTP/1.1 503 ")
            writer.write(CANARY)
            other.write(CANARY)
            await other_reader.readuntil(b"/canary:")
            await _pass(clock, 0.5)
            assert [request.path for request in it.requests] == [b"/later", b"/canary"]
            await _pass(clock, 0.6)
            await reader.readuntil(b"/canary:")
            writer.close()
            other.close()

    run(scenario())


async def _pass(clock: SimulatedClock, seconds: float) -> None:
    """Let time pass, and the sweep look at what it did."""
    clock.advance(seconds)
    for _ in range(5):
        await asyncio.sleep(0.002)


def test_a_body_that_fails_gives_first_what_came() -> None:
    async def scenario() -> None:
        body = Body(lambda: None, None)
        body.feed(b"a")
        body.fail(BadRequest("gone"))
        assert await anext(body) == b"a"
        with pytest.raises(BadRequest):
            await anext(body)

    run(scenario())
