"""What `Links.send` promises, whichever way it takes: frames to a worker, HTTP to a container.

Each promise is kept against a real process (`link_guest.py`), over frames, TCP and a Unix socket.
"""

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvloop

from asking import CALL_ID, ask, links_of
from modeltap.clock import SimulatedClock, SystemClock
from modeltap.errors import AnswerUnreadable, InstanceGone, InvocationTimedOut
from modeltap.link.bounds import ANSWER_BYTES_MAX
from modeltap.link.links import Links
from modeltap.nouns import Answer, Instance, Invocation

GUEST = Path(__file__).with_name("link_guest.py")
SCHEMES = {"frames": "unix:", "http": "http://127.0.0.1:", "unix+http": "unix+http:"}


@dataclass
class Guest:
    """A place where an instance may run."""

    way: str
    where: str

    @property
    def instance(self) -> Instance:
        return Instance("i-1", f"{SCHEMES[self.way]}{self.where}")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Instance]:
        if self.way != "http":
            Path(self.where).unlink(missing_ok=True)
        process = subprocess.Popen([sys.executable, str(GUEST), self.way, self.where])
        try:
            links = links_of(SystemClock(), 60)
            while await links.ping(self.instance) is not None:
                assert process.poll() is None
                await asyncio.sleep(0.02)
            links.close()
            yield self.instance
        finally:
            process.kill()
            process.wait()


@pytest.fixture(params=SCHEMES)
def guest(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Guest]:
    if request.param != "http":
        yield Guest(request.param, str(tmp_path / "socket"))
        return
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    yield Guest("http", str(port))


def told(body: bytes, **fields: str) -> Invocation:
    return Invocation(CALL_ID, "e", body, **fields)  # type: ignore[arg-type]


Scenario = Callable[[Links, Instance], Awaitable[None]]


def against(guest: Guest, scenario: Scenario) -> None:
    async def whole() -> None:
        async with asyncio.timeout(30), guest.running() as instance:
            links = links_of(SystemClock(), 60)
            await scenario(links, instance)
            links.close()

    uvloop.run(whole())


def test_all_that_a_call_says_arrives_and_comes_back(guest: Guest) -> None:
    async def scenario(links: Links, instance: Instance) -> None:
        call = told(b"echo 1,2", content_type="text/csv; a=b", custom_attributes="c=d, e")
        assert await ask(links, instance, call) == Answer(
            200, "text/csv; a=b", b"echo 1,2", "c=d, e"
        )
        accepting = told(b"accept", accept="application/json;q=1, */*")
        assert (await ask(links, instance, accepting)).body == b"application/json;q=1, */*"

    against(guest, scenario)


def test_what_a_call_does_not_say_is_absent(guest: Guest) -> None:
    async def scenario(links: Links, instance: Instance) -> None:
        assert await ask(links, instance, told(b"echo")) == Answer(200, None, b"echo")
        assert (await ask(links, instance, told(b"accept"))).body == b"absent"
        assert await ask(links, instance, told(b"")) == Answer(200, None, b"")

    against(guest, scenario)


def test_only_the_contracts_headers_are_sent(guest: Guest) -> None:
    async def scenario(links: Links, instance: Instance) -> None:
        call = told(
            b"headers",
            content_type="a/b",
            accept="c/d",
            custom_attributes="e",
            target_variant="v",
            inference_id="i",
        )
        names = (await ask(links, instance, call)).body.decode()
        http = "accept content-length content-type host x-amzn-sagemaker-custom-attributes"
        assert names == ("none" if guest.way == "frames" else http)

    against(guest, scenario)


@pytest.mark.parametrize("status", [201, 400, 415, 500, 503])
def test_every_status_is_an_answer(guest: Guest, status: int) -> None:
    async def scenario(links: Links, instance: Instance) -> None:
        answer = await ask(links, instance, told(b"status %d" % status))
        assert (answer.status, answer.body) == (status, b"so told")

    against(guest, scenario)


def test_large_bodies_go_both_ways(guest: Guest) -> None:
    async def scenario(links: Links, instance: Instance) -> None:
        body = b"echo " + bytes(range(256)) * 12_000
        assert (await ask(links, instance, told(body))).body == body
        assert (await ask(links, instance, told(b"echo after"))).body == b"echo after"

    against(guest, scenario)


def test_answers_find_their_callers(guest: Guest) -> None:
    async def scenario(links: Links, instance: Instance) -> None:
        for _ in range(3):
            bodies = [b"echo %d" % number for number in range(60)]
            calls = [ask(links, instance, told(body)) for body in bodies]
            assert [answer.body for answer in await asyncio.gather(*calls)] == bodies

    against(guest, scenario)


def test_nobody_there_means_nothing_was_sent(guest: Guest) -> None:
    async def whole() -> None:
        links = links_of(SystemClock(), 60)
        with pytest.raises(InstanceGone) as caught:
            await ask(links, guest.instance, told(b"echo"))
        assert caught.value.sent is False
        assert "is gone" in (await links.ping(guest.instance) or "")

    uvloop.run(whole())


def test_who_dies_takes_its_calls_along_and_a_successor_is_reached(guest: Guest) -> None:
    async def whole() -> None:
        async with asyncio.timeout(30):
            links = links_of(SystemClock(), 60)
            async with guest.running() as instance:
                await ask(links, instance, told(b"echo"))
                with pytest.raises(InstanceGone) as caught:
                    await ask(links, instance, told(b"die"))
                assert caught.value.sent is True
            async with guest.running() as instance:
                assert (await ask(links, instance, told(b"echo back"))).body == b"echo back"
                links.close()

    uvloop.run(whole())


def test_a_call_past_its_limit_is_ended(guest: Guest) -> None:
    async def whole() -> None:
        async with asyncio.timeout(30), guest.running() as instance:
            clock = SimulatedClock()
            links = links_of(clock, 60)
            sweep = asyncio.ensure_future(links.sweep())
            await ask(links, instance, told(b"echo"))
            call = asyncio.ensure_future(ask(links, instance, told(b"hang")))
            await asyncio.sleep(0.01)
            clock.advance(59.9)
            await asyncio.sleep(0.01)
            assert not call.done()
            clock.advance(0.2)
            with pytest.raises(InvocationTimedOut):
                await call
            sweep.cancel()
            links.close()

    uvloop.run(whole())


def test_an_answer_that_is_too_long_is_cut_off(guest: Guest) -> None:
    async def scenario(links: Links, instance: Instance) -> None:
        with pytest.raises(AnswerUnreadable) as caught:
            await ask(links, instance, told(b"large %d" % (ANSWER_BYTES_MAX + 1)))
        assert caught.value.status == 200
        largest = await ask(links, instance, told(b"large %d" % ANSWER_BYTES_MAX))
        assert len(largest.body) == ANSWER_BYTES_MAX

    against(guest, scenario)


def test_a_caller_that_leaves_leaves_no_answer_behind(guest: Guest) -> None:
    async def scenario(links: Links, instance: Instance) -> None:
        for number in range(20):
            call = asyncio.ensure_future(ask(links, instance, told(b"large 100000")))
            await asyncio.sleep(0.001 * (number % 3))
            call.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await call
            body = b"echo %d" % number
            assert (await ask(links, instance, told(body))).body == body

    against(guest, scenario)
