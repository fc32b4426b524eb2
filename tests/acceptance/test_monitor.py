"""The analyzer through real clients: a baseline by the SDK, a run by boto3, a command line."""

import json
import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modeltap import record
from modeltap.nouns import CapturedRecord, CaptureEncoding, Half

from .conftest import MODELTAP, Server, new_server
from .deployed import ROLE, until
from .test_churn import CHURN
from .test_jobs import ANALYZER
from .test_seeds import sdk

pytestmark = pytest.mark.acceptance

BUCKET = "monitoring"
SDK_SCRIPT = Path(__file__).with_name("sdk_monitor.py")
SDK_SECONDS_MAX = 600
HOUR_NS = 1_700_000_400 * 10**9  # 2023-11-14T22:20:00Z
INPUT, OUTPUT = "/opt/ml/processing/input", "/opt/ml/processing/output"


@dataclass
class House:
    server: Server
    s3: Any
    sagemaker: Any


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    server = new_server(tmp_path_factory.mktemp("monitor"), stop_seconds_max="3")
    made = House(server, server.client("s3"), server.client("sagemaker"))
    made.s3.create_bucket(Bucket=BUCKET)
    yield made
    server.stop()


def suggest(house: House, dataset: Path, folder: Path) -> dict[str, Any]:
    """Suggest a baseline with the SDK, as a user does; give what its last line says."""
    command = [*MODELTAP, "run", "--home", str(house.server.home), "--", str(sdk("sdk2"))]
    done = subprocess.run(
        [*command, str(SDK_SCRIPT), str(dataset)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SDK_SECONDS_MAX,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "Job completed successfully" in done.stdout  # printed by `wait(logs=True)`
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert found["status"] == "Completed"
    return found


def captured(house: House, prefix: str, rows: list[str], answer: str) -> None:
    """Put captured records where capture would have put them."""
    lines = [
        record.encode(
            CapturedRecord(
                f"event-{at}",
                HOUR_NS + at,
                Half("text/csv", row.encode() + b"\n"),
                Half("text/csv", answer.encode()),
            ),
            lambda _: CaptureEncoding.CSV,
        )
        for at, row in enumerate(rows)
    ]
    key = f"{prefix}/ep/AllTraffic/2023/11/14/22/part.jsonl"
    house.s3.put_object(Bucket=BUCKET, Key=key, Body=b"".join(lines))


def monitor(house: House, name: str, prefix: str, baseline: str, **more: str) -> dict[str, Any]:
    """Run the analyzer as a schedule does; give what Describe says at the end."""
    inputs = {
        "endpoint_input_1": f"s3://{BUCKET}/{prefix}/ep/AllTraffic/2023/11/14/22",
        "baseline": f"{baseline}/statistics.json",
        "constraints": f"{baseline}/constraints.json",
    }
    environment = {
        "dataset_format": json.dumps(
            {"sagemakerCaptureJson": {"captureIndexNames": ["endpointInput", "endpointOutput"]}}
        ),
        "dataset_source": f"{INPUT}/endpoint_input_1",
        "output_path": OUTPUT,
        "publish_cloudwatch_metrics": "Disabled",
        "baseline_statistics": f"{INPUT}/baseline/statistics.json",
        "baseline_constraints": f"{INPUT}/constraints/constraints.json",
        "start_time": "2023-11-14T22:00:00Z",
        "end_time": "2023-11-14T23:00:00Z",
        "sagemaker_endpoint_name": "ep",
        "sagemaker_monitoring_schedule_name": "hourly",
    }
    target = {"S3Uri": f"s3://{BUCKET}/reports/{name}", "LocalPath": OUTPUT}
    house.sagemaker.create_processing_job(
        ProcessingJobName=name,
        AppSpecification={"ImageUri": ANALYZER},
        ProcessingInputs=[given(*each) for each in inputs.items()],
        ProcessingOutputConfig={
            "Outputs": [
                {"OutputName": "result", "S3Output": target | {"S3UploadMode": "Continuous"}}
            ]
        },
        ProcessingResources={
            "ClusterConfig": {
                "InstanceCount": 1,
                "InstanceType": "ml.m5.xlarge",
                "VolumeSizeInGB": 1,
            }
        },
        Environment=environment | more,
        RoleArn=ROLE,
    )
    found: dict[str, Any] = {}

    def over() -> bool:
        found.update(house.sagemaker.describe_processing_job(ProcessingJobName=name))
        return bool(found["ProcessingJobStatus"] != "InProgress")

    assert until(over, 60), house.server.log()[-2000:]
    return found


def given(name: str, uri: str) -> dict[str, Any]:
    source = {"S3Uri": uri, "S3DataType": "S3Prefix", "S3InputMode": "File"}
    return {"InputName": name, "S3Input": source | {"LocalPath": f"{INPUT}/{name}"}}


def report(house: House, name: str) -> dict[str, bytes]:
    listed = house.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"reports/{name}/")["Contents"]
    keys = [each["Key"] for each in listed]
    return {
        key.rpartition("/")[2]: house.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        for key in keys
    }


# ---------------------------------------------------------------- a dataset of our own


@pytest.fixture(scope="module")
def suggested(house: House, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("suggested")
    chance = random.Random(3)
    rows = [f"{at % 2},{chance.gauss(0, 1):.3f},{chance.choice('ab')}\n" for at in range(500)]
    dataset = folder / "train.csv"
    dataset.write_text("label,score,word\n" + "".join(rows))
    return suggest(house, dataset, folder)


def test_the_sdk_suggests_a_baseline(suggested: dict[str, Any]) -> None:
    features = suggested["constraints"]["features"]
    assert [each["inferred_type"] for each in features] == ["Integral", "Fractional", "String"]
    assert suggested["statistics"]["dataset"]["item_count"] == 500
    assert suggested["message"] == "Completed: Job completed successfully with no violations."


def test_a_run_reports_what_was_violated(house: House, suggested: dict[str, Any]) -> None:
    captured(house, "odd", ["0.5,a", "0.5,b"] * 20 + ["x,a"], "1")
    told = monitor(house, "odd-run", "odd", suggested["output"])
    assert told["ProcessingJobStatus"] == "Completed", told
    assert told["ExitMessage"] == (
        "CompletedWithViolations: Job completed successfully with 1 violations."
    )
    found = report(house, "odd-run")
    assert set(found) == {
        "statistics.json",
        "constraints.json",
        "constraint_violations.json",
        "findings.json",
        "report.html",
    }
    (violation,) = json.loads(found["constraint_violations.json"])["violations"]
    assert (violation["feature_name"], violation["constraint_check_type"]) == (
        "score",
        "data_type_check",
    )
    assert b"event-40" in found["report.html"]


def test_an_hour_without_a_usable_record_fails_and_says_why(
    house: House, suggested: dict[str, Any]
) -> None:
    captured(house, "ragged", ["0.5"] * 3 + ["0.5,a,b,c"] * 3, "1")
    told = monitor(
        house, "empty-run", "ragged", suggested["output"], end_time="2023-11-14T22:10:00Z"
    )
    assert told["ProcessingJobStatus"] == "Failed"
    assert told["ExitMessage"].startswith("Error: Job inputs had no data")


def test_the_command_line_reads_buckets(
    house: House, suggested: dict[str, Any], tmp_path: Path
) -> None:
    captured(house, "plain", ["0.1,a", "0.1,b"] * 15, "0")
    base = tmp_path / "baseline"
    base.mkdir()
    for name in ("statistics", "constraints"):
        (base / f"{name}.json").write_text(json.dumps(suggested[name]))
    done = subprocess.run(
        [
            *MODELTAP,
            "analyze",
            f"s3://{BUCKET}/plain/",
            "--baseline",
            str(base),
            "--output",
            str(tmp_path / "report"),
            "--home",
            str(house.server.home),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report" / "report.html").exists()
    missing = subprocess.run(
        [
            *MODELTAP,
            "analyze",
            f"s3://{BUCKET}/nowhere/",
            "--baseline",
            str(base),
            "--home",
            str(house.server.home),
        ],
        capture_output=True,
        text=True,
    )
    assert missing.returncode == 2
    assert "nowhere" in missing.stderr


# ---------------------------------------------------------------- AWS's own churn example


@pytest.mark.skipif(not CHURN.exists(), reason=f"AWS's churn data are not at {CHURN}")
def test_the_churn_baseline_is_aws_own(house: House, tmp_path: Path) -> None:
    """All 70 features are as recorded, and its traffic has the recorded count of violations."""
    made = suggest(house, CHURN / "training-dataset-with-header.csv", tmp_path)
    real = json.loads((CHURN / "real_constraints.json").read_text())
    assert made["constraints"]["features"] == real["features"]
    (account,) = (
        each for each in made["statistics"]["features"] if each["name"] == "Account Length"
    )
    numerical = account["numerical_statistics"]
    assert {name: numerical[name] for name in ("mean", "sum", "std_dev", "min", "max")} == {
        "mean": 101.2768966995285,
        "sum": 236279.0,
        "std_dev": 39.552442167470566,
        "min": 1.0,
        "max": 243.0,
    }
    kll = numerical["distribution"]["kll"]
    assert kll["buckets"][0]["upper_bound"] == 25.2
    assert kll["sketch"]["data"][0][:4] == [119.0, 100.0, 111.0, 181.0]
    rows = (CHURN / "test-dataset-input-cols.csv").read_text().splitlines()
    captured(house, "churn", rows, "0.0145")
    told = monitor(house, "churn-run", "churn", made["output"])
    assert told["ExitMessage"] == (
        "CompletedWithViolations: Job completed successfully with 60 violations."
    )
