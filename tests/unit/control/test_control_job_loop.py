"""The jobs' loop, over real folders, real shims and programs, and the port's own fake of a bucket.

`Control` is one life of control. Built over the same home again, it is the next life.
"""

import asyncio
import itertools
import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from stepped import stepped

from modeltap.clock import SystemClock
from modeltap.control.job_loop import JobLoop
from modeltap.control.job_states import JobStates
from modeltap.control.job_steps import JobSteps
from modeltap.control.jobs import KIND, NEW, Job, JobStatus, stopping
from modeltap.control.metric_files import BATCH_NAMESPACE, MetricFiles
from modeltap.hosting.commands import Commands
from modeltap.hosting.containers import Containers, Limits
from modeltap.hosting.images import Image
from modeltap.hosting.job_images import JobImages
from modeltap.hosting.jobs import JobLauncher
from modeltap.logbook import Logbook
from modeltap.nouns import PROCESSING_LOG_GROUP, Document, Partition
from modeltap.objects.port import ObjectStore
from modeltap.objects.remote import split_uri
from modeltap.objects.simulated import Fault, SimulatedStore
from modeltap.state.points import Metric, Points, StatisticSet
from modeltap.state.store import Resource, Store

ANALYZER = "1.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-model-monitor-analyzer"
XGBOOST = "1.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:3.0-5"
COPY = "echo run >> $MARK; cp $FROM/a $TO/b; echo copied > $TO/../message"
MEASURE = "mkdir -p $TO/../metrics/cloudwatch; echo $METRIC > $TO/../metrics/cloudwatch/m.jsonl"


def of_job(name: str) -> str:
    return f'{{"Name": "Job", "Value": "{name}"}}'


class Home:
    """What outlives control: folder, database, bucket, and the house's life."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store.open(folder / "state.db")
        self.states = JobStates(self.store, SystemClock())
        self.points = Points(self.store)
        self.bucket = SimulatedStore()
        self.logbook = Logbook(folder / "logs")
        self.life, self.end_of_life = os.pipe()
        self.over = False
        self.launchers: list[JobLauncher] = []
        self.names: list[str] = []
        self.mark = folder / "mark"  # a line for each run of a program
        self.strangers = psutil.Process().children()  # what other tests have left
        asyncio.run(self.bucket.put("in/a", b"what came in"))

    def end(self) -> None:
        """Stop the house: the life pipe has its end."""
        if not self.over:
            os.close(self.end_of_life)
        self.over = True

    def close(self) -> None:
        self.end()
        ours = [each for each in psutil.Process().children() if each not in self.strangers]
        psutil.wait_procs(ours, 30)
        for launcher, name in itertools.product(self.launchers, self.names):
            launcher.stand(name)  # a parent that asks reaps
        os.close(self.life)
        self.store.close()

    def at(self, uri: str) -> tuple[ObjectStore, str]:
        return self.bucket, split_uri(uri)[1]

    def create(self, name: str, script: str, **more: Any) -> None:
        """Do as the API does."""
        self.names.append(name)
        now = SystemClock().now_ns()
        arn = Partition("000000000000", "us-east-1").arn(KIND, name)
        self.store.create(
            Resource(KIND, name, arn, self.spec(name, script) | more, NEW, 1, now, now)
        )

    def spec(self, name: str, script: str) -> Document:
        source = {"S3Uri": "s3://bucket/in", "S3DataType": "S3Prefix"}
        target = {"S3Uri": f"s3://bucket/out/{name}", "S3UploadMode": "EndOfJob"}
        into, out = "/opt/ml/processing/in", "/opt/ml/output/data"
        return {
            "ProcessingJobName": name,
            "AppSpecification": {
                "ImageUri": ANALYZER,
                "ContainerEntrypoint": ["/bin/sh", "-c", script],
            },
            "Environment": {
                "MARK": str(self.mark),
                "FROM": into,
                "TO": out,
                "METRIC": f'{{"MetricName": "m", "Value": 2, "Dimensions": [{of_job(name)}]}}',
            },
            "ProcessingInputs": [{"InputName": "i", "S3Input": {**source, "LocalPath": into}}],
            "ProcessingOutputConfig": {
                "Outputs": [{"OutputName": "o", "S3Output": {**target, "LocalPath": out}}]
            },
            "ProcessingResources": {"ClusterConfig": {"VolumeSizeInGB": 1}},
            "RoleArn": "arn:aws:iam::123456789012:role/R",
        }

    def job(self, name: str) -> Job:
        job = self.states.get(name)
        assert job is not None
        return job

    def objects(self) -> dict[str, bytes]:
        async def read() -> dict[str, bytes]:
            keys = [info.key async for info in self.bucket.list("out/")]
            return {key: await self.bucket.get(key) for key in keys}

        return asyncio.run(read())

    def measured(self, name: str) -> list[StatisticSet]:
        """Give what is known of a job's own metric."""
        metric = Metric(BATCH_NAMESPACE, "m", (("Job", name),))
        return [values for _, _, values in self.points.within(metric, 0, 1 << 31)]

    def folders(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "jobs").glob("*"))

    def said(self) -> str:
        return "\n".join(line.text for line in self.logbook.lines(PROCESSING_LOG_GROUP))


