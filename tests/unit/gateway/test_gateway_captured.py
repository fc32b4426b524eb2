"""Which invocations come to capture, situation by situation (contract §1.9, decision 0006).

After each, a call that is answered comes alone: so that nothing came before is seen, not assumed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from gateway_world import Model, Worker, World, echo, run, table, until, world

from modeltap.nouns import CapturePlan, Instance
from modeltap_worker import frames

PLAN = CapturePlan(100, "s3://b/p", input=True, output=True)
GOOD = b"good"


async def model(call: frames.Call) -> frames.Reply:
    """Answer as the body asks for."""
    if call.body == b"never":
        await asyncio.Event().wait()
    if call.body.isdigit():
        return frames.Reply(int(call.body), "text/plain", None, b"no")
    if call.body == b"break":
        return frames.Reply(200, "text/csv\r\nx-evil: 1", None, b"0.5")
    return await echo(call)


async def refused(it: World, **params: Any) -> None:
    with pytest.raises(ClientError):
        await it.invoke(it.client(), **params)


async def left(it: World, worker: Worker) -> None:
    with pytest.raises(ReadTimeoutError):
        await it.invoke(it.client(read_timeout=0.2), Body=b"never")
    await until(lambda: bool(worker.cancelled))


async def cut_off(it: World) -> None:
    """Announce a body and leave in the middle of it."""
    head = b"POST /endpoints/churn/invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n"
    _, writer = await asyncio.open_connection("127.0.0.1", it.port)
    writer.write(head + b"1,2")
    await writer.drain()
    writer.close()
    await writer.wait_closed()


UNCAPTURED: dict[str, Callable[[World, Worker], Awaitable[None]]] = {
    "the model refuses the input": lambda it, _: refused(it, Body=b"400"),
    "the model fails": lambda it, _: refused(it, Body=b"500"),
    "the model is too slow": lambda it, _: refused(it, Body=b"never"),
    "the answer cannot be given": lambda it, _: refused(it, Body=b"break"),
    "no such endpoint": lambda it, _: refused(it, EndpointName="other"),
    "no such variant": lambda it, _: refused(it, TargetVariant="other"),
    "a member that is not served": lambda it, _: refused(it, SessionId="s"),
    "too large": lambda it, _: refused(it, Body=bytes(2000)),
    "the client leaves before the answer": left,
    "the client leaves within the request": lambda it, _: cut_off(it),
}


@pytest.mark.parametrize("situation", list(UNCAPTURED))
def test_what_got_no_answer_is_not_captured(tmp_path: Path, situation: str) -> None:
    async def scenario() -> None:
        settings: dict[str, Any] = {"invocation_seconds_max": 0.5, "body_bytes_max": 1000}
        async with Worker(tmp_path / "w", model) as worker, world(tmp_path, **settings) as it:
            await it.publish(table(1, Instance("i-1", f"unix:{worker.path}"), plan=PLAN))
            await UNCAPTURED[situation](it, worker)
            await it.invoke(it.client(), Body=GOOD)
            await until(lambda: bool(it.exchanges))
            assert [exchange.invocation.body for exchange in it.exchanges] == [GOOD]

    run(scenario())


@pytest.mark.parametrize("situation", list(UNCAPTURED))
def test_what_got_no_answer_is_in_flight_no_more(tmp_path: Path, situation: str) -> None:
    """Or a run would wait for it (`control/execution_steps.py`)."""

    async def scenario() -> None:
        settings: dict[str, Any] = {"invocation_seconds_max": 0.5, "body_bytes_max": 1000}
        async with Worker(tmp_path / "w", model) as worker, world(tmp_path, **settings) as it:
            await it.publish(table(1, Instance("i-1", f"unix:{worker.path}"), plan=PLAN))
            await UNCAPTURED[situation](it, worker)
            assert (await it.reload())["receipts"] == {}

    run(scenario())


def test_a_call_without_an_answer_is_told_with_its_receipt(tmp_path: Path) -> None:
    async def scenario() -> None:
        held = asyncio.Event()

        async def hold(call: frames.Call) -> frames.Reply:
            await held.wait()
            return await echo(call)

        async with Worker(tmp_path / "w", hold) as worker, world(tmp_path) as it:
            await it.publish(table(1, Instance("i-1", f"unix:{worker.path}"), plan=PLAN))
            asked = asyncio.ensure_future(it.invoke(it.client(), Body=GOOD))
            await until(lambda: bool(worker.calls))
            told = (await it.reload())["receipts"]
            held.set()
            await asked
            assert (await it.reload())["receipts"] == {}
            (exchange,) = it.exchanges
            assert told == {"churn": exchange.invocation.received_ns}

    run(scenario())


def test_a_call_of_a_stranger_is_not_captured(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Worker(tmp_path / "w", model) as worker, world(tmp_path) as it:
            await it.publish(table(1, Instance("i-1", f"unix:{worker.path}"), plan=PLAN))
            with pytest.raises(ClientError):
                await it.invoke(it.client(secret="another"))
            await it.invoke(it.client(), Body=GOOD)
            await until(lambda: bool(it.exchanges))
            assert [exchange.invocation.body for exchange in it.exchanges] == [GOOD]

    run(scenario())


def test_a_model_that_dies_with_the_call_gives_no_record(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            Worker(tmp_path / "w", model) as dying,
            Worker(tmp_path / "v", model) as other,
            world(tmp_path) as it,
        ):
            await it.publish(table(1, Instance("i-1", f"unix:{dying.path}"), plan=PLAN))
            asked = asyncio.ensure_future(refused(it, Body=b"never"))
            await until(lambda: bool(dying.calls))
            dying.die()
            await asked
            await it.publish(table(2, Instance("i-2", f"unix:{other.path}"), plan=PLAN))
            await it.invoke(it.client(), Body=GOOD)
            await until(lambda: bool(it.exchanges))
            assert [exchange.invocation.body for exchange in it.exchanges] == [GOOD]

    run(scenario())


def test_each_try_that_is_answered_is_a_record_of_its_own(tmp_path: Path) -> None:
    """A client that repeats a call gives the same inference id; the event ids are ours."""

    async def scenario() -> None:
        async with Worker(tmp_path / "w", model) as worker, world(tmp_path) as it:
            await it.publish(table(1, Instance("i-1", f"unix:{worker.path}"), plan=PLAN))
            for _ in range(2):
                await it.invoke(it.client(), Body=GOOD, InferenceId="same")
            await until(lambda: len(it.exchanges) == 2)
            asked = [exchange.invocation for exchange in it.exchanges]
            assert {each.inference_id for each in asked} == {"same"}
            assert len({each.id for each in asked}) == 2

    run(scenario())


def test_a_call_is_captured_by_the_plan_that_it_met(tmp_path: Path) -> None:
    """The endpoint is updated while the model thinks."""
    other = CapturePlan(100, "s3://b/other", input=True, output=True)

    async def scenario() -> None:
        going = asyncio.Event()

        async def wait(call: frames.Call) -> frames.Reply:
            await going.wait()
            return await echo(call)

        waiting: Model = wait
        async with Worker(tmp_path / "w", waiting) as worker, world(tmp_path) as it:
            await it.publish(table(1, Instance("i-1", f"unix:{worker.path}"), plan=PLAN))
            asked = asyncio.ensure_future(it.invoke(it.client()))
            await until(lambda: bool(worker.calls))
            await it.publish(table(2, Instance("i-1", f"unix:{worker.path}"), plan=other))
            going.set()
            await asked
            await it.invoke(it.client())
            await until(lambda: len(it.exchanges) == 2)
            assert [exchange.plan for exchange in it.exchanges] == [PLAN, other]

    run(scenario())
