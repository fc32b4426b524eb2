"""Run in an environment with the SageMaker SDK 2: a baseline, as AWS's notebooks make it.

`sdk_monitor.py DATASET`; the last line that is printed is JSON.
"""

import json
import sys

import sagemaker
from sagemaker.model_monitor import DefaultModelMonitor
from sagemaker.model_monitor.dataset_format import DatasetFormat


def main(dataset: str) -> None:
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
        logs=True,
    )
    job = monitor.latest_baselining_job
    told = job.describe()
    result = {
        "status": told["ProcessingJobStatus"],
        "message": told["ExitMessage"],
        "output": job.outputs[0].destination,
        "statistics": monitor.baseline_statistics().body_dict,
        "constraints": monitor.suggested_constraints().body_dict,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
