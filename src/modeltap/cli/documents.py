"""`modeltap settings` and `modeltap operations`: the reference pages, from the code itself."""

from collections.abc import Mapping

from modeltap.house.served import SERVED
from modeltap.settings import Settings

LINES: Mapping[str, Mapping[str, str]] = {
    "sagemaker": {
        "AddTags": "tag a model, endpoint config, endpoint or job",
        "CreateDataQualityJobDefinition": "keep what a data-quality schedule runs",
        "CreateEndpoint": "start the instances of a config; `Creating` until they answer",
        "CreateEndpointConfig": "keep variants and a `DataCaptureConfig`",
        "CreateModel": "keep one image with one archive, which must be there",
        "CreateMonitoringSchedule": "run a definition by a cron expression, or `NOW`",
        "CreateProcessingJob": "stage inputs, run a program once as in a container, upload outputs",
        "DeleteDataQualityJobDefinition": "forget a definition; what runs by it goes on",
        "CreateTransformJob": "send the records of objects through a model, write what it answers",
        "DeleteEndpoint": "stop its instances; what was captured stays",
        "DeleteEndpointConfig": "forget a config; endpoints made from it go on",
        "DeleteModel": "forget a model; endpoints made from it go on",
        "DeleteMonitoringSchedule": "forget a schedule that has no run; its history stays",
        "DeleteTags": "remove tags by key",
        "DescribeDataQualityJobDefinition": "a definition as it was asked for",
        "DescribeEndpoint": "status, `FailureReason`, variants and capture of an endpoint",
        "DescribeEndpointConfig": "a config as it was asked for",
        "DescribeModel": "a model as it was asked for",
        "DescribeMonitoringSchedule": "a schedule as it was asked for, and its last run",
        "DescribeProcessingJob": "a job as it was asked for, and what became of it",
        "ListDataQualityJobDefinitions": "filter, sort and page through definitions",
        "DescribeTransformJob": "a transform job as it was asked for, and what became of it",
        "ListEndpointConfigs": "filter, sort and page through configs",
        "ListEndpoints": "filter, sort and page through endpoints",
        "ListModels": "filter, sort and page through models",
        "ListMonitoringAlertHistory": "filter, sort and page through the turns of alerts",
        "ListMonitoringAlerts": "the alert of a schedule: its criterion, and how it stands",
        "ListMonitoringExecutions": "filter, sort and page through the runs of schedules",
        "ListMonitoringSchedules": "filter, sort and page through schedules",
        "ListProcessingJobs": "filter, sort and page through jobs",
        "ListTags": "the tags of a resource",
        "StartMonitoringSchedule": "have runs begin again, from the next one on",
        "StopMonitoringSchedule": "have no run begin; one that has begun goes on",
        "ListTransformJobs": "filter, sort and page through transform jobs",
        "StopProcessingJob": "end a job's program: SIGTERM, then SIGKILL; its outputs are uploaded",
        "StopTransformJob": "end a transform job; the outputs that are whole stay",
        "UpdateEndpoint": "build the fleet of another config, switch to it, drain the old one",
        "UpdateEndpointWeightsAndCapacities": "change weights and instance counts in place",
        "UpdateMonitoringAlert": "alert by so many runs with violations of the last so many",
        "UpdateMonitoringSchedule": "put another config in its place; what runs goes on",
    },
    "sagemaker-runtime": {
        "InvokeEndpoint": "ask a model; captured as the endpoint's config says",
    },
    "sts": {
        "GetCallerIdentity": "the execution role, assumed",
    },
    "iam": {
        "GetRole": "the execution role",
        "SimulatePrincipalPolicy": "the execution role may do everything",
    },
    "logs": {
        "DescribeLogGroups": "the log groups of endpoints and jobs",
        "DescribeLogStreams": "the streams of a group, by name or by last event",
        "FilterLogEvents": "what a group's streams said, by time and by terms or quoted phrases",
        "GetLogEvents": "what one stream said, forwards or backwards",
    },
    "cloudwatch": {
        "DeleteAlarms": "forget alarms and what they went through",
        "DescribeAlarmHistory": "the last hundred turns of each alarm, its actions among them",
        "DescribeAlarms": "alarms by name, prefix or state, and how they stand",
        "DescribeAlarmsForMetric": "the alarms on one metric",
        "GetMetricData": "a statistic of many metrics, in periods of whole minutes; no metric math",
        "GetMetricStatistics": "statistics of one metric, in periods of whole minutes",
        "ListMetrics": "metrics with a point in the last two weeks",
        "PutMetricAlarm": "judge the statistic of one metric by a threshold, every ten seconds",
        "PutMetricData": "add values or statistic sets to the points of their minutes",
        "SetAlarmState": "set an alarm's state by hand, until it is judged again",
    },
    "s3": {
        "AbortMultipartUpload": "drop an upload and its parts",
        "CompleteMultipartUpload": "make the named parts an object",
        "CopyObject": "copy one object whole, within the embedded buckets",
        "CreateBucket": "make a bucket in the server's region",
        "CreateMultipartUpload": "begin an upload; one not completed ends after seven days",
        "DeleteBucket": "remove an empty bucket",
        "DeleteObject": "remove an object",
        "DeleteObjects": "remove up to 1,000 objects",
        "GetBucketLocation": "the server's region",
        "GetBucketVersioning": "never switched on",
        "GetObject": "read an object or one range of it, with conditions",
        "HeadBucket": "tell whether a bucket is there",
        "HeadObject": "what is known of an object, without its bytes",
        "ListBuckets": "all buckets",
        "ListMultipartUploads": "uploads under way, without a delimiter",
        "ListObjects": "keys by prefix and delimiter, version 1",
        "ListObjectsV2": "keys by prefix and delimiter, version 2",
        "ListParts": "the parts of an upload under way",
        "PutObject": "write an object, with checksums and conditions",
        "UploadPart": "add a part to an upload",
        "UploadPartCopy": "add a part to an upload, from an object in the embedded buckets",
    },
}
"""What each operation does, in one line."""


def settings() -> None:
    """Print every setting as a table; docs/settings.md is this."""
    print("# Settings\n")
    print(
        "Command line > `MODELTAP_{NAME}` > `{home}/settings.toml` > default. An external bucket:"
    )
    print("`[external_buckets.NAME]` with `endpoint`, `region`, `access_key_id`,")
    print("`secret_access_key` and `allow_http`; `credentials_file` (AWS's own, profile `default`)")
    print("stands for the keys, and is read again when the store says that they have expired.\n")
    print("| setting | default | meaning |\n|---|---|---|")
    for name, field in Settings.model_fields.items():
        print(f"| `{name}` | `{field.default}` | {field.description} |")


def operations() -> None:
    """Print every operation that is served as a table; docs/operations.md is this."""
    print("# Operations\n")
    print("What is served of AWS's APIs. Any other operation that AWS's model knows is answered")
    print("with `UnknownOperationException` (STS and IAM: `InvalidAction`; S3: `NotImplemented`),")
    print("in a message that names it and the operations served; nothing is done.\n")
    print("| service | operation | what it does |\n|---|---|---|")
    for service, names in SERVED.items():
        for name in names:
            print(f"| {service} | `{name}` | {LINES[service][name]} |")
