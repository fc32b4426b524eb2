"""`modeltap monitor …` as a user types it, on a server with an endpoint and its records."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from modeltap import record
from modeltap.nouns import CapturedRecord, CaptureEncoding, Half

from .conftest import MODELTAP, Server, new_server
from .deployed import await_in_service, capture, create_endpoint, create_model, until, upload
from .scheduling import definition, of_endpoint
from .training import XGBOOST_0_90, trained

pytestmark = pytest.mark.acceptance

BUCKET, ENDPOINT, SCHEDULE = "acceptance", "Churn", "Churn-Hourly"
GOOD, BAD, EMPTY = "2026-03-01T10", "2026-03-01T11", "2026-03-01T12"
ROWS = [(f"0.{at:03}", "ab"[at % 2], at % 2) for at in range(300)]


@dataclass
class House:
    server: Server
    s3: Any
    sagemaker: Any

    def monitor(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Type a command."""
        command = [*MODELTAP, "monitor", *words, "--home", str(self.server.home)]
        return subprocess.run(command, capture_output=True, text=True)

    def reported(self, hour: str) -> dict[str, bytes]:
        """Read what lies in the folder of an hour's report."""
        prefix = f"reports/{ENDPOINT}/{SCHEDULE}/{hour.replace('-', '/').replace('T', '/')}/"
        listed = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return {
            each["Key"].removeprefix(prefix): self.s3.get_object(Bucket=BUCKET, Key=each["Key"])[
                "Body"
            ].read()
            for each in listed
        }

    def captured(self, hour: str, rows: list[tuple[str, str, int]]) -> None:
        """Put records where capture puts those that were answered in the hour before."""
        end = datetime.fromisoformat(hour).replace(tzinfo=UTC).timestamp()
        when = int(end - 1800) * 10**9
        lines = [
            record.encode(
                CapturedRecord(
                    f"event-{at}",
                    when + at,
                    Half("text/csv", f"{score},{word}\n".encode()),
                    Half("text/csv", str(label).encode()),
                ),
                lambda _: CaptureEncoding.CSV,
            )
            for at, (score, word, label) in enumerate(rows)
        ]
        folder = datetime.fromtimestamp(end - 1800, UTC).strftime("%Y/%m/%d/%H")
        key = f"capture/{ENDPOINT}/AllTraffic/{folder}/part.jsonl"
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=b"".join(lines))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("model")
    server = new_server(tmp_path_factory.mktemp("monitor-cli"), stop_seconds_max="3")
    made = House(server, server.client("s3"), server.client("sagemaker"))
    model = trained(XGBOOST_0_90, server.home / "environments", folder)
    create_model(server, "churn", upload(server, model / "model.tar.gz"))
    create_endpoint(server, ENDPOINT, "churn", capture())
    await_in_service(server, ENDPOINT)
    suggest(made, folder)
    made.captured(GOOD, ROWS)
    made.captured(BAD, [(f"9{score}", word, label) for score, word, label in ROWS])
    made.sagemaker.create_monitoring_schedule(**schedule(SCHEDULE))
    yield made
    server.stop()


def suggest(house: House, folder: Path) -> None:
    """Suggest a baseline on the command line, and upload it."""
    dataset = folder / "train.csv"
    lines = [f"{label},{score},{word}\n" for score, word, label in ROWS]
    dataset.write_text("label,score,word\n" + "".join(lines))
    command = [*MODELTAP, "baseline", str(dataset), "--output", str(folder / "baseline")]
    subprocess.run(command, check=True, capture_output=True)
    for name in ("statistics.json", "constraints.json"):
        house.s3.upload_file(str(folder / "baseline" / name), BUCKET, f"baseline/{name}")


def schedule(name: str, **config: str) -> dict[str, Any]:
    base = f"s3://{BUCKET}/baseline"
    baseline = {
        "ConstraintsResource": {"S3Uri": f"{base}/constraints.json"},
        "StatisticsResource": {"S3Uri": f"{base}/statistics.json"},
    }
    return {
        "MonitoringScheduleName": name,
        "MonitoringScheduleConfig": {
            "MonitoringJobDefinition": definition(
                of_endpoint(ENDPOINT),
                f"s3://{BUCKET}/reports",
                BaselineConfig=baseline,
                StoppingCondition={"MaxRuntimeInSeconds": 3600},
            ),
            "ScheduleConfig": {"ScheduleExpression": "cron(0 * ? * * *)", **config},
        },
    }


