"""Processing jobs with real clients against a real `modeltap serve`."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import MODELTAP, Server, new_server
from .deployed import ROLE, until
from .test_seeds import sdk

pytestmark = pytest.mark.acceptance

BUCKET = "jobs"
ANALYZER = "156813124566.dkr.ecr.us-east-1.amazonaws.com/sagemaker-model-monitor-analyzer"
SDK_SCRIPT = Path(__file__).with_name("sdk_jobs.py")
IN, OUT = "/opt/ml/processing/input/data", "/opt/ml/processing/output"
CODE = "/opt/ml/processing/input/code"
ACTIVE = ("InProgress", "Stopping")
SDK_SECONDS_MAX = 600


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of its own, whose control may be killed."""
    running = new_server(tmp_path_factory.mktemp("jobs"), stop_seconds_max="3")
    s3 = running.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="data/", Body=b"")  # as consoles make folders
    for name in ("a.csv", "d/b.csv"):
        s3.put_object(Bucket=BUCKET, Key=f"data/{name}", Body=name.encode())
    yield running
    running.stop()


def create(server: Server, name: str, script: str, *, mode: str = "EndOfJob", **more: Any) -> None:
    """Run a script of Python as a job whose input is `data/` and whose output is `{name}/`."""
    server.client("s3").put_object(Bucket=BUCKET, Key=f"code/{name}/job.py", Body=script.encode())
    target = {"S3Uri": f"s3://{BUCKET}/{name}", "LocalPath": OUT, "S3UploadMode": mode}
    request = {
        "AppSpecification": {
            "ImageUri": ANALYZER,
            "ContainerEntrypoint": ["python3", f"{CODE}/job.py"],
            "ContainerArguments": [IN, OUT],
        },
        "ProcessingInputs": [
            given("i", f"s3://{BUCKET}/data", IN),
            given("code", f"s3://{BUCKET}/code/{name}/job.py", CODE),
        ],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "o", "S3Output": target}]},
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceCount": 1,
                "InstanceType": "ml.m5.xlarge",
                "VolumeSizeInGB": 1,
            }
        },
        "RoleArn": ROLE,
    }
    server.client("sagemaker").create_processing_job(ProcessingJobName=name, **request | more)


def given(name: str, uri: str, path: str) -> dict[str, Any]:
    source = {"S3Uri": uri, "LocalPath": path, "S3DataType": "S3Prefix", "S3InputMode": "File"}
    return {"InputName": name, "S3Input": source}


def ended(server: Server, name: str) -> dict[str, Any]:
    """Await a job's end; give what Describe says."""
    sagemaker = server.client("sagemaker")
    found: dict[str, Any] = {}

    def over() -> bool:
        found.update(sagemaker.describe_processing_job(ProcessingJobName=name))
        return found["ProcessingJobStatus"] not in ACTIVE

    assert until(over, 60), server.log()[-2000:]
    return found


def uploaded(server: Server, name: str) -> dict[str, str]:
    s3 = server.client("s3")
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{name}/").get("Contents", [])
    keys = [each["Key"] for each in found]
    bodies = [s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode() for key in keys]
    return dict(zip((key.removeprefix(f"{name}/") for key in keys), bodies, strict=True))


def log(server: Server, name: str) -> list[str]:
    lines = server.command("logs", "--job", name).splitlines()
    assert all(line.startswith(f"{name}/algo-1-") for line in lines)
    return [line.partition("  ")[2] for line in lines]


def folders(server: Server) -> list[str]:
    return sorted(path.name for path in (server.home / "run" / "jobs").iterdir())


UPPER = """
import os, pathlib, shutil, sys
source, target = map(pathlib.Path, sys.argv[1:])
for path in source.rglob("*.csv"):
    place = target / path.relative_to(source)
    place.parent.mkdir(exist_ok=True)
    place.write_text(path.read_text().upper())
os.symlink("/etc/passwd", target / "link")
pathlib.Path(os.environ["MODELTAP_ML_ROOT"], "output/message").write_text("all is well")
print("said by the program")
"""


def test_a_job_turns_its_inputs_into_its_outputs(server: Server) -> None:
    create(server, "Upper-Case", UPPER)
    told = ended(server, "Upper-Case")
    assert told["ProcessingJobStatus"] == "Completed", told
    assert told["ExitMessage"] == "all is well"
    assert "FailureReason" not in told
    assert told["CreationTime"] <= told["ProcessingStartTime"] <= told["ProcessingEndTime"]
    assert uploaded(server, "Upper-Case") == {"a.csv": "A.CSV", "d/b.csv": "D/B.CSV"}
    lines = log(server, "Upper-Case")
    assert lines[0] == f"input i: 2 objects, 12 bytes, s3://{BUCKET}/data -> {IN}"
    assert "said by the program" in lines
    assert lines[-1] == f"output o: 2 files -> s3://{BUCKET}/Upper-Case"
    assert until(lambda: "Upper-Case" not in folders(server))


def test_the_program_finds_its_request_in_opt_ml(server: Server) -> None:
    script = (
        "import json, os, sys; root = os.environ['MODELTAP_ML_ROOT'] + '/config/'; "
        "told = {n: json.load(open(root + n)) for n in os.listdir(root)}; "
        "json.dump(told, open(sys.argv[2] + '/told.json', 'w'))"
    )
    create(server, "Config", script, Environment={"A": "b"})
    arn = ended(server, "Config")["ProcessingJobArn"]
    told = json.loads(uploaded(server, "Config")["told.json"])
    assert told["resourceconfig.json"] == {"current_host": "algo-1", "hosts": ["algo-1"]}
    config = told["processingjobconfig.json"]
    assert (config["ProcessingJobArn"], config["Environment"]) == (arn, {"A": "b"})
    assert config["ProcessingInputs"][0]["S3Input"]["LocalPath"] == IN
    assert config["ProcessingInputs"][0]["S3Input"]["S3DownloadMode"] == "StartOfJob"


