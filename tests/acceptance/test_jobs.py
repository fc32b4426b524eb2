"""Processing jobs with real clients against a real `modeltap serve`."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass
class House:
    """A server of its own, whose control may be killed, and its clients."""

    server: Server
    s3: Any
    sagemaker: Any

    @property
    def home(self) -> Path:
        return self.server.home


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    server = new_server(tmp_path_factory.mktemp("jobs"), stop_seconds_max="3")
    made = House(server, server.client("s3"), server.client("sagemaker"))
    made.s3.create_bucket(Bucket=BUCKET)
    made.s3.put_object(Bucket=BUCKET, Key="data/", Body=b"")  # as consoles make folders
    for name in ("a.csv", "d/b.csv"):
        made.s3.put_object(Bucket=BUCKET, Key=f"data/{name}", Body=name.encode())
    yield made
    server.stop()


def create(house: House, name: str, script: str, *, mode: str = "EndOfJob", **more: Any) -> None:
    """Run a script of Python as a job whose input is `data/` and whose output is `{name}/`."""
    house.s3.put_object(Bucket=BUCKET, Key=f"code/{name}/job.py", Body=script.encode())
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
    house.sagemaker.create_processing_job(ProcessingJobName=name, **request | more)


def given(name: str, uri: str, path: str) -> dict[str, Any]:
    source = {"S3Uri": uri, "LocalPath": path, "S3DataType": "S3Prefix", "S3InputMode": "File"}
    return {"InputName": name, "S3Input": source}


def ended(house: House, name: str) -> dict[str, Any]:
    """Await a job's end; give what Describe says."""
    found: dict[str, Any] = {}

    def over() -> bool:
        found.update(house.sagemaker.describe_processing_job(ProcessingJobName=name))
        return found["ProcessingJobStatus"] not in ACTIVE

    assert until(over, 60), house.server.log()[-2000:]
    return found


def uploaded(house: House, name: str) -> dict[str, str]:
    found = house.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{name}/").get("Contents", [])
    keys = [each["Key"] for each in found]
    bodies = [house.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode() for key in keys]
    return dict(zip((key.removeprefix(f"{name}/") for key in keys), bodies, strict=True))


def log(house: House, name: str) -> list[str]:
    lines = house.server.command("logs", "--job", name).splitlines()
    assert all(line.startswith(f"{name}/algo-1-") for line in lines)
    return [line.partition("  ")[2] for line in lines]


def folders(house: House) -> list[str]:
    return sorted(path.name for path in (house.home / "run" / "jobs").iterdir())


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


def test_a_job_turns_its_inputs_into_its_outputs(house: House) -> None:
    create(house, "Upper-Case", UPPER)
    told = ended(house, "Upper-Case")
    assert told["ProcessingJobStatus"] == "Completed", told
    assert told["ExitMessage"] == "all is well"
    assert "FailureReason" not in told
    assert told["CreationTime"] <= told["ProcessingStartTime"] <= told["ProcessingEndTime"]
    assert uploaded(house, "Upper-Case") == {"a.csv": "A.CSV", "d/b.csv": "D/B.CSV"}
    lines = log(house, "Upper-Case")
    assert lines[0] == f"input i: 2 objects, 12 bytes, s3://{BUCKET}/data -> {IN}"
    assert "said by the program" in lines
    assert lines[-1] == f"output o: 2 files -> s3://{BUCKET}/Upper-Case"
    assert until(lambda: "Upper-Case" not in folders(house))


def test_the_program_finds_its_request_in_opt_ml(house: House) -> None:
    script = (
        "import json, os, sys; root = os.environ['MODELTAP_ML_ROOT'] + '/config/'; "
        "told = {n: json.load(open(root + n)) for n in os.listdir(root)}; "
        "json.dump(told, open(sys.argv[2] + '/told.json', 'w'))"
    )
    create(house, "Config", script, Environment={"A": "b"})
    arn = ended(house, "Config")["ProcessingJobArn"]
    told = json.loads(uploaded(house, "Config")["told.json"])
    assert told["resourceconfig.json"] == {"current_host": "algo-1", "hosts": ["algo-1"]}
    config = told["processingjobconfig.json"]
    assert (config["ProcessingJobArn"], config["Environment"]) == (arn, {"A": "b"})
    assert config["ProcessingInputs"][0]["S3Input"]["LocalPath"] == IN
    assert config["ProcessingInputs"][0]["S3Input"]["S3DownloadMode"] == "StartOfJob"


