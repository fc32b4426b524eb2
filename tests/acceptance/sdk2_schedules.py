"""Run in an environment with the SageMaker SDK 2: schedules, as AWS's notebooks make them.

`sdk2_schedules.py ENDPOINT DATASET REPORTS`; the last line that is printed is JSON.
"""

import json
import sys
import time

import sagemaker
from sagemaker.model_monitor import CronExpressionGenerator, DefaultModelMonitor
from sagemaker.model_monitor.dataset_format import DatasetFormat

SECONDS_MAX = 120


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
        monitor_schedule_name="Churn-Now",
        endpoint_input=endpoint,
        output_s3_uri=reports,
        statistics=monitor.baseline_statistics(),
        constraints=monitor.suggested_constraints(),
        schedule_cron_expression=CronExpressionGenerator.now(),
        data_analysis_start_time="-PT1H",
        data_analysis_end_time="-PT0H",
        enable_cloudwatch_metrics=True,
    )
    began = time.monotonic()
    told = ended(monitor)
    result = {"seconds": time.monotonic() - began, "status": told["MonitoringExecutionStatus"]}
    (execution,) = monitor.list_executions()
    result["job"] = execution.describe()["ExitMessage"]
    result["destination"] = execution.output.destination
    result["inputs"] = [each.source for each in execution.inputs]
    violations = monitor.latest_monitoring_constraint_violations()
    result["violations"] = violations.body_dict["violations"]
    result["rows"] = monitor.latest_monitoring_statistics().body_dict["dataset"]["item_count"]
    result["monitors"] = [
        each.monitoring_schedule_name for each in sagemaker.Predictor(endpoint).list_monitors()
    ]
    ((alert,), _) = monitor.list_monitoring_alerts()
    result["alert"] = alert.alert_status
    monitor.update_monitoring_alert(alert.alert_name, 2, 2)
    result["turns"] = [each.alert_status for each in monitor.list_monitoring_alert_history()[0]]
    monitor.stop_monitoring_schedule()
    result["stopped"] = monitor.describe_schedule()["MonitoringScheduleStatus"]
    monitor.start_monitoring_schedule()
    result["started"] = monitor.describe_schedule()["MonitoringScheduleStatus"]
    ended(monitor)  # NOW has begun once more
    monitor.update_monitoring_schedule(schedule_cron_expression=CronExpressionGenerator.hourly())
    told = monitor.describe_schedule()
    result["updated"] = told["MonitoringScheduleConfig"]["ScheduleConfig"]["ScheduleExpression"]
    attached = DefaultModelMonitor.attach("Churn-Now")
    result["attached"] = type(attached).__name__
    monitor.delete_monitoring_schedule()
    print(json.dumps(result))


def ended(monitor: DefaultModelMonitor) -> dict[str, str]:
    """Await the end of the last run."""
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        told = monitor.describe_schedule().get("LastMonitoringExecutionSummary", {})
        if told.get("MonitoringExecutionStatus", "Pending") not in ("Pending", "InProgress"):
            return dict(told)
        time.sleep(0.2)
    raise TimeoutError(monitor.describe_schedule())


if __name__ == "__main__":
    main(*sys.argv[1:])