def test_a_job_that_fails_says_how_and_keeps_its_outputs(server: Server) -> None:
    script = (
        "import os, sys; open(sys.argv[2] + '/half', 'w').write('half'); "
        "open(os.environ['MODELTAP_ML_ROOT'] + '/output/message', 'w').write('a bad column'); "
        "print('the last line'); sys.exit(3)"
    )
    create(server, "Fails", script)
    told = ended(server, "Fails")
    assert (told["ProcessingJobStatus"], told["ExitMessage"]) == ("Failed", "a bad column")
    assert "exit code 3" in told["FailureReason"]
    assert "modeltap logs --job Fails" in told["FailureReason"]
    assert uploaded(server, "Fails") == {"half": "half"}
    assert "the last line" in log(server, "Fails")


def test_a_missing_input_is_told_in_awss_words(server: Server) -> None:
    inputs = [given("i", f"s3://{BUCKET}/nothing/here", IN)]
    create(server, "Missing", "raise SystemExit(1)", ProcessingInputs=inputs)
    told = ended(server, "Missing")
    assert told["ProcessingJobStatus"] == "Failed"
    assert told["FailureReason"].startswith(
        f'No S3 objects found under S3 URL "s3://{BUCKET}/nothing/here" given in input data source.'
    )
    assert "ProcessingStartTime" not in told


WAIT = "import sys, time; open(sys.argv[2] + '/begun', 'w').close(); print('on'); time.sleep(60)"


def test_a_job_is_stopped(server: Server) -> None:
    create(server, "Stopped", WAIT)
    assert until(lambda: "on" in log_or_nothing(server, "Stopped"))
    server.client("sagemaker").stop_processing_job(ProcessingJobName="Stopped")
    told = ended(server, "Stopped")
    assert told["ProcessingJobStatus"] == "Stopped"
    assert "FailureReason" not in told
    assert uploaded(server, "Stopped") == {"begun": ""}


def log_or_nothing(server: Server, name: str) -> str:
    return server.command("logs", "--job", name, check=False)


def test_a_job_has_its_time_and_no_more(server: Server) -> None:
    stubborn = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAIT}"
    create(server, "Long", stubborn, StoppingCondition={"MaxRuntimeInSeconds": 1})
    told = ended(server, "Long")
    assert told["ProcessingJobStatus"] == "Stopped"
    assert "StoppingCondition.MaxRuntimeInSeconds" in told["FailureReason"]


def test_continuous_outputs_are_there_while_the_job_runs(server: Server) -> None:
    create(server, "Continuous", WAIT, mode="Continuous")
    assert until(lambda: uploaded(server, "Continuous") == {"begun": ""})
    sagemaker = server.client("sagemaker")
    told = sagemaker.describe_processing_job(ProcessingJobName="Continuous")
    assert told["ProcessingJobStatus"] == "InProgress"
    sagemaker.stop_processing_job(ProcessingJobName="Continuous")
    assert ended(server, "Continuous")["ProcessingJobStatus"] == "Stopped"


@pytest.mark.parametrize("seconds", ["0", "0.05", "1"])
def test_control_killed_in_the_middle_changes_nothing(server: Server, seconds: str) -> None:
    """Kill it that long after the call; the program takes about a second, and runs once."""
    name = f"Killed-{seconds.replace('.', '-')}"
    mark = server.home / name
    script = (
        f"import sys, time; open({str(mark)!r}, 'a').write('run '); time.sleep(1); "
        "open(sys.argv[2] + '/done', 'w').write('done')"
    )
    (control,) = server.processes("control")
    create(server, name, script)
    time.sleep(float(seconds))
    os.kill(control, signal.SIGKILL)
    assert until(lambda: server.processes("control") not in ([], [control]))
    told = ended(server, name)
    assert told["ProcessingJobStatus"] == "Completed", told
    assert mark.read_text() == "run "
    assert uploaded(server, name) == {"done": "done"}


def test_a_killed_job_fails_and_says_so(server: Server) -> None:
    create(server, "Shot", "import os; os.kill(os.getppid(), 9); import time; time.sleep(60)")
    told = ended(server, "Shot")
    assert told["ProcessingJobStatus"] == "Failed"
    assert "was killed" in told["FailureReason"]


def test_the_sdk_runs_its_processors(server: Server, tmp_path: Path) -> None:
    told = run_sdk(server, tmp_path, ANALYZER)
    assert told["status"] == "Completed"
    assert told["output"] == "A.CSV"
    assert told["message"] == "3 words"


@pytest.mark.long
@pytest.mark.parametrize("version", ["1.2-1", "1.4-2"])
def test_the_sdk_runs_scikit_learn(server: Server, tmp_path: Path, version: str) -> None:
    told = run_sdk(server, tmp_path, version)
    assert told["status"] == "Completed"
    assert told["sklearn"] == {"1.2-1": "1.2.1", "1.4-2": "1.4.2"}[version]


def run_sdk(server: Server, folder: Path, image: str) -> dict[str, Any]:
    """Run `sdk_jobs.py` with the SDK 2 as a user does; give what its last line says."""
    command = [*MODELTAP, "run", "--home", str(server.home), "--"]
    done = subprocess.run(
        [*command, str(sdk("sdk2")), str(SDK_SCRIPT), image, f"s3://{BUCKET}/data/a.csv"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SDK_SECONDS_MAX,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
