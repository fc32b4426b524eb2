"""CloudWatch through real boto3, which speaks JSON, and through botocore's query protocol."""

import datetime as dt
import gzip
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from sagemaker_server import KEY_ID, SECRET, World, serving

from modeltap.clock import SystemClock, utc
from modeltap.control.metric_beat import MetricBeat
from modeltap.front.cloudwatch import REQUIRED
from modeltap.state.alarms import Alarms
from modeltap.state.points import Points
from old_cloudwatch import OldClient

NAMESPACE = itertools.count()
CHURN = [{"Name": "Endpoint", "Value": "churn"}]
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving(tmp_path_factory.mktemp("home")) as opened:
        yield opened


@pytest.fixture
def cloudwatch(server: World) -> Any:
    return server.client("cloudwatch")


@pytest.fixture
def namespace() -> str:
    return f"ns/{next(NAMESPACE)}"


def now() -> dt.datetime:
    return utc(SystemClock().now_ns())


def minute(back: int) -> dt.datetime:
    return now().replace(second=0, microsecond=0) - back * MINUTE


def old(server: World) -> OldClient:
    return OldClient(server.port, KEY_ID, SECRET)


@pytest.fixture(params=["json", "query"])
def client(request: pytest.FixtureRequest, server: World) -> Any:
    return server.client("cloudwatch") if request.param == "json" else old(server)


def refused(code: str, words: str) -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\).*{words}")


# ---------------------------------------------------------------- both protocols


def test_what_is_put_is_got(client: Any, namespace: str) -> None:
    data = [
        {"MetricName": "drift", "Dimensions": CHURN, "Timestamp": minute(9), "Value": 0.5},
        {"MetricName": "drift", "Dimensions": CHURN, "Timestamp": minute(9), "Value": 1.5},
        {
            "MetricName": "drift",
            "Dimensions": CHURN,
            "Timestamp": minute(8),
            "Values": [1.0, 4.0],
            "Counts": [3.0, 1.0],
        },
        {
            "MetricName": "loss",
            "Timestamp": minute(8),
            "StatisticValues": {"SampleCount": 2, "Sum": 3.5, "Minimum": 1, "Maximum": 2.5},
            "Unit": "Percent",
        },
    ]
    client.put_metric_data(Namespace=namespace, MetricData=data)
    asked = {"Namespace": namespace, "StartTime": minute(10), "EndTime": minute(0), "Period": 60}
    found = client.get_metric_statistics(
        **asked,
        MetricName="drift",
        Dimensions=CHURN,
        Statistics=["SampleCount", "Average", "Sum", "Minimum", "Maximum"],
    )
    assert found["Label"] == "drift"
    assert [_plain(each) for each in found["Datapoints"]] == [
        (minute(9), "None", 2.0, 1.0, 2.0, 0.5, 1.5),
        (minute(8), "None", 4.0, 1.75, 7.0, 1.0, 4.0),
    ]
    found = client.get_metric_statistics(**asked, MetricName="loss", Statistics=["Sum"])
    assert [(each["Unit"], each["Sum"]) for each in found["Datapoints"]] == [("Percent", 3.5)]
    found = client.get_metric_data(
        MetricDataQueries=[query(namespace, "a", "drift"), query(namespace, "b", "loss", [])],
        StartTime=minute(10),
        EndTime=minute(0),
    )
    first, second = found["MetricDataResults"]
    assert (first["Id"], first["Label"], first["StatusCode"]) == ("a", "drift", "Complete")
    assert (first["Timestamps"], first["Values"]) == ([minute(8), minute(9)], [4.0, 1.5])
    assert second["Values"] == [2.5]
    listed = client.list_metrics(Namespace=namespace)["Metrics"]
    assert [(each["MetricName"], each["Dimensions"]) for each in listed] == [
        ("drift", CHURN),
        ("loss", []),
    ]


def _plain(datapoint: Any) -> tuple[Any, ...]:
    names = ("Timestamp", "Unit", "SampleCount", "Average", "Sum", "Minimum", "Maximum")
    return tuple(datapoint[name] for name in names)


