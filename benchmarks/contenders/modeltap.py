"""modeltap itself: `modeltap serve` as a user starts it, on a home where endpoints were deployed.

`verified=False` starts the same server with a gateway whose `verify` answers yes
(`apps/unverified/`): the product has no such setting, and must have none.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import machine, signing
from benchmarks.contender import APPS, HOST, Contender, Place, Running, post, running
from benchmarks.model import Model
from modeltap.control.fleets import DURABILITY_TAG

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.0-5"
ROLE = "arn:aws:iam::000000000000:role/ModeltapExecutionRole"
BUCKET = "bench"
PING = f"GET /ping HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


Way = int | str
"""How an endpoint captures: so many percent, or all of it in one of the durability modes."""


@dataclass(frozen=True, slots=True)
class Home:
    """A home with one endpoint for each way to capture: `capture-0`, `capture-strict`, …"""

    folder: Path

    def signed(self, port: int, way: Way, bodies: Sequence[str]) -> Iterator[bytes]:
        return signing.signed(self.folder, port, endpoint(way), bodies)

    def contender(
        self,
        percentage: int,
        *,
        gateways: int = 1,
        verified: bool = True,
        plain: bool = False,
        **settings: str,
    ) -> Contender:
        """Give the contender; `plain` sends requests as short as the others', without signature."""
        given = {"gateways": str(gateways), "capture_disk_stop_percent": "99"} | settings
        variables = {f"MODELTAP_{name.upper()}": value for name, value in given.items()}
        if not verified:
            paths = (str(APPS / "unverified"), os.environ.get("PYTHONPATH", ""))
            variables["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        mode = "signed" if verified else "not verified"
        return Contender(
            name=f"modeltap-{'signed' if verified else 'plain'}-{percentage}",
            title=f"modeltap, {mode}, capture {percentage} %",
            environment=None,
            command=self._command,
            requests=self._plain(percentage) if plain else self._signed(percentage),
            score=float,
            variables=variables,
            exact=True,
            home=self.folder,
        )

    def bare(self) -> Contender:
        """Give the server without endpoints: it is up when it answers a ping."""
        return replace(self.contender(0), requests=_pings, serves_model=False)

    def _command(self, place: Place) -> list[str]:
        serve = [place.python, "-m", "modeltap.cli", "serve"]
        return [*serve, "--home", str(self.folder), "--port", str(place.port)]

    def _signed(self, percentage: int) -> Any:
        return lambda port, model: self.signed(port, percentage, model.rows)

    def _plain(self, percentage: int) -> Any:
        path = f"/endpoints/{endpoint(percentage)}/invocations"
        return lambda port, model: (
            post(port, path, "text/csv", row.encode()) for row in model.rows
        )


def endpoint(way: Way) -> str:
    return f"capture-{way}"


def deployed(folder: Path, model: Model, ways: Sequence[Way]) -> Home:
    """Make a fresh home with an endpoint for each way to capture; environments in it are kept."""
    home = emptied(folder)
    with running(home.bare(), model, machine.cores()) as server:
        url = f"http://{HOST}:{server.port}"
        s3 = with_bucket(home, server)
        s3.upload_file(str(model.archive), BUCKET, "model.tar.gz")
        _create(signing.client("sagemaker", folder, url), ways)
    return home


def emptied(folder: Path) -> Home:
    """Make a fresh home; environments in it are kept."""
    for entry in folder.glob("*"):
        if entry.name != "environments":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    return Home(folder)


def with_bucket(home: Home, server: Running) -> Any:
    """Create the bucket of a home that runs; give the S3 client."""
    s3 = signing.client("s3", home.folder, f"http://{HOST}:{server.port + 1}")
    s3.create_bucket(Bucket=BUCKET)
    return s3


def _pings(port: int, model: Model) -> Iterator[bytes]:
    yield PING


def _create(sagemaker: Any, ways: Sequence[Way]) -> None:
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/model.tar.gz"}
    sagemaker.create_model(ModelName="bench", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    for way in ways:
        sagemaker.create_endpoint_config(
            EndpointConfigName=endpoint(way),
            ProductionVariants=[
                {
                    "VariantName": "AllTraffic",
                    "ModelName": "bench",
                    "InstanceType": "ml.m5.xlarge",
                    "InitialInstanceCount": 1,
                }
            ],
            DataCaptureConfig=_capture(way if isinstance(way, int) else 100),
            Tags=[] if isinstance(way, int) else [{"Key": DURABILITY_TAG, "Value": way}],
        )
        name = endpoint(way)
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    waiter = sagemaker.get_waiter("endpoint_in_service")
    for way in ways:
        waiter.wait(EndpointName=endpoint(way), WaiterConfig={"Delay": 1, "MaxAttempts": 180})


def _capture(percentage: int) -> dict[str, Any]:
    return {
        "EnableCapture": percentage > 0,
        "InitialSamplingPercentage": percentage,
        "DestinationS3Uri": f"s3://{BUCKET}/captured",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
    }
