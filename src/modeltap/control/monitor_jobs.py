"""The processing job of one execution, as the container contract has it (contract §4.2). Pure.

Of an endpoint's capture there is one input for each hour of the window and each variant that has
objects: `endpoint_input_1`, …, at `{dataset_source}/{endpoint}/{variant}/yyyy/mm/dd/hh`. Of batch
transforms see `batch_captures.py`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from modeltap.clock import stamp, utc
from modeltap.control.definitions import cluster_of, input_of, output_of
from modeltap.control.endpoints import Endpoint
from modeltap.control.explaining import violations_told
from modeltap.control.jobs import Job, JobStatus
from modeltap.control.schedules import report_uri
from modeltap.control.windows import HOUR_NS, Window
from modeltap.nouns import MONITOR_NOTE, WITH_VIOLATIONS, Document
from modeltap.state.executions import Execution

OUTPUT_NAME = "monitoring_output"
PREPROCESSOR = "record_preprocessor_script"
POSTPROCESSOR = "post_analytics_processor_script"
INPUT_ROOT = "/opt/ml/processing/input"
BASELINE_ROOT = "/opt/ml/processing/baseline"
CAPTURE_FORMAT = {
    "sagemakerCaptureJson": {"captureIndexNames": ["endpointInput", "endpointOutput"]}
}


@dataclass(frozen=True, slots=True)
class Captured:
    """Where an endpoint's capture goes."""

    destination: str  # without a trailing slash
    variants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hour:
    """One variant's capture of one UTC hour: its folder, in the bucket and below the input."""

    uri: str
    path: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """What an execution analyses: the variables that tell of it, the inputs that bring it."""

    variables: Mapping[str, str]
    inputs: tuple[Document, ...]


@dataclass(frozen=True, slots=True)
class Baseline:
    """Addresses of the documents that a run is compared with, as far as there are any."""

    constraints: str | None = None
    statistics: str | None = None


def captured_of(endpoint: Endpoint) -> Captured | None:
    """Tell where an endpoint captures to, whether it does at the moment or not."""
    fleets = [each for each in (endpoint.serving, endpoint.next) if each is not None]
    configs = [each.config.get("DataCaptureConfig") for each in fleets]
    config = next((each for each in configs if each), None)
    if config is None:
        return None
    variants = dict.fromkeys(name for each in fleets for name in each.shares)
    return Captured(str(config["DestinationS3Uri"]).rstrip("/"), tuple(variants))


def window_of(execution: Execution) -> Window:
    return Window(execution.spec["StartNs"], execution.spec["EndNs"])


def hours_of(execution: Execution, captured: Captured) -> Iterator[Hour]:
    """Give every folder in which the window's records may be."""
    for variant in captured.variants:
        for hour in window_of(execution).hours():
            day = utc(hour * HOUR_NS).strftime("%Y/%m/%d/%H")
            path = f"{execution.endpoint}/{variant}/{day}"
            yield Hour(f"{captured.destination}/{path}", path)


def endpoint_dataset(execution: Execution, captured: Captured, hours: Sequence[Hour]) -> Dataset:
    """Give the analyzer some hours of an endpoint's capture."""
    source = input_of(execution.spec["Definition"])["LocalPath"].rstrip("/")
    variables = {
        "dataset_format": json.dumps(CAPTURE_FORMAT),
        "sagemaker_endpoint_name": execution.endpoint,
        "sagemaker_endpoint_datacapture_prefix": captured.destination,
    }
    inputs = (
        job_input(f"endpoint_input_{number}", hour.uri, f"{source}/{hour.path}")
        for number, hour in enumerate(hours, start=1)
    )
    return Dataset(variables, tuple(inputs))


def baseline_of(definition: Document, baselining: Document | None) -> Baseline:
    """Tell the baseline: named itself, or what the named baselining job has written."""
    given = definition.get("BaselineConfig", {})
    found = Baseline(
        given.get("ConstraintsResource", {}).get("S3Uri"),
        given.get("StatisticsResource", {}).get("S3Uri"),
    )
    if found != Baseline() or baselining is None:
        return found
    output = baselining["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"].rstrip("/")
    return Baseline(f"{output}/constraints.json", f"{output}/statistics.json")


def report_of(execution: Execution) -> str:
    """Tell where the report of an execution goes."""
    output = output_of(execution.spec["Definition"])["S3Uri"]
    return report_uri(output, execution.endpoint, execution.schedule, execution.scheduled_ns)


# ---------------------------------------------------------------- the request