def query(namespace: str, id: str, name: str, dimensions: Any = CHURN, **more: Any) -> Any:  # noqa: A002
    metric = {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions}
    return {"Id": id, "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Maximum"} | more}


def alarm(namespace: str, **more: Any) -> Any:
    return {
        "AlarmName": f"alarm {namespace}",
        "Namespace": namespace,
        "MetricName": "drift",
        "Dimensions": CHURN,
        "Statistic": "Average",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 0.5,
        "ComparisonOperator": "GreaterThanThreshold",
        **more,
    }


def test_an_alarm_from_its_making_to_its_end(client: Any, server: World, namespace: str) -> None:
    asked = alarm(namespace, TreatMissingData="ignore", AlarmActions=["arn:aws:sns:us-east-1:1:t"])
    client.put_metric_alarm(**asked)
    (made,) = client.describe_alarms(AlarmNames=[asked["AlarmName"]])["MetricAlarms"]
    assert {name: made[name] for name in asked} == asked
    assert made["StateValue"] == "INSUFFICIENT_DATA"
    assert made["StateReason"] == "Unchecked: Initial alarm creation"
    arn = f"arn:aws:cloudwatch:us-east-1:123456789012:alarm:{asked['AlarmName']}"
    assert (made["AlarmArn"], made["ActionsEnabled"], made["OKActions"]) == (arn, True, [])
    datum = {"MetricName": "drift", "Dimensions": CHURN, "Timestamp": minute(1), "Value": 0.75}
    client.put_metric_data(Namespace=namespace, MetricData=[datum])
    beat(server)
    (turned,) = client.describe_alarms(AlarmNamePrefix=f"alarm {namespace}", StateValue="ALARM")[
        "MetricAlarms"
    ]
    assert "[0.75 (" in turned["StateReason"]
    assert turned["StateUpdatedTimestamp"] >= made["StateUpdatedTimestamp"]
    history = client.describe_alarm_history(AlarmName=asked["AlarmName"])["AlarmHistoryItems"]
    assert sorted(each["HistorySummary"] for each in history) == [
        f'Alarm "{asked["AlarmName"]}" created',
        "Alarm updated from INSUFFICIENT_DATA to ALARM",
        "Failed to execute action arn:aws:sns:us-east-1:1:t",
    ]
    client.set_alarm_state(AlarmName=asked["AlarmName"], StateValue="OK", StateReason="by hand")
    (found,) = client.describe_alarms_for_metric(
        Namespace=namespace, MetricName="drift", Dimensions=CHURN
    )["MetricAlarms"]
    assert (found["StateValue"], found["StateReason"]) == ("OK", "by hand")
    beat(server)
    client.put_metric_alarm(**asked | {"Threshold": 0.625})
    (again,) = client.describe_alarms(AlarmNames=[asked["AlarmName"]])["MetricAlarms"]
    assert (again["StateValue"], again["Threshold"]) == ("ALARM", 0.625)
    client.delete_alarms(AlarmNames=[asked["AlarmName"]])
    assert client.describe_alarms(AlarmNames=[asked["AlarmName"]])["MetricAlarms"] == []
    with refused("ResourceNotFound", "no alarm of the name"):
        client.delete_alarms(AlarmNames=[asked["AlarmName"]])
    with refused("ResourceNotFound", "no alarm of the name"):
        client.set_alarm_state(AlarmName="none", StateValue="OK", StateReason="")


def beat(server: World) -> None:
    points, alarms = Points(server.store), Alarms(server.store)
    MetricBeat(points, alarms, SystemClock(), 15).turn()


def test_errors_have_the_codes_of_the_query_protocol(client: Any, namespace: str) -> None:
    with refused("InvalidParameterValue", r"MetricData\.member\.1\.Timestamp: must be within"):
        datum = {"MetricName": "m", "Value": 1.0, "Timestamp": now() - dt.timedelta(days=15)}
        client.put_metric_data(Namespace=namespace, MetricData=[datum])
    assert client.list_metrics(Namespace=namespace)["Metrics"] == []


