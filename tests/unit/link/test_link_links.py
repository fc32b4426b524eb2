"""Links against small servers on Unix sockets that speak, or break, the annex's own frames."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from asking import CALL_ID, ask, links_of
from modeltap.clock import SimulatedClock
from modeltap.errors import AnswerUnreadable, InstanceGone, InvocationTimedOut
from modeltap.link.bounds import ANSWER_BYTES_MAX
from modeltap.nouns import Instance, Invocation
from modeltap_worker import frames
from modeltap_worker.socketpath import short_path

Take = Callable[[frames.Frame, asyncio.StreamWriter], Awaitable[None]]

CALL = Invocation(
    CALL_ID, "e", b"body", content_type="text/csv", accept="*/*", custom_attributes="c"
)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await scenario

    uvloop.run(bounded())


@contextlib.asynccontextmanager
async def worker(path: Path, take: Take, reads: list[int] | None = None) -> AsyncIterator[Instance]:
    """Serve frames, one after the other; `reads` is told how many frames each read brought."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = frames.Decoder()
        with contextlib.closing(writer):
            while data := await reader.read(1 << 20):
                found = decoder.feed(data)
                if reads is not None:
                    reads.append(len(found))
                for frame in found:
                    await take(frame, writer)

    with short_path(path) as name:
        server = await asyncio.start_unix_server(serve, name)
    try:
        yield Instance("i-1", f"unix:{path}")
    finally:
        server.close()


def replying(reply: frames.Reply) -> Take:
    async def take(frame: frames.Frame, writer: asyncio.StreamWriter) -> None:
        if frame.kind == frames.OPEN:
            writer.writelines(frames.encode_reply(frame.id, reply))

    return take


def test_an_answer_of_many_parts_comes_whole(tmp_path: Path) -> None:
    body = bytes(range(256)) * 1000

    async def scenario() -> None:
        reply = frames.Reply(201, "a/b", "größe", body)
        async with worker(tmp_path / "s", replying(reply)) as instance:
            links = links_of(SimulatedClock(), 60)
            answer = await ask(links, instance, CALL)
            links.close()
        assert (answer.status, answer.content_type) == (201, "a/b")
        assert (answer.custom_attributes, answer.body) == ("größe", body)

    run(scenario())


def test_the_frames_of_a_turn_leave_in_one_write(tmp_path: Path) -> None:
    async def scenario() -> None:
        reads: list[int] = []
        reply = frames.Reply(200, None, None, b"")
        async with worker(tmp_path / "s", replying(reply), reads) as instance:
            links = links_of(SimulatedClock(), 60)
            await ask(links, instance, CALL)
            await asyncio.gather(*(ask(links, instance, CALL) for _ in range(50)))
            links.close()
        assert reads == [1, 50]

    run(scenario())


def test_answers_find_their_callers_in_any_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        calls: list[tuple[int, bytes]] = []

        async def take(frame: frames.Frame, writer: asyncio.StreamWriter) -> None:
            calls.append((frame.id, frames.decode_call(frame).body))
            if len(calls) == 5:
                for number, body in reversed(calls):
                    reply = frames.Reply(200, None, None, body)
                    writer.writelines(frames.encode_reply(number, reply))

        async with worker(tmp_path / "s", take) as instance:
            links = links_of(SimulatedClock(), 60)
            sent = [Invocation(CALL_ID, "e", b"%d" % n) for n in range(5)]
            answers = await asyncio.gather(*(ask(links, instance, each) for each in sent))
            links.close()
        assert [answer.body for answer in answers] == [each.body for each in sent]

    run(scenario())


def test_nobody_at_the_socket_means_nothing_was_sent(tmp_path: Path) -> None:
    async def scenario() -> None:
        links = links_of(SimulatedClock(), 60)
        with pytest.raises(InstanceGone) as caught:
            await ask(links, Instance("i-1", f"unix:{tmp_path}/nobody"), CALL)
        assert caught.value.sent is False

    run(scenario())


def test_a_worker_that_closes_fails_all_in_flight_and_is_reached_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        seen: list[int] = []

        async def take(frame: frames.Frame, writer: asyncio.StreamWriter) -> None:
            seen.append(frame.id)
            if len(seen) == 3:
                writer.transport.abort()
            elif len(seen) > 3:
                reply = frames.Reply(200, None, None, b"back")
                writer.writelines(frames.encode_reply(frame.id, reply))

        async with worker(tmp_path / "s", take) as instance:
            links = links_of(SimulatedClock(), 60)
            calls = [ask(links, instance, CALL) for _ in range(3)]
            errors = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(error, InstanceGone) and error.sent for error in errors)
            assert (await ask(links, instance, CALL)).body == b"back"
            links.close()

    run(scenario())


