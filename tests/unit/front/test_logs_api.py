"""CloudWatch Logs through real boto3: lists, pages, tokens, searches, refusals."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from sagemaker_server import PARTITION, World, serving

from modeltap.logbook import Logbook

GROUP = "/aws/sagemaker/Endpoints/churn"
ARN = f"arn:aws:logs:us-east-1:123456789012:log-group:{GROUP}"
T = 1_700_000_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving(tmp_path_factory.mktemp("home")) as opened:
        yield opened


@pytest.fixture
def logs(server: World) -> Any:
    return server.client("logs")


def write(world: World, stream: str, *lines: str, second: int, group: str = GROUP) -> None:
    """Append lines that all have one time."""
    path = world.logbook.path(group, stream)
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)
    os.utime(path, ns=(0, T * 1_000_000 + second * 10**9))
    world.logbook.keep(0)


@pytest.fixture(scope="module")
def churn(server: World) -> World:
    write(server, "AllTraffic/b", "b one", "", "b two ERROR", second=1)
    write(server, "AllTraffic/a", "a one", second=2)
    write(server, "AllTraffic/b", "b three time limit", second=3)
    write(server, "Other/c", "c 'ERROR' one", second=3)
    server.logbook.path(GROUP, "AllTraffic/silent")
    write(server, "x", "y", second=0, group="/aws/sagemaker/ProcessingJobs")
    return server


def messages(answer: Any) -> list[str]:
    return [event["message"] for event in answer["events"]]


def refused(code: str, words: str) -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\).*{words}")


# ---------------------------------------------------------------- lists


def test_groups(churn: World, logs: Any) -> None:
    first, second = logs.describe_log_groups(logGroupNamePrefix="/aws/")["logGroups"]
    assert second["logGroupName"] == "/aws/sagemaker/ProcessingJobs"
    assert first == {
        "logGroupName": GROUP,
        "creationTime": first["creationTime"],
        "metricFilterCount": 0,
        "arn": f"{ARN}:*",
        "logGroupArn": ARN,
        "logGroupClass": "STANDARD",
        "storedBytes": 58,
    }
    paged = {"logGroupNamePrefix": "/aws/", "limit": 1}
    page = logs.describe_log_groups(**paged)
    rest = logs.describe_log_groups(**paged, nextToken=page["nextToken"])
    assert [each["logGroupName"] for each in rest["logGroups"]] == [second["logGroupName"]]
    assert "nextToken" not in rest
    for given in (
        {"logGroupNamePrefix": "/aws/sagemaker/E"},
        {"logGroupNamePattern": "churn"},
        {"logGroupIdentifiers": [GROUP]},
    ):
        (found,) = logs.describe_log_groups(**given)["logGroups"]
        assert found["logGroupName"] == GROUP
    assert logs.describe_log_groups(logGroupClass="DELIVERY")["logGroups"] == []


@pytest.mark.parametrize("named", [{"logGroupName": GROUP}, {"logGroupIdentifier": ARN}])
def test_streams_by_name(churn: World, logs: Any, named: dict[str, str]) -> None:
    answer = logs.describe_log_streams(**named, logStreamNamePrefix="AllTraffic/")
    assert "nextToken" not in answer
    first, second = answer["logStreams"]
    assert (first["logStreamName"], second["logStreamName"]) == ("AllTraffic/a", "AllTraffic/b")
    assert (second["firstEventTimestamp"], second["lastEventTimestamp"]) == (T + 1000, T + 3000)
    assert second["creationTime"] <= second["firstEventTimestamp"]
    assert second["arn"] == f"{ARN}:log-stream:AllTraffic/b"
    assert PARTITION.log_group_arn(GROUP) == ARN


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({}, ["AllTraffic/a", "AllTraffic/b", "Other/c"]),
        ({"descending": True}, ["Other/c", "AllTraffic/b", "AllTraffic/a"]),
        ({"orderBy": "LastEventTime"}, ["AllTraffic/a", "AllTraffic/b", "Other/c"]),
        (
            {"orderBy": "LastEventTime", "descending": True},
            ["Other/c", "AllTraffic/b", "AllTraffic/a"],
        ),
    ],
)
def test_streams_in_pages(churn: World, logs: Any, given: dict[str, Any], names: list[str]) -> None:
    pages = logs.get_paginator("describe_log_streams").paginate(
        logGroupName=GROUP, **given, PaginationConfig={"PageSize": 1}
    )
    listed = [[each["logStreamName"] for each in page["logStreams"]] for page in pages]
    assert listed == [[name] for name in names]
    assert "nextToken" not in logs.describe_log_streams(logGroupName=GROUP, limit=3)


# ---------------------------------------------------------------- one stream


def test_events_forwards_to_the_end(churn: World, logs: Any) -> None:
    asked = {"logGroupName": GROUP, "logStreamName": "AllTraffic/b", "startFromHead": True}
    page = logs.get_log_events(**asked, limit=2)
    assert page["events"] == [
        {"timestamp": T + 1000, "message": "b one", "ingestionTime": T + 1000},
        {"timestamp": T + 1000, "message": "b two ERROR", "ingestionTime": T + 1000},
    ]
    page = logs.get_log_events(**asked, nextToken=page["nextForwardToken"])
    assert messages(page) == ["b three time limit"]
    token = page["nextForwardToken"]
    end = logs.get_log_events(**asked, nextToken=token)
    assert (end["events"], end["nextForwardToken"]) == ([], token)
    back = logs.get_log_events(**asked, nextToken=end["nextBackwardToken"], limit=1)
    assert messages(back) == ["b three time limit"]


def test_events_backwards_to_the_beginning(churn: World, logs: Any) -> None:
    asked = {"logGroupName": GROUP, "logStreamName": "AllTraffic/b", "limit": 2}
    page = logs.get_log_events(**asked)
    assert messages(page) == ["b two ERROR", "b three time limit"]
    page = logs.get_log_events(**asked, nextToken=page["nextBackwardToken"])
    assert messages(page) == ["b one"]
    token = page["nextBackwardToken"]
    end = logs.get_log_events(**asked, nextToken=token)
    assert (end["events"], end["nextBackwardToken"]) == ([], token)
    again = logs.get_log_events(**asked, nextToken=end["nextForwardToken"])
    assert messages(again) == ["b one", "b two ERROR"]


@pytest.mark.parametrize("from_head", [True, False])
@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ((1000, 3000), ["b one", "b two ERROR"]),
        ((1001, 3001), ["b three time limit"]),
        ((1001, 3000), []),
        ((9000, 9999), []),
        ((3000, 1000), []),
    ],
)
def test_events_from_start_time_before_end_time(
    churn: World, logs: Any, times: tuple[int, int], expected: list[str], from_head: bool
) -> None:
    page = logs.get_log_events(
        logGroupName=GROUP,
        logStreamName="AllTraffic/b",
        startTime=T + times[0],
        endTime=T + times[1],
        startFromHead=from_head,
    )
    assert messages(page) == expected
    assert page["nextForwardToken"] and page["nextBackwardToken"]


def test_a_page_is_bounded_in_bytes_and_in_events(server: World, logs: Any) -> None:
    write(server, "wide", *[f"{n:02d}" + "x" * 60_000 for n in range(30)], second=1, group="g")
    write(server, "long", *map(str, range(10_500)), second=1, group="g")
    wide = {"logGroupName": "g", "logStreamName": "wide"}
    long = {"logGroupName": "g", "logStreamName": "long"}
    forwards = logs.get_log_events(**wide, startFromHead=True)
    assert [text[:2] for text in messages(forwards)] == [f"{n:02d}" for n in range(17)]
    backwards = logs.get_log_events(**wide)
    assert [text[:2] for text in messages(backwards)] == [f"{n:02d}" for n in range(13, 30)]
    forwards = logs.get_log_events(**long, startFromHead=True)
    assert len(forwards["events"]) == 10_000
    backwards = logs.get_log_events(**long)
    assert (len(backwards["events"]), messages(backwards)[-1]) == (10_000, "10499")


def test_a_token_of_what_was_cut_away_goes_on_with_what_is_kept(tmp_path: Path) -> None:
    with serving(tmp_path, Logbook(tmp_path / "logs", stream_bytes_max=8)) as small:
        write(small, "cut", "one", "two", second=1)
        asked = {"logGroupName": GROUP, "logStreamName": "cut", "startFromHead": True}
        logs = small.client("logs")
        token = logs.get_log_events(**asked, limit=1)["nextForwardToken"]
        write(small, "cut", "three", second=2)  # moved aside, all three
        write(small, "cut", "four four", second=3)  # and over them, this one
        write(small, "cut", "five", second=4)
        assert messages(logs.get_log_events(**asked, nextToken=token)) == ["four four", "five"]


# ---------------------------------------------------------------- many streams


def test_a_search_is_in_the_order_of_time(churn: World, logs: Any) -> None:
    answer = logs.filter_log_events(logGroupName=GROUP)
    assert [(each["logStreamName"], each["message"]) for each in answer["events"]] == [
        ("AllTraffic/b", "b one"),
        ("AllTraffic/b", "b two ERROR"),
        ("AllTraffic/a", "a one"),
        ("AllTraffic/b", "b three time limit"),
        ("Other/c", "c 'ERROR' one"),
    ]
    assert answer["searchedLogStreams"] == [] and "nextToken" not in answer
    assert len({each["eventId"] for each in answer["events"]}) == 5
    assert {len(each["eventId"]) for each in answer["events"]} == {56}


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_search_in_pages_gives_the_same(churn: World, logs: Any, size: int) -> None:
    whole = logs.filter_log_events(logGroupName=GROUP)["events"]
    paginator = logs.get_paginator("filter_log_events")
    pages = list(paginator.paginate(logGroupName=GROUP, PaginationConfig={"PageSize": size}))
    assert [event for page in pages for event in page["events"]] == whole
    assert all(len(page["events"]) == size for page in pages[:-1])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"logStreamNamePrefix": "Other"}, ["c 'ERROR' one"]),
        ({"logStreamNamePrefix": "None"}, []),
        ({"logStreamNames": ["AllTraffic/a", "Other/c"]}, ["a one", "c 'ERROR' one"]),
        ({"startTime": T + 2000, "endTime": T + 2000}, ["a one"]),
        ({"filterPattern": "ERROR"}, ["b two ERROR", "c 'ERROR' one"]),
        ({"filterPattern": " one \"'ERROR'\" "}, ["c 'ERROR' one"]),
        ({"filterPattern": '"three time"'}, ["b three time limit"]),
        ({"filterPattern": "error"}, []),
        ({"filterPattern": '""', "endTime": T + 1000}, ["b one", "b two ERROR"]),
    ],
)
def test_what_a_search_is_for(
    churn: World, logs: Any, given: dict[str, Any], expected: list[str]
) -> None:
    assert messages(logs.filter_log_events(logGroupName=GROUP, **given)) == expected


def test_a_long_search_goes_on_by_its_token(server: World, logs: Any) -> None:
    lines = ["-" * 60_000] * 300 + ["needle"]
    write(server, "hay", *lines, second=1, group="hay")
    paginator = logs.get_paginator("filter_log_events")
    pages = list(paginator.paginate(logGroupName="hay", filterPattern="needle"))
    assert [messages(page) for page in pages] == [[], [], ["needle"]]


# ---------------------------------------------------------------- refusals


def test_what_is_not_there(churn: World, logs: Any) -> None:
    group = refused("ResourceNotFoundException", "The specified log group does not exist.")
    stream = refused("ResourceNotFoundException", "The specified log stream does not exist.")
    elsewhere = ARN.replace("us-east-1", "eu-west-1")
    with group:
        logs.describe_log_streams(logGroupName="nothing")
    with group:
        logs.filter_log_events(logGroupIdentifier=elsewhere)
    with pytest.raises(logs.exceptions.ResourceNotFoundException) as caught:
        logs.get_log_events(logGroupName="nothing", logStreamName="a")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    with stream:
        logs.get_log_events(logGroupName=GROUP, logStreamName="nothing")
    with stream:
        logs.filter_log_events(logGroupName=GROUP, logStreamNames=["AllTraffic/a", "nothing"])
    silent = logs.get_log_events(logGroupName=GROUP, logStreamName="AllTraffic/silent")
    assert silent["events"] == []


@pytest.mark.parametrize(
    ("operation", "given", "words"),
    [
        ("describe_log_streams", {}, "logGroupName and logGroupIdentifier"),
        (
            "describe_log_streams",
            {"logGroupName": GROUP, "logGroupIdentifier": ARN},
            "Exactly one of logGroupName",
        ),
        (
            "describe_log_streams",
            {"logGroupName": GROUP, "orderBy": "LastEventTime", "logStreamNamePrefix": "a"},
            "Cannot order by LastEventTime with a logStreamNamePrefix.",
        ),
        ("describe_log_streams", {"logGroupName": GROUP, "limit": 51}, "at 'limit' failed"),
        ("describe_log_streams", {"logGroupName": GROUP, "nextToken": "x"}, "nextToken is invalid"),
        ("describe_log_groups", {"nextToken": "WzFd"}, "The specified nextToken is invalid."),
        ("describe_log_groups", {"includeLinkedAccounts": True}, "includeLinkedAccounts"),
        (
            "describe_log_groups",
            {"logGroupNamePrefix": "a", "logGroupNamePattern": "b"},
            "logGroupNamePrefix and logGroupNamePattern are mutually exclusive.",
        ),
        (
            "get_log_events",
            {"logGroupName": GROUP, "logStreamName": "AllTraffic/a", "nextToken": "f/-1"},
            "The specified nextToken is invalid.",
        ),
        ("filter_log_events", {"logGroupName": GROUP, "nextToken": "ü"}, "nextToken is invalid"),
        ("filter_log_events", {"logGroupName": GROUP, "startFromHead": False}, "startFromHead"),
        (
            "filter_log_events",
            {"logGroupName": GROUP, "logStreamNames": ["a"], "logStreamNamePrefix": "a"},
            "mutually exclusive",
        ),
        *(
            ("filter_log_events", {"logGroupName": GROUP, "filterPattern": pattern}, "filterPatte")
            for pattern in ("?a ?b", "-a", "%a%", "[a, b]", "{ $.a = 1 }", 'a"b"', '"a', "a.b")
        ),
    ],
)
def test_what_is_refused(
    churn: World, logs: Any, operation: str, given: dict[str, Any], words: str
) -> None:
    with refused("InvalidParameterException", words):
        getattr(logs, operation)(**given)