def test_botocore_knows_the_exceptions(cloudwatch: Any, namespace: str) -> None:
    with pytest.raises(cloudwatch.exceptions.InvalidParameterValueException):
        cloudwatch.put_metric_data(Namespace="AWS/x", MetricData=[])
    with pytest.raises(cloudwatch.exceptions.ResourceNotFound) as caught:
        cloudwatch.delete_alarms(AlarmNames=["none"])
    assert caught.value.response["Error"]["Type"] == "Sender"
    with refused("UnknownOperationException", "does not serve ListDashboards"):
        cloudwatch.list_dashboards()


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("datum", "words"),
    [
        ({}, "member.2.Value: give exactly one of"),
        ({"Value": 1.0, "Values": [1.0]}, "member.2.Value: give exactly one of"),
        ({"Value": 1.0, "Counts": [1.0]}, "member.2.Counts: give it with Values alone"),
        ({"Values": [1.0], "Counts": [1.0, 2.0]}, "member.2.Counts: give as many as Values"),
        ({"Values": [1.0], "Counts": [0.0]}, "member.2.Counts: each must be greater than 0"),
        ({"Values": []}, "member.2.Values: give 1 to 150"),
        ({"Values": [1.0] * 151}, "member.2.Values: give 1 to 150"),
        ({"Value": 1e200}, "member.2.Value: must be a number from"),
        (
            {"StatisticValues": {"SampleCount": 0, "Sum": 1, "Minimum": 1, "Maximum": 1}},
            "member.2.StatisticValues.SampleCount: must be greater than 0",
        ),
        (
            {"StatisticValues": {"SampleCount": 1, "Sum": 1, "Minimum": 2, "Maximum": 1}},
            "member.2.StatisticValues.Minimum: must not be above Maximum",
        ),
    ],
)
def test_bad_data_are_refused_whole(
    cloudwatch: Any, namespace: str, datum: Any, words: str
) -> None:
    good = {"MetricName": "good", "Value": 1.0}
    with refused("InvalidParameterValue", words):
        cloudwatch.put_metric_data(
            Namespace=namespace, MetricData=[good, {"MetricName": "bad", **datum}]
        )
    assert cloudwatch.list_metrics(Namespace=namespace)["Metrics"] == []


@pytest.mark.parametrize(
    ("back", "accepted"),
    [
        (dt.timedelta(days=14, seconds=-60), True),
        (dt.timedelta(days=14, seconds=60), False),
        (dt.timedelta(hours=-2, seconds=60), True),
        (dt.timedelta(hours=-2, seconds=-60), False),
    ],
)
def test_times_lie_two_weeks_back_and_two_hours_ahead(
    cloudwatch: Any, namespace: str, back: dt.timedelta, accepted: bool
) -> None:
    datum = {"MetricName": "m", "Value": 1.0, "Timestamp": now() - back}
    if accepted:
        cloudwatch.put_metric_data(Namespace=namespace, MetricData=[datum])
    else:
        with refused("InvalidParameterValue", "Timestamp: must be"):
            cloudwatch.put_metric_data(Namespace=namespace, MetricData=[datum])


def test_numbers_that_are_none_are_refused_in_the_query_protocol(
    server: World, namespace: str
) -> None:
    for value in (float("nan"), float("inf")):
        with refused("InvalidParameterValue", "Value: must be a number"):
            old(server).put_metric_data(
                Namespace=namespace, MetricData=[{"MetricName": "m", "Value": value}]
            )


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"Period": 90}, "Period must be a multiple of 60"),
        ({"EvaluationPeriods": 1441}, "Metrics cannot be checked across more than 1 days"),
        ({"Period": 3600, "EvaluationPeriods": 169}, "across more than 7 days"),
        ({"DatapointsToAlarm": 2}, "DatapointsToAlarm must not be above EvaluationPeriods"),
        ({"TreatMissingData": "bad"}, "TreatMissingData must be one of missing, ignore"),
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "this ComparisonOperator: give one"),
        ({"Metrics": [{"Id": "a", "Expression": "1"}]}, "does not serve Metrics"),
        ({"ExtendedStatistic": "p90"}, "does not serve ExtendedStatistic"),
        ({"Tags": [{"Key": "a", "Value": "b"}]}, "does not serve Tags"),
    ],
)
def test_alarms_that_cannot_be_judged(
    cloudwatch: Any, namespace: str, more: Any, words: str
) -> None:
    with pytest.raises(ClientError, match=words):
        cloudwatch.put_metric_alarm(**alarm(namespace, **more))
    assert cloudwatch.describe_alarms(AlarmNames=[f"alarm {namespace}"])["MetricAlarms"] == []


