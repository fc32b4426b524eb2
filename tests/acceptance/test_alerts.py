"""Alerts and the webhook through real clients, over an endpoint with traffic."""

import json
import os
import re
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import urlopen

import pytest

from receiving import documented

from .conftest import Server, new_server
from .deployed import (
    BUCKET,
    await_in_service,
    capture,
    create_endpoint,
    create_model,
    invoke,
    until,
    upload,
)
from .test_schedules import inline
from .training import XGBOOST_0_90, trained

pytestmark = pytest.mark.acceptance

SECRET = "whsec_" + "c2lnbmVkIHdpdGggdGhpcnR5LXR3byBieXRlcyE="
CALLS = 12
HISTORY = {"SortOrder": "Ascending"}


@dataclass
class Receiver:
    """A webhook that fails the first time that it hears of something, and while it is `broken`."""

    port: int = 0
    broken: bool = False
    refused: list[str] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)

    def hear(self, headers: Mapping[str, str], body: bytes) -> int:
        id_, notice = headers["webhook-id"], json.loads(body)
        if not documented()(headers, body, SECRET) or notice["id"] != id_:
            self.odd.append(id_)
        if self.broken or id_ not in self.refused:
            self.refused.append(id_)
            return 500
        self.taken.append(notice)
        return 200

    def of(self, schedule: str) -> dict[str, dict[str, Any]]:
        """Give the data of what was taken, by its type."""
        mine = [each for each in self.taken if each["data"]["MonitoringScheduleName"] == schedule]
        assert len({each["type"] for each in mine}) == len(mine)  # none was told twice
        return {each["type"]: each["data"] for each in mine}


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            lower = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(receiver.hear(lower, body))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.port = server.server_address[1]
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield receiver
        server.shutdown()
        thread.join()


@dataclass
class House:
    server: Server
    receiver: Receiver
    sagemaker: Any


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with receiving() as receiver:
        server = new_server(
            tmp_path_factory.mktemp("alerts"),
            webhook_url=f"http://127.0.0.1:{receiver.port}/hook?token=hidden",
            webhook_secret=SECRET,
        )
        folder = tmp_path_factory.mktemp("model")
        trained(XGBOOST_0_90, server.home / "environments", folder)
        create_model(server, "churn", upload(server, folder / "model.tar.gz"))
        for name in ("Busy", "Idle"):
            create_endpoint(server, name, "churn", capture())
        await_in_service(server, "Busy", "Idle")
        runtime = server.client("sagemaker-runtime")
        for row in (folder / "inputs.csv").read_text().splitlines()[:CALLS]:
            invoke(runtime, "Busy", row)
        feature = {"name": "alone", "inferred_type": "Integral", "completeness": 1.0}
        document = json.dumps({"version": 0.0, "features": [feature]})
        place = {"Bucket": BUCKET, "Key": "narrow/constraints.json"}
        server.client("s3").put_object(**place, Body=document.encode())
        yield House(server, receiver, server.client("sagemaker"))
        server.stop()


def strict(name: str) -> dict[str, Any]:
    """Ask for a run that the narrow constraints find violated."""
    asked = inline(name, "Busy")
    definition = asked["MonitoringScheduleConfig"]["MonitoringJobDefinition"]
    uri = f"s3://{BUCKET}/narrow/constraints.json"
    definition["BaselineConfig"] = {"ConstraintsResource": {"S3Uri": uri}}
    return asked


def alert(house: House, name: str) -> str:
    answer = house.sagemaker.list_monitoring_alerts(MonitoringScheduleName=name)
    (summary,) = answer["MonitoringAlertSummaries"]
    return str(summary["AlertStatus"])


