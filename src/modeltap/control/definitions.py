"""What a data-quality schedule runs: one form for both in which it is asked for. Pure.

SDK 2 and 3 create a job definition and name it; SDK 1 puts the same into the schedule itself, under
other member names (contract §4.1, §4.7). A *definition* here is a document in the second form,
`MonitoringJobDefinition` of AWS's model.
"""

from modeltap.nouns import Document

KIND = "data-quality-job-definition"

_RENAMED = {
    "DataQualityJobOutputConfig": "MonitoringOutputConfig",
    "JobResources": "MonitoringResources",
    "DataQualityBaselineConfig": "BaselineConfig",
    "NetworkConfig": "NetworkConfig",
    "StoppingCondition": "StoppingCondition",
    "RoleArn": "RoleArn",
}


def inline(spec: Document) -> Document:
    """Give a CreateDataQualityJobDefinition request as a `MonitoringJobDefinition`."""
    app = dict(spec["DataQualityAppSpecification"])
    environment = app.pop("Environment", {})
    renamed = {new: spec[old] for old, new in _RENAMED.items() if old in spec}
    return {
        "MonitoringInputs": [spec["DataQualityJobInput"]],
        "MonitoringAppSpecification": app,
        "Environment": environment,
        **renamed,
    }


def endpoint_input(definition: Document) -> Document:
    """Give the `EndpointInput` of a definition; `front` lets none in that has none."""
    given: Document = definition["MonitoringInputs"][0]["EndpointInput"]
    return given


def endpoint_of(definition: Document) -> str:
    return str(endpoint_input(definition)["EndpointName"])


def output_of(definition: Document) -> Document:
    given: Document = definition["MonitoringOutputConfig"]["MonitoringOutputs"][0]["S3Output"]
    return given


def cluster_of(definition: Document) -> Document:
    given: Document = definition["MonitoringResources"]["ClusterConfig"]
    return given