def test_what_an_alarm_needs_is_asked_for(cloudwatch: Any, namespace: str) -> None:
    for member in REQUIRED:
        asked = alarm(namespace)
        del asked[member]
        with refused("InvalidParameterValue", f"The parameter {member} is required"):
            cloudwatch.put_metric_alarm(**asked)


def test_statistics_that_sums_do_not_tell_are_refused(cloudwatch: Any, namespace: str) -> None:
    span = {"StartTime": minute(10), "EndTime": minute(0)}
    asked = {"Namespace": namespace, "MetricName": "m", "Period": 60, **span}
    with refused("InvalidParameterValue", "does not serve ExtendedStatistics"):
        cloudwatch.get_metric_statistics(**asked, ExtendedStatistics=["p90"])
    with refused("InvalidParameterValue", "Statistics is required"):
        cloudwatch.get_metric_statistics(**asked)
    with refused("InvalidParameterValue", "Period must be a multiple of 60"):
        cloudwatch.get_metric_statistics(**asked | {"Period": 30}, Statistics=["Sum"])
    with refused("InvalidParameterValue", "StartTime must be less than the parameter EndTime"):
        cloudwatch.get_metric_statistics(**asked | {"StartTime": now()}, Statistics=["Sum"])
    with refused("InvalidParameterValue", "exceeds the limit of 1,440"):
        cloudwatch.get_metric_statistics(**asked | {"StartTime": minute(1500)}, Statistics=["Sum"])
    for bad, words in (
        ({"Id": "a", "Expression": "SUM(METRICS())"}, r"MetricDataQueries\.member\.1\.Expression"),
        (query(namespace, "a", "m", Stat="p90"), r"member\.1\.MetricStat\.Stat"),
        (query(namespace, "a", "m", Period=30), r"member\.1\.MetricStat\.Period"),
        ({"Id": "a"}, r"member\.1\.MetricStat is required"),
    ):
        with refused("InvalidParameterValue", words):
            cloudwatch.get_metric_data(MetricDataQueries=[bad], **span)
    twice = [query(namespace, "a", "m"), query(namespace, "a", "n")]
    with refused("InvalidParameterValue", "are not unique"):
        cloudwatch.get_metric_data(MetricDataQueries=twice, **span)


# ---------------------------------------------------------------- pages


def test_periods_are_counted_from_the_start(cloudwatch: Any, namespace: str) -> None:
    data = [
        {"MetricName": "m", "Value": float(back), "Timestamp": minute(back)} for back in range(1, 8)
    ]
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)
    found = cloudwatch.get_metric_statistics(
        Namespace=namespace,
        MetricName="m",
        StartTime=minute(7) + dt.timedelta(seconds=30),
        EndTime=minute(1),
        Period=300,
        Statistics=["Maximum", "SampleCount"],
    )["Datapoints"]
    assert [(each["Timestamp"], each["Maximum"], each["SampleCount"]) for each in found] == [
        (minute(7), 7.0, 5.0),
        (minute(2), 2.0, 1.0),
    ]


