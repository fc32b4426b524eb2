"""The main job, end to end: a real model behind a SageMaker endpoint, its traffic captured.

Starts `modeltap serve` on a home of its own, trains an XGBoost classifier on a data set that
scikit-learn ships, and then does with plain boto3 what AWS's "Capture data" page does. Nothing
below `with served()` knows that it does not talk to AWS.
"""

import base64
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import xgboost
from rich.console import Console
from sklearn.datasets import load_breast_cancer

HOME = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / ".demo"
MARK = HOME / "made-by-the-demo"
MODELTAP = str(Path(sys.executable).with_name("modeltap"))
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.0-5"
ROLE = "arn:aws:iam::000000000000:role/ModeltapExecutionRole"
BUCKET, PREFIX = "sagemaker-us-east-1-000000000000", "sagemaker/DEMO-ModelMonitor"
INVOCATIONS = 200
SEAL_SECONDS = 2
"""How long a segment of records stays open; 60 by default, as on AWS, too long to watch."""

console = Console(highlight=False, soft_wrap=True)
started = time.monotonic()


def step(text: str) -> None:
    console.print(f"[dim]{time.monotonic() - started:5.1f} s[/]  {text}")


# ---------------------------------------------------------------- the server


@contextmanager
def served() -> Iterator[None]:
    """Run `modeltap serve` on a fresh home; lead this process's AWS clients to it."""
    if HOME.exists() and not MARK.exists():
        raise SystemExit(f"{HOME} is there already and not of this demo; name another folder")
    server = None
    try:
        make_home()
        with tempfile.TemporaryFile() as log:
            server = started_server(log)
            await_ready(server, log)
        lead_here()
        yield
    except BaseException:
        stop(server)
        shutil.rmtree(HOME, ignore_errors=True)
        raise
    stop(server)


def started_server(log: Any) -> subprocess.Popen[str]:
    settings = {"MODELTAP_HOME": str(HOME), "MODELTAP_CAPTURE_SEAL_SECONDS": str(SEAL_SECONDS)}
    # A Ctrl-C between the start and its return would leave the server behind: it waits until then.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    server = subprocess.Popen(
        [MODELTAP, "serve", "--port", str(free_port())],
        env=os.environ | settings,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        start_new_session=True,
    )
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    return server


def make_home() -> None:
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(mode=0o700)
    MARK.touch()


def free_port() -> int:
    """Find a port that is free together with the next one."""
    for port in range(8080, 9000, 2):
        try:
            for each in (port, port + 1):
                with socket.socket() as trial:
                    trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    trial.bind(("127.0.0.1", each))
            return port
        except OSError:
            continue
    raise SystemExit("no two free ports between 8080 and 9000")


def await_ready(server: subprocess.Popen[str], log: Any) -> None:
    assert server.stdout is not None
    if not server.stdout.readline():
        log.seek(0)
        raise SystemExit(f"modeltap did not start:\n{log.read().decode()}")
    log.seek(0)
    for line in log.read().decode().splitlines():
        if "CAPTURE IS STOPPED" in line:
            console.print(f"[red]{line}[/]")


def lead_here() -> None:
    """Do what `eval "$(modeltap env)"` does in a shell."""
    home = os.environ | {"MODELTAP_HOME": str(HOME)}
    lines = subprocess.check_output([MODELTAP, "env"], env=home, text=True).splitlines()
    for line in lines:
        verb, _, rest = line.partition(" ")
        name, _, value = rest.partition("=")
        if verb == "unset":
            os.environ.pop(name, None)
        else:
            os.environ[name] = value.strip("'")


def stop(server: subprocess.Popen[str] | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave it behind
    if server is not None:
        server.terminate()
        server.wait()


# ---------------------------------------------------------------- the job, as on AWS


def trained() -> tuple[bytes, list[str]]:
    """Train the classifier; give `model.tar.gz` and CSV rows to send."""
    data = load_breast_cancer()
    matrix = xgboost.DMatrix(data.data, label=data.target)
    parameters = {"objective": "binary:logistic", "max_depth": 4, "nthread": 1}
    booster = xgboost.train(parameters, matrix, num_boost_round=50)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        model = bytes(booster.save_raw("ubj"))
        member = tarfile.TarInfo("xgboost-model")
        member.size = len(model)
        archive.addfile(member, io.BytesIO(model))
    rows = [",".join(map(str, row)) + "\n" for row in data.data[: INVOCATIONS // 2]]
    return buffer.getvalue(), rows


def upload(archive: bytes) -> str:
    s3 = boto3.Session().resource("s3")
    s3.create_bucket(Bucket=BUCKET)
    key = f"{PREFIX}/model.tar.gz"
    s3.Bucket(BUCKET).Object(key).upload_fileobj(io.BytesIO(archive))
    return f"s3://{BUCKET}/{key}"


def capture_config(header: dict[str, Any] | None) -> dict[str, Any]:
    config: dict[str, Any] = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{BUCKET}/{PREFIX}/datacapture",
        "CaptureOptions": [{"CaptureMode": mode} for mode in ("Input", "Output")],
    }
    return config | ({"CaptureContentTypeHeader": header} if header else {})


def create(sagemaker: Any, name: str, config: dict[str, Any]) -> None:
    sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[
            {
                "VariantName": "AllTraffic",
                "ModelName": "demo-xgboost",
                "InstanceType": "ml.m5.xlarge",
                "InitialInstanceCount": 1,
            }
        ],
        DataCaptureConfig=config,
    )
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)


