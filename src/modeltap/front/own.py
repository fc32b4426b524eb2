"""The `modeltap` service: what AWS has no operation for, asked for as AWS's operations are.

JSON 1.1 with the target `Modeltap.{operation}`, signed for the service `modeltap` by a key of the
home, as every call of the control APIs is. `modeltap monitor run` is its client.

    RunMonitoringSchedule   have the run of an hour made now, or made again
"""

import asyncio
from collections.abc import Callable
from typing import Any

from botocore.model import ServiceModel

from modeltap.clock import Clock, utc
from modeltap.control.schedule_states import Schedules
from modeltap.control.schedules import NoSuchRun, schedule_of
from modeltap.errors import StaleVersion, ValidationException
from modeltap.front.app import Call, Service
from modeltap.front.kinds import SCHEDULE, Resources, nanoseconds
from modeltap.nouns import Document, Partition
from modeltap.state.executions import Execution
from modeltap.state.store import Store

SIGNING_NAME = "modeltap"
TARGET_PREFIX = "Modeltap"

_MODEL: dict[str, Any] = {
    "metadata": {
        "apiVersion": "2026-11-27",
        "endpointPrefix": SIGNING_NAME,
        "protocol": "json",
        "jsonVersion": "1.1",
        "serviceFullName": "modeltap",
        "serviceId": "modeltap",
        "signatureVersion": "v4",
        "signingName": SIGNING_NAME,
        "targetPrefix": TARGET_PREFIX,
    },
    "operations": {
        "RunMonitoringSchedule": {
            "name": "RunMonitoringSchedule",
            "http": {"method": "POST", "requestUri": "/"},
            "input": {"shape": "RunMonitoringScheduleRequest"},
            "output": {"shape": "RunMonitoringScheduleResponse"},
        }
    },
    "shapes": {
        "RunMonitoringScheduleRequest": {
            "type": "structure",
            "required": ["MonitoringScheduleName"],
            "members": {
                "MonitoringScheduleName": {"shape": "MonitoringScheduleName"},
                "Hour": {"shape": "Timestamp"},
                "Again": {"shape": "Boolean"},
            },
        },
        "RunMonitoringScheduleResponse": {
            "type": "structure",
            "members": {
                "MonitoringScheduleName": {"shape": "MonitoringScheduleName"},
                "ScheduledTime": {"shape": "Timestamp"},
                "Begun": {"shape": "Boolean"},
            },
        },
        "MonitoringScheduleName": {
            "type": "string",
            "min": 1,
            "max": 63,
            "pattern": "^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$",
        },
        "Timestamp": {"type": "timestamp"},
        "Boolean": {"type": "boolean"},
    },
}


def own_service(
    store: Store,
    clock: Clock,
    partition: Partition,
    schedules: Schedules,
    wake: Callable[[], None],
) -> Service:
    """Serve what is our own. `wake` is called, on the loop, after executions are written."""
    model = ServiceModel(_MODEL, SIGNING_NAME)
    resources = Resources(store, clock, partition, model)

    async def run(call: Call) -> Document:
        answer = await asyncio.to_thread(run_schedule, resources, schedules, call.params)
        wake()
        return answer

    return Service(model, {"RunMonitoringSchedule": run})


def run_schedule(resources: Resources, schedules: Schedules, params: Document) -> Document:
    """Have the run of `Hour` made; without it the last one, of a schedule of NOW one more.

    `Begun` tells whether it begins by this call. Raise `ResourceNotFound`, `ValidationException`.
    """
    hour = params.get("Hour")
    hour_ns, again = hour and nanoseconds(hour), bool(params.get("Again"))
    try:
        execution, begun = _ran(resources, schedules, params[SCHEDULE.name], hour_ns, again)
    except NoSuchRun as error:
        raise ValidationException(f"Hour: {error}") from error
    return {
        SCHEDULE.name: execution.schedule,
        "ScheduledTime": utc(execution.scheduled_ns),
        "Begun": begun,
    }


def _ran(
    resources: Resources, schedules: Schedules, name: str, hour_ns: int | None, again: bool
) -> tuple[Execution, bool]:
    """Read, decide and write; anew if control wrote between."""
    while True:
        schedule = schedule_of(resources.find(SCHEDULE, name))
        try:
            return schedules.run(schedule, hour_ns, again=again)
        except StaleVersion:
            continue
