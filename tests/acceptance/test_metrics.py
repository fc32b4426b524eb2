"""Metrics and alarms from a running server, with boto3 and with what it was before 1.36."""

import datetime as dt
import json
import os
import signal
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError

from modeltap.clock import SystemClock, utc
from old_cloudwatch import OldClient

from .conftest import Server
from .deployed import ROLE, until

pytestmark = pytest.mark.acceptance

BUCKET = "metrics"
ANALYZER = "156813124566.dkr.ecr.us-east-1.amazonaws.com/sagemaker-model-monitor-analyzer"
NAMESPACE = "/aws/sagemaker/Endpoints/data-metrics"
INPUT, OUTPUT = "/opt/ml/processing/input", "/opt/ml/processing/output"


def ago(**time: float) -> dt.datetime:
    return utc(SystemClock().now_ns()) - dt.timedelta(**time)


def old_client(server: Server) -> OldClient:
    found = server.environment()
    return OldClient(server.port, found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"])


def state(cloudwatch: Any, name: str) -> Any:
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return alarm["StateValue"]


def alarm(name: str, **more: Any) -> dict[str, Any]:
    return {
        "AlarmName": name,
        "Namespace": "mine",
        "MetricName": "loss",
        "Statistic": "Maximum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 0.5,
        "ComparisonOperator": "GreaterThanThreshold",
        **more,
    }


def test_an_alarm_rings_and_outlives_control(server: Server) -> None:
    cloudwatch, old = server.client("cloudwatch"), old_client(server)
    cloudwatch.put_metric_alarm(**alarm("loss"))
    datum = {"MetricName": "loss", "Timestamp": ago(minutes=2), "Value": 0.75}
    old.put_metric_data(Namespace="mine", MetricData=[datum])
    assert until(lambda: state(cloudwatch, "loss") == "ALARM")
    assert state(old, "loss") == "ALARM"
    (control,) = server.processes("control")
    os.kill(control, signal.SIGKILL)
    assert until(lambda: server.processes("control") not in ([], [control]))
    again = server.client("cloudwatch", read_timeout=30)
    assert until(lambda: _answers(again))
    assert state(again, "loss") == "ALARM"
    listed = again.list_metrics(Namespace="mine")["Metrics"]
    assert listed == [{"Namespace": "mine", "MetricName": "loss", "Dimensions": []}]
    with pytest.raises(ClientError, match=r"\(ResourceNotFound\)"):
        old.delete_alarms(AlarmNames=["none"])
    again.delete_alarms(AlarmNames=["loss"])


def _answers(cloudwatch: Any) -> bool:
    """Tell whether control is back: until then its calls may be refused with 503."""
    try:
        cloudwatch.describe_alarms()
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 503
        return False
    return True


def test_a_monitoring_jobs_metrics_are_there_when_it_has_ended(server: Server) -> None:
    s3, sagemaker = server.client("s3"), server.client("sagemaker")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="data/a.csv", Body=b"age,name\n1,x\n2,\n3,z\n4,z\n")
    run_of = ago(hours=1).replace(minute=0, second=0, microsecond=0)
    _analyze(sagemaker, run_of)
    assert until(lambda: _status(sagemaker) not in ("InProgress", "Stopping"))
    told = sagemaker.describe_processing_job(ProcessingJobName="measured")
    assert told["ProcessingJobStatus"] == "Completed", told
    cloudwatch = server.client("cloudwatch")
    dimensions = [
        {"Name": "Endpoint", "Value": "churn"},
        {"Name": "MonitoringSchedule", "Value": "hourly"},
    ]
    listed = cloudwatch.list_metrics(Namespace=NAMESPACE, Dimensions=dimensions)["Metrics"]
    assert {each["MetricName"] for each in listed} == {
        "feature_data_age",
        "feature_non_null_age",
        "feature_non_null_name",
    }
    (datapoint,) = cloudwatch.get_metric_statistics(
        Namespace=NAMESPACE,
        MetricName="feature_data_age",
        Dimensions=dimensions,
        StartTime=run_of,
        EndTime=run_of + dt.timedelta(hours=1),
        Period=3600,
        Statistics=["SampleCount", "Sum", "Minimum", "Maximum"],
    )["Datapoints"]
    assert datapoint == {
        "Timestamp": datapoint["Timestamp"],
        "SampleCount": 4.0,
        "Sum": 10.0,
        "Minimum": 1.0,
        "Maximum": 4.0,
        "Unit": "None",
    }
    assert datapoint["Timestamp"] == run_of
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port + 2}/metrics") as page:
        text = page.read().decode()
    gauge = "modeltap_monitor_feature_non_null"
    assert f'{gauge}{{endpoint="churn",feature="name",schedule="hourly"}} 0.75' in text


def _status(sagemaker: Any) -> Any:
    return sagemaker.describe_processing_job(ProcessingJobName="measured")["ProcessingJobStatus"]


def _analyze(sagemaker: Any, end: dt.datetime) -> None:
    source = {"S3Uri": f"s3://{BUCKET}/data", "LocalPath": INPUT, "S3DataType": "S3Prefix"}
    target = {"S3Uri": f"s3://{BUCKET}/out", "LocalPath": OUTPUT, "S3UploadMode": "EndOfJob"}
    host = {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 1}
    sagemaker.create_processing_job(
        ProcessingJobName="measured",
        AppSpecification={"ImageUri": ANALYZER},
        ProcessingInputs=[{"InputName": "i", "S3Input": {**source, "S3InputMode": "File"}}],
        ProcessingOutputConfig={"Outputs": [{"OutputName": "o", "S3Output": target}]},
        ProcessingResources={"ClusterConfig": host},
        RoleArn=ROLE,
        Environment={
            "dataset_format": json.dumps({"csv": {"header": True}}),
            "dataset_source": INPUT,
            "output_path": OUTPUT,
            "publish_cloudwatch_metrics": "Enabled",
            "sagemaker_endpoint_name": "churn",
            "sagemaker_monitoring_schedule_name": "hourly",
            "end_time": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    )
