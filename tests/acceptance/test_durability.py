"""Endpoints whose answers wait for their records, by a tag that a boto3 user sets."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Server, new_server
from .deployed import (
    await_in_service,
    await_records,
    capture,
    create_endpoint,
    create_model,
    invoke,
    until,
    upload,
)
from .training import XGBOOST_0_90, trained

pytestmark = pytest.mark.acceptance

TAG = "modeltap:capture-durability"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """Serve one endpoint a mode, named by it; give the server and a row."""
    server = new_server(tmp_path_factory.mktemp("durable"))
    folder = trained(XGBOOST_0_90, server.home / "environments", tmp_path_factory.mktemp("model"))
    create_model(server, "m", upload(server, folder / "model.tar.gz"))
    for mode in ("durable", "strict"):
        create_endpoint(server, mode, "m", capture(), Tags=[{"Key": TAG, "Value": mode}])
    await_in_service(server, "durable", "strict")
    yield server, (folder / "inputs.csv").read_text().splitlines(keepends=True)[0]
    server.stop()


@contextmanager
def frozen(server: Server, role: str) -> Iterator[None]:
    (pid,) = server.processes(role)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_no_answer_of_a_strict_endpoint_goes_uncaptured(served: tuple[Server, str]) -> None:
    server, row = served
    runtime = server.client("sagemaker-runtime")
    assert float(invoke(runtime, "strict", row))
    with frozen(server, "spooler"):
        with pytest.raises(ClientError, match="could not be made durable") as caught:
            invoke(runtime, "strict", row)
        assert float(invoke(runtime, "durable", row))  # late, and counted as that
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert until(lambda: answers(runtime, row))


def test_what_was_answered_outlives_the_whole_house(served: tuple[Server, str]) -> None:
    """Gateway, spooler and supervisor are killed at once: the ring, and what it held, is gone."""
    server, row = served
    runtime = server.client("sagemaker-runtime")
    for number in range(20):
        for endpoint in ("strict", "durable"):
            invoke(runtime, endpoint, row, InferenceId=f"{endpoint}-{number}")
    for pid in (*server.processes("gateway"), *server.processes("spooler")):
        os.kill(pid, signal.SIGKILL)
    server.kill()
    server.start()
    for endpoint in ("strict", "durable"):
        expected = {f"{endpoint}-{number}" for number in range(20)}
        assert until(lambda e=endpoint, x=expected: x <= inference_ids(server, e))  # type: ignore[misc]


def test_a_tag_that_says_nothing_is_refused(served: tuple[Server, str]) -> None:
    server, _ = served
    with pytest.raises(ClientError, match="must be one of besteffort, durable, strict"):
        create_endpoint(server, "other", "m", capture(), Tags=[{"Key": TAG, "Value": "always"}])


def answers(runtime: Any, row: str) -> bool:
    try:
        return bool(invoke(runtime, "strict", row))
    except ClientError:
        return False


def inference_ids(server: Server, endpoint: str) -> set[str]:
    found = await_records(server, endpoint, 1)
    return {str(record["eventMetadata"].get("inferenceId")) for record in found}
