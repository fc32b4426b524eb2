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


ENDPOINT_INPUT, BATCH_INPUT = "EndpointInput", "BatchTransformInput"


def input_of(definition: Document) -> Document:
    """Give the one input of a definition, of either kind; `front` lets in none without it."""
    (given,) = definition["MonitoringInputs"][0].values()
    return dict(given)


def batch_input(definition: Document) -> Document | None:
    """Give the `BatchTransformInput` of a definition, if it has that."""
    given: Document | None = definition["MonitoringInputs"][0].get(BATCH_INPUT)
    return given


def endpoint_of(definition: Document) -> str:
    """Name the endpoint that a definition looks at; "" if it looks at batch transforms."""
    return str(input_of(definition).get("EndpointName", ""))


def output_of(definition: Document) -> Document:
    given: Document = definition["MonitoringOutputConfig"]["MonitoringOutputs"][0]["S3Output"]
    return given


def cluster_of(definition: Document) -> Document:
    given: Document = definition["MonitoringResources"]["ClusterConfig"]
    return given
