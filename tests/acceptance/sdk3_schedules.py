"""Run in an environment with the SageMaker SDK 3: from a model to the report of a schedule.

`sdk3_schedules.py IMAGE MODEL DATASET ROWS`: a model's archive in S3, a CSV file with a header,
a file with one row a line to send. The last line that is printed is JSON.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.model_monitor import (
    CronExpressionGenerator,
    DataCaptureConfig,
    DatasetFormat,
    DefaultModelMonitor,
)
from sagemaker.core.resources import (
    DataQualityJobDefinition,
    Endpoint,
    EndpointConfig,
    Model,
    MonitoringExecution,
    MonitoringSchedule,
    ProcessingJob,
)
from sagemaker.core.shapes import MonitoringScheduleConfig, ScheduleConfig
from sagemaker.serve import ModelBuilder

NAME = "Sdk-3"
SECONDS_MAX = 120


def main(image: str, model: str, dataset: str, rows: str) -> None:
    bucket = f"s3://{Session().default_bucket()}"
    endpoint = deployed(image, model, bucket)
    result: dict[str, Any] = {
        "answers": [
            endpoint.invoke(body=row, content_type="text/csv").body.read().decode()
            for row in Path(rows).read_text().splitlines()
        ]
    }
    monitor = scheduled(dataset, f"{bucket}/reports")
    result |= reported(monitor)
    result |= told_by_resources(monitor)
    result |= changed(monitor)
    endpoint.delete()
    endpoint.wait_for_delete()
    EndpointConfig.get(NAME).delete()
    Model.get(NAME).delete()
    print(json.dumps(result))


def deployed(image: str, model: str, bucket: str) -> Endpoint:
    builder = ModelBuilder(
        image_uri=image,
        s3_model_data_url=model,
        role_arn=get_execution_role(),
        instance_type="ml.m5.xlarge",
    )
    builder.build(model_name=NAME)
    return builder.deploy(
        endpoint_name=NAME,
        initial_instance_count=1,
        instance_type="ml.m5.xlarge",
        data_capture_config=DataCaptureConfig(
            enable_capture=True, sampling_percentage=100, destination_s3_uri=f"{bucket}/capture"
        ),
    )


def scheduled(dataset: str, reports: str) -> DefaultModelMonitor:
    """Suggest a baseline, and have a run begin now."""
    monitor = DefaultModelMonitor(
        role=get_execution_role(),
        instance_count=1,
        instance_type="ml.m5.xlarge",
        volume_size_in_gb=20,
        max_runtime_in_seconds=3600,
    )
    monitor.suggest_baseline(
        baseline_dataset=dataset,
        dataset_format=DatasetFormat.csv(header=True),
        wait=True,
        logs=True,
    )
    monitor.create_monitoring_schedule(
        monitor_schedule_name=NAME,
        endpoint_input=NAME,
        output_s3_uri=reports,
        statistics=monitor.baseline_statistics(),
        constraints=monitor.suggested_constraints(),
        schedule_cron_expression=CronExpressionGenerator.now(),
        data_analysis_start_time="-PT1H",
        data_analysis_end_time="-PT0H",
    )
    return monitor


def reported(monitor: DefaultModelMonitor) -> dict[str, Any]:
    """Await the run, and read its report as the monitor's own methods do."""
    status = ended()
    (execution,) = monitor.list_executions()
    monitor.get_latest_execution_logs(wait=True)
    violations = monitor.latest_monitoring_constraint_violations().body_dict
    statistics = monitor.latest_monitoring_statistics().body_dict
    return {
        "status": status,
        "message": execution.describe()["ExitMessage"],
        "destination": execution.output.s3_output.s3_uri,
        "violations": violations["violations"],
        "rows": statistics["dataset"]["item_count"],
    }


def told_by_resources(monitor: DefaultModelMonitor) -> dict[str, Any]:
    """Find the same by the classes that stand for AWS's resources."""
    (run,) = MonitoringExecution.get_all(monitoring_schedule_name=NAME)
    job = ProcessingJob.get(run.processing_job_arn.rpartition("/")[2])
    definition = DataQualityJobDefinition.get(monitor.job_definition_name)
    listed = DataQualityJobDefinition.get_all(endpoint_name=NAME)
    return {
        "run": [run.monitoring_execution_status, run.endpoint_name, run.monitoring_type],
        "job": job.exit_message,
        "input": definition.data_quality_job_input.endpoint_input.endpoint_name,
        "definitions": [each.job_definition_name for each in listed],
        "schedules": [
            each.monitoring_schedule_name for each in MonitoringSchedule.get_all(endpoint_name=NAME)
        ],
    }


def changed(monitor: DefaultModelMonitor) -> dict[str, Any]:
    """Stop, change and delete the schedule; make and delete one by its class."""
    monitor.stop_monitoring_schedule()
    stopped = monitor.describe_schedule()["MonitoringScheduleStatus"]
    monitor.update_monitoring_schedule(schedule_cron_expression=CronExpressionGenerator.hourly())
    config = monitor.describe_schedule()["MonitoringScheduleConfig"]
    daily = MonitoringSchedule.create(
        monitoring_schedule_name=f"{NAME}-Daily",
        monitoring_schedule_config=MonitoringScheduleConfig(
            schedule_config=ScheduleConfig(schedule_expression="cron(0 6 ? * * *)"),
            monitoring_job_definition_name=monitor.job_definition_name,
            monitoring_type="DataQuality",
        ),
    )
    daily.wait_for_status("Scheduled", poll=1)
    daily.stop()
    daily.wait_for_status("Stopped", poll=1)
    daily.start()
    daily.wait_for_status("Scheduled", poll=1)
    daily.delete()
    attached = type(DefaultModelMonitor.attach(NAME)).__name__
    monitor.delete_monitoring_schedule()
    return {
        "stopped": stopped,
        "updated": config["ScheduleConfig"]["ScheduleExpression"],
        "daily": daily.monitoring_schedule_status,
        "attached": attached,
    }


def ended() -> str:
    """Await the end of the schedule's run; give its status."""
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        last = MonitoringSchedule.get(NAME).last_monitoring_execution_summary
        status = getattr(last, "monitoring_execution_status", "Pending")
        if status not in ("Pending", "InProgress"):
            return str(status)
        time.sleep(0.2)
    raise TimeoutError(MonitoringSchedule.get(NAME))


if __name__ == "__main__":
    main(*sys.argv[1:])
