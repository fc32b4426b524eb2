"""AWS's churn example, watched: through an endpoint and through batch transforms, by the SDK.

What the report must hold is worked out from the files beside it (`implied.py`). The data are not
ours to ship: these checks run where the shared data lie beside the repository.
"""

import csv
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from . import implied
from .conftest import MODELTAP, Server, new_server
from .deployed import (
    BUCKET,
    await_in_service,
    capture,
    create_endpoint,
    create_model,
    invoke,
    upload,
)
from .test_churn import CHURN
from .test_seeds import sdk
from .training import XGBOOST_0_90

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(not CHURN.exists(), reason=f"AWS's churn data are not at {CHURN}"),
]

ENDPOINT = "Churn-Traffic"
DATASET = CHURN / "training-dataset-with-header.csv"
TRAFFIC = CHURN / "test-dataset-input-cols.csv"
SDK_SECONDS_MAX = 600


@dataclass
class House:
    server: Server
    model_data: str
    expected: implied.Violations


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Send all lines of the traffic, with capture of all; keep what the model answers."""
    server = new_server(tmp_path_factory.mktemp("churn-monitor"))
    url = upload(server, CHURN / "xgb-churn-prediction-model.tar.gz", "churn.tar.gz")
    create_model(server, "churn", url, XGBOOST_0_90)
    create_endpoint(server, ENDPOINT, "churn", capture())
    await_in_service(server, ENDPOINT)
    runtime = server.client("sagemaker-runtime")
    lines = TRAFFIC.read_text().splitlines()
    rows = [f"{invoke(runtime, ENDPOINT, line)},{line}" for line in lines]
    names, *dataset = csv.reader(DATASET.read_text().splitlines())
    expected = implied.violations(names, dataset, list(csv.reader(rows)))
    yield House(server, url, expected)
    server.stop()


def run(house: House, folder: Path, script: str, *words: str) -> dict[str, Any]:
    """Run a script as a user does; give what its last line says."""
    command = [*MODELTAP, "run", "--home", str(house.server.home), "--", str(sdk("sdk2"))]
    done = subprocess.run(
        [*command, str(Path(__file__).with_name(script)), *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SDK_SECONDS_MAX,
    )
    assert done.returncode == 0, done.stdout[-4000:] + house.server.log()[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def reported(house: House, destination: str) -> implied.Violations:
    """Read the violations of a report as its bucket has them."""
    key = f"{destination.removeprefix(f's3://{BUCKET}/')}/constraint_violations.json"
    body = house.server.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    found = {
        (each["feature_name"], each["constraint_check_type"]): each["description"]
        for each in json.loads(body)["violations"]
    }
    assert len(found) == len(json.loads(body)["violations"])
    return found


def test_its_traffic_has_the_violations_that_the_rules_imply(house: House, tmp_path: Path) -> None:
    assert len(house.expected) == 60  # the recorded count: a mangled header, and the label
    told = run(house, tmp_path, "sdk2_schedules.py", ENDPOINT, str(DATASET), f"s3://{BUCKET}/live")
    assert told["status"] == "CompletedWithViolations"
    assert told["job"].endswith(" with 60 violations.")
    assert told["rows"] == len(TRAFFIC.read_text().splitlines())
    assert reported(house, told["destination"]) == house.expected
    assert len(told["violations"]) == 60


def test_so_it_is_in_a_batch(house: House, tmp_path: Path) -> None:
    """The same lines through a transform job: the same rows, the same violations."""
    house.server.client("s3").upload_file(str(TRAFFIC), BUCKET, "batch/in/traffic.csv")
    place = f"s3://{BUCKET}/batch"
    words = XGBOOST_0_90, house.model_data, f"{place}/in", place, str(DATASET)
    told = run(house, tmp_path, "sdk2_batch_schedules.py", *words)
    assert told["status"] == "CompletedWithViolations"
    assert told["job"].endswith(" with 60 violations.")
    assert told["statistics"]["dataset"]["item_count"] == len(TRAFFIC.read_text().splitlines())
    assert reported(house, told["destination"]) == house.expected
