"""Ranges and conditions of reads, as RFC 9110 has them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modeltap.errors import InvalidRange, ModeltapError, NotModified, PreconditionFailed
from modeltap.front.s3.conditions import check_read, span_of
from modeltap.objects.index import Object

MODIFIED = datetime(2026, 11, 21, 12, 0, 0, 500_000, tzinfo=UTC)
SECOND = MODIFIED.replace(microsecond=0)
ROW = Object("k", "c", 100, "e", int(MODIFIED.timestamp() * 1_000_000) * 1000, 0, {})


@pytest.mark.parametrize(
    ("header", "span"),
    [
        (None, None),
        ("bytes=0-0", (0, 1)),
        ("bytes=10-", (10, 100)),
        ("bytes=10-1000", (10, 100)),
        ("bytes=-1", (99, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=-", None),
        ("bytes=20-10", None),
        ("bytes=0-1,5-6", None),
        ("items=0-1", None),
    ],
)
def test_ranges(header: str | None, span: tuple[int, int] | None) -> None:
    assert span_of(header, 100) == span


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-", 0)]
)
def test_a_range_of_nothing(header: str, size: int) -> None:
    with pytest.raises(InvalidRange):
        span_of(header, size)


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({}, None),
        ({"IfMatch": '"e"'}, None),
        ({"IfMatch": "*"}, None),
        ({"IfMatch": '"x", "e"'}, None),
        ({"IfMatch": '"x"'}, PreconditionFailed),
        ({"IfMatch": '"e"', "IfUnmodifiedSince": SECOND - timedelta(1)}, None),
        ({"IfUnmodifiedSince": SECOND}, None),
        ({"IfUnmodifiedSince": SECOND - timedelta(seconds=1)}, PreconditionFailed),
        ({"IfNoneMatch": '"x"'}, None),
        ({"IfNoneMatch": 'W/"e"'}, NotModified),
        ({"IfNoneMatch": "*"}, NotModified),
        ({"IfNoneMatch": '"x"', "IfModifiedSince": SECOND}, None),
        ({"IfModifiedSince": SECOND}, NotModified),
        ({"IfModifiedSince": SECOND - timedelta(seconds=1)}, None),
    ],
)
def test_conditions(params: dict[str, Any], error: type[ModeltapError] | None) -> None:
    copying = {f"CopySource{name}": value for name, value in params.items()}
    if error is None:
        check_read(params, ROW)
        check_read(copying, ROW, "CopySource")
    else:
        with pytest.raises(error):
            check_read(params, ROW)
        with pytest.raises(PreconditionFailed):
            check_read(copying, ROW, "CopySource")
