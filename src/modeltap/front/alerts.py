"""Monitoring alerts: one for each schedule, its criterion, and what it went through.

The status is control's and `state`'s own: an operation reads it, or writes another criterion. Where
AWS's documents are silent: decision 0012.
"""

from collections.abc import Callable, Mapping
from functools import partial

from modeltap.clock import utc
from modeltap.control.notices import ALERT_NAME
from modeltap.control.schedules import schedule_of
from modeltap.errors import ResourceNotFound, ValidationException
from modeltap.front.app import Operation, threaded
from modeltap.front.kinds import SCHEDULE, Resources, nanoseconds
from modeltap.nouns import Document
from modeltap.state.alerts import Alerts, TurnQuery
from modeltap.state.store import Resource

NAME = "MonitoringAlertName"
PAGE_MAX = 100
"""Members of a page of alerts or turns where none is asked for (botocore: `MaxResults`)."""


class MonitoringAlerts:
    def __init__(self, resources: Resources, alerts: Alerts) -> None:
        self._resources = resources
        self._alerts = alerts

    def operations(self) -> dict[str, Operation]:
        return {name: threaded(partial(each, self)) for name, each in OPERATIONS.items()}

    def list_alerts(self, params: Document) -> Document:
        if params.get("NextToken") is not None:
            raise ValidationException("Invalid NextToken.")  # a schedule has one alert: one page
        resource = self._resources.find(SCHEDULE, params[SCHEDULE.name])
        alert = self._alerts.get(schedule_of(resource).id)
        if alert is None:
            raise _unknown(resource)  # the schedule was deleted just now
        summary = {
            NAME: ALERT_NAME,
            "CreationTime": utc(alert.created_ns),
            "LastModifiedTime": utc(alert.modified_ns),
            "AlertStatus": alert.status.value,
            "DatapointsToAlert": alert.datapoints,
            "EvaluationPeriod": alert.period,
            "Actions": {"ModelDashboardIndicator": {"Enabled": True}},
        }
        return {"MonitoringAlertSummaries": [summary]}

    def update_alert(self, params: Document) -> Document:
        datapoints, period = params["DatapointsToAlert"], params["EvaluationPeriod"]
        if datapoints > period:
            raise ValidationException(
                f"DatapointsToAlert ({datapoints}) must not be more than EvaluationPeriod "
                f"({period}): so many executions are never looked at."
            )
        resource = self._named(params)
        now_ns = self._resources.clock.now_ns()
        if not self._alerts.update(schedule_of(resource).id, datapoints, period, now_ns):
            raise _unknown(resource)
        return {SCHEDULE.arn: resource.arn, NAME: ALERT_NAME}

    def list_history(self, params: Document) -> Document:
        resource = self._named(params) if SCHEDULE.name in params else None
        if resource is None and NAME in params and not _is_ours(params):
            return {"MonitoringAlertHistory": []}
        found, token = self._alerts.turns(_query(params, resource))
        history = [
            {
                SCHEDULE.name: each.schedule,
                NAME: ALERT_NAME,
                "CreationTime": utc(each.created_ns),
                "AlertStatus": each.status.value,
            }
            for each in found
        ]
        answer: Document = {"MonitoringAlertHistory": history}
        return answer if token is None else {**answer, "NextToken": token}

    def _named(self, params: Document) -> Resource:
        """Find the schedule of a request, which names its alert, too, or none."""
        resource = self._resources.find(SCHEDULE, params[SCHEDULE.name])
        if not _is_ours(params):
            raise _unknown(resource, params[NAME])
        return resource


def _is_ours(params: Document) -> bool:
    return str(params.get(NAME, ALERT_NAME)).lower() == ALERT_NAME


def _unknown(resource: Resource, name: str = ALERT_NAME) -> ResourceNotFound:
    return ResourceNotFound(
        f'Could not find monitoring alert "{name}" of "{resource.arn}". Its one alert is '
        f"{ALERT_NAME}."
    )


def _query(params: Document, resource: Resource | None) -> TurnQuery:
    after, before = params.get("CreationTimeAfter"), params.get("CreationTimeBefore")
    return TurnQuery(
        schedule_id=None if resource is None else schedule_of(resource).id,
        status=params.get("StatusEquals"),
        after_ns=None if after is None else nanoseconds(after),
        before_ns=None if before is None else nanoseconds(before),
        by_status=params.get("SortBy") == "Status",
        descending=params.get("SortOrder", "Descending") == "Descending",
        limit=params.get("MaxResults", PAGE_MAX),
        next_token=params.get("NextToken"),
    )


OPERATIONS: Mapping[str, Callable[[MonitoringAlerts, Document], Document]] = {
    "ListMonitoringAlerts": MonitoringAlerts.list_alerts,
    "UpdateMonitoringAlert": MonitoringAlerts.update_alert,
    "ListMonitoringAlertHistory": MonitoringAlerts.list_history,
}
