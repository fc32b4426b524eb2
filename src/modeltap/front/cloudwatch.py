"""CloudWatch: metrics and alarms, over the house's own points (contract §4.11).

Spoken in JSON by today's clients, in the query protocol by older ones (`app.Service.by_target`);
the codes of errors are the query protocol's in both. What is asked of an alarm beyond the statistic
of one metric is refused by its member. An alarm's actions are kept, and told as failed in its
history: there is no SNS here.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from modeltap.clock import Clock, utc
from modeltap.control import alarms as judging
from modeltap.control.alarms import COMPARISONS, FRESH, Missing, State, Verdict
from modeltap.errors import (
    NoSuchEntity,
    ResourceLimitExceeded,
    StaleVersion,
    ValidationException,
)
from modeltap.front import metric_data
from modeltap.front.app import Service, threaded
from modeltap.front.log_pages import sealed, unsealed
from modeltap.nouns import Document, Partition
from modeltap.state.alarms import Alarm, Alarms
from modeltap.state.points import Points, minute_of
from modeltap.wire.catalog import service

METRICS_PAGE = 500
ALARMS_PAGE = 100
ALARMS_MAX = 1_000
"""All are judged at each beat."""
ACTIVE_MINUTES = 180
"""`RecentlyActive` PT3H."""
LISTED_MINUTES = 14 * 24 * 60
"""A metric without a point since then is not listed, as on AWS."""
DAY_SECONDS = 86_400
WEEK_SECONDS = 7 * DAY_SECONDS

REQUIRED = (
    "MetricName",
    "Namespace",
    "Statistic",
    "Period",
    "EvaluationPeriods",
    "Threshold",
    "ComparisonOperator",
)
REFUSED = {
    "Metrics": "give MetricName, Namespace and Statistic",
    "ExtendedStatistic": "give Statistic",
    "EvaluateLowSampleCountPercentile": "leave it out",
    "ThresholdMetricId": "give Threshold",
    "EvaluationCriteria": "give Threshold and ComparisonOperator",
    "EvaluationInterval": "leave it out",
    "EvaluationWindow": "leave it out: periods slide",
    "WarmUpConfiguration": "leave it out",
    "ActionConfiguration": "leave it out",
    "Tags": "leave it out",
}


def monitoring_service(
    points: Points, alarms: Alarms, clock: Clock, partition: Partition
) -> Service:
    """Serve CloudWatch in both of its protocols."""
    monitoring = _Monitoring(points, alarms, clock, partition)
    operations = {name: threaded(partial(each, monitoring)) for name, each in SERVED.items()}
    return Service(
        service("cloudwatch", "query"), operations, by_target=service("cloudwatch", "json")
    )


@dataclass(frozen=True, slots=True)
class _Monitoring:
    points: Points
    alarms: Alarms
    clock: Clock
    partition: Partition

    # ------------------------------------------------------------ metrics

    def put_metric_data(self, params: Document) -> Document:
        self.points.put(metric_data.points_of(params, self.clock.now_ns()))
        return {}

    def get_metric_statistics(self, params: Document) -> Document:
        return metric_data.metric_statistics(self.points, params)

    def get_metric_data(self, params: Document) -> Document:
        token = params.get("NextToken")
        number, given = (0, 0) if token is None else unsealed(token, int, int)
        results, after = metric_data.metric_data(self.points, params, (number, given))
        answer: Document = {"MetricDataResults": results, "Messages": []}
        return answer if after is None else answer | {"NextToken": sealed(after)}

    def list_metrics(self, params: Document) -> Document:
        _refuse(params, {"IncludeLinkedAccounts": "leave it out", "OwningAccount": "leave it out"})
        minutes = ACTIVE_MINUTES if "RecentlyActive" in params else LISTED_MINUTES
        since = minute_of(self.clock.now_ns()) - minutes
        found = self.points.listed(params.get("Namespace"), params.get("MetricName"), since)
        after = unsealed(params["NextToken"], int)[0] if "NextToken" in params else 0
        wanted = [
            each
            for each in found
            if each.id > after
            and metric_data.has_dimensions(each.metric, params.get("Dimensions", ()))
        ]
        page = wanted[:METRICS_PAGE]
        answer: Document = {"Metrics": [metric_data.metric_document(each.metric) for each in page]}
        return answer if len(page) == len(wanted) else answer | {"NextToken": sealed([page[-1].id])}

    # ------------------------------------------------------------ alarms

    def put_metric_alarm(self, params: Document) -> Document:
        check_alarm(params)
        name, now = params["AlarmName"], self.clock.now_ns()
        known = self.alarms.get(name) is not None
        if not known and len(self.alarms.every()) >= ALARMS_MAX:
            raise ResourceLimitExceeded(f"There can be at most {ALARMS_MAX} alarms.")
        summary = f'Alarm "{name}" {"updated" if known else "created"}'
        item = judging.item("ConfigurationUpdate", summary, {"version": "1.0"}, now)
        arn = self.partition.alarm_arn(name)
        status = judging.status_document(FRESH, now)
        self.alarms.put(Alarm(name, arn, params, status, (item,), 1, now))
        return {}

    def describe_alarms(self, params: Document) -> Document:
        _refuse(params, {"ChildrenOfAlarmName": _COMPOSITE, "ParentsOfAlarmName": _COMPOSITE})
        wanted = [alarm for alarm in self.alarms.every() if _is_wanted(alarm, params)]
        listed, after = _paged([((alarm.name,), alarm) for alarm in wanted], params)
        return {"MetricAlarms": list(map(alarm_document, listed)), "CompositeAlarms": []} | after

    def describe_alarms_for_metric(self, params: Document) -> Document:
        metric = judging.metric_of(params)
        others = ("Statistic", "ExtendedStatistic", "Period", "Unit")
        return {
            "MetricAlarms": [
                alarm_document(alarm)
                for alarm in self.alarms.every()
                if judging.metric_of(alarm.spec) == metric
                and all(alarm.spec.get(each) == params[each] for each in others if each in params)
            ]
        }

    def describe_alarm_history(self, params: Document) -> Document:
        """Give what alarms that are there went through."""
        names = {params["AlarmName"]} if "AlarmName" in params else None
        items = [
            ((item["Ns"], alarm.name, place), _history_document(alarm, item))
            for alarm in self.alarms.every()
            if names is None or alarm.name in names
            for place, item in enumerate(reversed(alarm.history))
            if _is_asked_for(item, params)
        ]
        rising = params.get("ScanBy") == "TimestampAscending"
        items.sort(key=lambda each: each[0], reverse=not rising)
        listed, after = _paged(items, params, falling=not rising)
        return {"AlarmHistoryItems": listed} | after

    def delete_alarms(self, params: Document) -> Document:
        names = params["AlarmNames"]
        for name in names:
            self._found(name)
        self.alarms.delete(names)
        return {}

    def set_alarm_state(self, params: Document) -> Document:
        """Set a state by hand; it lasts until the next beat judges otherwise."""
        data = params.get("StateReasonData", "")
        verdict = Verdict(State(params["StateValue"]), params["StateReason"], data)
        while True:
            alarm, now = self._found(params["AlarmName"]), self.clock.now_ns()
            same = alarm.status["StateValue"] == verdict.state
            items = [] if same else judging.turned(alarm, verdict, now)
            try:
                self.alarms.turn(alarm, judging.status_document(verdict, now), items)
                return {}
            except StaleVersion:
                continue

    def _found(self, name: str) -> Alarm:
        alarm = self.alarms.get(name)
        if alarm is None:
            raise NoSuchEntity(f"There is no alarm of the name {name}.")
        return alarm


_Function = Callable[[_Monitoring, Document], Document]


SERVED: Mapping[str, _Function] = {
    "DeleteAlarms": _Monitoring.delete_alarms,
    "DescribeAlarmHistory": _Monitoring.describe_alarm_history,
    "DescribeAlarms": _Monitoring.describe_alarms,
    "DescribeAlarmsForMetric": _Monitoring.describe_alarms_for_metric,
    "GetMetricData": _Monitoring.get_metric_data,
    "GetMetricStatistics": _Monitoring.get_metric_statistics,
    "ListMetrics": _Monitoring.list_metrics,
    "PutMetricAlarm": _Monitoring.put_metric_alarm,
    "PutMetricData": _Monitoring.put_metric_data,
    "SetAlarmState": _Monitoring.set_alarm_state,
}


# ---------------------------------------------------------------- what is asked for

_COMPOSITE = "there are no composite alarms; leave it out"


def _refuse(params: Document, members: Mapping[str, str]) -> None:
    for member, instead in members.items():
        if params.get(member):
            raise ValidationException(f"modeltap does not serve {member}: {instead}.")


def check_alarm(params: Document) -> None:
    """Raise `ValidationException` for an alarm that cannot be judged; it names the member."""
    _refuse(params, REFUSED)
    for member in REQUIRED:
        if member not in params:
            raise ValidationException(f"The parameter {member} is required.")
    if params["ComparisonOperator"] not in COMPARISONS:
        raise ValidationException(
            "modeltap does not serve this ComparisonOperator: give one of "
            f"{', '.join(COMPARISONS)}."
        )
    if params.get("TreatMissingData", Missing.MISSING) not in list(Missing):
        raise ValidationException(f"TreatMissingData must be one of {', '.join(Missing)}.")
    if not abs(params["Threshold"]) < float("inf"):
        raise ValidationException("The parameter Threshold must be a number.")
    _check_periods(params["Period"], params["EvaluationPeriods"], params.get("DatapointsToAlarm"))


def _check_periods(period: int, periods: int, datapoints: int | None) -> None:
    if period % 60:
        raise ValidationException("The parameter Period must be a multiple of 60.")
    most = WEEK_SECONDS if period >= 3600 else DAY_SECONDS
    if period * periods > most:
        raise ValidationException(
            f"Metrics cannot be checked across more than {most // DAY_SECONDS} days "
            "(EvaluationPeriods * Period must be <= "
            f"{most}; a Period of an hour or more has {WEEK_SECONDS})."
        )
    if datapoints is not None and datapoints > periods:
        raise ValidationException("DatapointsToAlarm must not be above EvaluationPeriods.")


def _is_wanted(alarm: Alarm, params: Document) -> bool:
    names = params.get("AlarmNames")
    kinds = params.get("AlarmTypes", ["MetricAlarm"])
    action = params.get("ActionPrefix", "")
    actions = [each for name in _ACTIONS for each in alarm.spec.get(name, [])]
    return (
        "MetricAlarm" in kinds
        and (not names or alarm.name in names)
        and alarm.name.startswith(params.get("AlarmNamePrefix", ""))
        and alarm.status["StateValue"] == params.get("StateValue", alarm.status["StateValue"])
        and (not action or any(each.startswith(action) for each in actions))
    )


def _is_asked_for(item: Document, params: Document) -> bool:
    moment = utc(item["Ns"])
    return (
        item["Kind"] == params.get("HistoryItemType", item["Kind"])
        and params.get("StartDate", moment) <= moment <= params.get("EndDate", moment)
        and "MetricAlarm" in params.get("AlarmTypes", ["MetricAlarm"])
    )


# ---------------------------------------------------------------- what is answered

_ACTIONS = ("OKActions", "AlarmActions", "InsufficientDataActions")
_DEFAULTS: Document = {"ActionsEnabled": True, "Dimensions": [], **{name: [] for name in _ACTIONS}}


def _paged(
    items: Iterable[tuple[tuple[Any, ...], Any]], params: Document, *, falling: bool = False
) -> tuple[list[Any], Document]:
    """Give a page of items that are in the order of their keys, and the token if more are left."""
    keyed = list(items)
    if keyed and params.get("NextToken"):
        after = unsealed(params["NextToken"], *map(type, keyed[0][0]))
        keyed = [each for each in keyed if (each[0] < after if falling else each[0] > after)]
    page = keyed[: params.get("MaxRecords", ALARMS_PAGE)]
    more = {} if len(page) == len(keyed) else {"NextToken": sealed(page[-1][0])}
    return [item for _, item in page], more


def alarm_document(alarm: Alarm) -> Document:
    """Give a `MetricAlarm`."""
    updated = utc(alarm.status["UpdatedNs"])
    return {
        **_DEFAULTS,
        **alarm.spec,
        "AlarmArn": alarm.arn,
        "AlarmConfigurationUpdatedTimestamp": utc(alarm.configured_ns),
        "StateValue": alarm.status["StateValue"],
        "StateReason": alarm.status["StateReason"],
        "StateReasonData": alarm.status["StateReasonData"] or None,
        "StateUpdatedTimestamp": updated,
        "StateTransitionedTimestamp": updated,
    }


def _history_document(alarm: Alarm, item: Document) -> Document:
    return {
        "AlarmName": alarm.name,
        "AlarmType": "MetricAlarm",
        "Timestamp": utc(item["Ns"]),
        "HistoryItemType": item["Kind"],
        "HistorySummary": item["Summary"],
        "HistoryData": item["Data"],
    }
