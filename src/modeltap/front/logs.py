"""CloudWatch Logs: what endpoints and jobs print, as the clients read it.

The log groups are the logbook's; nobody makes, writes or deletes one by this API. An event's time
is that of the logbook (see its head): the second in which the line was seen, the same for
`timestamp` and `ingestionTime`. A stream comes to be with its first line, as on AWS.

The SDK's loops set the rules. `DescribeLogStreams` gives a `nextToken` only where more is left: the
SDK asks again without it until there is none. `GetLogEvents` gives both tokens always, and at the
end the token that it was given, with no events. `FilterLogEvents` gives one until all is searched.

Errors in AWS's names: a group or stream that is not there is `ResourceNotFoundException`, all else
that the caller can mend `InvalidParameterException` (`wire.fault`).
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from modeltap.clock import Clock
from modeltap.errors import NoSuchEntity, ValidationException
from modeltap.front import log_pages
from modeltap.front.app import Service, threaded
from modeltap.front.log_filter import matcher
from modeltap.front.log_pages import EVENTS_MAX
from modeltap.logbook import Entry, Logbook, Stream
from modeltap.nouns import Document, Partition
from modeltap.wire.catalog import service

LIST_MAX = 50
"""Of groups or streams in one answer."""

NO_GROUP = "The specified log group does not exist."
NO_STREAM = "The specified log stream does not exist."


def logs_service(logbook: Logbook, clock: Clock, partition: Partition) -> Service:
    """Serve the reading half of CloudWatch Logs. The logbook must be the one that is kept."""
    logs = _Logs(logbook, clock, partition)
    return Service(
        service("logs"), {name: threaded(partial(each, logs)) for name, each in SERVED.items()}
    )


@dataclass(frozen=True, slots=True)
class _Logs:
    """The logbook as this API sees it."""

    logbook: Logbook
    clock: Clock
    partition: Partition

    # ------------------------------------------------------------ groups

    def describe_groups(self, params: Document) -> Document:
        _refuse(params, "accountIdentifiers", "includeLinkedAccounts")
        names = [name for name in self.logbook.groups() if _wanted_group(params)(name)]
        if params.get("logGroupClass", "STANDARD") != "STANDARD":
            names = []
        listed = _listed({(name,): name for name in names}, params)
        return {"logGroups": [self._group(name) for name in listed.pop("items")], **listed}

    def _group(self, name: str) -> Document:
        arn = self.partition.log_group_arn(name)
        with self.logbook.reading(name, self.clock.now_ns()) as streams:
            made = min((stream.marks.created for stream in streams or []), default=0)
            stored = sum(stream.marks.noted - stream.first for stream in streams or [])
        return {
            "logGroupName": name,
            "creationTime": made,
            "metricFilterCount": 0,
            "arn": f"{arn}:*",
            "logGroupArn": arn,
            "logGroupClass": "STANDARD",
            "storedBytes": stored,
        }

    # ------------------------------------------------------------ streams

    def describe_streams(self, params: Document) -> Document:
        group, prefix = self._named_group(params), params.get("logStreamNamePrefix", "")
        by_time = params.get("orderBy") == "LastEventTime"
        if by_time and prefix:
            raise ValidationException("Cannot order by LastEventTime with a logStreamNamePrefix.")
        with self._streams(group, lambda name: name.startswith(prefix)) as streams:
            described = {
                _stream_key(stream, by_time=by_time): self._stream(group, stream)
                for stream in streams
                if stream.marks.times
            }
        listed = _listed(described, params)
        return {"logStreams": listed.pop("items"), **listed}

    def _stream(self, group: str, stream: Stream) -> Document:
        times = stream.marks.times
        return {
            "logStreamName": stream.name,
            "creationTime": min(stream.marks.created, times[0]),
            "firstEventTimestamp": times[0],
            "lastEventTimestamp": times[-1],
            "lastIngestionTime": times[-1],
            "arn": f"{self.partition.log_group_arn(group)}:log-stream:{stream.name}",
            "storedBytes": 0,  # as AWS has it since 2019
        }

    # ------------------------------------------------------------ events

    def get_events(self, params: Document) -> Document:
        """Give a page of one stream, in its own order; `endTime` is not of it."""
        group, name = self._named_group(params), params["logStreamName"]
        with self._streams(group, name.__eq__) as streams:
            if not streams:
                raise NoSuchEntity(NO_STREAM)
            page = log_pages.page(
                streams[0],
                streams[0].within(params.get("startTime", 0), params.get("endTime")),
                params.get("limit", EVENTS_MAX),
                params.get("nextToken"),
                from_head=params.get("startFromHead", False),
            )
        return {
            "events": [_event(entry) for entry in page.entries],
            "nextForwardToken": log_pages.forward_token(page),
            "nextBackwardToken": log_pages.backward_token(page),
        }

    def filter_events(self, params: Document) -> Document:
        """Give a page of many streams, by time; `endTime` is of it."""
        if not params.get("startFromHead", True):
            raise ValidationException(
                "modeltap does not serve startFromHead false of FilterLogEvents; leave it out."
            )
        matches = matcher(params.get("filterPattern", ""))
        end = params.get("endTime")
        times = params.get("startTime", 0), None if end is None else end + 1
        limit, token = params.get("limit", EVENTS_MAX), params.get("nextToken")
        with self._streams(self._named_group(params), _wanted_stream(params)) as streams:
            _check_all_there(params.get("logStreamNames", []), streams)
            found = log_pages.search(streams, times, matches, limit, token)
        events = [
            {"logStreamName": name, **_event(entry), "eventId": _event_id(name, entry)}
            for name, entry in found.entries
        ]
        answer = {"events": events, "searchedLogStreams": []}  # empty: as AWS has it since 2020
        return answer | ({} if found.next is None else {"nextToken": log_pages.sealed(found.next)})

    # ------------------------------------------------------------ names

    def _named_group(self, params: Document) -> str:
        """Read the group, which is named in one of two ways. Raise `ValidationException`."""
        name, identifier = params.get("logGroupName"), params.get("logGroupIdentifier")
        if (name is None) == (identifier is None):
            raise ValidationException(
                "Exactly one of logGroupName and logGroupIdentifier must be given."
            )
        return str(name) if identifier is None else self._identified(identifier)

    def _identified(self, identifier: str) -> str:
        if not identifier.startswith("arn:"):
            return identifier
        ours = self.partition.log_group_arn("")
        if not identifier.startswith(ours):
            raise NoSuchEntity(NO_GROUP)
        return identifier.removeprefix(ours)

    @contextmanager
    def _streams(self, group: str, wanted: Callable[[str], bool]) -> Iterator[list[Stream]]:
        with self.logbook.reading(group, self.clock.now_ns(), wanted) as streams:
            if streams is None:
                raise NoSuchEntity(NO_GROUP)
            yield streams


_Function = Callable[[_Logs, Document], Document]


SERVED: Mapping[str, _Function] = {
    "DescribeLogGroups": _Logs.describe_groups,
    "DescribeLogStreams": _Logs.describe_streams,
    "FilterLogEvents": _Logs.filter_events,
    "GetLogEvents": _Logs.get_events,
}


# ---------------------------------------------------------------- what is asked for


def _refuse(params: Document, *members: str) -> None:
    for member in members:
        if params.get(member):
            raise ValidationException(
                f"modeltap does not serve {member}: there is one account; leave it out."
            )


def _wanted_group(params: Document) -> Callable[[str], bool]:
    given = [each for each in _GROUP_FILTERS if each in params]
    if len(given) > 1:
        raise ValidationException(f"{given[0]} and {given[1]} are mutually exclusive.")
    prefix, part = params.get("logGroupNamePrefix", ""), params.get("logGroupNamePattern", "")
    names = params.get("logGroupIdentifiers")
    return lambda name: (
        name.startswith(prefix) and part in name and (names is None or name in names)
    )


_GROUP_FILTERS = ("logGroupNamePrefix", "logGroupNamePattern", "logGroupIdentifiers")


def _wanted_stream(params: Document) -> Callable[[str], bool]:
    prefix, names = params.get("logStreamNamePrefix"), params.get("logStreamNames")
    if prefix is not None and names is not None:
        raise ValidationException("logStreamNamePrefix and logStreamNames are mutually exclusive.")
    return frozenset(names).__contains__ if names else lambda name: name.startswith(prefix or "")


def _check_all_there(names: Sequence[str], streams: Sequence[Stream]) -> None:
    if set(names) - {stream.name for stream in streams}:
        raise NoSuchEntity(NO_STREAM)


# ---------------------------------------------------------------- what is answered

_Key = tuple[Any, ...]


def _stream_key(stream: Stream, *, by_time: bool) -> _Key:
    return (stream.marks.times[-1], stream.name) if by_time else (stream.name,)


def _listed(items: Mapping[_Key, Any], params: Document) -> Document:
    """Give one page in the order of the keys: `items`, and `nextToken` only if more is left."""
    keys = sorted(items, reverse=params.get("descending", False))
    if keys and "nextToken" in params:
        after = log_pages.unsealed(params["nextToken"], *map(type, keys[0]))
        keys = [key for key in keys if (key < after if params.get("descending") else key > after)]
    given = keys[: params.get("limit", LIST_MAX)]
    page: Document = {"items": [items[key] for key in given]}
    return page if len(given) == len(keys) else page | {"nextToken": log_pages.sealed(given[-1])}


def _event(entry: Entry) -> Document:
    return {"timestamp": entry.time, "message": entry.text, "ingestionTime": entry.time}


def _event_id(stream: str, entry: Entry) -> str:
    """Name an event in AWS's form, 56 digits: its time, its stream, its place."""
    number = int.from_bytes(hashlib.sha256(stream.encode()).digest()[:8])
    return f"{entry.time:016d}{number:020d}{entry.start:020d}"
