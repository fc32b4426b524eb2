"""A home with schedules, over a simulated clock and bucket; jobs end when they are told to.

`Life` is one life of control. Made over the same world again, it is the next life.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stepped import stepped

from modeltap.clock import SimulatedClock
from modeltap.control import endpoints, jobs
from modeltap.control.execution_steps import Bounds, CaptureView, ExecutionSteps
from modeltap.control.fleets import fleet_of
from modeltap.control.job_states import JobStates
from modeltap.control.notices import telling
from modeltap.control.schedule_loop import ScheduleLoop
from modeltap.control.schedule_states import Schedules
from modeltap.control.schedules import KIND, created, schedule_document
from modeltap.nouns import CatchUp, Document, Partition
from modeltap.objects.port import ObjectInfo, ObjectStore
from modeltap.objects.remote import split_uri
from modeltap.objects.simulated import SimulatedStore
from modeltap.state.alerts import added
from modeltap.state.executions import Execution, ExecutionQuery
from modeltap.state.outbox import Outbox
from modeltap.state.store import Resource, Store

PARTITION = Partition("123456789012", "us-east-1")
ANALYZER = "1.dkr.ecr.us-east-1.amazonaws.com/sagemaker-model-monitor-analyzer"
SECOND = 10**9
HOURLY = "cron(0 * ? * * *)"
START_NS = int(datetime(2024, 2, 29, 21, 30, tzinfo=UTC).timestamp()) * SECOND

CONFIG: Document = {
    "EndpointConfigName": "c",
    "ProductionVariants": [
        {"VariantName": name, "ModelName": "m", "InitialInstanceCount": 1} for name in ("A", "B")
    ],
    "DataCaptureConfig": {"DestinationS3Uri": "s3://bucket/capture/"},
}
DEFINITION: Document = {
    "MonitoringInputs": [
        {
            "EndpointInput": {
                "EndpointName": "Churn",
                "LocalPath": "/opt/ml/processing/input/endpoint",
            }
        }
    ],
    "MonitoringOutputConfig": {
        "MonitoringOutputs": [
            {"S3Output": {"S3Uri": "s3://bucket/reports", "LocalPath": "/opt/ml/processing/output"}}
        ]
    },
    "MonitoringResources": {"ClusterConfig": {"InstanceCount": 1, "VolumeSizeInGB": 20}},
    "MonitoringAppSpecification": {
        "ImageUri": ANALYZER,
        "RecordPreprocessorSourceUri": "s3://bucket/code/pre.py",
    },
    "Environment": {"publish_cloudwatch_metrics": "Enabled", "dataset_source": "not this"},
    "BaselineConfig": {
        "ConstraintsResource": {"S3Uri": "s3://bucket/baseline/constraints.json"},
        "StatisticsResource": {"S3Uri": "s3://bucket/baseline/statistics.json"},
    },
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    "RoleArn": "arn:aws:iam::123456789012:role/R",
}


class Bucket(SimulatedStore):
    """A bucket that is away for who lists, too."""

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        self._ask("list", "all")
        async for info in super().list(prefix):
            yield info


@dataclass
class World:
    """What outlives control, and what it sees of capture and gateways."""

    folder: Path
    clock: SimulatedClock = field(default_factory=lambda: SimulatedClock(start_ns=START_NS))
    catch_up: CatchUp = CatchUp.RUN
    undelivered: int = 0
    seals: int = 0
    flying: bool = False
    wakes: int = 0
    jobs_max: int = 100

    def __post_init__(self) -> None:
        self.store = Store.open(self.folder / "state.db")
        self.bucket = Bucket()
        self.states = JobStates(self.store, self.clock)
        tell = telling(self.clock, PARTITION)
        self.schedules = Schedules(self.store, self.clock, PARTITION, self.catch_up, tell)
        self.deploy()

    def deploy(self, config: Document = CONFIG) -> None:
        now_ns = self.clock.now_ns()
        endpoint = endpoints.created("Churn", fleet_of("f", config, {"m": {}}, now_ns))
        arn = PARTITION.arn(endpoints.KIND, "Churn")
        status = endpoints.status_document(endpoint)
        self.store.delete(endpoints.KIND, "Churn")
        self.store.create(Resource(endpoints.KIND, "Churn", arn, {}, status, 1, now_ns, now_ns))

    def schedule(
        self, expression: str = HOURLY, name: str = "Hourly", definition: Document | None = None
    ) -> None:
        """Do as CreateMonitoringSchedule does."""
        asked = {"ScheduleExpression": expression}
        if expression == "NOW":
            asked |= {"DataAnalysisStartTime": "-PT1H", "DataAnalysisEndTime": "-PT0H"}
        definition = definition or DEFINITION
        config = {"MonitoringJobDefinition": definition, "ScheduleConfig": asked}
        now_ns = self.clock.now_ns()
        made = created(self.clock.uuid4(), name, config, definition, now_ns)
        status = schedule_document(made)
        arn = PARTITION.arn(KIND, name)
        alert = added(made.id, name, now_ns)
        self.store.create(Resource(KIND, name, arn, {}, status, 1, now_ns, now_ns), also=[alert])

    def put(self, *keys: str) -> None:
        for key in keys:
            asyncio.run(self.bucket.put(f"capture/Churn/{key}", b"{}\n"))

    def at(self, uri: str) -> tuple[ObjectStore, str]:
        return self.bucket, split_uri(uri)[1]

    def look(self, endpoint: str, start_ns: int, end_ns: int) -> int:
        assert endpoint == "Churn"
        assert start_ns < end_ns
        return self.undelivered

    async def in_flight(self, endpoint: str, before_ns: int) -> bool:
        assert endpoint == "Churn"
        assert before_ns <= self.clock.now_ns()
        return self.flying

    def ask_seal(self) -> None:
        self.seals += 1

    def wake_jobs(self) -> None:
        self.wakes += 1

    # ------------------------------------------------------------ what became of it

    def executions(self) -> list[Execution]:
        query = ExecutionQuery(sort_by="ScheduledTime", descending=False, limit=1000)
        return list(self.schedules.executions.list(query)[0])

    def execution(self) -> Execution:
        (execution,) = self.executions()
        return execution

    def notices(self) -> list[Document]:
        """Give what the webhook is to be told."""
        found = Outbox(self.store).due(self.clock.now_ns(), 0)
        return [json.loads(each.body) for each in found]

    def requests(self) -> list[Document]:
        return [each.spec for each in self.store.every(jobs.KIND)]

    def end_jobs(self, event: jobs.JobEvent = jobs.JobEvent.COMPLETED, **told: Any) -> None:
        """Bring every job to its end."""
        came = jobs.Outcome(event, **told)
        for job in self.states.active():
            self.states.change(job.name, lambda each: jobs.concluded(each, came, 1))


class Life:
    """One life of control; it may take `steps` steps, and is dead then."""

    def __init__(self, world: World, steps: int | None = None) -> None:
        self.steps = steps
        self.dead = False
        self.tasks: set[asyncio.Task[None]] = set()
        bounds = Bounds(grace_seconds=300, jobs_max=world.jobs_max)
        view = CaptureView(world.look, world.ask_seal, world.in_flight)
        step = ExecutionSteps(
            world.store,
            world.schedules.executions,
            world.states,
            world.at,
            view,
            world.clock,
            PARTITION,
            bounds,
            world.wake_jobs,
        )
        self.loop = ScheduleLoop(world.schedules, step, world.clock, self.spawn)

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(stepped(self, work))
        self.tasks.add(task)
        return task

    def die(self) -> None:
        self.dead = True

    async def turns(self, count: int = 1) -> None:
        for _ in range(count):
            self.spawn(self.loop.turn())
            while pending := [task for task in self.tasks if not task.done()]:
                await asyncio.wait(pending)
            assert [task.exception() for task in self.tasks if task.exception()] == []


def turn(world: World, count: int = 1, steps: int | None = None) -> bool:
    """Live for some turns; tell whether it was to their end."""
    life = Life(world, steps)
    asyncio.run(life.turns(count))
    return not life.dead
