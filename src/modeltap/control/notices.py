"""What the webhook is told: the words, the signature, and when it is tried again. Pure.

A notice is `{"id", "type", "timestamp", "data"}`; the members of `data` are AWS's own. It says what
SageMaker's API would say of the execution or alert, and nothing of what was captured. Headers and
signature are those of Standard Webhooks 1.0 (standardwebhooks.com), so that its libraries verify
them: HMAC-SHA256 over `{id}.{timestamp}.{body}`, under the bytes behind `whsec_`.
"""

import base64
import hashlib
import hmac

import orjson

from modeltap.clock import Clock, stamp
from modeltap.control.monitor_jobs import report_of
from modeltap.control.schedules import KIND
from modeltap.nouns import WITH_VIOLATIONS, Document, Partition
from modeltap.state.alerts import AlertTurn
from modeltap.state.executions import Execution, Tell
from modeltap.state.outbox import Notice

ALERT_NAME = "default-alert"
"""The one alert of each schedule; AWS chooses a name, too, and documents none."""

TYPES = {
    WITH_VIOLATIONS: "monitoring.execution.violations",
    "Failed": "monitoring.execution.failed",
}
"""Of the ends of executions that are told."""
ALERT_TYPE = "monitoring.alert.changed"

PAUSE_SECONDS = 5.0
PAUSE_FACTOR = 3.0
PAUSE_SECONDS_MAX = 6 * 3600.0


def telling(clock: Clock, partition: Partition) -> Tell:
    """Word the notices of a server."""

    def ended(execution: Execution) -> Notice | None:
        kind = TYPES.get(execution.status)
        data = _of_execution(execution, partition)
        return None if kind is None else _notice(clock, kind, execution.modified_ns, data)

    def turned(turn: AlertTurn) -> Notice:
        return _notice(clock, ALERT_TYPE, turn.created_ns, _of_alert(turn, partition))

    return Tell(ended, turned)


def _notice(clock: Clock, kind: str, time_ns: int, data: Document) -> Notice:
    told = {name: value for name, value in data.items() if value is not None}
    id_ = clock.uuid4()
    body = {"id": id_, "type": kind, "timestamp": stamp(time_ns), "data": told}
    return Notice(id_, orjson.dumps(body).decode(), time_ns)


def _of_execution(execution: Execution, partition: Partition) -> Document:
    violated = execution.status == WITH_VIOLATIONS
    return {
        "MonitoringScheduleName": execution.schedule,
        "MonitoringScheduleArn": partition.arn(KIND, execution.schedule),
        "EndpointName": execution.endpoint,
        "ScheduledTime": stamp(execution.scheduled_ns),
        "MonitoringExecutionStatus": execution.status,
        "FailureReason": execution.failure,
        "Violations": execution.violations,
        "ReportS3Uri": report_of(execution) if violated else None,
    }


def _of_alert(turn: AlertTurn, partition: Partition) -> Document:
    return {
        "MonitoringScheduleName": turn.schedule,
        "MonitoringScheduleArn": partition.arn(KIND, turn.schedule),
        "MonitoringAlertName": ALERT_NAME,
        "AlertStatus": turn.status.value,
        "DatapointsToAlert": turn.datapoints,
        "EvaluationPeriod": turn.period,
    }


# ---------------------------------------------------------------- on its way


def headers(notice: Notice, key: bytes, now_ns: int) -> dict[str, str]:
    """Give the headers of one attempt, signed with the bytes behind `whsec_`."""
    seconds = now_ns // 1_000_000_000
    content = f"{notice.id}.{seconds}.{notice.body}".encode()
    digest = hmac.digest(key, content, hashlib.sha256)
    return {
        "content-type": "application/json",
        "user-agent": "modeltap",
        "webhook-id": notice.id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def pause(attempts: int, chance: float) -> float:
    """Give the seconds after so many attempts that failed; `chance` in [0, 1) spreads them.

    At most 5, 15, 45 s, … 6 h, and at least half of that.
    """
    longest = min(PAUSE_SECONDS * PAUSE_FACTOR ** min(attempts - 1, 20), PAUSE_SECONDS_MAX)
    return longest * (1.0 + chance) / 2.0
