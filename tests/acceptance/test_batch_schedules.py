"""Schedules over batch transforms: through the SDK, to report and metrics; an empty window."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .conftest import MODELTAP, Server, new_server
from .deployed import create_model, until, upload
from .scheduling import NOW, definition, run_of
from .test_seeds import sdk
from .training import FEATURES, XGBOOST_3_0, trained

pytestmark = pytest.mark.acceptance

BUCKET = "acceptance"
PLACE = f"s3://{BUCKET}/batch"
SDK_SECONDS_MAX = 600
NAMES = ["label", *(f"f{at}" for at in range(FEATURES))]


@dataclass
class House:
    server: Server
    folder: Path
    model_data: str
    rows: list[str]
    s3: Any
    sagemaker: Any


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    server = new_server(tmp_path_factory.mktemp("batch-schedules"))
    folder = trained(XGBOOST_3_0, server.home / "environments", tmp_path_factory.mktemp("model"))
    url = upload(server, folder / "model.tar.gz")
    rows = (folder / "inputs.csv").read_text().splitlines()
    (folder / "train.csv").write_text(
        f"{','.join(NAMES)}\n{(folder / 'validation.csv').read_text()}"
    )
    yield House(server, folder, url, rows, server.client("s3"), server.client("sagemaker"))
    server.stop()


def test_the_sdk_watches_a_transform(house: House, tmp_path: Path) -> None:
    """Two objects, one with a value that is missing; named as in the baseline."""
    missing = f",{house.rows[250].partition(',')[2]}"  # its first value
    objects = {"a": house.rows[:200], "deep/b": [*house.rows[200:250], missing]}
    for name, lines in objects.items():
        house.s3.put_object(Bucket=BUCKET, Key=f"in/{name}.csv", Body="\n".join(lines).encode())
    words = XGBOOST_3_0, house.model_data, f"s3://{BUCKET}/in", PLACE, house.folder / "train.csv"
    script = Path(__file__).with_name("sdk2_batch_schedules.py")
    command = [*MODELTAP, "run", "--home", str(house.server.home), "--", str(sdk("sdk2"))]
    done = subprocess.run(
        [*command, str(script), *map(str, words)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SDK_SECONDS_MAX,
    )
    assert done.returncode == 0, done.stdout[-4000:] + house.server.log()[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["status"] == "CompletedWithViolations", told
    checks = {(each["feature_name"], each["constraint_check_type"]) for each in told["violations"]}
    assert checks == {("label", "data_type_check"), ("f0", "completeness_check")}
    assert told["statistics"]["dataset"]["item_count"] == 251
    assert [each["name"] for each in told["statistics"]["features"]] == NAMES
    common = told["statistics"]["features"][1]["numerical_statistics"]["common"]
    assert common == {"num_present": 250, "num_missing": 1}
    assert told["destination"].startswith(f"{PLACE}/reports/Batch-Now/20")
    sources = [each for each in told["inputs"] if each.startswith(f"{PLACE}/captured/")]
    assert {each.split("/")[5] for each in sources} == {"input", "output"}
    assert told["environment"]["dataset_format"] == '{"csv": {"header": false}}'
    assert told["updated"] == "cron(0 * ? * * *)"
    assert told["input"]["BatchTransformInput"]["DatasetFormat"] == {"Csv": {"Header": False}}
    assert_metrics_without_endpoint(house)


def assert_metrics_without_endpoint(house: House) -> None:
    cloudwatch = house.server.client("cloudwatch")
    found = cloudwatch.list_metrics(
        Namespace="/aws/sagemaker/ModelMonitoring/data-metrics", MetricName="feature_non_null_f0"
    )
    (metric,) = found["Metrics"]
    assert metric["Dimensions"] == [{"Name": "MonitoringSchedule", "Value": "Batch-Now"}]


def test_a_transform_that_runs_is_awaited(house: House) -> None:
    """It has begun before the schedule is asked for, and ends after."""
    lines = house.rows * 20
    house.s3.put_object(Bucket=BUCKET, Key="long/a.csv", Body="\n".join(lines).encode())
    create_model(house.server, "scorer", house.model_data, XGBOOST_3_0)
    place = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/long/"}
    house.sagemaker.create_transform_job(
        TransformJobName="Long",
        ModelName="scorer",
        BatchStrategy="SingleRecord",
        MaxConcurrentTransforms=1,
        TransformInput={
            "DataSource": {"S3DataSource": place},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        TransformOutput={"S3OutputPath": f"s3://{BUCKET}/long-out", "AssembleWith": "Line"},
        TransformResources={"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
        DataCaptureConfig={"DestinationS3Uri": f"s3://{BUCKET}/long-captured"},
    )

    def job() -> dict[str, Any]:
        told: dict[str, Any] = house.sagemaker.describe_transform_job(TransformJobName="Long")
        return told

    assert until(lambda: "TransformStartTime" in job())
    create_now(house, "Awaited", f"s3://{BUCKET}/long-captured")
    told = ended(house, "Awaited")
    assert told["MonitoringExecutionStatus"] == "Completed", told
    assert told["CreationTime"] < job()["TransformEndTime"]
    name = told["ProcessingJobArn"].rpartition("/")[2]
    (output,) = house.sagemaker.describe_processing_job(ProcessingJobName=name)[
        "ProcessingOutputConfig"
    ]["Outputs"]
    key = output["S3Output"]["S3Uri"].removeprefix(f"s3://{BUCKET}/") + "/statistics.json"
    found = json.loads(house.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    assert found["dataset"]["item_count"] == len(lines)


def test_an_empty_window_has_awss_text(house: House) -> None:
    create_now(house, "Empty", f"s3://{BUCKET}/nowhere")
    told = ended(house, "Empty")
    assert told["MonitoringExecutionStatus"] == "Failed"
    assert told["FailureReason"].startswith("Job inputs had no data")
    assert not {"ProcessingJobArn", "EndpointName"} & told.keys()


def create_now(house: House, name: str, captured: str) -> None:
    """Create a schedule as boto3's users do: of the last hour, at once, written in place."""
    given = {
        "DataCapturedDestinationS3Uri": captured,
        "LocalPath": "/opt/ml/processing/input",
        "DatasetFormat": {"Csv": {"Header": False}},
    }
    house.sagemaker.create_monitoring_schedule(
        MonitoringScheduleName=name,
        MonitoringScheduleConfig={
            "MonitoringJobDefinition": definition(
                {"BatchTransformInput": given}, f"{PLACE}/reports"
            ),
            "ScheduleConfig": NOW,
        },
    )


def ended(house: House, name: str) -> dict[str, Any]:
    """Await the end of a schedule's run."""
    return run_of(house.server, house.sagemaker, name)
