"""Every snippet of both documents that can run, run as printed by the real clients.

Three clients run side by side against one server: boto3, SageMaker SDK 2, SageMaker SDK 1.72.1.
The SDKs poll each 30 s, so one after the other would take minutes.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from .conftest import MODELTAP, ROOT, Server
from .training import XGBOOST_0_90, trained

pytestmark = pytest.mark.acceptance

SNIPPETS = Path(__file__).parent / "snippets"
RUN_SECONDS_MAX = 600
KEY = re.compile(
    r"^(?P<prefix>.+)/(?P<endpoint>[^/]+)/AllTraffic/\d{4}/\d\d/\d\d/\d\d/"
    r"\d\d-\d\d-\d{3}-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\.jsonl$"
)


def sdk(name: str) -> Path:
    """Make the environment of an SDK from its lock; give its interpreter."""
    environment = ROOT / ".venvs" / name
    lock = ROOT / "requirements" / f"{name}.txt"
    python = environment / "bin" / "python"
    uv = [sys.executable, "-m", "uv"]
    if not python.exists():
        subprocess.run([*uv, "venv", "-q", "-p", sys.executable, environment], check=True)
    sync = [*uv, "pip", "sync", "-q", "--python", str(python), "--require-hashes", str(lock)]
    subprocess.run(sync, check=True)
    return python


def prepared(folder: Path, trained_in: Path) -> Path:
    """Lay out the files that the documents' readers have."""
    for name in ("model", "test_data"):
        (folder / name).mkdir(parents=True)
    (folder / "model/your-prediction-model.tar.gz").symlink_to(trained_in / "model.tar.gz")
    (folder / "test_data/test-dataset-input-cols.csv").symlink_to(trained_in / "inputs.csv")
    (folder / "test_data/validation.csv").symlink_to(trained_in / "validation.csv")
    return folder


@pytest.fixture(scope="module")
def model(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(XGBOOST_0_90, server.home / "environments", tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def runs(
    server: Server, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, "subprocess.Popen[str]"]]:
    """Start all three documents' runs at once."""
    pythons = {
        "seed_2022_boto3": Path(sys.executable),
        "seed_2022_sdk": sdk("sdk2"),
        "seed_2020": sdk("sdk1"),
    }
    started = {
        name: start(server, python, name, prepared(tmp_path_factory.mktemp(name) / "cwd", model))
        for name, python in pythons.items()
    }
    yield started
    for process in started.values():
        process.kill()
        process.communicate()


def start(server: Server, python: Path, name: str, folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [
            *MODELTAP,
            "run",
            "--home",
            str(server.home),
            "--",
            str(python),
            str(SNIPPETS / f"{name}.py"),
        ],
        cwd=folder,
        env=os.environ | {"IMAGE": XGBOOST_0_90, "PAUSE": "0.01", "DELIVERY": "4"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@cache
def result(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """Await a run's end; give what its last line says."""
    output, _ = process.communicate(timeout=RUN_SECONDS_MAX)
    assert process.returncode == 0, output[-4000:]
    line = next(line for line in output.splitlines() if line.startswith("RESULT "))
    found: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    return found


def scores(model: Path) -> list[str]:
    return (model / "scores.csv").read_text().splitlines()


def test_the_2022_document_with_boto3(runs: dict[str, Any], model: Path) -> None:
    found = result(runs["seed_2022_boto3"])
    account = "arn:aws:sagemaker:us-east-1:000000000000"
    assert found["config"] == f"{account}:endpoint-config/seed-2022-config"
    assert found["endpoint"] == f"{account}:endpoint/seed-2022-boto3"
    assert found["answers"] == scores(model)[:5]
    assert len(found["lines"]) == 5
    # No CaptureContentTypeHeader was given, so both halves are base64 (contract §1.1).
    data = [line["captureData"] for line in found["lines"]]
    assert {half["encoding"] for record in data for half in record.values()} == {"BASE64"}
    assert all(KEY.match(key) for key in found["keys"])


def test_the_2022_document_with_the_sdk(runs: dict[str, Any], model: Path) -> None:
    found = result(runs["seed_2022_sdk"])
    assert found["role"] == "arn:aws:iam::000000000000:role/ModeltapExecutionRole"
    assert found["bucket"] == "sagemaker-us-east-1-000000000000"
    assert found["count"] == 201
    records = [json.loads(line) for line in found["lines"] if line]
    assert len(records) == 201
    by_input = {
        record["captureData"]["endpointInput"]["data"]: record["captureData"] for record in records
    }
    rows = (model / "validation.csv").read_text().splitlines(keepends=True)[:201]
    for row, score in zip(rows, scores(model), strict=False):
        data = by_input[row.split(",", 1)[1]]
        assert data["endpointInput"]["observedContentType"] == "text/csv"
        assert data["endpointOutput"] == {
            "observedContentType": "text/csv; charset=utf-8",
            "mode": "OUTPUT",
            "data": score,
            "encoding": "CSV",
        }


def test_capture_is_turned_off_on_and_over_by_the_sdk(runs: dict[str, Any], model: Path) -> None:
    found = result(runs["seed_2022_sdk"])
    statuses = found["statuses"]
    destination = f"s3://{found['bucket']}/seed-2022-sdk/capture"
    assert statuses["deployed"]["capture"] == {
        "EnableCapture": True,
        "CaptureStatus": "Started",
        "CurrentSamplingPercentage": 100,
        "DestinationS3Uri": destination,
    }
    assert statuses["disabled"]["capture"]["EnableCapture"] is False
    assert statuses["disabled"]["capture"]["CaptureStatus"] == "Stopped"
    assert statuses["enabled"]["capture"]["CurrentSamplingPercentage"] == 20
    assert statuses["updated"]["capture"]["CurrentSamplingPercentage"] == 50
    assert len({status["config"] for status in statuses.values()}) == 4
    assert found["after_update"] == scores(model)[200]
    assert "Could not find endpoint" in found["gone"]


def test_the_2020_document(runs: dict[str, Any], model: Path) -> None:
    found = result(runs["seed_2020"])
    assert found["role"] == "arn:aws:iam::000000000000:role/ModeltapExecutionRole"
    assert found["last"] == scores(model)[119]
    assert found["files"]
    for key in found["files"]:
        match = KEY.match(key)
        assert match and match["endpoint"] == found["endpoint"]
        assert match["prefix"] == "sagemaker/DEMO-ModelMonitor/datacapture"
