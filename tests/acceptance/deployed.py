"""Deploy a model the way a boto3 user does, and read back what was captured."""

import json
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .conftest import Server
from .training import XGBOOST_0_90

ROLE = "arn:aws:iam::000000000000:role/ModeltapExecutionRole"
BUCKET = "acceptance"
CSV_HEADER = {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]}
WAIT = {"Delay": 1, "MaxAttempts": 120}
DELIVERY_SECONDS_MAX = 30.0


def upload(server: Server, path: Path, key: str = "model.tar.gz") -> str:
    s3 = server.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.upload_file(str(path), BUCKET, key)
    return f"s3://{BUCKET}/{key}"


def create_model(server: Server, name: str, url: str, image: str = XGBOOST_0_90) -> None:
    container = {"Image": image, "ModelDataUrl": url}
    server.client("sagemaker").create_model(
        ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container
    )


def variant(model: str, name: str = "AllTraffic", **more: Any) -> dict[str, Any]:
    return {
        "VariantName": name,
        "ModelName": model,
        "InstanceType": "ml.m5.xlarge",
        "InitialInstanceCount": 1,
    } | more


def capture(
    percentage: int = 100, *modes: str, enabled: bool = True, bucket: str = BUCKET
) -> dict[str, Any]:
    return {
        "EnableCapture": enabled,
        "InitialSamplingPercentage": percentage,
        "DestinationS3Uri": f"s3://{bucket}/capture",
        "CaptureOptions": [{"CaptureMode": mode} for mode in modes or ("Input", "Output")],
        "CaptureContentTypeHeader": CSV_HEADER,
    }


def create_endpoint(
    server: Server, name: str, model: str, config: dict[str, Any] | None = None, **more: Any
) -> None:
    sagemaker = server.client("sagemaker")
    given = {"DataCaptureConfig": config} if config else {}
    variants = more.pop("variants", [variant(model)])
    sagemaker.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=variants, **given, **more
    )
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)


def await_in_service(server: Server, *names: str) -> None:
    waiter = server.client("sagemaker").get_waiter("endpoint_in_service")
    for name in names:
        waiter.wait(EndpointName=name, WaiterConfig=WAIT)


def invoke(runtime: Any, name: str, row: str, **more: Any) -> str:
    answer = runtime.invoke_endpoint(EndpointName=name, ContentType="text/csv", Body=row, **more)
    text: str = answer["Body"].read().decode()
    return text


def records(server: Server, name: str, bucket: str = BUCKET) -> list[dict[str, Any]]:
    """Read every captured record of an endpoint."""
    s3 = server.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"capture/{name}/")
    keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
    bodies = [s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]
    return [json.loads(line) for body in bodies for line in body.splitlines()]


def await_records(
    server: Server, name: str, count: int, bucket: str = BUCKET
) -> list[dict[str, Any]]:
    """Wait for the delivery of at least `count` records; give what there is."""
    found: list[dict[str, Any]] = []

    def enough() -> bool:
        found[:] = records(server, name, bucket)
        return len(found) >= count

    until(enough)
    return found


def totals(server: Server) -> dict[str, int]:
    """Read the totals that `modeltap capture ls` prints."""
    line = server.command("capture", "ls").splitlines()[-1]
    return {name: int(number) for name, _, number in (part.partition("=") for part in line.split())}


def capturez(server: Server) -> dict[str, Any]:
    """Read what control tells of capture; it sees the rings, too. Raise `OSError`."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port + 2}/capturez") as answer:
        document: dict[str, Any] = json.loads(answer.read())
    return document


def until(condition: Callable[[], bool], seconds: float = DELIVERY_SECONDS_MAX) -> bool:
    """Look until a condition holds; give whether it ever did."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return condition()
