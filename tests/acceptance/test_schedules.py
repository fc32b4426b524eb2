"""Schedules through real clients, the SDKs and boto3, over an endpoint with traffic."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import MODELTAP, Server, new_server
from .deployed import (
    await_in_service,
    capture,
    create_endpoint,
    create_model,
    invoke,
    until,
    upload,
)
from .scheduling import NOW, definition, of_endpoint, run_of
from .test_seeds import sdk
from .training import FEATURES, XGBOOST_0_90, trained

pytestmark = pytest.mark.acceptance

BUCKET = "acceptance"
ENDPOINT = "Churn-Endpoint"
CALLS = 120
SDK_SECONDS_MAX = 600


@dataclass
class House:
    server: Server
    dataset: Path
    s3: Any
    sagemaker: Any


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Serve with the default seal age: a report must not have to wait for it."""
    folder = tmp_path_factory.mktemp("model")
    server = new_server(tmp_path_factory.mktemp("schedules"), capture_seal_seconds="60")
    model = trained(XGBOOST_0_90, server.home / "environments", folder)
    create_model(server, "churn", upload(server, model / "model.tar.gz"))
    create_endpoint(server, ENDPOINT, "churn", capture())
    await_in_service(server, ENDPOINT)
    dataset = folder / "train.csv"
    header = ",".join(["label", *(f"f{at}" for at in range(FEATURES))])
    dataset.write_text(f"{header}\n{(folder / 'validation.csv').read_text()}")
    made = House(server, dataset, server.client("s3"), server.client("sagemaker"))
    runtime = server.client("sagemaker-runtime")
    for row in (folder / "inputs.csv").read_text().splitlines()[:CALLS]:
        invoke(runtime, ENDPOINT, row)
    yield made
    server.stop()


