"""What a reader or writer asks of an object first: conditions (RFC 9110 §13) and ranges (§14)."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from modeltap.clock import utc
from modeltap.errors import (
    InvalidArgument,
    InvalidRange,
    NotImplementedByStore,
    NotModified,
    PreconditionFailed,
)
from modeltap.objects.buckets import Condition
from modeltap.objects.index import Object

RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})")


def for_write(params: Mapping[str, Any]) -> Condition:
    """Read the conditions of a write; S3 knows `If-None-Match: *` alone there."""
    absent = params.get("IfNoneMatch")
    if absent not in (None, "*"):
        raise NotImplementedByStore("If-None-Match takes * alone here.")
    wanted = params.get("IfMatch")
    return Condition(if_match=wanted and wanted.strip('"'), if_absent=absent is not None)


def check_read(params: Mapping[str, Any], row: Object, prefix: str = "") -> None:
    """Raise `PreconditionFailed` or `NotModified` unless the object may be read.

    `prefix` is `CopySource` for the source of a copy, where nothing is ever "not modified".
    """
    modified = utc(row.modified_ns).replace(microsecond=0)
    matches, since = params.get(f"{prefix}IfMatch"), params.get(f"{prefix}IfUnmodifiedSince")
    if not _matches(matches, row) if matches else _later(modified, since):
        raise PreconditionFailed("At least one of the pre-conditions you specified did not hold")
    absent, since = params.get(f"{prefix}IfNoneMatch"), params.get(f"{prefix}IfModifiedSince")
    if _matches(absent, row) if absent else since is not None and not _later(modified, since):
        refusal = PreconditionFailed if prefix else NotModified
        raise refusal("At least one of the pre-conditions you specified did not hold")


def _matches(etags: str, row: Object) -> bool:
    named = {etag.strip().removeprefix("W/").strip('"') for etag in etags.split(",")}
    return bool(named & {"*", row.etag})


def _later(modified: datetime, since: datetime | None) -> bool:
    return since is not None and modified > since


def span_of(header: str | None, size: int) -> tuple[int, int] | None:
    """Read a `Range` as (first, one behind the last); None for the whole object.

    A header that is no single byte range is ignored, as RFC 9110 has it. Raise `InvalidRange`
    where no byte of the object is in it.
    """
    found = RANGE.fullmatch(header or "")
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found[1], found[2]
    if not first:
        start, stop = max(size - int(last), 0), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= stop:
        raise InvalidRange("The requested range is not satisfiable")
    return start, stop


def span_of_copy(header: str | None, size: int) -> tuple[int, int]:
    """Read a `CopySourceRange` as `span_of` does; here S3 takes `bytes=first-last` alone.

    Raise `InvalidArgument` for another form, or for bytes that the source does not have.
    """
    if header is None:
        return 0, size
    found = RANGE.fullmatch(header)
    if found is None or not (found[1] and found[2]):
        raise InvalidArgument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last"
        )
    start, stop = int(found[1]), int(found[2]) + 1
    if not start < stop <= size:
        raise InvalidArgument(f"Range specified is not valid for source object of size: {size}")
    return start, stop