def executions(house: House, name: str = SCHEDULE) -> list[dict[str, Any]]:
    answer = house.sagemaker.list_monitoring_executions(MonitoringScheduleName=name)
    found: list[dict[str, Any]] = answer["MonitoringExecutionSummaries"]
    return found


def of(house: House, hour: str) -> dict[str, Any]:
    """Give the one execution of an hour; the schedule may make its own meanwhile."""
    when = datetime.fromisoformat(hour).replace(tzinfo=UTC)
    (found,) = [each for each in executions(house) if each["ScheduledTime"] == when]
    return found


def test_an_hour_is_run_shown_and_run_anew(house: House, tmp_path: Path) -> None:
    ran = house.monitor("run", SCHEDULE, "--hour", GOOD)
    assert (ran.returncode, ran.stderr.replace("\n", "")) == (0, ""), ran
    assert "✓ No violation: 300 rows of 3 features keep to the baseline." in ran.stdout
    uri = f"s3://{BUCKET}/reports/{ENDPOINT}/{SCHEDULE}/2026/03/01/10/report.html"
    assert ran.stdout.endswith(f"report: {uri}\n")
    assert sorted(house.reported(GOOD)) == [
        "constraints.json",
        "findings.json",
        "report.html",
        "statistics.json",
    ]
    job = of(house, GOOD)["ProcessingJobArn"]
    seen = house.monitor("run", SCHEDULE, "--hour", GOOD)
    assert seen.stdout == ran.stdout
    assert f"{SCHEDULE}@{GOOD} has run; --again runs it anew" in seen.stderr
    assert of(house, GOOD)["ProcessingJobArn"] == job

    # What an earlier run left is not taken for this one's.
    left = f"reports/{ENDPOINT}/{SCHEDULE}/2026/03/01/10/constraint_violations.json"
    house.s3.put_object(Bucket=BUCKET, Key=left, Body=b'{"violations": []}')
    anew = house.monitor("run", SCHEDULE, "--hour", GOOD, "--again")
    assert (anew.returncode, anew.stdout) == (0, ran.stdout)
    assert of(house, GOOD)["ProcessingJobArn"] != job
    assert "constraint_violations.json" not in house.reported(GOOD)
    stale = house.monitor("report", job)
    assert stale.returncode == 2
    assert "is an earlier try of a run that was made again" in stale.stderr

    page = tmp_path / "page.html"
    for named in (f"{SCHEDULE}@{GOOD}", of(house, GOOD)["ProcessingJobArn"]):
        shown = house.monitor("report", named, "--html", str(page))
        assert (shown.returncode, shown.stdout) == (0, ran.stdout)
        assert page.read_bytes() == house.reported(GOOD)["report.html"]
    explained = house.monitor("explain", f"{SCHEDULE}@{GOOD}")
    assert explained.stdout == (
        "Nothing is wrong: the records from 2026-03-01 09:00 to 10:00 UTC keep to the baseline.\n"
    )


def test_violations_have_a_status_of_their_own(house: House) -> None:
    ran = house.monitor("run", SCHEDULE, "--hour", BAD)
    assert ran.returncode == 1, ran
    assert "▲ 1 violation in 1 of 3 features: 1 drift." in ran.stdout
    assert "Baseline drift distance" in ran.stdout
    told = json.loads(house.monitor("report", f"{SCHEDULE}@{BAD}", "--json").stdout)
    assert told["MonitoringExecutionStatus"] == "CompletedWithViolations"
    assert told["ScheduledTime"] == "2026-03-01T11:00:00Z"
    assert [each["feature_name"] for each in told["Violations"]] == ["score"]
    explained = house.monitor("explain", f"{SCHEDULE}@{BAD}")
    assert "do not keep to the baseline, 1 violation (1 drift): look at them" in explained.stdout
    assert explained.returncode == 0
    statistics = f"reports/{ENDPOINT}/{SCHEDULE}/2026/03/01/11/statistics.json"
    house.s3.delete_object(Bucket=BUCKET, Key=statistics)
    other = house.monitor("report", f"{SCHEDULE}@{BAD}")
    assert other.returncode == 1
    assert "another program than modeltap's wrote the report" in other.stdout


def test_an_hour_that_failed_says_why_and_is_run_again(house: House) -> None:
    ran = house.monitor("run", SCHEDULE, "--hour", EMPTY)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert f"{ENDPOINT} left no record from 2026-03-01 11:00 to 12:00 UTC" in ran.stderr
    again = f"modeltap monitor run {SCHEDULE} --hour {EMPTY}"
    assert again in house.monitor("explain", f"{SCHEDULE}@{EMPTY}").stdout
    assert house.monitor("report", f"{SCHEDULE}@{EMPTY}").returncode == 2
    house.captured(EMPTY, ROWS)
    assert house.monitor(*again.split()[2:]).returncode == 0
    assert of(house, EMPTY)["MonitoringExecutionStatus"] == "Completed"


