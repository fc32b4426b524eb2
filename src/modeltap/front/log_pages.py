"""Pages of log events: what fits into one answer, and where the next one goes on.

Limits of a page: `EVENTS_MAX` events, `PAGE_BYTES_MAX` bytes (counted as CloudWatch does: the text
in UTF-8 and `EVENT_BYTES` for each event), and `SEARCH_BYTES_MAX` bytes that were searched.

Tokens name places, so they stay good while a stream grows, over restarts, and by whom they are
sent. Of a stream: `f/` or `b/` and an offset. What was cut away meanwhile is passed over: reading
goes on with the oldest line that is kept. Of a search: time, stream and offset of the next line.
An empty line is no event, as in CloudWatch.
"""

import base64
import binascii
import heapq
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from modeltap.errors import ValidationException
from modeltap.logbook import Entry, Stream

EVENTS_MAX = 10_000
PAGE_BYTES_MAX = 1024 * 1024
EVENT_BYTES = 26
SEARCH_BYTES_MAX = 8 * 1024 * 1024  # a second at most, while nothing is cut

_PLACE = re.compile(r"([fb])/(\d{1,20})")


@dataclass(frozen=True, slots=True)
class Page:
    """Events of one stream, and the offsets between which they were all that there is."""

    entries: list[Entry]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Found:
    """Events of a search, each with its stream's name, and where to go on if more may be left."""

    entries: list[tuple[str, Entry]]
    next: tuple[int, str, int] | None


class _Room:
    """What is left of one page."""

    def __init__(self, events: int) -> None:
        self._events = events
        self._bytes = PAGE_BYTES_MAX

    def take(self, entry: Entry) -> bool:
        """Make place for an event; tell whether there was any. The first one always fits."""
        self._events -= 1
        self._bytes -= len(entry.text.encode()) + EVENT_BYTES
        return self._events >= 0 and self._bytes >= 0


# ---------------------------------------------------------------- one stream


def page(
    stream: Stream, span: tuple[int, int], limit: int, token: str | None, *, from_head: bool
) -> Page:
    """Read one page within a span of offsets; a token has its own direction and goes before."""
    first, last = span
    if token is None:
        return _forward(stream, first, last, limit) if from_head else _backward(stream, span, limit)
    found = _PLACE.fullmatch(token)
    if found is None:
        raise invalid_token()
    place = min(max(int(found[2]), first), max(first, last))
    if found[1] == "f":
        return _forward(stream, place, last, limit)
    return _backward(stream, (first, place), limit)


def _forward(stream: Stream, start: int, end: int, limit: int) -> Page:
    taken, room, place = [], _Room(limit), start
    for entry in stream.entries(start, end):
        if entry.text:
            if not room.take(entry):
                break
            taken.append(entry)
        place = entry.end
    return Page(taken, start, place)


def _backward(stream: Stream, span: tuple[int, int], limit: int) -> Page:
    """Read the last lines of a span: from a mark as far before its end as a page is large."""
    first, end = span
    start = max(first, stream.marks.last(max(0, end - PAGE_BYTES_MAX)))
    near, room = [entry for entry in stream.entries(start, end) if entry.text], _Room(limit)
    taken: list[Entry] = []
    for entry in reversed(near):
        if not room.take(entry):
            start = taken[-1].start
            break
        taken.append(entry)
    return Page(taken[::-1], start, end)


# ---------------------------------------------------------------- many streams


def search(
    streams: Sequence[Stream],
    times: tuple[int, int | None],
    matches: Callable[[str], bool],
    limit: int,
    token: str | None,
) -> Found:
    """Read one page of the lines that match, of all streams, by time.

    `times`: from the first, before the second.
    """
    since = None if token is None else _position(token)
    lines = heapq.merge(*(_placed(stream, times, since) for stream in streams))
    taken: list[tuple[str, Entry]] = []
    room, searched = _Room(limit), 0
    for time, name, start, entry in lines:
        hit = bool(entry.text) and matches(entry.text)
        if searched > SEARCH_BYTES_MAX or (hit and not room.take(entry)):
            return Found(taken, (time, name, start))
        searched += entry.end - entry.start
        if hit:
            taken.append((name, entry))
    return Found(taken, None)


_Placed = tuple[int, str, int, Entry]


def _placed(
    stream: Stream, times: tuple[int, int | None], since: tuple[int, str, int] | None
) -> Iterator[_Placed]:
    """Give the lines of a stream with their places among all, from one of these on."""
    start, end = stream.within(*times)
    if since is not None:
        time, name, offset = since
        behind = offset if stream.name == name else stream.marks.since(time + (stream.name < name))
        start = max(start, behind)
    for entry in stream.entries(start, end):
        yield entry.time, stream.name, entry.start, entry


# ---------------------------------------------------------------- tokens


def forward_token(page: Page) -> str:
    return f"f/{page.end:020d}"


def backward_token(page: Page) -> str:
    return f"b/{page.start:020d}"


def sealed(key: Sequence[Any]) -> str:
    """Write the place where a list goes on as a token."""
    return base64.urlsafe_b64encode(orjson.dumps(list(key))).decode()


def unsealed(token: str, *types: type) -> tuple[Any, ...]:
    """Read a token of `sealed`. Raise `ValidationException` if it is none of these types."""
    try:
        key = orjson.loads(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, ValueError) as error:
        raise invalid_token() from error
    if not isinstance(key, list) or [type(part) for part in key] != list(types):
        raise invalid_token()
    return tuple(key)


def _position(token: str) -> tuple[int, str, int]:
    time, name, offset = unsealed(token, int, str, int)
    return time, name, offset


def invalid_token() -> ValidationException:
    return ValidationException("The specified nextToken is invalid.")
