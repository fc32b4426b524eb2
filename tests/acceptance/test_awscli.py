"""The AWS CLI, from the upload of a model to an alarm on what the monitor found.

Its waiters ask each 30 or 60 seconds, so each is called when what it waits for has come about;
boto3 looks when that is.
"""

import datetime as dt
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modeltap.clock import SystemClock, utc

from .conftest import Server
from .deployed import ROLE, capture, until
from .test_jobs import ANALYZER
from .test_seeds import sdk
from .training import FEATURES, XGBOOST_0_90, trained

pytestmark = pytest.mark.acceptance

NAME = "Cli"
BUCKET = "awscli"
ROWS = 4
INPUT, OUTPUT = "/opt/ml/processing/input", "/opt/ml/processing/output"
LOGS = "/aws/sagemaker/ProcessingJobs"
METRIC = (
    "--namespace",
    "/aws/sagemaker/Endpoints/data-metrics",
    "--metric-name",
    "feature_data_f0",
)
DIMENSIONS = (
    "--dimensions",
    f"Name=Endpoint,Value={NAME}",
    f"Name=MonitoringSchedule,Value={NAME}",
)
SECONDS_MAX = 60
ACTIVE = ("", "Pending", "InProgress", "Creating")


@dataclass
class Shell:
    """A user's shell after `eval "$(modeltap env)"`, in a folder with a model and its data."""

    aws: Path
    folder: Path
    environment: dict[str, str]
    boto3: Any

    def run(self, line: str, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run `aws LINE WORDS`; words may hold spaces."""
        return subprocess.run(
            [self.aws, *line.split(), *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )

    def __call__(self, line: str, *words: str) -> Any:
        """Give what the command printed, read as JSON if it is."""
        done = self.run(line, *words)
        assert done.returncode == 0, (line, done.stderr)
        return json.loads(done.stdout) if done.stdout.startswith("{") else done.stdout.strip()

    def sagemaker(self, operation: str, request: dict[str, Any]) -> Any:
        """Give a request as a file, as one does with what is too long for options."""
        (self.folder / "request.json").write_text(json.dumps(request))
        return self(f"sagemaker {operation} --cli-input-json file://request.json")


def ended(look: Callable[[], str]) -> str:
    """Look until a status is a last one; give it."""
    assert until(lambda: look() not in ACTIVE, SECONDS_MAX), look()
    return look()


@pytest.fixture(scope="module")
def shell(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    folder = tmp_path_factory.mktemp("awscli")
    trained(XGBOOST_0_90, server.home / "environments", folder)
    header = ",".join(["label", *(f"f{at}" for at in range(FEATURES))])
    (folder / "train.csv").write_text(f"{header}\n{(folder / 'validation.csv').read_text()}")
    for at, row in enumerate((folder / "inputs.csv").read_text().splitlines()[:ROWS]):
        (folder / f"row-{at}.csv").write_text(row)
    environment = os.environ | server.environment()
    aws = sdk("awscli").with_name("aws")
    return Shell(aws, folder, environment, server.client("sagemaker"))


@pytest.fixture(scope="module")
def baseline(shell: Shell) -> str:
    """Upload, begin to deploy, and baseline; give where the baseline is."""
    shell(f"s3 mb s3://{BUCKET}")
    shell(f"s3 cp model.tar.gz s3://{BUCKET}/")
    shell(f"s3 cp train.csv s3://{BUCKET}/train/")
    shell(
        f"sagemaker create-model --model-name {NAME} --execution-role-arn {ROLE}",
        "--primary-container",
        f"Image={XGBOOST_0_90},ModelDataUrl=s3://{BUCKET}/model.tar.gz",
    )
    (shell.folder / "capture.json").write_text(json.dumps(capture(bucket=BUCKET)))
    shell(
        f"sagemaker create-endpoint-config --endpoint-config-name {NAME}"
        " --data-capture-config file://capture.json --production-variants",
        f"VariantName=AllTraffic,ModelName={NAME},InstanceType=ml.m5.xlarge,InitialInstanceCount=1",
    )
    shell(f"sagemaker create-endpoint --endpoint-name {NAME} --endpoint-config-name {NAME}")
    shell.sagemaker("create-processing-job", baseline_job())
    job = f"--processing-job-name {NAME}"
    describe = shell.boto3.describe_processing_job
    ended(lambda: str(describe(ProcessingJobName=NAME)["ProcessingJobStatus"]))
    shell(f"sagemaker wait processing-job-completed-or-stopped {job}")
    told = shell(f"sagemaker describe-processing-job {job}")
    assert told["ProcessingJobStatus"] == "Completed"
    return f"s3://{BUCKET}/baseline"


def baseline_job() -> dict[str, Any]:
    data = {"S3Uri": f"s3://{BUCKET}/train", "LocalPath": INPUT, "S3DataType": "S3Prefix"}
    target = {"S3Uri": f"s3://{BUCKET}/baseline", "LocalPath": OUTPUT, "S3UploadMode": "EndOfJob"}
    return {
        "ProcessingJobName": NAME,
        "AppSpecification": {"ImageUri": ANALYZER},
        "ProcessingInputs": [{"InputName": "data", "S3Input": data | {"S3InputMode": "File"}}],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output": target}]},
        "ProcessingResources": RESOURCES,
        "RoleArn": ROLE,
        "Environment": {
            "dataset_format": json.dumps({"csv": {"header": True}}),
            "dataset_source": INPUT,
            "output_path": OUTPUT,
            "publish_cloudwatch_metrics": "Disabled",
        },
    }


RESOURCES = {
    "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 1}
}


@pytest.fixture(scope="module")
def report(shell: Shell, baseline: str) -> dict[str, Any]:
    """Send traffic, have a schedule run now, and give how the run ended."""
    endpoint = f"--endpoint-name {NAME}"
    ended(lambda: str(shell.boto3.describe_endpoint(EndpointName=NAME)["EndpointStatus"]))
    shell(f"sagemaker wait endpoint-in-service {endpoint}")
    for at in range(ROWS):
        told = shell(
            f"sagemaker-runtime invoke-endpoint {endpoint} --content-type text/csv"
            f" --body fileb://row-{at}.csv answer-{at}.txt"
        )
        assert told["InvokedProductionVariant"] == "AllTraffic"
    shell.sagemaker("create-data-quality-job-definition", definition(baseline))
    schedule = f"--monitoring-schedule-name {NAME}"
    shell(
        f"sagemaker create-monitoring-schedule {schedule} --monitoring-schedule-config",
        f"MonitoringJobDefinitionName={NAME},MonitoringType=DataQuality,ScheduleConfig="
        "{ScheduleExpression=NOW,DataAnalysisStartTime=-PT1H,DataAnalysisEndTime=-PT0H}",
    )
    ended(lambda: last_run(shell))
    (run,) = shell(f"sagemaker list-monitoring-executions {schedule}")[
        "MonitoringExecutionSummaries"
    ]
    found: dict[str, Any] = run
    return found


def last_run(shell: Shell) -> str:
    told = shell.boto3.describe_monitoring_schedule(MonitoringScheduleName=NAME)
    last = told.get("LastMonitoringExecutionSummary", {})
    return str(last.get("MonitoringExecutionStatus", ""))


def definition(baseline: str) -> dict[str, Any]:
    target = {"S3Uri": f"s3://{BUCKET}/reports", "LocalPath": OUTPUT}
    return {
        "JobDefinitionName": NAME,
        "DataQualityAppSpecification": {
            "ImageUri": ANALYZER,
            "Environment": {"publish_cloudwatch_metrics": "Enabled"},
        },
        "DataQualityBaselineConfig": {
            "ConstraintsResource": {"S3Uri": f"{baseline}/constraints.json"},
            "StatisticsResource": {"S3Uri": f"{baseline}/statistics.json"},
        },
        "DataQualityJobInput": {
            "EndpointInput": {"EndpointName": NAME, "LocalPath": f"{INPUT}/endpoint"}
        },
        "DataQualityJobOutputConfig": {"MonitoringOutputs": [{"S3Output": target}]},
        "JobResources": RESOURCES,
        "RoleArn": ROLE,
    }


def test_the_answers_are_the_models(shell: Shell, report: dict[str, Any]) -> None:
    scores = (shell.folder / "scores.csv").read_text().splitlines()
    answers = [(shell.folder / f"answer-{at}.txt").read_text() for at in range(ROWS)]
    assert answers == scores[:ROWS]


def test_a_run_now_reports_every_record(shell: Shell, report: dict[str, Any]) -> None:
    assert report["MonitoringExecutionStatus"] == "CompletedWithViolations"
    assert report["EndpointName"] == NAME
    shell(f"s3 cp --recursive s3://{BUCKET}/reports/ reports/")
    statistics = found(shell.folder / "reports", "statistics.json")
    assert statistics["dataset"]["item_count"] == ROWS
    violations = found(shell.folder / "reports", "constraint_violations.json")["violations"]
    assert "label" in [each["feature_name"] for each in violations]
    listed = shell(f"s3 ls s3://{BUCKET}/reports/{NAME}/{NAME}/ --recursive")
    assert "report.html" in listed


def found(folder: Path, name: str) -> Any:
    (path,) = folder.rglob(name)
    return json.loads(path.read_text())


def test_the_schedule_is_listed_and_described(shell: Shell, report: dict[str, Any]) -> None:
    names = shell(
        f"sagemaker list-monitoring-schedules --endpoint-name {NAME} --output text --query",
        "MonitoringScheduleSummaries[].MonitoringScheduleName",
    )
    assert names == NAME
    told = shell(f"sagemaker describe-monitoring-schedule --monitoring-schedule-name {NAME}")
    last = told["LastMonitoringExecutionSummary"]
    assert last["ProcessingJobArn"] == report["ProcessingJobArn"]


def test_the_runs_log_is_read(shell: Shell, report: dict[str, Any]) -> None:
    job = report["ProcessingJobArn"].rpartition("/")[2]
    group = f"--log-group-name {LOGS}"
    stream = shell(
        f"logs describe-log-streams {group} --log-stream-name-prefix {job}/ --output text --query",
        "logStreams[0].logStreamName",
    )
    told = shell(f"logs get-log-events {group} --log-stream-name {stream} --start-from-head")
    lines = [each["message"] for each in told["events"]]
    (last,) = [line for line in lines if line.startswith("CompletedWithViolations: ")]
    filtered = shell(
        f"logs filter-log-events {group} --log-stream-names {stream} --filter-pattern",
        '"Job completed successfully"',
    )
    assert [each["message"] for each in filtered["events"]] == [last]


def test_the_runs_metrics_are_there_for_an_alarm(shell: Shell, report: dict[str, Any]) -> None:
    now = utc(SystemClock().now_ns())
    window = f"--start-time {iso(now - dt.timedelta(hours=2))} --end-time {iso(now)}"
    told = shell(
        f"cloudwatch get-metric-statistics {window} --period 3600 --statistics SampleCount Maximum",
        *METRIC,
        *DIMENSIONS,
    )
    assert sum(each["SampleCount"] for each in told["Datapoints"]) == ROWS
    shell(
        f"cloudwatch put-metric-alarm --alarm-name {NAME} --statistic Maximum --threshold 1"
        " --period 3600 --evaluation-periods 1 --comparison-operator GreaterThanThreshold",
        *METRIC,
        *DIMENSIONS,
    )
    shell(f"cloudwatch wait alarm-exists --alarm-names {NAME}")
    (alarm,) = shell(f"cloudwatch describe-alarms --alarm-names {NAME}")["MetricAlarms"]
    assert (alarm["MetricName"], alarm["Threshold"]) == ("feature_data_f0", 1.0)
    shell(f"cloudwatch set-alarm-state --alarm-name {NAME} --state-value ALARM --state-reason cli")
    history = shell(
        f"cloudwatch describe-alarm-history --alarm-name {NAME} --history-item-type StateUpdate"
        " --output text --query AlarmHistoryItems[].HistorySummary"
    )
    assert "to ALARM" in history
    shell(f"cloudwatch delete-alarms --alarm-names {NAME}")
    assert shell(f"cloudwatch describe-alarms --alarm-names {NAME}")["MetricAlarms"] == []


def iso(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_everything_is_deleted(shell: Shell, report: dict[str, Any]) -> None:
    """It stands last: what comes before needs what it deletes."""
    schedule = f"--monitoring-schedule-name {NAME}"
    shell(f"sagemaker stop-monitoring-schedule {schedule}")
    told = shell(f"sagemaker describe-monitoring-schedule {schedule}")
    assert told["MonitoringScheduleStatus"] == "Stopped"
    shell(f"sagemaker delete-monitoring-schedule {schedule}")
    shell(f"sagemaker delete-data-quality-job-definition --job-definition-name {NAME}")
    shell(f"sagemaker delete-endpoint --endpoint-name {NAME}")
    shell(f"sagemaker delete-endpoint-config --endpoint-config-name {NAME}")
    shell(f"sagemaker delete-model --model-name {NAME}")
    assert until(lambda: not shell.boto3.list_endpoints(NameContains=NAME)["Endpoints"])
    shell(f"sagemaker wait endpoint-deleted --endpoint-name {NAME}")
    refused(shell, f"describe-monitoring-schedule {schedule}", "(ResourceNotFound)")
    refused(shell, f"describe-endpoint --endpoint-name {NAME}", "Could not find endpoint")
    shell(f"s3 rb --force s3://{BUCKET}")
    assert BUCKET not in shell("s3 ls").split()


def refused(shell: Shell, line: str, message: str) -> None:
    done = shell.run(f"sagemaker {line}")
    assert (done.returncode, message in done.stderr) == (255, True), done.stderr