def test_schedules_are_listed_and_described(house: House) -> None:
    house.monitor("run", SCHEDULE, "--hour", BAD)
    listed = house.monitor("ls")
    (line,) = [each for each in listed.stdout.splitlines() if each.startswith(SCHEDULE)]
    assert "cron(0 * ? * * *)" in line
    assert "Scheduled" in line
    (told,) = [
        each
        for each in json.loads(house.monitor("ls", "--json").stdout)
        if each["MonitoringScheduleName"] == SCHEDULE
    ]
    assert told["NextRunTime"] > datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    described = house.monitor("describe", SCHEDULE)
    lines = described.stdout.splitlines()
    assert lines[0] == f"{SCHEDULE}: Scheduled, cron(0 * ? * * *)"
    assert f"  endpoint   {ENDPOINT}" in lines
    assert f"  output     s3://{BUCKET}/reports" in lines
    (run,) = [each.split() for each in lines if each.startswith(BAD)]
    assert run[1:3] == ["CompletedWithViolations", "1"]
    document = json.loads(house.monitor("describe", SCHEDULE, "--json").stdout)
    counts = [each["ViolationCount"] for each in document["MonitoringExecutionSummaries"]]
    assert 1 in counts


def test_what_cannot_be_done_is_said_in_one_line(house: House) -> None:
    for words, status, told in (
        (["run", "Nobody"], 2, "Could not find monitoring schedule"),
        (["run", SCHEDULE, "--hour", "yesterday"], 2, "yesterday is no hour: write it in UTC"),
        (["run", SCHEDULE, "--hour", "2100-01-01T00"], 2, "has not come yet"),
        (["report", "Nobody"], 2, "there is no schedule Nobody"),
        (["report", f"{SCHEDULE}@2026-01-01T00"], 2, "has no execution of 2026-01-01T00 (UTC)"),
        (["explain", "model-monitoring-202603011000-" + 24 * "0"], 1, "Could not find requested"),
        (["describe", "Nobody"], 1, "Could not find monitoring schedule"),
    ):
        done = house.monitor(*words)
        assert (done.returncode, done.stdout) == (status, ""), done
        assert told in done.stderr
        assert done.stderr.count("\n") == 1


def test_control_killed_meanwhile_makes_one_report(house: House) -> None:
    hour = "2026-03-01T15"
    house.captured(hour, ROWS)
    words = ["run", SCHEDULE, "--hour", hour]
    for more in ([], ["--again"]):
        process = subprocess.Popen(
            [*MODELTAP, "monitor", *words, *more, "--home", str(house.server.home)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert until(lambda: is_running(house, hour)), process.communicate()
        (control,) = house.server.processes("control")
        os.kill(control, signal.SIGKILL)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert "300 rows" in out
    assert of(house, hour)["MonitoringExecutionStatus"] == "Completed"
    query = {"NameContains": "model-monitoring-202603011500"}
    jobs = house.sagemaker.list_processing_jobs(**query)["ProcessingJobSummaries"]
    assert len(jobs) == 2


def is_running(house: House, hour: str) -> bool:
    when = datetime.fromisoformat(hour).replace(tzinfo=UTC)
    mine = [each for each in executions(house) if each["ScheduledTime"] == when]
    return [each["MonitoringExecutionStatus"] for each in mine] in (["Pending"], ["InProgress"])


def test_a_schedule_of_now_is_run_once_more(house: House) -> None:
    """Its execution is named by the second; without a call there is nothing to report."""
    times = {"DataAnalysisStartTime": "-PT1H", "DataAnalysisEndTime": "-PT0H"}
    now = schedule("Now", ScheduleExpression="NOW", **times)
    house.sagemaker.create_monitoring_schedule(**now)
    assert until(lambda: statuses(house, "Now") == ["Failed"])
    ran = house.monitor("run", "Now")
    assert ran.returncode == 2
    assert "once there are records, modeltap monitor run Now\n" in ran.stderr
    assert statuses(house, "Now") == ["Failed", "Failed"]
    name = ran.stderr.split()[1].rstrip(":")
    assert house.monitor("explain", name).stdout in ran.stderr


def statuses(house: House, name: str) -> list[str]:
    return [each["MonitoringExecutionStatus"] for each in executions(house, name)]