def test_a_call_past_its_limit_is_ended_and_withdrawn(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = SimulatedClock()
        seen: list[frames.Frame] = []

        async def take(frame: frames.Frame, writer: asyncio.StreamWriter) -> None:
            seen.append(frame)
            if frame.kind == frames.CANCEL:  # the late answer interests nobody
                writer.writelines(frames.encode_reply(frame.id, frames.Reply(200, None, None, b"")))
            elif frame.kind == frames.PING:
                writer.write(frames.encode_pong(frame.id))

        async with worker(tmp_path / "s", take) as instance:
            links = links_of(clock, 60)
            sweep = asyncio.ensure_future(links.sweep())
            call = asyncio.ensure_future(ask(links, instance, CALL))
            while not seen:
                await asyncio.sleep(0.001)
            clock.advance(59.9)
            await asyncio.sleep(0.001)
            assert not call.done()
            clock.advance(0.2)
            with pytest.raises(InvocationTimedOut):
                await call
            assert await links.ping(instance) is None
            assert [frame.kind for frame in seen] == [
                frames.OPEN,
                frames.CANCEL,
                frames.PING,
            ]
            sweep.cancel()
            links.close()

    run(scenario())


@pytest.mark.parametrize("field", ["a\r\nx-evil: 1", "a\nb", "a\x00b", "a\x7fb"])
def test_a_field_that_would_break_a_header_is_no_answer(tmp_path: Path, field: str) -> None:
    async def scenario() -> None:
        for reply in (
            frames.Reply(200, field, None, b""),
            frames.Reply(200, None, field, b"x" * 100_000),
        ):
            async with worker(tmp_path / "s", replying(reply)) as instance:
                links = links_of(SimulatedClock(), 60)
                with pytest.raises(AnswerUnreadable):
                    await ask(links, instance, CALL)
                links.close()
            (tmp_path / "s").unlink(missing_ok=True)

    run(scenario())


def test_an_answer_that_does_not_end_is_cut_off(tmp_path: Path) -> None:
    async def scenario() -> None:
        reply = frames.Reply(200, None, None, bytes(ANSWER_BYTES_MAX + 1))
        async with worker(tmp_path / "s", replying(reply)) as instance:
            links = links_of(SimulatedClock(), 60)
            with pytest.raises(AnswerUnreadable) as caught:
                await ask(links, instance, CALL)
            assert caught.value.status == 200
            links.close()

    run(scenario())


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\xff" * 10,
        b"\x00\x00\x00\x00\x00\x00\x00\x01\x63\x01",
        b"".join(frames.encode_call(1, frames.Call(None, None, None, b""))),
        b"\x00\x00\x00\x01\x00\x00\x00\x01\x05\x01x",
    ],
)
def test_a_worker_that_breaks_the_format_is_cut_off(tmp_path: Path, nonsense: bytes) -> None:
    async def scenario() -> None:
        async def take(frame: frames.Frame, writer: asyncio.StreamWriter) -> None:
            writer.write(nonsense)

        async with worker(tmp_path / "s", take) as instance:
            links = links_of(SimulatedClock(), 60)
            with pytest.raises(InstanceGone) as caught:
                await ask(links, instance, CALL)
            assert caught.value.sent is True

    run(scenario())


def test_a_ping_tells_what_keeps_the_model(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def take(frame: frames.Frame, writer: asyncio.StreamWriter) -> None:
            writer.write(frames.encode_pong(frame.id, "no module named x"))

        links = links_of(SimulatedClock(), 60)
        async with worker(tmp_path / "s", take) as instance:
            assert await links.ping(instance) == "no module named x"
            links.close()
        (tmp_path / "s").unlink(missing_ok=True)
        assert "is gone" in (await links.ping(instance) or "")

    run(scenario())


def test_a_caller_that_leaves_withdraws_its_call(tmp_path: Path) -> None:
    async def scenario() -> None:
        seen: list[int] = []

        async def take(frame: frames.Frame, writer: asyncio.StreamWriter) -> None:
            seen.append(frame.kind)

        async with worker(tmp_path / "s", take) as instance:
            links = links_of(SimulatedClock(), 60)
            call = asyncio.ensure_future(ask(links, instance, CALL))
            while not seen:
                await asyncio.sleep(0.001)
            call.cancel()
            while len(seen) < 2:
                await asyncio.sleep(0.001)
            links.close()
        assert seen == [frames.OPEN, frames.CANCEL]

    run(scenario())


def test_a_socket_in_a_deep_folder_is_reached(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["folder" * 5] * 5)
    deep.mkdir(parents=True)

    async def scenario() -> None:
        reply = frames.Reply(200, None, None, b"deep")
        async with worker(deep / "socket", replying(reply)) as instance:
            links = links_of(SimulatedClock(), 60)
            assert (await ask(links, instance, CALL)).body == b"deep"
            links.close()

    run(scenario())
