"""Serving: variants, updates without a failed call, content types, what the container logs."""

import json
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
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
    variant,
)
from .test_kill import Load, progressed
from .training import XGBOOST_0_90, XGBOOST_3_0, trained

pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def rows(server: Server, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    for image, name in ((XGBOOST_0_90, "serving-old"), (XGBOOST_3_0, "serving-new")):
        folder = trained(image, server.home / "environments", tmp_path_factory.mktemp(name))
        url = upload(server, folder / "model.tar.gz", f"{name}.tar.gz")
        create_model(server, name, url, image)
    return (folder / "inputs.csv").read_text().splitlines(keepends=True)


def test_weights_and_target_variant(server: Server, rows: list[str]) -> None:
    variants = [
        variant("serving-old", "Most", InitialVariantWeight=3.0),
        variant("serving-old", "Rest", InitialVariantWeight=1.0),
        variant("serving-old", "None", InitialVariantWeight=0.0),
    ]
    create_endpoint(server, "variants", "serving-old", capture(), variants=variants)
    await_in_service(server, "variants")
    runtime = server.client("sagemaker-runtime")

    def invoked(**more: str) -> str:
        answer = runtime.invoke_endpoint(
            EndpointName="variants", ContentType="text/csv", Body=rows[0], **more
        )
        name: str = answer["InvokedProductionVariant"]
        return name

    counts = Counter(invoked() for _ in range(400))
    assert set(counts) == {"Most", "Rest"}
    assert 220 <= counts["Most"] <= 380
    assert invoked(TargetVariant="None") == "None"
    with pytest.raises(ClientError, match="Variant Nope not found"):
        invoked(TargetVariant="Nope")
    assert len(await_records(server, "variants", 401)) == 401


def test_an_update_fails_no_call(server: Server, rows: list[str]) -> None:
    create_endpoint(server, "updated", "serving-old")
    await_in_service(server, "updated")
    sagemaker = server.client("sagemaker")
    sagemaker.create_endpoint_config(
        EndpointConfigName="updated-2",
        ProductionVariants=[variant("serving-new", "Green", InitialInstanceCount=2)],
    )
    with Load(server, "updated", rows[0]) as load:
        assert progressed(load)
        sagemaker.update_endpoint(EndpointName="updated", EndpointConfigName="updated-2")
        await_in_service(server, "updated")
        assert progressed(load)
    assert load.failures == []
    described = sagemaker.describe_endpoint(EndpointName="updated")
    assert described["EndpointConfigName"] == "updated-2"
    (green,) = described["ProductionVariants"]
    assert (green["VariantName"], green["CurrentInstanceCount"]) == ("Green", 2)


def test_a_failed_update_rolls_back(server: Server, rows: list[str]) -> None:
    create_endpoint(server, "rolled", "serving-old")
    await_in_service(server, "rolled")
    create_model(server, "rolled-bad", "s3://acceptance/serving-old.tar.gz", "nobody/knows:2")
    sagemaker = server.client("sagemaker")
    sagemaker.create_endpoint_config(
        EndpointConfigName="rolled-2", ProductionVariants=[variant("rolled-bad")]
    )
    sagemaker.update_endpoint(EndpointName="rolled", EndpointConfigName="rolled-2")

    def settled() -> bool:
        status: str = sagemaker.describe_endpoint(EndpointName="rolled")["EndpointStatus"]
        return status == "InService"

    assert until(settled)
    described = sagemaker.describe_endpoint(EndpointName="rolled")
    assert described["EndpointConfigName"] == "rolled"
    assert "nobody/knows:2" in described["FailureReason"]
    assert float(invoke(server.client("sagemaker-runtime"), "rolled", rows[0]))


def test_accept_by_version(server: Server, rows: list[str]) -> None:
    """Images up to 1.2-2 ignore Accept; newer ones honour it (contract §3.4)."""
    for name in ("serving-old", "serving-new"):
        create_endpoint(server, name, name)
    await_in_service(server, "serving-old", "serving-new")
    runtime = server.client("sagemaker-runtime")

    def answer(name: str, accept: str, body: str) -> tuple[str, str]:
        found: Any = runtime.invoke_endpoint(
            EndpointName=name, ContentType="text/csv", Accept=accept, Body=body
        )
        return found["ContentType"], found["Body"].read().decode()

    both = rows[0] + rows[1]
    old_type, old = answer("serving-old", "application/json", both)
    assert old_type == "text/csv; charset=utf-8"
    assert len([float(score) for score in old.split(",")]) == 2
    assert not old.endswith("\n")
    new_type, new = answer("serving-new", "text/csv", both)
    assert new_type == "text/csv; charset=utf-8"
    assert new.count("\n") == 2
    json_type, as_json = answer("serving-new", "application/json", rows[0])
    assert json_type == "application/json"
    assert as_json.startswith('{"predictions": [{"score": ')


def test_metadata_reaches_the_record(server: Server, rows: list[str]) -> None:
    create_endpoint(server, "attributed", "serving-old", capture())
    await_in_service(server, "attributed")
    runtime = server.client("sagemaker-runtime")
    invoke(runtime, "attributed", rows[0], InferenceId="order-7", CustomAttributes="trace=9")
    (record,) = await_records(server, "attributed", 1)
    metadata = record["eventMetadata"]
    assert list(metadata) == ["eventId", "customAttributes", "inferenceId", "inferenceTime"]
    assert metadata["inferenceId"] == "order-7"
    assert metadata["customAttributes"] == ["trace=9"]


def test_tail_and_ls_show_the_records(server: Server, rows: list[str]) -> None:
    create_endpoint(server, "shown", "serving-old", capture())
    await_in_service(server, "shown")
    invoke(server.client("sagemaker-runtime"), "shown", rows[0])
    await_records(server, "shown", 1)
    listed = server.command("capture", "ls", "shown")
    assert "s3://acceptance/capture/shown/AllTraffic/" in listed
    assert "sampled=1 delivered=1 pending=0" in listed.splitlines()[-1]
    tailed = server.command("capture", "tail", "shown", "--records", "1", "--from-start")
    assert '"endpointInput"' in tailed


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Server]:
    """Serve with a limit so low that every disk is above it."""
    server = new_server(
        tmp_path / "home",
        capture_disk_stop_percent="0.001",
        capture_disk_resume_percent="0.0005",
    )
    yield server
    server.stop()