class Control:
    """One life of control; it may take `steps` steps, and is dead then."""

    def __init__(
        self, home: Home, steps: int | None = None, building: asyncio.Event | None = None
    ) -> None:
        self.home = home
        self.building = building
        self.tasks: set[asyncio.Task[None]] = set()
        self.dead = asyncio.Event()
        self.steps = steps
        clock = SystemClock()
        self.launcher = JobLauncher(
            home.folder / "jobs", life=home.life, stop_seconds_max=1.0, private=False
        )
        home.launchers.append(self.launcher)  # as its children are of the dead control's parent
        job_steps = JobSteps(
            home.states,
            self.launcher,
            self._ensure,
            home.at,
            home.logbook,
            MetricFiles(home.points, clock),
            JobImages(Commands([home.folder / "programs"]), Containers("", Limits())),
            clock,
            region="us-east-1",
            analyzer={},
            patience_seconds=0.0,
        )
        self.loop = JobLoop(home.states, self.launcher, job_steps, clock, self.spawn)

    async def _ensure(self, image: Image, told: Callable[[str], None]) -> Path:
        told(f"environment of {image.name}")
        if self.building is not None:
            await self.building.wait()
        return Path(sys.executable)

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(stepped(self, work))
        self.tasks.add(task)
        return task

    def die(self) -> None:
        self.dead.set()

    async def live(self, until: Callable[[], bool]) -> bool:
        """Live until a condition holds, or to the end of the steps; tell whether it held."""
        self.spawn(self.loop.run())
        try:
            async with asyncio.timeout(60):
                while not until():
                    if self.dead.is_set():
                        return False
                    await asyncio.sleep(0.01)
            return True
        finally:
            for task in self.tasks:
                task.cancel()
            done = await asyncio.gather(*self.tasks, return_exceptions=True)
            assert [each for each in done if isinstance(each, Exception)] == []


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    made.close()


def ended(home: Home, *names: str) -> Callable[[], bool]:
    """Tell whether jobs are concluded and cleared away."""

    def condition() -> bool:
        done = all(home.job(name).ended_ns is not None for name in names)
        return done and not set(names) & set(home.folders())

    return condition


def run(home: Home, *names: str) -> None:
    assert asyncio.run(Control(home).live(ended(home, *names)))


def test_a_job_runs_from_its_inputs_to_its_outputs(home: Home) -> None:
    home.create("Job", COPY)
    run(home, "Job")
    job = home.job("Job")
    assert (job.status, job.failure, job.exit_message) == (JobStatus.COMPLETED, None, "copied\n")
    assert job.started_ns is not None
    assert job.created_ns // 10**6 <= job.started_ns // 10**6 <= (job.ended_ns or 0) // 10**6
    assert home.objects() == {"out/Job/b": b"what came in"}


def test_the_outputs_of_a_job_that_fails_are_kept(home: Home) -> None:
    home.create("Job", f"{COPY}; exit 3")
    run(home, "Job")
    job = home.job("Job")
    assert (job.status, job.exit_message) == (JobStatus.FAILED, "copied\n")
    assert "exit code 3" in (job.failure or "")
    assert home.objects() == {"out/Job/b": b"what came in"}
    assert "exit code 3" in home.said()


def test_the_metrics_of_a_job_are_taken_however_it_ends(home: Home) -> None:
    home.create("Job", f"{MEASURE}; echo rubbish >> $TO/../metrics/cloudwatch/m.jsonl; exit 3")
    run(home, "Job")
    assert home.measured("Job") == [StatisticSet(1.0, 2.0, 2.0, 2.0)]
    assert f"metrics: 1 points -> {BATCH_NAMESPACE}\n" in home.said()
    assert "metrics: 1 lines refused: no JSON" in home.said()


