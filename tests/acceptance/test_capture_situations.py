"""What becomes of records while their endpoint changes, and of calls that a client repeats."""

import os
import signal
import threading
from typing import Any

import boto3
import pytest
from botocore.config import Config

from .conftest import Server
from .deployed import (
    await_in_service,
    await_records,
    capture,
    create_endpoint,
    create_model,
    invoke,
    records,
    until,
    upload,
    variant,
)
from .training import XGBOOST_0_90, trained

pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def row(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = trained(XGBOOST_0_90, server.home / "environments", tmp_path_factory.mktemp("model"))
    create_model(server, "situations", upload(server, folder / "model.tar.gz"))
    return (folder / "inputs.csv").read_text().splitlines(keepends=True)[0]


def test_an_update_sends_each_record_where_its_plan_says(server: Server, row: str) -> None:
    runtime, sagemaker = server.client("sagemaker-runtime"), server.client("sagemaker")
    create_endpoint(server, "moving", "situations", capture())
    await_in_service(server, "moving")
    server.client("s3").create_bucket(Bucket="elsewhere")
    sagemaker.create_endpoint_config(
        EndpointConfigName="moved",
        ProductionVariants=[variant("situations")],
        DataCaptureConfig=capture(bucket="elsewhere"),
    )
    for number in range(10):
        invoke(runtime, "moving", row, InferenceId=f"before-{number}")
    sagemaker.update_endpoint(EndpointName="moving", EndpointConfigName="moved")
    await_in_service(server, "moving")
    for number in range(10):
        invoke(runtime, "moving", row, InferenceId=f"after-{number}")
    old = await_records(server, "moving", 10)
    new = await_records(server, "moving", 10, bucket="elsewhere")
    assert {inference_id(each) for each in old} == {f"before-{number}" for number in range(10)}
    assert {inference_id(each) for each in new} == {f"after-{number}" for number in range(10)}


def test_what_a_deleted_endpoint_has_answered_is_delivered(server: Server, row: str) -> None:
    runtime = server.client("sagemaker-runtime")
    create_endpoint(server, "leaving", "situations", capture())
    await_in_service(server, "leaving")
    for _ in range(10):
        invoke(runtime, "leaving", row)
    server.client("sagemaker").delete_endpoint(EndpointName="leaving")
    assert len(await_records(server, "leaving", 10)) == 10


def test_a_bucket_that_comes_late_gets_all_records(server: Server, row: str) -> None:
    runtime = server.client("sagemaker-runtime")
    create_endpoint(server, "early", "situations", capture(bucket="not-yet"))
    await_in_service(server, "early")
    for _ in range(10):
        invoke(runtime, "early", row)
    assert until(lambda: "DeliveryWaiting" in server.log() and "not-yet" in server.log())
    server.client("s3").create_bucket(Bucket="not-yet")
    assert until(lambda: len(records(server, "early", "not-yet")) == 10, 90)


def test_a_strict_answer_that_was_refused_is_repeated_by_the_client(
    server: Server, row: str
) -> None:
    """Both tries are records: the model has answered each. Their inference id is the same."""
    tag = {"Key": "modeltap:capture-durability", "Value": "strict"}
    create_endpoint(server, "strictly", "situations", capture(), Tags=[tag])
    await_in_service(server, "strictly")
    client = patient(server)
    (spooler,) = server.processes("spooler")
    os.kill(spooler, signal.SIGSTOP)
    timer = threading.Timer(0.5, os.kill, (spooler, signal.SIGCONT))
    timer.start()
    assert float(invoke(client, "strictly", row, InferenceId="again"))
    timer.join()
    found = await_records(server, "strictly", 2)
    assert {inference_id(record) for record in found} == {"again"}
    assert len({record["eventMetadata"]["eventId"] for record in found}) == len(found) >= 2


def patient(server: Server) -> Any:
    """Make a client that repeats what was refused for want of room, as SDKs do by default."""
    found = server.environment()
    return boto3.client(
        "sagemaker-runtime",
        endpoint_url=found["AWS_ENDPOINT_URL"],
        region_name=found["AWS_DEFAULT_REGION"],
        aws_access_key_id=found["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=found["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"mode": "standard", "total_max_attempts": 6}),
    )


def inference_id(record: dict[str, Any]) -> str:
    return str(record["eventMetadata"].get("inferenceId"))
