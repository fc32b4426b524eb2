"""Listing a bucket by prefix and delimiter, as S3 does, in key order; pure but for `page`.

Keys that share what stands between prefix and the next delimiter are rolled up into one common
prefix, and the walk then skips past all of them: a listing costs what it shows, not what it hides.
A position is bytes: every key from it on is still to come. The first one behind a key is the key
and a NUL; `0xFF` is in no UTF-8 text, so a prefix and `0xFF` lie behind all keys of that prefix.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from modeltap.objects.index import Object

PAGE_ROWS = 250

Page = Callable[[bytes, int], list[Object]]
"""(position, limit) → the rows from the position on, in key order, at most `limit`."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a listing; `entries` counts objects and prefixes together."""

    objects: tuple[Object, ...]
    prefixes: tuple[str, ...]
    last: str | None  # the last entry's name, an object's key or a common prefix
    position: bytes | None  # where the next page starts; None when this was the last


def behind(marker: str, prefix: str, delimiter: str) -> bytes:
    """Give the position behind a marker; behind all of it where it is a common prefix."""
    rolled_up = marker.startswith(prefix) and _common_prefix(marker, prefix, delimiter) == marker
    return _behind_prefix(marker) if rolled_up else _behind_key(marker)


def walk(page: Page, *, prefix: str, delimiter: str, start: bytes, limit: int) -> Listing:
    """Give the first `limit` entries from a position on, and where to go on."""
    entries = list(islice(_entries(page, prefix, delimiter, start), limit + 1 if limit else 0))
    shown = entries[:limit]
    last = shown[-1] if shown else None
    return Listing(
        objects=tuple(entry for entry in shown if isinstance(entry, Object)),
        prefixes=tuple(entry for entry in shown if isinstance(entry, str)),
        last=last.key if isinstance(last, Object) else last,
        position=_behind(last) if last and len(entries) > limit else None,
    )


def _entries(page: Page, prefix: str, delimiter: str, start: bytes) -> Iterator[Object | str]:
    position = max(start, prefix.encode())
    while rows := page(position, PAGE_ROWS):
        for row in rows:
            if not row.key.startswith(prefix):
                return
            entry = _common_prefix(row.key, prefix, delimiter) or row
            yield entry
            position = _behind(entry)
            if isinstance(entry, str):
                break


def _common_prefix(key: str, prefix: str, delimiter: str) -> str | None:
    end = key.find(delimiter, len(prefix)) if delimiter else -1
    return None if end < 0 else key[: end + len(delimiter)]


def _behind(entry: Object | str) -> bytes:
    return _behind_prefix(entry) if isinstance(entry, str) else _behind_key(entry.key)


def _behind_key(key: str) -> bytes:
    return key.encode() + b"\0"


def _behind_prefix(prefix: str) -> bytes:
    return prefix.encode() + b"\xff"
