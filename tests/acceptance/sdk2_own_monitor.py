"""Run in an environment with the SageMaker SDK 2: a monitor with an image of one's own.

`sdk2_own_monitor.py IMAGE ENDPOINT DATASET REPORTS`; the last line that is printed is JSON.
"""

import json
import sys

import sagemaker
from sagemaker.model_monitor import (
    CronExpressionGenerator,
    EndpointInput,
    ModelMonitor,
    MonitoringOutput,
)
from sagemaker.processing import ProcessingInput, ProcessingOutput
from sdk2_schedules import ended  # type: ignore[import-not-found]

INPUT, OUTPUT = "/opt/ml/processing/input/baseline", "/opt/ml/processing/output"


def main(image: str, endpoint: str, dataset: str, reports: str) -> None:
    monitor = ModelMonitor(
        role=sagemaker.get_execution_role(),
        image_uri=image,
        instance_count=1,
        instance_type="ml.m5.xlarge",
        volume_size_in_gb=1,
        max_runtime_in_seconds=1800,
        env={"dataset_source": INPUT, "output_path": OUTPUT, "MINE": "my own"},
    )
    monitor.run_baseline(
        baseline_inputs=[ProcessingInput(source=dataset, destination=INPUT)],
        output=ProcessingOutput(source=OUTPUT, destination=f"{reports}/baseline"),
        arguments=["--baseline"],
        logs=False,
    )
    result = {"baseline": monitor.latest_baselining_job.describe()["ExitMessage"]}
    monitor.create_monitoring_schedule(
        monitor_schedule_name="Own-Now",
        endpoint_input=EndpointInput(endpoint, "/opt/ml/processing/input/endpoint"),
        output=MonitoringOutput(source=OUTPUT, destination=reports),
        statistics=monitor.baseline_statistics(),
        constraints=monitor.suggested_constraints(),
        schedule_cron_expression=CronExpressionGenerator.now(),
        arguments=["--strict", "two words"],
        data_analysis_start_time="-PT1H",
        data_analysis_end_time="-PT0H",
    )
    result["status"] = ended(monitor)["MonitoringExecutionStatus"]
    (execution,) = monitor.list_executions()
    result["message"] = execution.describe()["ExitMessage"]
    result["statistics"] = execution.statistics().body_dict
    result["violations"] = execution.constraint_violations().body_dict["violations"]
    monitor.delete_monitoring_schedule()
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
