"""A monitor image of one's own: a program of this machine, and a container where an engine is."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from containers_here import IMAGE, any_engine, imported

from .conftest import MODELTAP, Server, new_server
from .deployed import (
    ROLE,
    await_in_service,
    capture,
    create_endpoint,
    create_model,
    invoke,
    until,
    upload,
)
from .scheduling import CLUSTER, NOW, run_of
from .test_seeds import sdk
from .training import FEATURES, XGBOOST_0_90, trained

pytestmark = pytest.mark.acceptance

BUCKET = "acceptance"
ENDPOINT = "Own-Endpoint"
CALLS = 20
SDK_SECONDS_MAX = 600
SOURCE, TARGET = "/opt/ml/processing/input/endpoint", "/opt/ml/processing/output"


@dataclass
class House:
    server: Server
    programs: Path  # the folder of programs that jobs may name
    s3: Any
    sagemaker: Any

    @property
    def image(self) -> str:
        return f"modeltap://command{self.programs}/my-monitor"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    programs = tmp_path_factory.mktemp("programs")
    program = programs / "my-monitor"
    text = Path(__file__).with_name("own_monitor.py").read_text()
    program.write_text(f"#!{sys.executable}\n{text}")
    program.chmod(0o755)
    folder = tmp_path_factory.mktemp("model")
    server = new_server(
        tmp_path_factory.mktemp("own"),
        job_commands=str(programs),
        container_program="",
        stop_seconds_max="3",
    )
    model = trained(XGBOOST_0_90, server.home / "environments", folder)
    create_model(server, "churn", upload(server, model / "model.tar.gz"))
    create_endpoint(server, ENDPOINT, "churn", capture())
    await_in_service(server, ENDPOINT)
    runtime = server.client("sagemaker-runtime")
    for at in range(CALLS):
        invoke(runtime, ENDPOINT, ",".join([str(at), *["0"] * (FEATURES - 1)]))
    yield House(server, programs, server.client("s3"), server.client("sagemaker"))
    server.stop()


def test_sdk_2_runs_ones_own_monitor(house: House, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("1,2\n3,4\n")
    script = Path(__file__).with_name("sdk2_own_monitor.py")
    command = [*MODELTAP, "run", "--home", str(house.server.home), "--", str(sdk("sdk2"))]
    arguments = [house.image, ENDPOINT, str(tmp_path / "train.csv"), f"s3://{BUCKET}/own"]
    done = subprocess.run(
        [*command, str(script), *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SDK_SECONDS_MAX,
    )
    assert done.returncode == 0, done.stdout[-4000:] + house.server.log()[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["baseline"] == "Completed: Job completed successfully with no violations."
    assert result["status"] == "CompletedWithViolations"
    assert result["message"].endswith("with 1 violations.")
    assert result["violations"][0]["description"] == f"{CALLS - 1}.0 is above all of the baseline"
    statistics = result["statistics"]
    assert (statistics["rows"], statistics["highest"]) == (CALLS, CALLS - 1)
    told = statistics["told"]
    assert told["arguments"] == ["--strict", "two words"]
    assert (told["hosts"], told["image"]) == (["algo-1"], house.image)
    assert told["inputs"] == ["endpoint_input_1", "baseline", "constraints"]
    environment = told["environment"]
    assert environment["MINE"] == "my own"
    assert environment["sagemaker_endpoint_name"] == ENDPOINT
    assert environment["sagemaker_monitoring_schedule_name"] == "Own-Now"
    assert environment["start_time"] < environment["end_time"]
    assert json.loads(environment["dataset_format"]).keys() == {"sagemakerCaptureJson"}
    assert environment["baseline_statistics"].endswith("/stats/statistics.json")
    assert not [name for name in environment if "AWS" in name]


def definition(image: str, *arguments: str) -> dict[str, Any]:
    app: dict[str, Any] = {"ImageUri": image}
    if arguments:
        app["ContainerArguments"] = list(arguments)
    target = {"S3Uri": f"s3://{BUCKET}/own", "LocalPath": TARGET, "S3UploadMode": "EndOfJob"}
    return {
        "DataQualityAppSpecification": app,
        "DataQualityJobInput": {"EndpointInput": {"EndpointName": ENDPOINT, "LocalPath": SOURCE}},
        "DataQualityJobOutputConfig": {"MonitoringOutputs": [{"S3Output": target}]},
        "JobResources": {"ClusterConfig": CLUSTER},
        "RoleArn": ROLE,
    }


def scheduled(house: House, name: str, image: str, *arguments: str) -> dict[str, Any]:
    """Run a job definition now; give its execution at the end."""
    house.sagemaker.create_data_quality_job_definition(
        JobDefinitionName=name, **definition(image, *arguments)
    )
    house.sagemaker.create_monitoring_schedule(
        MonitoringScheduleName=name,
        MonitoringScheduleConfig={
            "MonitoringJobDefinitionName": name,
            "MonitoringType": "DataQuality",
            "ScheduleConfig": NOW,
        },
    )
    return run_of(house.server, house.sagemaker, name)


def test_a_definition_runs_ones_own_monitor(house: House) -> None:
    told = scheduled(house, "Defined", house.image)
    assert told["MonitoringExecutionStatus"] == "Completed", told


def test_a_monitor_that_fails_says_how(house: House) -> None:
    told = scheduled(house, "Failing", house.image, "--fail")
    assert told["MonitoringExecutionStatus"] == "Failed"
    assert told["FailureReason"].startswith("the column age is gone AlgorithmError: ")
    assert "exit code 3" in told["FailureReason"]
    job = told["ProcessingJobArn"].rpartition("/")[2]
    assert f"modeltap logs --job {job}" in told["FailureReason"]
    assert "what it said last" in house.server.command("logs", "--job", job)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/bin/sh", ("/bin/sh", "job_commands", "absolute paths, parted by colons")),
        ("{programs}/no-such-monitor", ("There is no program", "no-such-monitor", "Install it")),
        ("{programs}/../etc/passwd", ("no absolute path",)),
    ],
)
def test_what_may_not_run_or_is_not_there_is_refused(
    house: House, name: str, words: tuple[str, ...]
) -> None:
    image = f"modeltap://command{name.format(programs=house.programs)}"
    with pytest.raises(ClientError) as failed:
        house.sagemaker.create_data_quality_job_definition(
            JobDefinitionName="Refused", **definition(image)
        )
    message = failed.value.response["Error"]["Message"]
    assert failed.value.response["Error"]["Code"] == "ValidationException"
    assert all(word in message for word in ("AppSpecification.ImageUri", *words)), message


def test_without_an_engine_an_unknown_image_is_told_what_there_is(house: House) -> None:
    with pytest.raises(ClientError) as failed:
        scheduled(house, "Unknown", "registry.example.com/my-monitor:1")
    message = failed.value.response["Error"]["Message"]
    for word in ("my-monitor:1", "container_program", "modeltap://command", "model-monitor"):
        assert word in message


@pytest.fixture
def contained(tmp_path: Path) -> Iterator[House]:
    """Serve with the engine that there is."""
    server = new_server(tmp_path, container_program=any_engine().program)
    made = House(server, tmp_path, server.client("s3"), server.client("sagemaker"))
    made.s3.create_bucket(Bucket=BUCKET)
    yield made
    server.stop()


def test_a_container_outlives_control_and_leaves_its_report(contained: House) -> None:
    """Control is killed while it runs; its successor finds how it ended."""
    house = contained
    script = f"echo begun > {TARGET}/begun; sleep 3; echo done > {TARGET}/done; ls /opt/ml/config"
    app = {
        "ImageUri": IMAGE,
        "ContainerEntrypoint": ["/bin/sh"],
        "ContainerArguments": ["-c", script],
    }
    target = {"S3Uri": f"s3://{BUCKET}/held", "LocalPath": TARGET, "S3UploadMode": "EndOfJob"}
    with imported(any_engine()):
        house.sagemaker.create_processing_job(
            ProcessingJobName="Held",
            AppSpecification=app,
            ProcessingOutputConfig={"Outputs": [{"OutputName": "o", "S3Output": target}]},
            ProcessingResources={"ClusterConfig": CLUSTER},
            NetworkConfig={"EnableNetworkIsolation": True},
            RoleArn=ROLE,
        )
        folder = house.server.home / "run" / "jobs" / "Held" / "ml" / "processing" / "output"
        assert until((folder / "begun").exists), house.server.log()[-2000:]
        (control,) = house.server.processes("control")
        os.kill(control, signal.SIGKILL)
        assert until(lambda: house.server.processes("control") not in ([], [control]))

        def over() -> bool:
            told = house.sagemaker.describe_processing_job(ProcessingJobName="Held")
            return bool(told["ProcessingJobStatus"] == "Completed")

        assert until(over, 60), house.server.command("logs", "--job", "Held")
    found = house.s3.list_objects_v2(Bucket=BUCKET, Prefix="held/")["Contents"]
    assert [each["Key"] for each in found] == ["held/begun", "held/done"]
    assert "processingjobconfig.json" in house.server.command("logs", "--job", "Held")
