"""The loops in which the SageMaker SDKs read a job's log, over our answers.

What they do, as recorded from sagemaker 1.72 and 2.257 (`logs_for_processing_job`):
* streams are listed by prefix with the instance count as the limit, and while an answer has a
  `nextToken` again, without it: one that comes while all fits makes the SDK go on for ever;
* a stream is read from `startTime`, forwards, until a page has no events;
* the next poll starts at the time of the last event, and skips as many events as it has seen of
  that time: so times must not change or fall, and lines must not either.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from sagemaker_server import World, serving

GROUP, JOB = "/aws/sagemaker/ProcessingJobs", "baseline-1"
STREAM = f"{JOB}/algo-1-1700000000000"
LISTINGS_MAX = 5


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving(tmp_path_factory.mktemp("home")) as opened:
        yield opened


class Waiter:
    """One `wait(logs=True)`: what it has seen, and where it stands in each stream."""

    def __init__(self, client: Any, instances: int = 1) -> None:
        self.client = client
        self.instances = instances
        self.streams: list[str] = []
        self.positions: dict[str, tuple[int, int]] = {}
        self.printed: list[str] = []

    def poll(self) -> None:
        if len(self.streams) < self.instances:
            self.streams = self.listed()
        for stream in self.streams:
            for event in self.events(stream, *self.positions.get(stream, (0, 0))):
                self.printed.append(event["message"])
                time, count = self.positions.get(stream, (0, 0))
                same = event["timestamp"] == time
                self.positions[stream] = (event["timestamp"], count + 1 if same else 1)

    def listed(self) -> list[str]:
        asked = {"logGroupName": GROUP, "logStreamNamePrefix": f"{JOB}/"}
        limit, names = min(self.instances, 50), []
        for _ in range(LISTINGS_MAX):
            try:
                answer = self.client.describe_log_streams(
                    **asked, orderBy="LogStreamName", limit=limit
                )
            except ClientError as error:
                assert error.response["Error"]["Code"] == "ResourceNotFoundException"
                return []
            names += [each["logStreamName"] for each in answer["logStreams"]]
            if "nextToken" not in answer:
                return list(dict.fromkeys(names))
            limit = 50
        raise AssertionError("the SDK would list for ever")

    def events(self, stream: str, start: int, skip: int) -> Iterator[Any]:
        more: dict[str, str] = {}
        while True:
            answer = self.client.get_log_events(
                logGroupName=GROUP,
                logStreamName=stream,
                startTime=start,
                startFromHead=True,
                **more,
            )
            more = {"nextToken": answer["nextForwardToken"]}
            if not answer["events"]:
                return
            yield from answer["events"][skip:]
            skip = max(0, skip - len(answer["events"]))


def write(world: World, data: bytes, second: int, stream: str = STREAM) -> None:
    path = world.logbook.path(GROUP, stream)
    with path.open("ab") as file:
        file.write(data)
    os.utime(path, (second, second))


def test_a_job_is_followed_from_before_its_first_word_to_its_last(world: World) -> None:
    waiter = Waiter(world.client("logs"))
    waiter.poll()  # no group yet
    write(world, b"staging\n", 100)
    write(world, b"of a job named alike\n", 100, f"{JOB}2/algo-1-1")
    waiter.poll()
    waiter.poll()  # nothing new
    write(world, b"one\ntwo\nthr", 101)
    waiter.poll()
    write(world, b"ee\n\n", 101)  # within the time of the last poll
    waiter.poll()
    world.logbook.keep(0)
    write(world, b"four\nfive\n", 102)
    waiter.poll()
    waiter.poll()
    assert waiter.printed == ["staging", "one", "two", "thr", "ee", "four", "five"]


def test_polls_at_any_moment_print_every_line_once(world: World) -> None:
    waiter = Waiter(world.client("logs"))
    for number in range(40):
        write(world, b"line %d\n" % number, 10**9 + number // 7)
        if number % 3 == 0:
            waiter.poll()
        if number % 5 == 0:
            world.logbook.keep(0)
    waiter.poll()
    assert waiter.printed == [f"line {number}" for number in range(40)]


def test_a_long_log_is_read_over_many_pages(world: World) -> None:
    waiter = Waiter(world.client("logs"))
    lines = [f"{number} {'x' * 200}" for number in range(12_000)]
    write(world, "\n".join(lines).encode() + b"\n", 10**9)
    waiter.poll()
    write(world, b"last\n", 10**9)
    waiter.poll()
    assert waiter.printed == [*lines, "last"]


def test_more_streams_than_instances_do_not_hold_the_sdk_up(world: World) -> None:
    for number in range(3):
        write(world, b"x\n", 1, f"{JOB}/algo-1-{number}")
    waiter = Waiter(world.client("logs"))
    waiter.poll()
    assert len(waiter.streams) == 3
