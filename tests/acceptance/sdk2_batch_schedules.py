"""Run in an environment with the SageMaker SDK 2: a schedule over batch transforms.

`sdk2_batch_schedules.py IMAGE MODEL_DATA INPUT PLACE DATASET`; all is written below PLACE. The last
line that is printed is JSON.
"""

import json
import sys

import sagemaker
from sagemaker.inputs import BatchDataCaptureConfig
from sagemaker.model import Model
from sagemaker.model_monitor import (
    BatchTransformInput,
    CronExpressionGenerator,
    DefaultModelMonitor,
    MonitoringDatasetFormat,
)
from sagemaker.model_monitor.dataset_format import DatasetFormat
from sdk2_schedules import ended  # type: ignore[import-not-found]  # beside this script

NAME = "Batch-Now"


def main(image: str, model_data: str, source: str, place: str, dataset: str) -> None:
    transformed(image, model_data, source, place)
    monitor = scheduled(place, dataset)
    result = {"status": ended(monitor)["MonitoringExecutionStatus"]}
    (execution,) = monitor.list_executions()
    told = execution.describe()
    result["job"] = told["ExitMessage"]
    result["environment"] = told["Environment"]
    result["destination"] = execution.output.destination
    result["inputs"] = [each.source for each in execution.inputs]
    violations = monitor.latest_monitoring_constraint_violations()
    result["violations"] = violations.body_dict["violations"]
    result["statistics"] = monitor.latest_monitoring_statistics().body_dict
    monitor.stop_monitoring_schedule()
    attached = DefaultModelMonitor.attach(NAME)
    attached.update_monitoring_schedule(schedule_cron_expression=CronExpressionGenerator.hourly())
    told = attached.describe_schedule()
    result["updated"] = told["MonitoringScheduleConfig"]["ScheduleConfig"]["ScheduleExpression"]
    client = attached.sagemaker_session.sagemaker_client
    name = told["MonitoringScheduleConfig"]["MonitoringJobDefinitionName"]
    definition = client.describe_data_quality_job_definition(JobDefinitionName=name)
    result["input"] = definition["DataQualityJobInput"]
    attached.delete_monitoring_schedule()
    print(json.dumps(result))


def transformed(image: str, model_data: str, source: str, place: str) -> None:
    """Have the model score the source, and capture it."""
    role = sagemaker.get_execution_role()
    transformer = Model(image_uri=image, model_data=model_data, role=role).transformer(
        instance_count=1,
        instance_type="ml.m5.xlarge",
        strategy="SingleRecord",
        assemble_with="Line",
        accept="text/csv",
        output_path=f"{place}/scores",
    )
    transformer.transform(
        data=source,
        content_type="text/csv",
        split_type="Line",
        batch_data_capture_config=BatchDataCaptureConfig(
            destination_s3_uri=f"{place}/captured", generate_inference_id=True
        ),
        wait=True,
        logs=False,
    )


def scheduled(place: str, dataset: str) -> DefaultModelMonitor:
    """Make a baseline, and have what was captured in the last hour compared with it."""
    monitor = DefaultModelMonitor(
        role=sagemaker.get_execution_role(),
        instance_count=1,
        instance_type="ml.m5.xlarge",
        volume_size_in_gb=20,
        max_runtime_in_seconds=3600,
    )
    monitor.suggest_baseline(
        baseline_dataset=dataset,
        dataset_format=DatasetFormat.csv(header=True),
        wait=True,
        logs=False,
    )
    monitor.create_monitoring_schedule(
        monitor_schedule_name=NAME,
        batch_transform_input=BatchTransformInput(
            data_captured_destination_s3_uri=f"{place}/captured",
            destination="/opt/ml/processing/input",
            dataset_format=MonitoringDatasetFormat.csv(header=False),
        ),
        output_s3_uri=f"{place}/reports",
        statistics=monitor.baseline_statistics(),
        constraints=monitor.suggested_constraints(),
        schedule_cron_expression=CronExpressionGenerator.now(),
        data_analysis_start_time="-PT1H",
        data_analysis_end_time="-PT0H",
        enable_cloudwatch_metrics=True,
    )
    return monitor


if __name__ == "__main__":
    main(*sys.argv[1:])