def await_in_service(sagemaker: Any, names: list[str]) -> None:
    waiter = sagemaker.get_waiter("endpoint_in_service")
    for name in names:
        waiter.wait(EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})


def invoke(runtime: Any, names: list[str], rows: list[str]) -> int:
    """Send every row to every endpoint; give the count of answers."""
    sent = 0
    for row in rows:
        for name in names:
            answer = runtime.invoke_endpoint(EndpointName=name, ContentType="text/csv", Body=row)
            float(answer["Body"].read())
            sent += 1
    return sent


def captured(names: list[str], expected: int) -> dict[str, list[dict[str, Any]]]:
    """Wait until the records are in the bucket; give them by endpoint."""
    deadline = time.monotonic() + 20
    while True:
        found = {name: records(name) for name in names}
        if sum(map(len, found.values())) >= expected or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def records(name: str) -> list[dict[str, Any]]:
    s3 = boto3.client("s3")
    prefix = f"{PREFIX}/datacapture/{name}"
    listed = s3.list_objects(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    bodies = [s3.get_object(Bucket=BUCKET, Key=each["Key"])["Body"].read() for each in listed]
    return [json.loads(line) for body in bodies for line in body.splitlines()]


def show(found: dict[str, list[dict[str, Any]]]) -> None:
    for name, lines in found.items():
        if lines:
            console.print(f"\none record of {name}:")
            console.print_json(json.dumps(lines[0]))
    for name, lines in found.items():
        half = lines[0]["captureData"]["endpointOutput"] if lines else {}
        if half.get("encoding") == "BASE64":
            text = base64.b64decode(half["data"]).decode().strip()
            console.print(f"{name} names no content types, so AWS writes base64; it says {text}")


def main() -> None:
    step("starting modeltap serve …")
    with served():
        step("training an XGBoost classifier on scikit-learn's breast-cancer data")
        archive, rows = trained()
        step(f"uploading model.tar.gz ({len(archive) // 1024} KiB) to s3://{BUCKET}")
        url = upload(archive)
        sagemaker = boto3.client("sagemaker")
        sagemaker.create_model(
            ModelName="demo-xgboost",
            ExecutionRoleArn=ROLE,
            PrimaryContainer={"Image": IMAGE, "ModelDataUrl": url},
        )
        header = {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]}
        step("creating two endpoints that capture 100 % of input and output")
        create(sagemaker, "demo-csv", capture_config(header))
        create(sagemaker, "demo-plain", capture_config(None))
        names = ["demo-csv", "demo-plain"]
        step("waiting for InService (the first time builds the XGBoost 3.0.5 environment)")
        await_in_service(sagemaker, names)
        step(f"sending {INVOCATIONS} invocations")
        sent = invoke(boto3.client("sagemaker-runtime"), names, rows)
        step("waiting for the records in the bucket")
        found = captured(names, sent)
        show(found)
        counts = subprocess.check_output(
            [MODELTAP, "capture", "ls", "--home", str(HOME)], text=True
        )
    summarize(sent, sum(map(len, found.values())), counts)


def summarize(sent: int, delivered: int, counts: str) -> None:
    console.print(f"\n{counts.rstrip()}")
    console.print(f"\nsent {sent}, in the bucket {delivered}")
    console.print(f"bucket path: s3://{BUCKET}/{PREFIX}/datacapture/")
    serve = f"{os.path.relpath(MODELTAP)} serve --home {os.path.relpath(HOME)}"
    console.print(f"next: [bold]{serve}[/] brings both endpoints back")
    if delivered != sent:
        raise SystemExit("not every record was delivered; the reasons stand above")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        console.print("stopped; nothing is left behind")
        sys.exit(130)
