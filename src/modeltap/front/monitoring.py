"""Model Monitor's operations with a will of their own: definitions, schedules, executions.

An operation only checks and writes what is asked for; `control.schedule_loop` makes it so, and is
woken after each write of a schedule. Describe gives back the form that was sent, by name or written
in place, because each SDK knows its own alone.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from modeltap.clock import utc
from modeltap.control import jobs
from modeltap.control.cron import BadExpression
from modeltap.control.definitions import endpoint_of, inline
from modeltap.control.schedule_states import Schedules
from modeltap.control.schedules import (
    DATA_QUALITY as DATA_QUALITY_TYPE,
)
from modeltap.control.schedules import (
    Schedule,
    ScheduleEvent,
    created,
    schedule_document,
    schedule_of,
    step,
    updated,
)
from modeltap.control.windows import BadWindow, timing_of
from modeltap.errors import StaleVersion, ValidationException
from modeltap.front.app import Call, Operation
from modeltap.front.kinds import (
    DATA_QUALITY,
    ENDPOINT,
    PAGE_DEFAULT,
    SCHEDULE,
    Resources,
    nanoseconds,
    unknown,
)
from modeltap.front.monitor_refusals import check_definition, check_runtime
from modeltap.hosting.job_images import JobImages
from modeltap.nouns import EXECUTION_ACTIVE, Document
from modeltap.state.alerts import added, removed
from modeltap.state.executions import Execution, ExecutionQuery, Span


class Monitoring:
    """List of schedules, and Describe, List and Delete of definitions, are as of any kind."""

    def __init__(
        self,
        resources: Resources,
        schedules: Schedules,
        wake: Callable[[], None],
        images: JobImages,
    ) -> None:
        """`wake` is called, on the loop, after schedules are written."""
        self._resources = resources
        self._schedules = schedules
        self._wake = wake
        self._images = images

    def operations(self) -> dict[str, Operation]:
        return {name: partial(self._call, function) for name, function in OPERATIONS.items()}

    async def _call(
        self, function: "Callable[[Monitoring, Document], Document]", call: Call
    ) -> Document:
        answer = await asyncio.to_thread(function, self, call.params)
        self._wake()
        return answer

    # ------------------------------------------------------------ definitions

    def create_definition(self, params: Document) -> Document:
        definition = inline(params)
        check_definition(definition, self._images)
        _check_timing({}, definition)
        endpoint = endpoint_of(definition)
        status = {"EndpointName": endpoint} if endpoint else {}
        return self._resources.create(DATA_QUALITY, params, status)

    # ------------------------------------------------------------ schedules

    def create_schedule(self, params: Document) -> Document:
        config, clock = params["MonitoringScheduleConfig"], self._resources.clock
        definition = self._checked(config)
        made = created(clock.uuid4(), params[SCHEDULE.name], config, definition, clock.now_ns())
        alert = added(made.id, made.name, clock.now_ns())
        return self._resources.create(SCHEDULE, params, schedule_document(made), [alert])

    def update_schedule(self, params: Document) -> Document:
        config = params["MonitoringScheduleConfig"]
        arn = self._resources.find(SCHEDULE, params[SCHEDULE.name]).arn
        endpoint = endpoint_of(self._checked(config))
        now_ns = self._resources.clock.now_ns()
        self._change(params, lambda schedule: updated(schedule, config, endpoint, now_ns))
        return {SCHEDULE.arn: arn}

    def start_schedule(self, params: Document) -> Document:
        return self._step(params, ScheduleEvent.START)

    def stop_schedule(self, params: Document) -> Document:
        """Have no run begin any more; one that has begun goes on."""
        return self._step(params, ScheduleEvent.STOP)

    def _step(self, params: Document, event: ScheduleEvent) -> Document:
        now_ns = self._resources.clock.now_ns()
        self._change(params, lambda schedule: step(schedule, event, now_ns))
        return {}

    def _change(self, params: Document, change: Callable[[Schedule], Schedule]) -> None:
        """Read, decide and write; anew if control wrote between."""
        while True:
            try:
                resource = self._resources.find(SCHEDULE, params[SCHEDULE.name])
                return self._schedules.change(resource, change)
            except StaleVersion:
                continue

    def delete_schedule(self, params: Document) -> Document:
        """Forget a schedule and its alert; its executions stay. While one is active, it is refused
        (§2.7)."""
        schedule = schedule_of(self._resources.find(SCHEDULE, params[SCHEDULE.name]))
        if self._schedules.executions.in_status(EXECUTION_ACTIVE, schedule.id):
            raise ValidationException(
                "can't delete schedule as it has in-progress executions: wait for their end, or "
                "stop their processing jobs"
            )
        return self._resources.delete(SCHEDULE, params, removed(schedule.id))

    def describe_schedule(self, params: Document) -> Document:
        resource = self._resources.find(SCHEDULE, params[SCHEDULE.name])
        answer = self._resources.echo(SCHEDULE, resource)
        last = self._schedules.executions.last(schedule_of(resource).id)
        return answer if last is None else {**answer, LAST: self._summary(last)}

    def _checked(self, config: Document) -> Document:
        """Give what a config is to run. Raise `ValidationException`, `ResourceNotFound`."""
        if config.get("MonitoringType", DATA_QUALITY_TYPE) != DATA_QUALITY_TYPE:
            raise ValidationException(
                f"MonitoringType {config['MonitoringType']} is not served yet; modeltap's is "
                f"{DATA_QUALITY_TYPE}."
            )
        if ("MonitoringJobDefinition" in config) == ("MonitoringJobDefinitionName" in config):
            raise ValidationException(
                "MonitoringScheduleConfig: give one of MonitoringJobDefinition and "
                "MonitoringJobDefinitionName."
            )
        definition = self._schedules.definition(config)
        if definition is None:
            name = config["MonitoringJobDefinitionName"]
            raise unknown(DATA_QUALITY, self._resources.partition.arn(DATA_QUALITY.kind, name))
        check_definition(definition, self._images)
        _check_timing(config, definition)
        if endpoint := endpoint_of(definition):
            self._check_endpoint(endpoint)
        return definition

    def _check_endpoint(self, name: str) -> None:
        found = self._resources.find(ENDPOINT, name)
        if found.name != name:
            raise unknown(ENDPOINT, found.arn)

    # ------------------------------------------------------------ executions

    def list_executions(self, params: Document) -> Document:
        found, token = self._schedules.executions.list(_query(params))
        answer: Document = {"MonitoringExecutionSummaries": [self._summary(each) for each in found]}
        return answer if token is None else {**answer, "NextToken": token}

    def _summary(self, execution: Execution) -> Document:
        job = execution.job
        values = {
            SCHEDULE.name: execution.schedule,
            "ScheduledTime": utc(execution.scheduled_ns),
            "CreationTime": utc(execution.created_ns),
            "LastModifiedTime": utc(execution.modified_ns),
            "MonitoringExecutionStatus": execution.status,
            "ProcessingJobArn": job and self._resources.partition.arn(jobs.KIND, job),
            "EndpointName": execution.endpoint or None,
            "FailureReason": execution.failure,
            "MonitoringJobDefinitionName": execution.definition,
            "MonitoringType": execution.monitoring_type,
        }
        return {name: value for name, value in values.items() if value is not None}


LAST = "LastMonitoringExecutionSummary"


def _check_timing(config: Document, definition: Document) -> None:
    try:
        timing = timing_of(config, definition)
    except (BadExpression, BadWindow) as error:
        raise ValidationException(str(error)) from error
    if timing.cron is not None:
        check_runtime(definition, timing.cron.least_gap())


def _query(params: Document) -> ExecutionQuery:
    return ExecutionQuery(
        schedule=params.get(SCHEDULE.name),
        endpoint=params.get("EndpointName"),
        definition=params.get("MonitoringJobDefinitionName"),
        monitoring_type=params.get("MonitoringTypeEquals"),
        status=params.get("StatusEquals"),
        scheduled=_span(params, "ScheduledTime"),
        created=_span(params, "CreationTime"),
        modified=_span(params, "LastModifiedTime"),
        sort_by=params.get("SortBy", "CreationTime"),
        descending=params.get("SortOrder", "Descending") == "Descending",
        limit=params.get("MaxResults", PAGE_DEFAULT),
        next_token=params.get("NextToken"),
    )


def _span(params: Document, member: str) -> Span:
    def bound(side: str) -> int | None:
        moment: Any = params.get(f"{member}{side}")
        return None if moment is None else nanoseconds(moment)

    return Span(bound("After"), bound("Before"))


OPERATIONS: Mapping[str, Callable[[Monitoring, Document], Document]] = {
    "CreateDataQualityJobDefinition": Monitoring.create_definition,
    "CreateMonitoringSchedule": Monitoring.create_schedule,
    "UpdateMonitoringSchedule": Monitoring.update_schedule,
    "StartMonitoringSchedule": Monitoring.start_schedule,
    "StopMonitoringSchedule": Monitoring.stop_schedule,
    "DeleteMonitoringSchedule": Monitoring.delete_schedule,
    "DescribeMonitoringSchedule": Monitoring.describe_schedule,
    "ListMonitoringExecutions": Monitoring.list_executions,
}
