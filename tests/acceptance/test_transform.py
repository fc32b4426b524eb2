"""Batch transform with real clients and a real XGBoost model against a real `modeltap serve`."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .conftest import MODELTAP, Server, new_server
from .deployed import create_model, until, upload
from .test_seeds import sdk
from .training import XGBOOST_3_0, trained

pytestmark = pytest.mark.acceptance

BUCKET = "acceptance"
SDK_SCRIPT = Path(__file__).with_name("sdk_transform.py")
SDK_SECONDS_MAX = 600
ACTIVE = ("InProgress", "Stopping")
SCORED_OBJECTS = 40


@dataclass
class House:
    """A server of its own, whose control may be killed, its clients, and a model's own answers."""

    server: Server
    s3: Any
    sagemaker: Any
    model_data: str
    rows: list[str]
    scores: list[str]

    def put(self, key: str, lines: list[str]) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body="\n".join(lines).encode() + b"\n")

    def objects(self, prefix: str) -> dict[str, str]:
        found = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        keys = [each["Key"] for each in found]
        return {
            key.removeprefix(prefix): self.s3.get_object(Bucket=BUCKET, Key=key)["Body"]
            .read()
            .decode()
            for key in keys
        }


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    server = new_server(tmp_path_factory.mktemp("transform"), stop_seconds_max="3")
    folder = trained(XGBOOST_3_0, server.home / "environments", tmp_path_factory.mktemp("model"))
    url = upload(server, folder / "model.tar.gz")
    create_model(server, "scorer", url, XGBOOST_3_0)
    rows, scores = ((folder / name).read_text().split() for name in ("inputs.csv", "scores.csv"))
    made = House(server, server.client("s3"), server.client("sagemaker"), url, rows, scores)
    made.put("plain/a.csv", rows[:300])
    made.put("plain/deep/b.csv", rows[300:])
    made.put("named/a.csv", [f"id-{number},{row}" for number, row in enumerate(rows)])
    for number in range(SCORED_OBJECTS):
        made.put(f"many/{number:02}.csv", rows[number * 10 : number * 10 + 10])
    yield made
    server.stop()


