"""InvokeEndpoint by the real client, through a real gateway, to a worker that speaks frames."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from gateway_world import Worker, World, echo, run, table, until, world

from modeltap.nouns import CapturePlan, Durability, Instance
from modeltap.router.gate import OUTSTANDING_MAX
from modeltap.telemetry import meters
from modeltap_worker import frames


def instance(worker: Worker, name: str = "i-1") -> Instance:
    return Instance(name, f"unix:{worker.path}")


async def refusal(it: World, client: Any, **params: Any) -> dict[str, Any]:
    """Give the parsed error of a call that must fail."""
    with pytest.raises(ClientError) as caught:
        await it.invoke(client, **params)
    return dict(caught.value.response)


def test_an_invocation_reaches_the_model_and_its_answer_the_client(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Worker(tmp_path / "w") as worker, world(tmp_path) as it:
            await it.publish(table(1, instance(worker)))
            answer = await it.invoke(it.client(), ContentType="text/csv; a=b", Accept="x/y")
        assert answer["Body"] == b"1,2"
        assert answer["ContentType"] == "text/csv; a=b"
        assert answer["InvokedProductionVariant"] == "AllTraffic"
        assert "CustomAttributes" not in answer
        assert len(answer["ResponseMetadata"]["RequestId"]) == 36
        assert "date" in answer["ResponseMetadata"]["HTTPHeaders"]
        assert worker.calls == [frames.Call("text/csv; a=b", "x/y", None, b"1,2")]

    run(scenario())


def test_what_the_client_leaves_out_stays_out(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Worker(tmp_path / "w") as worker, world(tmp_path) as it:
            await it.publish(table(1, instance(worker)))
            answer = await it.invoke(it.client(), Body=b"")
        assert answer["Body"] == b""
        assert "ContentType" not in answer
        assert worker.calls == [frames.Call(None, None, None, b"")]

    run(scenario())


def test_custom_attributes_come_from_the_container(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Worker(tmp_path / "w") as worker, world(tmp_path) as it:
            await it.publish(table(1, instance(worker)))
            answer = await it.invoke(it.client(), CustomAttributes="trace=1")
        assert answer["CustomAttributes"] == "trace=1"

    run(scenario())


def test_capture_gets_the_exchange_after_the_answer(tmp_path: Path) -> None:
    plan = CapturePlan(100, "s3://b/p", input=True, output=True)

    async def scenario() -> None:
        async with Worker(tmp_path / "w") as worker, world(tmp_path) as it:
            await it.publish(table(1, instance(worker), plan=plan))
            await it.invoke(it.client(), ContentType="text/csv", InferenceId="abc")
            await until(lambda: bool(it.exchanges))
        [exchange] = it.exchanges
        assert exchange.plan == plan
        assert exchange.variant == "AllTraffic"
        assert exchange.invocation.inference_id == "abc"
        assert exchange.invocation.body == exchange.answer.body == b"1,2"
        assert exchange.invocation.received_ns > 1_700_000_000 * 10**9

    run(scenario())


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("mode", [Durability.DURABLE, Durability.STRICT])
def test_an_answer_waits_for_its_record(tmp_path: Path, mode: Durability, durable: bool) -> None:
    plan = CapturePlan(100, "s3://b/p", input=True, output=True, durability=mode)

    async def scenario() -> None:
        async with Worker(tmp_path / "w") as worker, world(tmp_path) as it:
            await it.publish(table(1, instance(worker), plan=plan))
            asked = asyncio.ensure_future(it.invoke(it.client()))
            await until(lambda: bool(it.waiting))
            assert [exchange.answer.body for exchange in it.exchanges] == [b"1,2"]
            assert not asked.done()
            it.waiting[0](durable)
            if durable or mode is Durability.DURABLE:
                assert (await asked)["Body"] == b"1,2"
                return
            with pytest.raises(ClientError, match="could not be made durable") as caught:
                await asked
            answer = caught.value.response["ResponseMetadata"]
            assert (answer["HTTPStatusCode"], answer["HTTPHeaders"]["retry-after"]) == (503, "1")
            assert meters.read(it.pages)["churn", "AllTraffic"].failed == (0, 1, 0)

    run(scenario())


def test_a_body_of_many_frames_comes_back_whole(tmp_path: Path) -> None:
    body = bytes(range(256)) * 4096 * 6

    async def scenario() -> None:
        async with Worker(tmp_path / "w") as worker, world(tmp_path) as it:
            await it.publish(table(1, instance(worker)))
            answer = await it.invoke(it.client(), Body=body)
        assert answer["Body"] == body

    run(scenario())


def test_many_calls_at_once_get_their_own_answers(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Worker(tmp_path / "w") as worker, world(tmp_path) as it:
            await it.publish(table(1, instance(worker)))
            client = it.client()
            bodies = [b"%d" % number for number in range(40)]
            answers = await asyncio.gather(*(it.invoke(client, Body=body) for body in bodies))
        assert [answer["Body"] for answer in answers] == bodies

    run(scenario())


@pytest.mark.parametrize(
    ("status", "side"), [(400, "client"), (415, "client"), (500, "server"), (503, "server")]
)
def test_an_error_of_the_container_is_a_model_error(tmp_path: Path, status: int, side: str) -> None:
    async def refuse(call: frames.Call) -> frames.Reply:
        return frames.Reply(status, "text/plain", None, "größe".encode())

    async def scenario() -> None:
        async with Worker(tmp_path / "w", refuse) as worker, world(tmp_path) as it:
            await it.publish(table(1, instance(worker)))
            error = await refusal(it, it.client())
            assert it.exchanges == []
        assert error["ResponseMetadata"]["HTTPStatusCode"] == 424
        assert error["Error"]["Code"] == "ModelError"
        assert error["Error"]["Message"] == (
            f'Received {side} error ({status}) from primary with message "größe". '
            "See https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1"
            "#logEventViewer:group=/aws/sagemaker/Endpoints/churn in account 000000000000 "
            "for more information."
        )
        assert error["OriginalStatusCode"] == status
        assert error["OriginalMessage"] == "größe"
        assert error["LogStreamArn"].endswith(":log-group:/aws/sagemaker/Endpoints/churn")

    run(scenario())


def test_an_error_without_text_says_so(tmp_path: Path) -> None:
    async def refuse(call: frames.Call) -> frames.Reply:
        return frames.Reply(500, None, None, b"\xff\xfe")

    async def scenario() -> None:
        async with Worker(tmp_path / "w", refuse) as worker, world(tmp_path) as it:
            await it.publish(table(1, instance(worker)))
            error = await refusal(it, it.client())
        assert "from primary and could not load the entire response body. See" in str(error)

    run(scenario())


def test_a_model_that_does_not_answer_in_time(tmp_path: Path) -> None:
    async def sleep(call: frames.Call) -> frames.Reply:
        await asyncio.Event().wait()
        raise AssertionError

    async def scenario() -> None:
        settings: dict[str, Any] = {"invocation_seconds_max": 0.1}
        async with Worker(tmp_path / "w", sleep) as worker, world(tmp_path, **settings) as it:
            await it.publish(table(1, instance(worker)))
            error = await refusal(it, it.client())
            await until(lambda: bool(worker.cancelled))
            assert it.router.outstanding == {}
        assert error["OriginalStatusCode"] == 0
        assert error["Error"]["Message"].startswith(
            'Received server error (0) from primary with message "Your invocation timed out while '
            "waiting for a response from container primary."
        )

    run(scenario())


def test_a_worker_that_dies_fails_its_calls_once_and_is_replaced(tmp_path: Path) -> None:
    async def scenario() -> None:
        held = asyncio.Event()

        async def hold(call: frames.Call) -> frames.Reply:
            await held.wait()
            return await echo(call)

        async with (
            Worker(tmp_path / "w", hold) as worker,
            Worker(tmp_path / "v") as other,
            world(tmp_path) as it,
        ):
            await it.publish(table(1, instance(worker)))
            call = asyncio.ensure_future(refusal(it, it.client()))
            await until(lambda: bool(worker.calls))
            worker.die()
            error = await call
            assert error["Error"]["Code"] == "ModelError"
            assert error["OriginalStatusCode"] == 0
            assert "the model process exited" in error["Error"]["Message"]

            error = await refusal(it, it.client())
            assert error["Error"]["Code"] == "ServiceUnavailable"
            assert error["ResponseMetadata"]["HTTPStatusCode"] == 503

            await it.publish(table(2, instance(other, "i-2")))
            assert (await it.invoke(it.client()))["Body"] == b"1,2"

    run(scenario())


def test_a_call_that_never_left_goes_to_another_instance(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Worker(tmp_path / "w") as worker, world(tmp_path) as it:
            gone = [Instance(f"i-{n}", f"unix:{tmp_path}/nobody-{n}") for n in range(1)]
            await it.publish(table(1, *gone, instance(worker, "i-9")))
            for _ in range(12):
                assert (await it.invoke(it.client()))["Body"] == b"1,2"
            assert it.router.gate.gone in ((), tuple(gone))

    run(scenario())


def test_an_instance_that_answers_a_ping_is_chosen_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            path = tmp_path / "w"
            await it.publish(table(1, Instance("i-1", f"unix:{path}")))
            assert (await refusal(it, it.client()))["Error"]["Code"] == "ServiceUnavailable"
            async with Worker(path):
                await until(lambda: not it.router.gate.gone)
                assert (await it.invoke(it.client()))["Body"] == b"1,2"

    run(scenario())


def test_beyond_the_bound_the_service_is_busy_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        held = asyncio.Event()

        async def hold(call: frames.Call) -> frames.Reply:
            await held.wait()
            return await echo(call)

        async with Worker(tmp_path / "w", hold) as worker, world(tmp_path) as it:
            one = instance(worker)
            await it.publish(table(1, one))
            for _ in range(OUTSTANDING_MAX):
                it.router.gate.take(one)
            error = await refusal(it, it.client())
            assert error["ResponseMetadata"]["HTTPStatusCode"] == 503
            assert error["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
            assert worker.calls == []
            held.set()
            it.router.gate.give_back(one)
            assert (await it.invoke(it.client()))["Body"] == b"1,2"

    run(scenario())


def test_what_is_answered_and_what_fails_is_measured(tmp_path: Path) -> None:
    async def odd(call: frames.Call) -> frames.Reply:
        return await echo(call) if call.body == b"1,2" else frames.Reply(500, None, None, b"")

    async def scenario() -> None:
        async with Worker(tmp_path / "w", odd) as worker, world(tmp_path) as it:
            await it.publish(table(1, instance(worker)))
            for _ in range(3):
                await it.invoke(it.client())
            await refusal(it, it.client(), Body=b"2")
            await refusal(it, it.client(), EndpointName="nobody")
            await refusal(it, it.client(secret="wrong"))
            await it.publish(table(2, Instance("i-9", f"unix:{tmp_path}/nobody")))
            await refusal(it, it.client())
            measured = meters.read(it.pages)
        churn = measured["churn", "AllTraffic"]
        assert (sum(churn.model.counts), sum(churn.overhead.counts)) == (3, 3)
        assert churn.model.sum > 0 < churn.overhead.sum
        assert churn.failed == (0, 1, 1)  # nobody there; the model's own
        assert measured["", ""].failed == (2, 0, 0)

    run(scenario())


def test_errors_of_the_caller_have_aws_words(tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], str, str]] = [
        (
            {"EndpointName": "nobody"},
            "ValidationError",
            "Endpoint nobody of account 000000000000 not found.",
        ),
        (
            {"TargetModel": "m.tar.gz"},
            "ValidationError",
            "Endpoint churn is not a multi-model endpoint "
            "and does not support target model header.",
        ),
        (
            {"TargetVariant": "nobody"},
            "ValidationError",
            "Variant nobody not found for endpoint churn of account 000000000000.",
        ),
        (
            {"TargetContainerHostname": "c"},
            "ValidationError",
            "modeltap does not serve TargetContainerHostname yet.",
        ),
    ]

    async def scenario() -> None:
        async with Worker(tmp_path / "w") as worker, world(tmp_path) as it:
            await it.publish(table(1, instance(worker)))
            for params, code, message in cases:
                error = await refusal(it, it.client(), **params)
                assert (error["Error"]["Code"], error["Error"]["Message"]) == (code, message)
                assert error["ResponseMetadata"]["HTTPStatusCode"] == 400
            assert worker.calls == []

    run(scenario())


def test_only_the_holder_of_a_key_is_heard(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Worker(tmp_path / "w") as worker, world(tmp_path) as it:
            await it.publish(table(1, instance(worker)))
            wrong = await refusal(it, it.client(secret="wrong"))
            assert wrong["Error"]["Code"] == "InvalidSignatureException"
            unknown = await refusal(it, it.client(key_id="AKIAUNKNOWN"))
            assert unknown["Error"]["Code"] == "UnrecognizedClientException"
            unsigned = await it.raw(
                b"POST /endpoints/churn/invocations HTTP/1.1\r\nHost: a\r\n"
                b"connection: close\r\ncontent-length: 1\r\n\r\n1"
            )
            assert b" 403 " in unsigned and b"MissingAuthenticationToken" in unsigned
            assert worker.calls == []

    run(scenario())


def test_other_runtime_operations_are_named_as_not_served(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            with pytest.raises(ClientError) as caught:
                await asyncio.to_thread(
                    it.client().invoke_endpoint_async,
                    EndpointName="churn",
                    InputLocation="s3://b/k",
                )
        assert caught.value.response["Error"] == {
            "Code": "UnknownOperationException",
            "Message": "modeltap does not serve InvokeEndpointAsync; of this API, "
            "InvokeEndpoint only.",
        }

    run(scenario())


def test_a_body_over_the_limit_is_refused_unread(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Worker(tmp_path / "w") as worker, world(tmp_path, body_bytes_max=1000) as it:
            await it.publish(table(1, instance(worker)))
            assert (await it.invoke(it.client(), Body=b"a" * 1000))["Body"] == b"a" * 1000
            error = await refusal(it, it.client(), Body=b"a" * 1001)
            assert error["ResponseMetadata"]["HTTPStatusCode"] == 413
            assert error["Error"]["Code"] == "PayloadTooLargeException"
            huge = await it.raw(
                b"POST /endpoints/churn/invocations HTTP/1.1\r\nHost: a\r\n"
                b"content-length: 1000000000000\r\nexpect: 100-continue\r\n\r\n"
            )
            assert huge.startswith(b"HTTP/1.1 413 ") and b"connection: close" in huge
            chunked = await it.raw(
                b"POST /endpoints/churn/invocations HTTP/1.1\r\nHost: a\r\n"
                b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n"
                + (b"100\r\n" + b"a" * 256 + b"\r\n")
                * 4,
                then=b"0\r\n\r\n",
            )
            assert chunked.startswith(b"HTTP/1.1 413 ")

    run(scenario())


def test_the_status_socket_tells_generation_and_what_is_in_flight(tmp_path: Path) -> None:
    async def scenario() -> None:
        held = asyncio.Event()

        async def hold(call: frames.Call) -> frames.Reply:
            await held.wait()
            return await echo(call)

        async with Worker(tmp_path / "w", hold) as worker, world(tmp_path) as it:
            assert await it.reload() == {"generation": 0, "outstanding": {}, "receipts": {}}
            assert (await it.publish(table(5, instance(worker))))["generation"] == 5
            calls = [asyncio.ensure_future(it.invoke(it.client())) for _ in range(3)]
            await until(lambda: len(worker.calls) == 3)
            # The instance has left the table, and its calls are still counted.
            held_up = {"generation": 6, "outstanding": {"i-1": 3}, "receipts": {}}
            assert await it.publish(table(6)) == held_up
            assert await it.publish(table(4, instance(worker))) == held_up
            held.set()
            await asyncio.gather(*calls)
            assert await it.reload() == {"generation": 6, "outstanding": {}, "receipts": {}}
            it.paths.table.write_bytes(b'{"version": 99}')
            assert (await it.reload())["generation"] == 6
            assert (it.paths.status.stat().st_mode & 0o777) == 0o600

    run(scenario())


def test_a_gateway_that_starts_alone_serves_from_the_last_file(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Worker(tmp_path / "w") as worker:
            async with world(tmp_path) as it:
                await it.publish(table(3, instance(worker)))
            async with world(tmp_path) as it:
                assert (await it.invoke(it.client()))["Body"] == b"1,2"

    run(scenario())


def test_a_drain_answers_what_is_in_hand(tmp_path: Path) -> None:
    async def scenario() -> None:
        held = asyncio.Event()

        async def hold(call: frames.Call) -> frames.Reply:
            await held.wait()
            return await echo(call)

        async with Worker(tmp_path / "w", hold) as worker, world(tmp_path) as it:
            await it.publish(table(1, instance(worker)))
            call = asyncio.ensure_future(it.invoke(it.client()))
            await until(lambda: bool(worker.calls))
            drain = asyncio.ensure_future(it.gateway.drain())
            await asyncio.sleep(0)
            assert not drain.done()
            held.set()
            answer = await call
            assert answer["Body"] == b"1,2"
            assert answer["ResponseMetadata"]["HTTPHeaders"]["connection"] == "close"
            await drain

    run(scenario())


def test_a_client_that_leaves_withdraws_its_call(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def never(call: frames.Call) -> frames.Reply:
            await asyncio.Event().wait()
            raise AssertionError

        async with Worker(tmp_path / "w", never) as worker, world(tmp_path) as it:
            await it.publish(table(1, instance(worker)))
            with pytest.raises(ReadTimeoutError):
                await it.invoke(it.client(read_timeout=0.2))
            await until(lambda: bool(worker.cancelled))
            assert it.router.outstanding == {}

    run(scenario())


def test_ping_is_answered_unsigned(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            answer = await it.raw(b"GET /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")

    run(scenario())


def test_error_bodies_of_the_runtime_carry_its_unmodelled_code(tmp_path: Path) -> None:
    async def refuse(call: frames.Call) -> frames.Reply:
        return frames.Reply(404, None, None, b"no")

    async def scenario() -> None:
        async with Worker(tmp_path / "w", refuse) as worker, world(tmp_path) as it:
            await it.publish(table(1, instance(worker)))
            seen: list[bytes] = []
            client = it.client()
            client.meta.events.register(
                "before-parse.sagemaker-runtime.*",
                lambda response_dict, **_: seen.append(response_dict["body"]),
            )
            await refusal(it, client)
        assert json.loads(seen[0])["ErrorCode"] == "CLIENT_ERROR_FROM_MODEL"

    run(scenario())
