"""Captured records for the monitor's tests, written by the real encoder."""

from collections.abc import Iterable
from pathlib import Path

from modeltap import record
from modeltap.nouns import CapturedRecord, CaptureEncoding, Half

HOUR_NS = 3600 * 10**9
BEGIN_NS = 1_700_000_400 * 10**9  # 2023-11-14T22:20:00Z
TYPES = {"text/csv": CaptureEncoding.CSV, "application/json": CaptureEncoding.JSON}


def half(text: str | bytes | None, content_type: str = "text/csv") -> Half | None:
    if text is None:
        return None
    return Half(content_type, text.encode() if isinstance(text, str) else text)


def line(
    question: str | bytes | None,
    answer: str | bytes | None,
    *,
    number: int = 0,
    question_type: str = "text/csv",
    answer_type: str = "text/csv",
) -> bytes:
    """Write one record; its event id and its second are its number."""
    return record.encode(
        CapturedRecord(
            f"event-{number}",
            BEGIN_NS + number * 10**9,
            half(question, question_type),
            half(answer, answer_type),
        ),
        lambda content_type: TYPES.get(content_type or "", CaptureEncoding.BASE64),
    )


def write(path: Path, lines: Iterable[bytes]) -> Path:
    path.write_bytes(b"".join(lines))
    return path
