"""The SageMaker SDK 3, from a model's archive to the report of a schedule (scripts/test-long)."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from .conftest import MODELTAP, Server
from .deployed import upload
from .test_seeds import sdk
from .training import FEATURES, XGBOOST_0_90, trained

pytestmark = [pytest.mark.acceptance, pytest.mark.long]

SCRIPT = Path(__file__).with_name("sdk3_schedules.py")
CALLS = 60
SECONDS_MAX = 900


def run(server: Server, folder: Path) -> dict[str, Any]:
    """Run the script as a user does; give what its last line says."""
    model = upload(server, folder / "model.tar.gz", "sdk3.tar.gz")
    header = ",".join(["label", *(f"f{at}" for at in range(FEATURES))])
    (folder / "train.csv").write_text(f"{header}\n{(folder / 'validation.csv').read_text()}")
    rows = (folder / "inputs.csv").read_text().splitlines()[:CALLS]
    (folder / "rows.csv").write_text("\n".join(rows))
    command = [*MODELTAP, "run", "--home", str(server.home), "--", str(sdk("sdk3")), str(SCRIPT)]
    done = subprocess.run(
        [*command, XGBOOST_0_90, model, "train.csv", "rows.csv"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS_MAX,
    )
    assert done.returncode == 0, done.stdout[-4000:] + server.log()[-2000:]
    # printed by `suggest_baseline(logs=True)` and by `get_latest_execution_logs`
    for ending in ("with no violations.", "with 1 violations."):
        assert f"Job completed successfully {ending}\n" in done.stdout
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_from_a_models_archive_to_a_report(server: Server, tmp_path: Path) -> None:
    folder = trained(XGBOOST_0_90, server.home / "environments", tmp_path)
    told = run(server, folder)
    assert told["answers"] == (folder / "scores.csv").read_text().splitlines()[:CALLS]
    assert told["status"] == "CompletedWithViolations"
    assert told["rows"] == CALLS
    (violation,) = told["violations"]  # the answers are scores, the labels are whole numbers
    assert violation["feature_name"] == "label"
    assert violation["constraint_check_type"] == "data_type_check"
    assert (
        told["message"]
        == told["job"]
        == ("CompletedWithViolations: Job completed successfully with 1 violations.")
    )
    day = datetime.now(UTC).strftime("%Y/%m/%d/")
    assert told["destination"].startswith(
        f"s3://sagemaker-us-east-1-000000000000/reports/Sdk-3/Sdk-3/{day}"
    )
    assert told["run"] == ["CompletedWithViolations", "Sdk-3", "DataQuality"]
    assert told["input"] == "Sdk-3"
    assert len(told["definitions"]) == 1
    assert told["schedules"] == ["Sdk-3"]
    assert (told["stopped"], told["daily"]) == ("Stopped", "Scheduled")
    assert told["updated"] == "cron(0 * ? * * *)"
    assert told["attached"] == "DefaultModelMonitor"
    sagemaker = server.client("sagemaker")
    assert not sagemaker.list_monitoring_schedules(NameContains="Sdk-3")[
        "MonitoringScheduleSummaries"
    ]
    assert not sagemaker.list_models(NameContains="Sdk-3")["Models"]
