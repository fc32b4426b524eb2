"""Runs of a schedule in a real house: from NOW to the report, and an hour of much capture."""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from statistics import median
from typing import Any

import orjson

from benchmarks import machine, openloop, signing
from benchmarks.contender import HOST, Running, running
from benchmarks.contenders import modeltap
from benchmarks.contenders.modeltap import BUCKET, ROLE, Home
from benchmarks.environments import Unavailable
from benchmarks.monitor import cost, data, ours
from benchmarks.openloop import Stream
from benchmarks.results import Cell, Plan, Reach, Section, Spread, Table
from modeltap.clock import stamp

ENDPOINT = modeltap.endpoint(100)
ANALYZER = "156813124566.dkr.ecr.us-east-1.amazonaws.com/sagemaker-model-monitor-analyzer"
CONNECTIONS = 32
PER_SECOND = 2500.0
"""Calls, as long as it takes; what the machine carries without falling behind."""

NOW_SHARE = 10
"""An hour has so many times the records of a NOW."""
HOUR_BYTES_EACH = 1000
"""Bytes of capture that an hour has for each record that `--records` names: 1 GB for 1,000,000."""
OBJECT_BYTES = 16 * 1024 * 1024
"""Of an object, about: what a segment is sealed at."""
SAMPLE = 1000
"""Records of which a baseline is made, and the size of one is learnt."""

HOUR_SECONDS = 3600
SECONDS_MAX = 900.0
POLL_SECONDS = 0.02
ENDED = ("Completed", "CompletedWithViolations")
LEFT = ("Pending", "InProgress", "Stopping")

