"""A worker's server on a real socket, with a small algorithm in place of a model."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hosting_workshop import Caller, calling, run

from modeltap.nouns import Instance
from modeltap_worker import frames
from modeltap_worker.frames import Call, Reply
from modeltap_worker.server import BATCH_BYTES_MAX, NotLoaded, Server


class Echo:
    """Answers with what it got; fails on `fault`."""

    body_bytes_max = 1_000_000

    def __init__(self, *, batches: bool = False) -> None:
        self.batches = batches
        self.asked: list[int] = []

    def answer(self, calls: Sequence[Call]) -> list[Reply]:
        self.asked.append(len(calls))
        if any(call.body == b"fault" for call in calls):
            raise ZeroDivisionError
        return [Reply(200, call.content_type, call.custom_attributes, call.body) for call in calls]

    def too_large(self) -> Reply:
        return Reply(413, None, None, b"")


Scenario = Callable[[Caller, list[str]], Awaitable[None]]


@asynccontextmanager
async def served(folder: Path, server: Server) -> AsyncIterator[Instance]:
    """Serve in a thread, as a worker does in its process, until the block ends."""
    path = folder / "socket"
    told, tell = os.pipe()
    serving = asyncio.ensure_future(asyncio.to_thread(server.serve, path, told))
    while not path.exists():
        await asyncio.sleep(0)
    try:
        yield Instance("echo", f"unix:{path}")
    finally:
        os.close(tell)  # its end can be read, too
        await serving
        os.close(told)
        assert not path.exists()


def against_echo(folder: Path, scenario: Scenario) -> None:
    async def whole() -> None:
        log: list[str] = []
        async with (
            served(folder, Server(Echo(), log.append)) as instance,
            calling(instance) as caller,
        ):
            await scenario(caller, log)

    run(whole())


def call(body: bytes) -> Call:
    return Call("text/plain", None, "a=b", body)


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 1_000_000])
def test_a_call_comes_back_whole(tmp_path: Path, size: int) -> None:
    async def scenario(caller: Caller, log: list[str]) -> None:
        body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        assert await caller.call(call(body)) == Reply(200, "text/plain", "a=b", body)

    against_echo(tmp_path, scenario)


def test_a_body_over_the_bound_is_refused(tmp_path: Path) -> None:
    async def scenario(caller: Caller, log: list[str]) -> None:
        assert (await caller.call(call(b"x" * 1_000_001))).status == 413

    against_echo(tmp_path, scenario)


def test_a_fault_of_the_algorithm_ends_one_call_only(tmp_path: Path) -> None:
    async def scenario(caller: Caller, log: list[str]) -> None:
        assert (await caller.call(call(b"fault"))).status == 500
        assert (await caller.call(call(b"fine"))).status == 200
        assert log == ["invocation failed: ZeroDivisionError", "invocation answered 500"]

    against_echo(tmp_path, scenario)


def test_what_comes_after_a_cancel_is_passed_over(tmp_path: Path) -> None:
    async def scenario(caller: Caller, log: list[str]) -> None:
        first, last = frames.encode_call(1, call(b"x" * 70_000))
        caller.send(first + frames.encode_cancel(1) + last)
        assert await caller.call(call(b"next")) == Reply(200, "text/plain", "a=b", b"next")

    against_echo(tmp_path, scenario)


def test_pings_and_cancels_are_heard_between_two_calls(tmp_path: Path) -> None:
    async def scenario(caller: Caller, log: list[str]) -> None:
        calls = [b"".join(frames.encode_call(number, call(b"x"))) for number in (1, 2, 3)]
        caller.send(b"".join(calls) + frames.encode_ping(4) + frames.encode_cancel(2))
        assert (await caller.frame()).id == 4
        assert [(await caller.reply())[0] for _ in range(2)] == [1, 3]

    against_echo(tmp_path, scenario)


def against_batches(folder: Path, scenario: Callable[[Caller, Echo], Awaitable[None]]) -> None:
    async def whole() -> None:
        echo = Echo(batches=True)
        server = Server(echo, lambda line: None, batch_rows_max=10)
        async with served(folder, server) as instance, calling(instance) as caller:
            await scenario(caller, echo)

    run(whole())


def opened(*bodies: bytes) -> bytes:
    frames_of = (frames.encode_call(number, call(body)) for number, body in enumerate(bodies))
    return b"".join(frame for each in frames_of for frame in each)


@pytest.mark.parametrize(
    ("bodies", "batches"),
    [
        ([b"x"], [1]),
        ([b"x"] * 10, [10]),
        ([b"x"] * 25, [10, 10, 5]),
        ([b"x\ny\nz\n"] * 5, [2, 2, 1]),
        ([b"x", b"y\n" * 50, b"z"], [1, 1, 1]),
    ],
)
def test_what_one_read_brought_is_answered_together_within_bounds(
    tmp_path: Path, bodies: list[bytes], batches: list[int]
) -> None:
    async def scenario(caller: Caller, echo: Echo) -> None:
        caller.send(opened(*bodies))
        replies = [await caller.reply() for _ in bodies]
        assert [(number, reply.body) for number, reply in replies] == list(enumerate(bodies))
        assert echo.asked == batches

    against_batches(tmp_path, scenario)


def test_a_batch_is_bounded_in_bytes(tmp_path: Path) -> None:
    async def scenario(caller: Caller, echo: Echo) -> None:
        body = b"x" * (BATCH_BYTES_MAX // 2 - 10_000)
        *begun, last = [list(frames.encode_call(number, call(body))) for number in range(3)]
        caller.send(b"".join(frame for each in (*begun, last) for frame in each[:-1]))
        caller.send(b"".join(each[-1] for each in (*begun, last)))
        assert [(await caller.reply())[0] for _ in range(3)] == [0, 1, 2]
        assert max(echo.asked) <= 2

    against_batches(tmp_path, scenario)


def test_a_fault_in_a_batch_is_one_calls_alone(tmp_path: Path) -> None:
    async def scenario(caller: Caller, echo: Echo) -> None:
        caller.send(opened(b"a", b"fault", b"b"))
        replies = [await caller.reply() for _ in range(3)]
        assert [(number, reply.status) for number, reply in replies] == [
            (0, 200),
            (1, 500),
            (2, 200),
        ]
        assert echo.asked == [3, 1, 1, 1]

    against_batches(tmp_path, scenario)


def test_a_cancel_is_honoured_between_two_batches(tmp_path: Path) -> None:
    async def scenario(caller: Caller, echo: Echo) -> None:
        caller.send(opened(*[b"x"] * 15) + frames.encode_cancel(3) + frames.encode_cancel(12))
        assert [(await caller.reply())[0] for _ in range(13)] == [
            number for number in range(15) if number not in (3, 12)
        ]
        assert echo.asked == [10, 3]

    against_batches(tmp_path, scenario)


FIRST, LAST = frames.encode_call(7, call(b"x" * 70_000))


@pytest.mark.parametrize(
    "data",
    [
        FIRST + FIRST,
        b"".join(frames.encode_reply(1, Reply(200, None, None, b""))),
        frames.encode_pong(1),
        b"\xff" * 10,
    ],
)
def test_a_peer_that_breaks_the_format_is_hung_up_on(tmp_path: Path, data: bytes) -> None:
    async def scenario(caller: Caller, log: list[str]) -> None:
        caller.send(data)
        with pytest.raises(ConnectionResetError):
            await caller.frame()
        assert log[0].startswith("connection closed: ")

    against_echo(tmp_path, scenario)


def test_a_peer_that_does_not_read_is_not_lost(tmp_path: Path) -> None:
    async def scenario(caller: Caller, log: list[str]) -> None:
        for number in range(20):
            caller.send(b"".join(frames.encode_call(number, call(b"x" * 500_000))))
        replies = [await caller.reply() for _ in range(20)]
        assert [number for number, _ in replies] == list(range(20))
        assert {len(reply.body) for _, reply in replies} == {500_000}

    against_echo(tmp_path, scenario)


def test_a_model_that_did_not_load_says_so_to_ping_and_call(tmp_path: Path) -> None:
    async def whole() -> None:
        log: list[str] = []
        server = Server(NotLoaded("no file"), log.append, load_error="no file")
        async with served(tmp_path, server) as instance, calling(instance) as caller:
            caller.send(frames.encode_ping(3))
            assert frames.decode_pong(await caller.frame()) == "no file"
            reply = await caller.call(call(b"1,2"))
            assert (reply.status, reply.body) == (500, b"Unable to load model: no file")

    run(whole())