def create(house: House, name: str, source: str, **more: Any) -> None:
    place = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{source}"}
    request = {
        "ModelName": "scorer",
        "TransformInput": {
            "DataSource": {"S3DataSource": place},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        "TransformOutput": {
            "S3OutputPath": f"s3://{BUCKET}/out/{name}",
            "Accept": "text/csv",
            "AssembleWith": "Line",
        },
        "TransformResources": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
    }
    house.sagemaker.create_transform_job(TransformJobName=name, **request | more)


def ended(house: House, name: str) -> dict[str, Any]:
    """Await a job's end; give what Describe says."""
    found: dict[str, Any] = {}

    def over() -> bool:
        found.update(house.sagemaker.describe_transform_job(TransformJobName=name))
        return found["TransformJobStatus"] not in ACTIVE

    assert until(over, 90), house.server.log()[-2000:]
    return found


def text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def test_objects_are_scored(house: House) -> None:
    create(house, "Plain", "plain/")
    told = ended(house, "Plain")
    assert told["TransformJobStatus"] == "Completed", told
    assert told["CreationTime"] <= told["TransformStartTime"] <= told["TransformEndTime"]
    assert house.objects("out/Plain/") == {
        "a.csv.out": text(house.scores[:300]),
        "deep/b.csv.out": text(house.scores[300:]),
    }
    waiter = house.sagemaker.get_waiter("transform_job_completed_or_stopped")
    waiter.wait(TransformJobName="Plain")
    log = house.server.command("logs", "--job", "Plain")
    assert f"2 objects, s3://{BUCKET}/plain/ -> s3://{BUCKET}/out/Plain" in log
    assert until(lambda: house.server.processes("worker") == [])


@pytest.mark.parametrize("strategy", ["SingleRecord", "MultiRecord"])
def test_answers_are_joined_to_their_records(house: House, strategy: str) -> None:
    processing = {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"}
    more = {"DataProcessing": processing, "BatchStrategy": strategy, "MaxConcurrentTransforms": 16}
    create(house, f"Joined-{strategy}", "named/", **more)
    assert ended(house, f"Joined-{strategy}")["TransformJobStatus"] == "Completed"
    assert house.objects(f"out/Joined-{strategy}/") == {
        "a.csv.out": text([f"id-{number},{score}" for number, score in enumerate(house.scores)])
    }


def test_a_record_that_the_model_refuses_is_named(house: House) -> None:
    house.put("bad/a.csv", [house.rows[0], "no,numbers"])
    house.put("bad/b.csv", house.rows[:2])
    create(house, "Bad", "bad/", BatchStrategy="SingleRecord")
    told = ended(house, "Bad")
    assert told["TransformJobStatus"] == "Failed"
    assert told["FailureReason"].startswith(
        f"AlgorithmError: s3://{BUCKET}/bad/a.csv: record 2: the model answered 4"
    )
    assert house.objects("out/Bad/") == {"b.csv.out": text(house.scores[:2])}
    assert "the model said: " in house.server.command("logs", "--job", "Bad")


def test_control_killed_in_the_middle_goes_on(house: House) -> None:
    create(house, "Killed", "many/", BatchStrategy="SingleRecord")
    (control,) = house.server.processes("control")
    assert until(lambda: len(house.objects("out/Killed/")) > 2)
    os.kill(control, signal.SIGKILL)
    assert until(lambda: house.server.processes("control") not in ([], [control]))
    told = ended(house, "Killed")
    assert told["TransformJobStatus"] == "Completed", told
    assert house.objects("out/Killed/") == {
        f"{number:02}.csv.out": text(house.scores[number * 10 : number * 10 + 10])
        for number in range(SCORED_OBJECTS)
    }
    assert until(lambda: house.server.processes("worker") == [])


def test_a_server_that_is_started_again_goes_on(house: House) -> None:
    create(house, "Restarted", "many/", BatchStrategy="SingleRecord", MaxConcurrentTransforms=1)
    assert until(lambda: len(house.objects("out/Restarted/")) > 2)
    house.server.stop()
    house.server.start()
    assert ended(house, "Restarted")["TransformJobStatus"] == "Completed"
    assert "".join(house.objects("out/Restarted/").values()) == text(house.scores)


def test_a_killed_worker_is_replaced(house: House) -> None:
    more = {"TransformResources": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2}}
    create(house, "Shot", "many/", BatchStrategy="SingleRecord", **more)
    assert until(lambda: len(house.objects("out/Shot/")) > 0)
    for worker in house.server.processes("worker"):
        os.kill(worker, signal.SIGKILL)
    assert ended(house, "Shot")["TransformJobStatus"] == "Completed"
    assert "".join(house.objects("out/Shot/").values()) == text(house.scores)


def test_a_job_is_stopped(house: House) -> None:
    create(house, "Stopped", "many/", BatchStrategy="SingleRecord", MaxConcurrentTransforms=1)
    assert until(lambda: len(house.objects("out/Stopped/")) > 0)
    house.sagemaker.stop_transform_job(TransformJobName="Stopped")
    told = ended(house, "Stopped")
    assert (told["TransformJobStatus"], "FailureReason" in told) == ("Stopped", False)
    found = house.objects("out/Stopped/")
    assert 0 < len(found) < SCORED_OBJECTS
    assert all(len(each.splitlines()) == 10 for each in found.values())
    assert until(lambda: house.server.processes("worker") == [])


def test_the_sdk_transforms_and_captures(house: House, tmp_path: Path) -> None:
    places = [f"s3://{BUCKET}/{name}" for name in ("named", "out/sdk", "captured/sdk")]
    command = [*MODELTAP, "run", "--home", str(house.server.home), "--", str(sdk("sdk2"))]
    done = subprocess.run(
        [*command, str(SDK_SCRIPT), XGBOOST_3_0, house.model_data, *places],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SDK_SECONDS_MAX,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["status"] == "Completed"
    assert list(told["outputs"]) == [f"{places[1]}/a.csv.out"]
    lines = [line.split(",") for line in told["outputs"][f"{places[1]}/a.csv.out"].splitlines()]
    assert [line[:2] for line in lines] == [
        [f"id-{number}", score] for number, score in enumerate(house.scores)
    ]
    assert len({line[2] for line in lines}) == len(lines)
    sides = {uri.removeprefix(f"{places[2]}/").split("/")[0]: uri for uri in told["captured"]}
    manifests = {side: json.loads(told["captured"][uri]) for side, uri in sides.items()}
    assert manifests == {
        "input": [{"prefix": f"{places[0]}/"}, "a.csv"],
        "output": [{"prefix": f"{places[1]}/"}, "a.csv.out"],
    }