def test_a_job_without_its_inputs_fails_before_it_starts(home: Home) -> None:
    asyncio.run(home.bucket.delete("in/a"))
    home.create("Job", COPY)
    run(home, "Job")
    job = home.job("Job")
    assert (job.status, job.started_ns) == (JobStatus.FAILED, None)
    assert "No S3 objects found under S3 URL" in (job.failure or "")
    assert not home.mark.exists()


def test_an_image_is_told_by_its_python(home: Home) -> None:
    app = {
        "ImageUri": XGBOOST,
        "ContainerEntrypoint": ["python3", "-c", "import sys; print(sys.prefix)"],
    }
    home.create("Job", "", AppSpecification=app)
    run(home, "Job")
    assert home.job("Job").status is JobStatus.COMPLETED, home.said()
    assert f"environment of sagemaker-xgboost:3.0-5\nstarting python3\n{sys.prefix}" in home.said()


def named(home: Home, text: str) -> tuple[Path, Document]:
    """Make a program that jobs may name as an image; give its `AppSpecification`, too."""
    program = home.folder / "programs" / "my-monitor"
    program.parent.mkdir()
    program.write_text(text)
    program.chmod(0o755)
    return program, {"ImageUri": f"modeltap://command{program}", "ContainerArguments": ["a", "b"]}


def test_a_program_of_this_machine_runs_under_the_same_contract(home: Home) -> None:
    program, app = named(home, '#!/bin/sh\necho "$@" "$PATH" $PYTHONPATH\ncp $FROM/a $TO/b\n')
    home.create("Job", "", AppSpecification=app)
    run(home, "Job")
    assert home.job("Job").status is JobStatus.COMPLETED, home.said()
    assert home.objects() == {"out/Job/b": b"what came in"}
    assert f"starting {program}\na b {program.parent}:/usr/local/bin:/usr/bin:/bin\n" in home.said()


def test_a_program_that_is_gone_when_its_job_begins_is_told(home: Home) -> None:
    program, app = named(home, "#!/bin/sh\n")
    program.unlink()
    home.create("Job", "", AppSpecification=app)
    run(home, "Job")
    job = home.job("Job")
    assert (job.status, job.started_ns) == (JobStatus.FAILED, None)
    assert f"There is no program {program}" in (job.failure or "")


def test_a_program_without_its_interpreter_is_told(home: Home) -> None:
    program, app = named(home, "#!/no/such/interpreter\n")
    home.create("Job", "", AppSpecification=app)
    run(home, "Job")
    failure = home.job("Job").failure or ""
    assert f"No such file or directory: '{program}'" in failure
    assert "first line (#!) names an interpreter" in failure


def test_what_breaks_a_step_fails_its_job_alone(home: Home) -> None:
    source = {"S3Uri": "s3://bucket/in", "S3DataType": "S3Prefix", "LocalPath": "/opt/ml/config"}
    odd = {
        "InputName": "i",
        "S3Input": {**source, "LocalPath": "/opt/ml/config/resourceconfig.json"},
    }
    home.create("Odd", COPY, ProcessingInputs=[odd])
    home.create("Good", COPY)
    run(home, "Odd", "Good")
    assert (home.job("Odd").status, home.job("Good").status) == (
        JobStatus.FAILED,
        JobStatus.COMPLETED,
    )
    assert "This machine could not go on with the job" in (home.job("Odd").failure or "")


def test_a_job_is_stopped_while_it_runs(home: Home) -> None:
    home.create("Job", "echo half > $TO/b; echo on >> $MARK; sleep 60")

    async def scenario() -> None:
        control = Control(home)

        def stopped() -> bool:
            if home.mark.exists() and home.job("Job").status is JobStatus.IN_PROGRESS:
                home.states.change("Job", stopping)
                control.loop.wake()
            return ended(home, "Job")()

        assert await control.live(stopped)

    asyncio.run(scenario())
    job = home.job("Job")
    assert (job.status, job.failure) == (JobStatus.STOPPED, None)
    assert home.objects() == {"out/Job/b": b"half\n"}