def test_a_job_that_fails_says_how_and_keeps_its_outputs(house: House) -> None:
    script = (
        "import os, sys; open(sys.argv[2] + '/half', 'w').write('half'); "
        "open(os.environ['MODELTAP_ML_ROOT'] + '/output/message', 'w').write('a bad column'); "
        "print('the last line'); sys.exit(3)"
    )
    create(house, "Fails", script)
    told = ended(house, "Fails")
    assert (told["ProcessingJobStatus"], told["ExitMessage"]) == ("Failed", "a bad column")
    assert "exit code 3" in told["FailureReason"]
    assert "modeltap logs --job Fails" in told["FailureReason"]
    assert uploaded(house, "Fails") == {"half": "half"}
    assert "the last line" in log(house, "Fails")


def test_a_missing_input_is_told_in_awss_words(house: House) -> None:
    inputs = [given("i", f"s3://{BUCKET}/nothing/here", IN)]
    create(house, "Missing", "raise SystemExit(1)", ProcessingInputs=inputs)
    told = ended(house, "Missing")
    assert told["ProcessingJobStatus"] == "Failed"
    assert told["FailureReason"].startswith(
        f'No S3 objects found under S3 URL "s3://{BUCKET}/nothing/here" given in input data source.'
    )
    assert "ProcessingStartTime" not in told


WAIT = "import sys, time; open(sys.argv[2] + '/begun', 'w').close(); time.sleep(60)"


def test_a_job_is_stopped(house: House) -> None:
    create(house, "Stopped", WAIT)
    begun = house.home / "run" / "jobs" / "Stopped" / "ml" / "processing" / "output" / "begun"
    assert until(begun.exists)
    house.sagemaker.stop_processing_job(ProcessingJobName="Stopped")
    told = ended(house, "Stopped")
    assert told["ProcessingJobStatus"] == "Stopped"
    assert "FailureReason" not in told
    assert uploaded(house, "Stopped") == {"begun": ""}


def test_a_job_has_its_time_and_no_more(house: House) -> None:
    stubborn = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAIT}"
    create(house, "Long", stubborn, StoppingCondition={"MaxRuntimeInSeconds": 1})
    told = ended(house, "Long")
    assert told["ProcessingJobStatus"] == "Stopped"
    assert "StoppingCondition.MaxRuntimeInSeconds" in told["FailureReason"]


def test_continuous_outputs_are_there_while_the_job_runs(house: House) -> None:
    create(house, "Continuous", WAIT, mode="Continuous")
    assert until(lambda: uploaded(house, "Continuous") == {"begun": ""})
    told = house.sagemaker.describe_processing_job(ProcessingJobName="Continuous")
    assert told["ProcessingJobStatus"] == "InProgress"
    house.sagemaker.stop_processing_job(ProcessingJobName="Continuous")
    assert ended(house, "Continuous")["ProcessingJobStatus"] == "Stopped"


@pytest.mark.parametrize("seconds", ["0", "0.05", "1"])
def test_control_killed_in_the_middle_changes_nothing(house: House, seconds: str) -> None:
    """Kill it that long after the call; the program takes about a second, and runs once."""
    name = f"Killed-{seconds.replace('.', '-')}"
    mark = house.home / name
    script = (
        f"import sys, time; open({str(mark)!r}, 'a').write('run '); time.sleep(1); "
        "open(sys.argv[2] + '/done', 'w').write('done')"
    )
    (control,) = house.server.processes("control")
    create(house, name, script)
    time.sleep(float(seconds))
    os.kill(control, signal.SIGKILL)
    assert until(lambda: house.server.processes("control") not in ([], [control]))
    told = ended(house, name)
    assert told["ProcessingJobStatus"] == "Completed", told
    assert mark.read_text() == "run "
    assert uploaded(house, name) == {"done": "done"}


def test_a_killed_job_fails_and_says_so(house: House) -> None:
    create(house, "Shot", "import os; os.kill(os.getppid(), 9); import time; time.sleep(60)")
    told = ended(house, "Shot")
    assert told["ProcessingJobStatus"] == "Failed"
    assert "was killed" in told["FailureReason"]


def test_the_sdk_runs_its_processors(house: House, tmp_path: Path) -> None:
    told = run_sdk(house, tmp_path, ANALYZER)
    assert told["status"] == "Completed"
    assert told["output"] == "A.CSV"
    assert told["message"] == "3 words"


@pytest.mark.long
@pytest.mark.parametrize("version", ["1.2-1", "1.4-2"])
def test_the_sdk_runs_scikit_learn(house: House, tmp_path: Path, version: str) -> None:
    told = run_sdk(house, tmp_path, version)
    assert told["status"] == "Completed"
    assert told["sklearn"] == {"1.2-1": "1.2.1", "1.4-2": "1.4.2"}[version]


def run_sdk(house: House, folder: Path, image: str) -> dict[str, Any]:
    """Run `sdk_jobs.py` with the SDK 2 as a user does; give what its last line says."""
    command = [*MODELTAP, "run", "--home", str(house.home), "--"]
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
