"""What a job's program finds of its own request: the documents in `/opt/ml/config` (§4.2). Pure.

Members that the request does not give are there, as null or with AWS's default: programs index
them without asking. Paths are as the request names them.
"""

from modeltap.control.jobs import Job
from modeltap.nouns import Document

HOST = "algo-1"
RESOURCE_CONFIG: Document = {"current_host": HOST, "hosts": [HOST]}
"""One host, whatever `InstanceCount` says: a program that shares its work out by hosts does all."""


def job_config(job: Job) -> Document:
    """Give `processingjobconfig.json`."""
    spec = job.spec
    app = spec["AppSpecification"]
    outputs = spec.get("ProcessingOutputConfig", {})
    return {
        "ProcessingJobArn": job.arn,
        "ProcessingJobName": job.name,
        "AppSpecification": {
            "ImageUri": app["ImageUri"],
            "ContainerEntrypoint": app.get("ContainerEntrypoint"),
            "ContainerArguments": app.get("ContainerArguments"),
        },
        "Environment": spec.get("Environment", {}),
        "ProcessingInputs": [_input(each) for each in spec.get("ProcessingInputs", [])],
        "ProcessingOutputConfig": {
            "Outputs": [_output(each) for each in outputs.get("Outputs", [])],
            "KmsKeyId": outputs.get("KmsKeyId"),
        },
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceCount": 1,
                "InstanceType": None,
                "VolumeKmsKeyId": None,
                **spec["ProcessingResources"]["ClusterConfig"],
            }
        },
        "NetworkConfig": spec.get("NetworkConfig"),
        "RoleArn": spec["RoleArn"],
        "StoppingCondition": {"MaxRuntimeInSeconds": job.seconds_max},
    }


def _input(given: Document) -> Document:
    source = given.get("S3Input")
    return {
        "InputName": given["InputName"],
        "AppManaged": given.get("AppManaged", False),
        "S3Input": source
        and {
            "S3DataDistributionType": "FullyReplicated",
            "S3InputMode": "File",
            "S3CompressionType": "None",
            "S3DownloadMode": "StartOfJob",
            **source,
        },
        "DatasetDefinition": given.get("DatasetDefinition"),
    }


def _output(given: Document) -> Document:
    return {
        "OutputName": given["OutputName"],
        "AppManaged": given.get("AppManaged", False),
        "S3Output": given.get("S3Output"),
        "FeatureStoreOutput": given.get("FeatureStoreOutput"),
    }