def test_a_job_is_stopped_while_it_is_prepared(home: Home) -> None:
    app = {"ImageUri": XGBOOST, "ContainerEntrypoint": ["true"]}
    home.create("Job", "", AppSpecification=app)

    async def scenario() -> None:
        control = Control(home, building=asyncio.Event())  # which never comes

        def stopped() -> bool:
            building = "environment of" in home.said()
            if building and home.job("Job").status is JobStatus.IN_PROGRESS:
                home.states.change("Job", stopping)
                control.loop.wake()
            return ended(home, "Job")()

        assert await control.live(stopped)

    asyncio.run(scenario())
    job = home.job("Job")
    assert (job.status, job.failure, job.started_ns) == (JobStatus.STOPPED, None, None)


def test_continuous_outputs_go_up_while_the_job_runs(home: Home) -> None:
    output = {
        "S3Uri": "s3://bucket/out/Job",
        "LocalPath": "/opt/ml/output/data",
        "S3UploadMode": "Continuous",
    }
    outputs = {"Outputs": [{"OutputName": "o", "S3Output": output}]}
    home.create("Job", "echo 1 > $TO/b; sleep 60", ProcessingOutputConfig=outputs)

    async def scenario() -> None:
        control = Control(home)
        found: list[str] = []
        uploads = home.bucket.kms_key_ids  # by key

        def uploaded() -> bool:
            if "out/Job/b" in uploads and not found:
                found.append(home.job("Job").status)
                home.states.change("Job", stopping)
            return ended(home, "Job")()

        assert await control.live(uploaded)
        assert found == [JobStatus.IN_PROGRESS]

    asyncio.run(scenario())


def test_an_output_that_cannot_go_up_fails_the_job(home: Home) -> None:
    home.create("Job", COPY)
    home.bucket.fault = lambda call: Fault.NO_BUCKET if call == "put" else None
    run(home, "Job")
    assert home.job("Job").status is JobStatus.FAILED
    assert "Output o could not be uploaded" in (home.job("Job").failure or "")


def test_a_killed_shim_fails_its_job(home: Home) -> None:
    home.create("Job", "kill -9 $PPID; sleep 60")
    run(home, "Job")
    assert home.job("Job").status is JobStatus.FAILED
    assert "was killed" in (home.job("Job").failure or "")


def test_a_job_that_the_house_did_not_outlive_fails(home: Home) -> None:
    home.create("Job", "echo half > $TO/b; echo on >> $MARK; sleep 60")
    assert asyncio.run(Control(home).live(home.mark.exists))
    home.end()
    run(home, "Job")
    assert home.job("Job").status is JobStatus.FAILED
    assert "modeltap was stopped while the job ran" in (home.job("Job").failure or "")
    assert home.objects() == {"out/Job/b": b"half\n"}


def test_what_is_left_of_jobs_that_nobody_knows_is_cleared_away(home: Home) -> None:
    async def scenario() -> None:
        control = Control(home)
        await control.launcher.furnish("Unknown")
        assert await control.live(lambda: home.folders() == [])

    asyncio.run(scenario())


def test_control_killed_after_any_step_and_begun_again_ends_the_same(home: Home) -> None:
    """A life of one step more each time, until a life is long enough to see its job through."""
    for steps in range(1, 1000):
        name = f"Job-{steps}"
        home.mark.unlink(missing_ok=True)
        home.create(name, f"{COPY}; {MEASURE}")
        whole = asyncio.run(Control(home, steps).live(ended(home, name)))
        if not whole:
            run(home, name)
        job = home.job(name)
        assert (job.status, job.failure, job.exit_message) == (
            JobStatus.COMPLETED,
            None,
            "copied\n",
        ), steps
        assert home.mark.read_text() == "run\n", f"after {steps} steps it did not run once"
        assert home.objects()[f"out/{name}/b"] == b"what came in"
        assert home.measured(name) == [StatisticSet(1.0, 2.0, 2.0, 2.0)], "counted otherwise"
        if whole:
            return
    raise AssertionError("no life was long enough")


def test_a_job_runs_on_without_control(home: Home) -> None:
    home.create("Job", f"echo on >> $MARK; sleep 0.5; {COPY}")
    assert asyncio.run(Control(home).live(lambda: home.mark.exists()))
    assert home.job("Job").status is JobStatus.IN_PROGRESS
    run(home, "Job")
    assert home.job("Job").status is JobStatus.COMPLETED