def run(house: House, version: str, folder: Path) -> dict[str, Any]:
    """Run an SDK's script as a user does; give what its last line says."""
    script = Path(__file__).with_name(f"{version}_schedules.py")
    command = [*MODELTAP, "run", "--home", str(house.server.home), "--", str(sdk(version))]
    done = subprocess.run(
        [*command, str(script), ENDPOINT, str(house.dataset), f"s3://{BUCKET}/reports-{version}"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SDK_SECONDS_MAX,
    )
    assert done.returncode == 0, done.stdout[-4000:] + house.server.log()[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_sdk_2_runs_now(house: House, tmp_path: Path) -> None:
    """Every record that was answered before the call is in the report, though none was sealed."""
    told = run(house, "sdk2", tmp_path)
    assert told["status"] == "CompletedWithViolations", told
    assert told["job"].startswith("CompletedWithViolations: Job completed successfully with ")
    assert told["rows"] == CALLS
    label = [each for each in told["violations"] if each["feature_name"] == "label"]
    assert "data_type_check" in [each["constraint_check_type"] for each in label]
    hour = datetime.now(UTC).strftime("%Y/%m/%d/")
    assert told["destination"].startswith(f"s3://{BUCKET}/reports-sdk2/{ENDPOINT}/Churn-Now/{hour}")
    assert any(f"capture/{ENDPOINT}/AllTraffic/" in each for each in told["inputs"])
    assert told["monitors"] == ["Churn-Now"]
    assert (told["alert"], told["turns"]) == ("InAlert", ["OK", "InAlert"])
    assert (told["stopped"], told["started"]) == ("Stopped", "Scheduled")
    assert told["updated"] == "cron(0 * ? * * *)"
    assert told["attached"] == "DefaultModelMonitor"
    with pytest.raises(ClientError) as failed:
        house.sagemaker.describe_monitoring_schedule(MonitoringScheduleName="Churn-Now")
    assert failed.value.response["Error"]["Code"] == "ResourceNotFound"
    history = house.sagemaker.list_monitoring_executions(MonitoringScheduleName="Churn-Now")
    assert len(history["MonitoringExecutionSummaries"]) == 2
    assert told["seconds"] < 60  # it does not wait for the seal age


def test_sdk_1_writes_its_definition_in_place(house: House, tmp_path: Path) -> None:
    told = run(house, "sdk1", tmp_path)
    assert told["created"] in ("Pending", "Scheduled")  # SDK 1 does not wait after it has asked
    assert "MonitoringAppSpecification" in told["inline"]
    assert (told["executions"], told["listed"]) == (0, ["Churn-Hourly"])
    assert (told["stopped"], told["started"]) == ("Stopped", "Scheduled")
    assert told["updated"] == "cron(0 6 ? * * *)"
    assert told["attached"] == "Churn-Hourly"


def inline(name: str, endpoint: str = ENDPOINT) -> dict[str, Any]:
    return {
        "MonitoringScheduleName": name,
        "MonitoringScheduleConfig": {
            "MonitoringJobDefinition": definition(of_endpoint(endpoint), f"s3://{BUCKET}/reports"),
            "ScheduleConfig": NOW,
        },
    }


def ended(house: House, name: str) -> dict[str, Any]:
    """Await the end of a schedule's one run."""
    return run_of(house.server, house.sagemaker, name)


def test_boto3_runs_now_inline(house: House) -> None:
    began = time.monotonic()
    house.sagemaker.create_monitoring_schedule(**inline("Inline"))
    told = ended(house, "Inline")
    print(f"from NOW to report: {time.monotonic() - began:.1f} s")
    assert told["MonitoringExecutionStatus"] == "Completed"
    job = house.sagemaker.describe_processing_job(
        ProcessingJobName=told["ProcessingJobArn"].rpartition("/")[2]
    )
    assert job["MonitoringScheduleArn"].endswith(":monitoring-schedule/inline")
    target = job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
    key = target.removeprefix(f"s3://{BUCKET}/") + "/statistics.json"
    found = json.loads(house.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    assert found["dataset"]["item_count"] == CALLS
    house.sagemaker.delete_monitoring_schedule(MonitoringScheduleName="Inline")


def test_an_empty_window_has_awss_text(house: House) -> None:
    """An endpoint that was never called."""
    create_endpoint(house.server, "Idle", "churn", capture())
    await_in_service(house.server, "Idle")
    house.sagemaker.create_monitoring_schedule(**inline("Empty", "Idle"))
    told = ended(house, "Empty")
    assert told["MonitoringExecutionStatus"] == "Failed"
    assert told["FailureReason"].startswith("Job inputs had no data")
    assert "ProcessingJobArn" not in told


@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.2, 1.8])
def test_control_killed_in_the_middle_makes_one_report(house: House, seconds: float) -> None:
    name = f"Killed-{str(seconds).replace('.', '-')}"
    (control,) = house.server.processes("control")
    house.sagemaker.create_monitoring_schedule(**inline(name))
    time.sleep(seconds)
    os.kill(control, signal.SIGKILL)
    assert until(lambda: house.server.processes("control") not in ([], [control]))
    told = ended(house, name)
    assert told["MonitoringExecutionStatus"] == "Completed", told
    runs = house.sagemaker.list_monitoring_executions(MonitoringScheduleName=name)
    assert len(runs["MonitoringExecutionSummaries"]) == 1
    arn = f"monitoring-schedule/{name.lower()}"
    mine = [each for each in monitoring_jobs(house) if each["MonitoringScheduleArn"].endswith(arn)]
    assert len(mine) == 1


def monitoring_jobs(house: House) -> list[dict[str, Any]]:
    query = {"NameContains": "model-monitoring-", "MaxResults": 100}
    names = [
        each["ProcessingJobName"]
        for each in house.sagemaker.list_processing_jobs(**query)["ProcessingJobSummaries"]
    ]
    return [house.sagemaker.describe_processing_job(ProcessingJobName=name) for name in names]
