"""A run begins when its window is complete: not before, and under traffic that never rests, too.

Grace and invocation limit are longer than a run is waited for here: what ends waited for neither.
"""

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from modeltap_worker.socketpath import short_path

from .conftest import new_server
from .deployed import (
    await_in_service,
    capture,
    create_endpoint,
    create_model,
    invoke,
    totals,
    until,
    upload,
)
from .test_kill import Load
from .test_schedules import BUCKET, House, ended, inline
from .training import XGBOOST_0_90, trained

pytestmark = pytest.mark.acceptance

CALLS = 20
LONG_SECONDS = "900"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("model")
    server = new_server(
        tmp_path_factory.mktemp("windows"),
        capture_seal_seconds=LONG_SECONDS,
        invocation_seconds_max=LONG_SECONDS,
        monitor_grace_seconds=LONG_SECONDS,
    )
    model = trained(XGBOOST_0_90, server.home / "environments", folder)
    create_model(server, "churn", upload(server, model / "model.tar.gz"))
    yield House(server, folder / "inputs.csv", server.client("s3"), server.client("sagemaker"))
    server.stop()


def rows(house: House) -> list[str]:
    return house.dataset.read_text().splitlines()[:CALLS]


def deploy(house: House, endpoint: str) -> int:
    """Create an endpoint that has answered `CALLS` times; give its model's process."""
    before = set(house.server.processes("worker"))
    create_endpoint(house.server, endpoint, "churn", capture())
    await_in_service(house.server, endpoint)
    runtime = house.server.client("sagemaker-runtime")
    for row in rows(house):
        invoke(runtime, endpoint, row)
    (worker,) = set(house.server.processes("worker")) - before
    return worker


def run_now(house: House, name: str, endpoint: str) -> None:
    house.sagemaker.create_monitoring_schedule(**inline(name, endpoint))


def statuses(house: House, name: str) -> list[str]:
    found = house.sagemaker.list_monitoring_executions(MonitoringScheduleName=name)
    return [each["MonitoringExecutionStatus"] for each in found["MonitoringExecutionSummaries"]]


def report(house: House, told: dict[str, Any]) -> tuple[int, str | None]:
    """Give how many records a run's report is of, and its note of what it is without."""
    assert told["MonitoringExecutionStatus"] == "Completed", told
    job = house.sagemaker.describe_processing_job(
        ProcessingJobName=told["ProcessingJobArn"].rpartition("/")[2]
    )
    target = job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
    key = target.removeprefix(f"s3://{BUCKET}/") + "/statistics.json"
    found = json.loads(house.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    return found["dataset"]["item_count"], job["Environment"].get("modeltap_note")


@contextmanager
def hanging(house: House, endpoint: str, worker: int) -> Iterator[threading.Thread]:
    """Stop a model with a call in its hand, which ends when it goes on."""
    os.kill(worker, signal.SIGSTOP)
    calling = threading.Thread(target=call, args=(house, endpoint))
    calling.start()
    try:
        assert until(lambda: endpoint in receipts(house))
        yield calling
    finally:
        os.kill(worker, signal.SIGCONT)
        calling.join()


def call(house: House, endpoint: str) -> None:
    runtime = house.server.client("sagemaker-runtime", read_timeout=float(LONG_SECONDS))
    try:
        invoke(runtime, endpoint, rows(house)[0])
    except (BotoCoreError, ClientError):
        return  # its gateway was killed


def receipts(house: House) -> dict[str, int]:
    """Ask the gateway as control does."""
    with socket.socket(socket.AF_UNIX) as asking:
        with short_path(house.server.home / "run" / "gateways" / "0.sock") as name:
            asking.connect(name)
        asking.sendall(b"reload\n")
        found: dict[str, int] = json.loads(asking.makefile().readline())["receipts"]
        return found


def is_delivered(house: House) -> bool:
    return totals(house.server)["pending"] == 0


def test_now_does_not_wait_for_traffic_to_rest(house: House) -> None:
    deploy(house, "Busy")
    with Load(house.server, "Busy", rows(house)[0]) as load:
        assert until(lambda: load.answered > CALLS)
        answered = CALLS + load.answered
        run_now(house, "Busy-Now", "Busy")
        told = ended(house, "Busy-Now")
        assert load.failures == []
    count, note = report(house, told)
    assert (answered <= count <= CALLS + load.answered, note) == (True, None)


def test_a_late_answer_is_in_the_report_of_the_window_of_its_receipt(house: House) -> None:
    worker = deploy(house, "Slow")
    deploy(house, "Aside")
    with hanging(house, "Slow", worker):
        run_now(house, "Slow-Now", "Slow")
        # Seals are asked for by a run that waits, its window's end being over.
        assert until(lambda: is_delivered(house))
        assert statuses(house, "Slow-Now") == ["Pending"]
        run_now(house, "Aside-Now", "Aside")
        assert report(house, ended(house, "Aside-Now")) == (CALLS, None)
        assert statuses(house, "Slow-Now") == ["Pending"]
    invoke(house.server.client("sagemaker-runtime"), "Slow", rows(house)[0])  # of a later window
    assert report(house, ended(house, "Slow-Now")) == (CALLS + 1, None)


def test_a_gateway_that_is_killed_has_no_call_in_flight(house: House) -> None:
    worker = deploy(house, "Killed")
    with hanging(house, "Killed", worker) as calling:
        run_now(house, "Killed-Now", "Killed")
        assert until(lambda: is_delivered(house))
        assert statuses(house, "Killed-Now") == ["Pending"]
        (gateway,) = house.server.processes("gateway")
        os.kill(gateway, signal.SIGKILL)
        calling.join()
        assert until(lambda: house.server.processes("gateway") not in ([], [gateway]))
        told = ended(house, "Killed-Now")
        assert report(house, told) == (CALLS, None)
