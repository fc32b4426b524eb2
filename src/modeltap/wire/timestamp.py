"""Timestamps as the protocols write them: epoch seconds, ISO 8601, or an HTTP date. All are UTC."""

from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

EPOCH = "unixtimestamp"
ISO = "iso8601"
HTTP = "rfc822"


def format_of(shape: Any, default: str) -> str:
    """Give the format of a timestamp shape; the model overrides the protocol's default."""
    return str(shape.serialization.get("timestampFormat", default)).lower()


def read(value: str | float, form: str) -> datetime:
    """Read a timestamp. Raise `ValueError` where it is none."""
    try:
        if form == EPOCH:
            return datetime.fromtimestamp(float(value), UTC)
        text = str(value)
        moment = datetime.fromisoformat(text) if form == ISO else parsedate_to_datetime(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (OverflowError, OSError, TypeError) as error:
        raise ValueError("not a timestamp") from error


def write(moment: datetime, form: str) -> str | float:
    """Write an aware `datetime`; milliseconds are the finest that AWS shows."""
    if form == EPOCH:
        return round(moment.timestamp(), 3)
    moment = moment.astimezone(UTC)
    if form == HTTP:
        return format_datetime(moment.replace(microsecond=0), usegmt=True)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
