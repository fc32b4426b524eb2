"""Run in an environment with the SageMaker SDK 1: an hourly schedule, its definition in place.

`sdk1_schedules.py ENDPOINT DATASET REPORTS`; the last line that is printed is JSON.
"""

import json
import sys

import sagemaker
from sagemaker.model_monitor import CronExpressionGenerator, DefaultModelMonitor
from sagemaker.model_monitor.dataset_format import DatasetFormat


def main(endpoint: str, dataset: str, reports: str) -> None:
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
        monitor_schedule_name="Churn-Hourly",
        endpoint_input=endpoint,
        output_s3_uri=reports,
        statistics=monitor.baseline_statistics(),
        constraints=monitor.suggested_constraints(),
        schedule_cron_expression=CronExpressionGenerator.hourly(),
        enable_cloudwatch_metrics=True,
    )
    told = monitor.describe_schedule()
    config = told["MonitoringScheduleConfig"]
    result = {
        "created": told["MonitoringScheduleStatus"],
        "inline": sorted(config["MonitoringJobDefinition"]),
        "executions": len(monitor.list_executions()),
        "listed": [
            each["MonitoringScheduleName"]
            for each in sagemaker.Session().list_monitoring_schedules(endpoint_name=endpoint)[
                "MonitoringScheduleSummaries"
            ]
        ],
    }
    monitor.stop_monitoring_schedule()
    result["stopped"] = monitor.describe_schedule()["MonitoringScheduleStatus"]
    monitor.start_monitoring_schedule()
    result["started"] = monitor.describe_schedule()["MonitoringScheduleStatus"]
    monitor.update_monitoring_schedule(
        schedule_cron_expression=CronExpressionGenerator.daily(hour=6)
    )
    config = monitor.describe_schedule()["MonitoringScheduleConfig"]
    result["updated"] = config["ScheduleConfig"]["ScheduleExpression"]
    attached = DefaultModelMonitor.attach("Churn-Hourly")
    result["attached"] = attached.monitoring_schedule_name
    monitor.delete_monitoring_schedule()
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
