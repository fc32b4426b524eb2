"""What the SDKs ask Model Monitor for (`spec/clients.md`)."""

from typing import Any

ROLE_ARN = "arn:aws:iam::123456789012:role/ModeltapExecutionRole"
ANALYZER = "156813124566.dkr.ecr.us-east-1.amazonaws.com/sagemaker-model-monitor-analyzer"
INPUT = {
    "EndpointInput": {
        "EndpointName": "Churn",
        "LocalPath": "/opt/ml/processing/input/endpoint",
        "S3InputMode": "File",
        "S3DataDistributionType": "FullyReplicated",
    }
}
BATCH = {
    "BatchTransformInput": {
        "DataCapturedDestinationS3Uri": "s3://bucket/batch",
        "LocalPath": "/opt/ml/processing/input/batch",
        "S3InputMode": "File",
        "S3DataDistributionType": "FullyReplicated",
        "DatasetFormat": {"Csv": {"Header": False}},
        "StartTimeOffset": "-PT2H",
        "EndTimeOffset": "-PT1H",
        "ExcludeFeaturesAttribute": "0",
    }
}
OUTPUT = {
    "MonitoringOutputs": [
        {
            "S3Output": {
                "S3Uri": "s3://bucket/reports",
                "LocalPath": "/opt/ml/processing/output",
                "S3UploadMode": "Continuous",
            }
        }
    ]
}
RESOURCES = {
    "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 20}
}
BASELINE = {
    "ConstraintsResource": {"S3Uri": "s3://bucket/baseline/constraints.json"},
    "StatisticsResource": {"S3Uri": "s3://bucket/baseline/statistics.json"},
}
DEFINITION: dict[str, Any] = {
    "DataQualityAppSpecification": {
        "ImageUri": ANALYZER,
        "Environment": {"publish_cloudwatch_metrics": "Enabled"},
    },
    "DataQualityJobInput": INPUT,
    "DataQualityJobOutputConfig": OUTPUT,
    "JobResources": RESOURCES,
    "RoleArn": ROLE_ARN,
    "DataQualityBaselineConfig": BASELINE,
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
}
"""As SDK 2 does."""

INLINE: dict[str, Any] = {
    "MonitoringInputs": [INPUT],
    "MonitoringOutputConfig": OUTPUT,
    "MonitoringResources": RESOURCES,
    "MonitoringAppSpecification": {"ImageUri": ANALYZER},
    "Environment": {"publish_cloudwatch_metrics": "Enabled"},
    "BaselineConfig": BASELINE,
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    "RoleArn": ROLE_ARN,
}
"""The same, as SDK 1 puts it into the schedule."""

HOURLY = "cron(0 * ? * * *)"
