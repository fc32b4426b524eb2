"""Schedules as boto3's users write them: a definition, NOW, and the end of a run."""

from typing import Any

from .conftest import Server
from .deployed import ROLE, until
from .test_jobs import ANALYZER

ACTIVE = ("Pending", "InProgress", "Stopping")
NOW = {
    "ScheduleExpression": "NOW",
    "DataAnalysisStartTime": "-PT1H",
    "DataAnalysisEndTime": "-PT0H",
}
CLUSTER = {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 1}


def definition(given: dict[str, Any], reports: str, **more: Any) -> dict[str, Any]:
    """Give a `MonitoringJobDefinition` of one input, its reports below an address."""
    target = {"S3Uri": reports, "LocalPath": "/opt/ml/processing/output"}
    return {
        "MonitoringInputs": [given],
        "MonitoringOutputConfig": {"MonitoringOutputs": [{"S3Output": target}]},
        "MonitoringResources": {"ClusterConfig": CLUSTER},
        "MonitoringAppSpecification": {"ImageUri": ANALYZER},
        "RoleArn": ROLE,
        **more,
    }


def of_endpoint(endpoint: str) -> dict[str, Any]:
    """Give the input of a definition that looks at an endpoint."""
    return {
        "EndpointInput": {
            "EndpointName": endpoint,
            "LocalPath": "/opt/ml/processing/input/endpoint",
        }
    }


def run_of(server: Server, sagemaker: Any, name: str) -> dict[str, Any]:
    """Await the end of a schedule's one run; give what List says of it."""
    found: dict[str, Any] = {}

    def over() -> bool:
        answer = sagemaker.list_monitoring_executions(MonitoringScheduleName=name)
        for each in answer["MonitoringExecutionSummaries"]:
            found.update(each)
        return found.get("MonitoringExecutionStatus", "Pending") not in ACTIVE

    assert until(over, 90), (found, server.log()[-2000:])
    return found