def request(
    name: str,
    schedule_arn: str,
    execution: Execution,
    dataset: Dataset,
    baseline: Baseline,
    note: str | None,
) -> Document:
    """Write the CreateProcessingJob request of an execution."""
    definition = execution.spec["Definition"]
    app = definition["MonitoringAppSpecification"]
    output = output_of(definition)
    optional = {
        "StoppingCondition": definition.get("StoppingCondition"),
        "NetworkConfig": definition.get("NetworkConfig"),
    }
    kms = definition["MonitoringOutputConfig"].get("KmsKeyId")
    return {
        "ProcessingJobName": name,
        "MonitoringScheduleArn": schedule_arn,
        "AppSpecification": {
            member: app[member]
            for member in ("ImageUri", "ContainerEntrypoint", "ContainerArguments")
            if member in app
        },
        "Environment": _environment(execution, dataset, baseline, note),
        "ProcessingInputs": [*dataset.inputs, *_inputs(app, baseline)],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": OUTPUT_NAME,
                    "S3Output": {
                        "S3UploadMode": "Continuous",
                        **output,
                        "S3Uri": report_of(execution),
                    },
                }
            ],
            **({} if kms is None else {"KmsKeyId": kms}),
        },
        "ProcessingResources": {"ClusterConfig": cluster_of(definition)},
        "RoleArn": definition["RoleArn"],
        **{member: value for member, value in optional.items() if value is not None},
    }


def _environment(
    execution: Execution, dataset: Dataset, baseline: Baseline, note: str | None
) -> dict[str, str]:
    definition, window = execution.spec["Definition"], window_of(execution)
    app = definition["MonitoringAppSpecification"]
    ours = {
        **dataset.variables,
        "dataset_source": input_of(definition)["LocalPath"],
        "output_path": output_of(definition)["LocalPath"],
        "start_time": stamp(window.start_ns),
        "end_time": stamp(window.end_ns),
        "metric_time": stamp(window.end_ns),
        "sagemaker_monitoring_schedule_name": execution.schedule,
        "baseline_constraints": _file(f"{BASELINE_ROOT}/constraints", baseline.constraints),
        "baseline_statistics": _file(f"{BASELINE_ROOT}/stats", baseline.statistics),
        PREPROCESSOR: _file(_script(PREPROCESSOR), app.get("RecordPreprocessorSourceUri")),
        POSTPROCESSOR: _file(_script(POSTPROCESSOR), app.get("PostAnalyticsProcessorSourceUri")),
        MONITOR_NOTE: note,
    }
    told = {name: value for name, value in ours.items() if value is not None}
    return {**definition.get("Environment", {}), **told}


def _inputs(app: Document, baseline: Baseline) -> Iterator[Document]:
    for name, uri, folder in (
        ("baseline", baseline.statistics, f"{BASELINE_ROOT}/stats"),
        ("constraints", baseline.constraints, f"{BASELINE_ROOT}/constraints"),
        (f"{PREPROCESSOR}_input", app.get("RecordPreprocessorSourceUri"), _script(PREPROCESSOR)),
        (
            f"{POSTPROCESSOR}_input",
            app.get("PostAnalyticsProcessorSourceUri"),
            _script(POSTPROCESSOR),
        ),
    ):
        if uri is not None:
            yield job_input(name, uri, folder)


def job_input(name: str, uri: str, path: str, data_type: str = "S3Prefix") -> Document:
    """Write one of a job's `ProcessingInputs`."""
    source = {
        "S3Uri": uri,
        "LocalPath": path,
        "S3DataType": data_type,
        "S3InputMode": "File",
        "S3DataDistributionType": "FullyReplicated",
        "S3CompressionType": "None",
    }
    return {"InputName": name, "AppManaged": False, "S3Input": source}


def _script(name: str) -> str:
    return f"{INPUT_ROOT}/{name}_input"


def _file(folder: str, uri: str | None) -> str | None:
    """Give where the one object of an input is found: a file by the last part of its key."""
    return None if uri is None else f"{folder}/{PurePosixPath(uri).name}"


# ---------------------------------------------------------------- what became of it

_STATUSES = {
    JobStatus.IN_PROGRESS: "InProgress",
    JobStatus.STOPPING: "Stopping",
    JobStatus.STOPPED: "Stopped",
    JobStatus.FAILED: "Failed",
}


def came_to(job: Job) -> tuple[str, str | None]:
    """Give an execution's status and failure by its job: the message tells of violations."""
    message = job.exit_message or ""
    if job.status is JobStatus.COMPLETED:
        return (WITH_VIOLATIONS if message.startswith(WITH_VIOLATIONS) else "Completed"), None
    if job.status is JobStatus.FAILED:
        return "Failed", " ".join(each for each in (message, job.failure) if each)
    return _STATUSES[job.status], job.failure


def violations_of(job: Job) -> int | None:
    """Give the number of violations, if the job's exit message tells one, as the analyzer's do."""
    return violations_told(job.exit_message or "")