def test_violations_alert_and_are_told_and_a_clean_run_ends_it(house: House) -> None:
    house.sagemaker.create_monitoring_schedule(**strict("Drift"))
    assert alert(house, "Drift") == "OK"
    assert until(lambda: alert(house, "Drift") == "InAlert", 60), house.server.log()[-3000:]
    assert until(lambda: len(house.receiver.of("Drift")) == 2), house.server.log()[-3000:]
    told = house.receiver.of("Drift")
    run = told["monitoring.execution.violations"]
    assert run["EndpointName"] == "Busy"
    assert run["Violations"] >= 1
    key = run["ReportS3Uri"].removeprefix(f"s3://{BUCKET}/") + "/constraint_violations.json"
    body = house.server.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    assert len(json.loads(body)["violations"]) == run["Violations"]
    assert told["monitoring.alert.changed"]["AlertStatus"] == "InAlert"

    house.receiver.taken.clear()
    house.sagemaker.update_monitoring_schedule(**inline("Drift", "Busy"))
    assert until(lambda: alert(house, "Drift") == "OK", 60), house.server.log()[-3000:]
    named = {"MonitoringScheduleName": "Drift", "MonitoringAlertName": "default-alert"}
    house.sagemaker.update_monitoring_alert(**named, DatapointsToAlert=1, EvaluationPeriod=2)
    assert alert(house, "Drift") == "InAlert"
    answer = house.sagemaker.list_monitoring_alert_history(**named, **HISTORY)
    items = answer["MonitoringAlertHistory"]
    assert [each["AlertStatus"] for each in items] == ["InAlert", "OK", "InAlert"]
    assert until(lambda: len(house.receiver.taken) == 2)
    house.sagemaker.delete_monitoring_schedule(MonitoringScheduleName="Drift")
    assert house.sagemaker.list_monitoring_alert_history()["MonitoringAlertHistory"] == []


def test_a_failed_run_is_told_though_control_is_killed_before(house: House) -> None:
    house.receiver.broken = True
    house.sagemaker.create_monitoring_schedule(**inline("Empty", "Idle"))
    known = len(house.receiver.refused)
    assert until(lambda: len(house.receiver.refused) > known), house.server.log()[-3000:]
    (control,) = house.server.processes("control")
    os.kill(control, signal.SIGKILL)
    house.receiver.broken = False
    assert until(lambda: bool(house.receiver.of("Empty"))), house.server.log()[-3000:]
    told = house.receiver.of("Empty")["monitoring.execution.failed"]
    assert told["FailureReason"].startswith("Job inputs had no data")
    assert "ReportS3Uri" not in told
    assert alert(house, "Empty") == "OK"


def test_every_post_was_signed_and_nothing_secret_is_written(house: House) -> None:
    house.sagemaker.create_monitoring_schedule(**inline("Signed", "Idle"))
    assert until(lambda: bool(house.receiver.of("Signed")))
    assert house.receiver.odd == []
    log = house.server.log()
    assert "NoticeDelivered" in log
    assert "NoticeRefused" in log
    assert "token=hidden" not in log
    assert SECRET not in log
    with urlopen(f"http://127.0.0.1:{house.server.port + 2}/metrics") as page:
        text = page.read().decode()
    counted = re.search(r'webhook_attempts_total\{outcome="delivered"\} (\d+)', text)
    assert counted is not None
    assert int(counted[1]) >= 1
    assert "modeltap_webhook_waiting 0.0" in text


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"webhook_url": "ftp://host/x"}, "webhook_url"),
        ({"webhook_url": "https://user:pass@host/"}, "webhook_url"),
        ({"webhook_url": "https://host:99999/"}, "webhook_url"),
        ({"webhook_url": "http://host/", "webhook_secret": ""}, "webhook_secret"),
        ({"webhook_url": "http://host/", "webhook_secret": "whsec_hunter2"}, "webhook_secret"),
        ({"monitor_executions_max": "99"}, "monitor_executions_max"),
    ],
)
def test_a_bad_setting_is_named_and_not_shown(
    tmp_path: Path, settings: dict[str, str], field: str
) -> None:
    server = Server(tmp_path, 1, settings)
    with pytest.raises(AssertionError):
        server.start()
    assert server.process is not None
    server.process.wait(30)
    assert server.process.stdout is not None
    server.process.stdout.close()
    log = server.log()
    assert f"{field}: " in log
    assert not [word for word in ("pass@", "hunter2", "ftp://") if word in log]