def test_metric_data_in_pages_is_the_same(cloudwatch: Any, namespace: str) -> None:
    data = [
        {"MetricName": name, "Value": float(back), "Timestamp": minute(back)}
        for name in ("a", "b", "c")
        for back in range(1, 5)
    ]
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)
    names = ("a", "none", "b", "c")
    asked: dict[str, Any] = {
        "MetricDataQueries": [query(namespace, name, name, []) for name in names],
        "StartTime": minute(5),
        "EndTime": minute(0),
        "ScanBy": "TimestampAscending",
    }
    asked["MetricDataQueries"][3]["ReturnData"] = False
    whole = {each["Id"]: each["Values"] for each in found(cloudwatch.get_metric_data(**asked))}
    assert whole == {"a": [4.0, 3.0, 2.0, 1.0], "none": [], "b": [4.0, 3.0, 2.0, 1.0]}
    for size in (1, 2, 3, 4, 5, 8, 9):
        paged: dict[str, list[float]] = {}
        token: dict[str, str] = {}
        while True:
            page = cloudwatch.get_metric_data(**asked, MaxDatapoints=size, **token)
            assert sum(len(each["Values"]) for each in found(page)) <= size
            for each in found(page):
                paged.setdefault(each["Id"], []).extend(each["Values"])
            if "NextToken" not in page:
                break
            token = {"NextToken": page["NextToken"]}
        assert paged == whole
    with refused("InvalidParameterValue", "nextToken is invalid"):
        cloudwatch.get_metric_data(**asked, NextToken="rubbish")


def found(answer: Any) -> Any:
    return answer["MetricDataResults"]


def test_many_metrics_in_one_call_and_in_pages(client: Any, namespace: str) -> None:
    """Beyond 10 KiB boto3 packs the body of PutMetricData."""
    data = [
        {"MetricName": f"m{n}", "Value": 1.0, "Dimensions": CHURN, "Timestamp": minute(1)}
        for n in range(1000)
    ]
    client.put_metric_data(Namespace=namespace, MetricData=data)
    first = client.list_metrics(Namespace=namespace)
    rest = client.list_metrics(Namespace=namespace, NextToken=first["NextToken"])
    assert (len(first["Metrics"]), len(rest["Metrics"])) == (500, 500)
    assert "NextToken" not in rest


def test_lists_are_filtered_by_dimensions(cloudwatch: Any, namespace: str) -> None:
    for value in ("x", "y"):
        dimensions = [*CHURN, {"Name": "v", "Value": value}]
        datum = {"MetricName": value, "Dimensions": dimensions, "Value": 1.0}
        cloudwatch.put_metric_data(Namespace=namespace, MetricData=[datum])

    def names(*dimensions: Any, **more: Any) -> list[str]:
        listed = cloudwatch.list_metrics(Namespace=namespace, Dimensions=dimensions, **more)
        return [each["MetricName"] for each in listed["Metrics"]]

    assert names(*CHURN) == ["x", "y"]
    assert names({"Name": "v"}) == ["x", "y"]
    assert names({"Name": "v", "Value": "y"}, *CHURN) == ["y"]
    assert names({"Name": "w"}) == []
    assert names(MetricName="x", RecentlyActive="PT3H") == ["x"]


def test_alarms_and_their_history_in_pages(cloudwatch: Any, namespace: str) -> None:
    names = [f"{namespace} {n}" for n in range(5)]
    for name in names:
        cloudwatch.put_metric_alarm(**alarm(namespace, AlarmName=name))
    pages = cloudwatch.get_paginator("describe_alarms").paginate(
        AlarmNamePrefix=namespace, PaginationConfig={"PageSize": 2}
    )
    assert [[each["AlarmName"] for each in page["MetricAlarms"]] for page in pages] == [
        names[:2],
        names[2:4],
        names[4:],
    ]
    items = cloudwatch.get_paginator("describe_alarm_history").paginate(
        HistoryItemType="ConfigurationUpdate", PaginationConfig={"PageSize": 2}
    )
    listed = [each["AlarmName"] for page in items for each in page["AlarmHistoryItems"]]
    assert [name for name in listed if name in names] == names[::-1]
    cloudwatch.delete_alarms(AlarmNames=names)


# ---------------------------------------------------------------- packed bodies


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (gzip.compress(b"Action=ListMetrics&Version=2010-08-01"), 200),
        (b"Action=ListMetrics&Version=2010-08-01", 400),
        (gzip.compress(b"Action=ListMetrics")[:-9], 400),
        (gzip.compress(b"Action=" + b"x" * (5 << 20)), 413),
    ],
)
def test_packed_bodies_are_unpacked_within_bounds(server: World, body: bytes, status: int) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": "gzip"}
    assert old(server).post(body, headers)["status_code"] == status