def test_capture_stops_on_a_full_disk_and_says_so(full_disk: Server, tmp_path: Path) -> None:
    server = full_disk
    folder = tmp_path / "model"
    folder.mkdir()
    trained(XGBOOST_0_90, server.home / "environments", folder)
    create_model(server, "full", upload(server, folder / "model.tar.gz"))
    create_endpoint(server, "full", "full", capture())
    await_in_service(server, "full")
    row = (folder / "inputs.csv").read_text().splitlines(keepends=True)[0]
    runtime = server.client("sagemaker-runtime")
    assert all(float(invoke(runtime, "full", row)) for _ in range(20))
    assert "CAPTURE IS STOPPED" in server.log()
    line = server.command("capture", "ls").splitlines()[-1]
    assert "sampled=20 delivered=0 pending=0 dropped=20" in line
    described = server.client("sagemaker").describe_endpoint(EndpointName="full")
    assert described["DataCaptureConfig"]["CaptureStatus"] == "Stopped"
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port + 2}/capturez") as answer:
        assert json.loads(answer.read())["state"] == "disk_watermark"


def test_prometheus_can_read_what_was_served(server: Server) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port + 2}/metrics") as answer:
        text = answer.read().decode()
    assert "# TYPE modeltap_model_latency_microseconds histogram" in text
    assert "# TYPE smcap_sampled_total counter" in text