TEXT = """\
*NOW*: calls are answered and captured, 100 %, at a fixed rate; with the last answer a schedule is
made with `NOW`, so that the newest records are still in the ring and in open segments. *An hour*:
objects of about 16 MiB with 69 columns a record lie in the bucket, all of one hour, and a run's
window holds it. Both runs check against a baseline. A run is over when `ListMonitoringExecutions`
says so and its `statistics.json` is in the bucket, with every record in it. *Complete* is from the
request until the window was complete and the job made (its second must end first), *staged* until
its program began, *analysed* until its documents were uploaded. CPU is that of the whole house.
"""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of a schedule took, in seconds."""

    records: int
    size: int  # of the captured objects, bytes
    complete: float
    staged: float
    analysed: float
    seconds: float  # from the request to the report
    cpu_seconds: float

    @property
    def hours(self) -> float:
        """Tell how many such hours one hour has time for: by the clock, and by all cores."""
        cores = len(machine.cores())
        return HOUR_SECONDS / max(self.seconds, self.cpu_seconds / cores)


def run(plan: Plan) -> Section:
    """Measure both, round by round."""
    nows = [_now(plan, number) for number in range(1, plan.rounds + 1)]
    return section(nows, _hours(plan))


# ---------------------------------------------------------------- NOW


def _now(plan: Plan, number: int) -> Run:
    """Capture, and run at once; on a fresh home, so that nothing else is in the window."""
    records = max(1, plan.records // NOW_SHARE)
    _say(f"round {number}: {records:,} calls, then NOW")
    home = modeltap.deployed(plan.folder / "runs", plan.model, [100])
    rows = plan.folder / "runs-rows.csv"
    rows.write_text("\n".join(_with_header(plan)))
    with running(home.bare(), plan.model, machine.cores()) as server:
        house = _House(home, server)
        house.lay_baseline(rows)
        seconds = records / PER_SECOND
        pool = list(home.signed(server.port, 100, plan.model.rows))
        stream = Stream("calls", server.port, pool, PER_SECOND, CONNECTIONS)
        told = openloop.fixed_rate([stream], seconds)["calls"]
        if told.refused:
            raise Unavailable(f"{told.refused} of {told.sent} calls were not answered with 200")
        return house.run("now", "-PT1H", told.sent)


def _with_header(plan: Plan) -> Iterator[str]:
    features = plan.model.rows[0].count(",") + 1
    yield ",".join(["prediction", *(f"feature_{number}" for number in range(features))])
    for score, row in zip(plan.model.scores, plan.model.rows, strict=True):
        yield f"{score},{row}"


# ---------------------------------------------------------------- an hour


def _hours(plan: Plan) -> list[Run]:
    """Run over one hour again and again; what an analysis keeps of its files is thrown away."""
    given, sample = _input(plan)
    home = modeltap.deployed(plan.folder / "runs", plan.model, [100])
    with running(home.bare(), plan.model, machine.cores()) as server:
        house = _House(home, server)
        house.lay_baseline(sample.csv)
        _say(f"uploading an hour of {given.records:,} records")
        house.lay_hour(given.files)
        runs = []
        for number in range(1, plan.rounds + 1):
            _say(f"round {number}: a run over the hour")
            rmtree(home.folder / "summaries", ignore_errors=True)
            runs.append(house.run(f"hour-{number}", "-PT3H", given.records))
    rmtree(home.folder / "buckets", ignore_errors=True)
    return runs


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _input(plan: Plan) -> tuple[data.Input, data.Input]:
    """Give the hour's records, and a few like them."""
    folder = plan.folder / "monitor"
    sample = data.made(folder, SAMPLE)
    size = sum(path.stat().st_size for path in sample.files)
    return data.made(folder, plan.records * HOUR_BYTES_EACH * SAMPLE // size), sample


# ---------------------------------------------------------------- the house


class _House:
    """A server with a captured endpoint, asked as its users do."""

    def __init__(self, home: Home, server: Running) -> None:
        self._home = home
        self._pid = server.pid
        url = f"http://{HOST}:{server.port}"
        self._sagemaker = signing.client("sagemaker", home.folder, url)
        self._s3 = signing.client("s3", home.folder, f"http://{HOST}:{server.port + 1}")
        waiter = self._sagemaker.get_waiter("endpoint_in_service")
        waiter.wait(EndpointName=ENDPOINT, WaiterConfig={"Delay": 1, "MaxAttempts": 180})

    def lay_baseline(self, rows: Path) -> None:
        folder = self._home.folder / "baseline"
        cost.of(ours.baseline(rows, folder), {}, folder)
        for name in ("statistics.json", "constraints.json"):
            self._s3.upload_file(str(folder / name), BUCKET, f"baseline/{name}")

    def lay_hour(self, files: list[Path]) -> None:
        """Put captured files into the bucket as objects of the hour that has just passed."""
        for key, body in hour_of_objects(files, time.time_ns()):
            self._s3.put_object(Bucket=BUCKET, Key=key, Body=body)

    def run(self, name: str, start: str, records: int) -> Run:
        """Run a schedule now; await its report of so many records. Raise `Unavailable`."""
        cpu, asked = machine.cpu_seconds(self._pid), time.time()
        self._sagemaker.create_monitoring_schedule(**_schedule(name, start))
        execution = self._ended(name)
        ended = time.time()
        spent = machine.cpu_seconds(self._pid) - cpu
        job = self._sagemaker.describe_processing_job(
            ProcessingJobName=execution["ProcessingJobArn"].rpartition("/")[2]
        )
        self._check(job, records)
        made, began, over = (
            job[f"{each}Time"].timestamp()
            for each in ("Creation", "ProcessingStart", "ProcessingEnd")
        )
        size = self._size(job)
        return Run(records, size, made - asked, began - made, over - began, ended - asked, spent)

    def _ended(self, name: str) -> dict[str, Any]:
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            found = self._sagemaker.list_monitoring_executions(MonitoringScheduleName=name)
            for each in found["MonitoringExecutionSummaries"]:
                if each["MonitoringExecutionStatus"] in ENDED:
                    return dict(each)
                if each["MonitoringExecutionStatus"] not in LEFT:
                    raise Unavailable(each.get("FailureReason", "the run did not complete"))
            time.sleep(POLL_SECONDS)
        raise Unavailable(f"no report after {SECONDS_MAX:.0f} s")

    def _check(self, job: dict[str, Any], records: int) -> None:
        """See that the report is there, and of all records."""
        target = job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
        key = target.removeprefix(f"s3://{BUCKET}/") + "/statistics.json"
        document = orjson.loads(self._s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
        count = document["dataset"]["item_count"]
        if count != records:
            raise Unavailable(f"the report is of {count} records, not of {records}")

    def _size(self, job: dict[str, Any]) -> int:
        """Sum up the captured objects that were a job's inputs."""
        inputs = [each["S3Input"]["S3Uri"] for each in job["ProcessingInputs"]]
        prefixes = [each.removeprefix(f"s3://{BUCKET}/") for each in inputs if "/captured/" in each]
        pages = self._s3.get_paginator("list_objects_v2")
        return sum(
            item["Size"]
            for prefix in prefixes
            for page in pages.paginate(Bucket=BUCKET, Prefix=prefix)
            for item in page.get("Contents", ())
        )


def hour_of_objects(
    files: Sequence[Path], now_ns: int, bytes_each: int = OBJECT_BYTES
) -> Iterator[tuple[str, bytes]]:
    """Give captured files of one hour as keys and bodies of the last whole hour before a time.

    Raise `Unavailable` where a record is of another hour.
    """
    hour = stamp(now_ns - HOUR_SECONDS * 10**9)[:13]
    was, now = (f'"inferenceTime":"{each}:'.encode() for each in (_hour(files[0]), hour))
    place = f"captured/{ENDPOINT}/AllTraffic/{hour.replace('-', '/').replace('T', '/')}"
    for number, body in enumerate(_bodies(files, bytes_each)):
        moved = body.replace(was, now)
        if moved.count(now) != moved.count(b"\n"):
            raise Unavailable("the hour of some records could not be moved")
        yield f"{place}/00-00-{number:03}-00000000-0000-4000-8000-{number:012}.jsonl", moved


def _hour(file: Path) -> str:
    """Give a captured file's hour, as `inferenceTime` begins."""
    year, month, day, hour = file.parts[-5:-1]
    return f"{year}-{month}-{day}T{hour}"


def _bodies(files: Sequence[Path], bytes_each: int) -> Iterator[bytes]:
    for path in files:
        with path.open("rb") as lines:
            while body := b"".join(lines.readlines(bytes_each)):
                yield body


def _schedule(name: str, start: str) -> dict[str, Any]:
    source = {"EndpointName": ENDPOINT, "LocalPath": "/opt/ml/processing/input/endpoint"}
    target = {"S3Uri": f"s3://{BUCKET}/reports", "LocalPath": "/opt/ml/processing/output"}
    cluster = {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 20}
    documents = {
        f"{each.title()}Resource": {"S3Uri": f"s3://{BUCKET}/baseline/{each}.json"}
        for each in ("constraints", "statistics")
    }
    return {
        "MonitoringScheduleName": name,
        "MonitoringScheduleConfig": {
            "MonitoringJobDefinition": {
                "BaselineConfig": documents,
                "MonitoringInputs": [{"EndpointInput": source}],
                "MonitoringOutputConfig": {"MonitoringOutputs": [{"S3Output": target}]},
                "MonitoringResources": {"ClusterConfig": cluster},
                "MonitoringAppSpecification": {"ImageUri": ANALYZER},
                "RoleArn": ROLE,
            },
            "ScheduleConfig": {
                "ScheduleExpression": "NOW",
                "DataAnalysisStartTime": start,
                "DataAnalysisEndTime": "-PT0H",
            },
        },
    }


# ---------------------------------------------------------------- what is made of it


def section(nows: list[Run], hours: list[Run]) -> Section:
    """Make a section of what was measured."""
    now, hour = nows[0], hours[0]
    return Section(
        title="Runs of a schedule",
        text=TEXT,
        tables=[
            Table(
                "One run at a time, all cores",
                ("", "records", "MB", "complete, s", "staged, s", "analysed, s", "all, s", "CPU s"),
                [_row("NOW", nows), _row("an hour", hours)],
            )
        ],
        reaches=[
            Reach(f"NOW to report, {now.records:,} records: s", 5, False, _of(nows, "seconds")),
            Reach(
                f"hours of {hour.size / 1e9:.2g} GB that fit into one",
                10,
                True,
                _of(hours, "hours"),
            ),
        ],
    )


def _row(name: str, runs: list[Run]) -> list[Cell]:
    phases = ("complete", "staged", "analysed", "seconds", "cpu_seconds")
    size = median(each.size for each in runs) / 1e6
    return [name, f"{runs[0].records:,}", size, *(_of(runs, each) for each in phases)]


def _of(runs: list[Run], name: str) -> Spread:
    return Spread.of([getattr(each, name) for each in runs])
