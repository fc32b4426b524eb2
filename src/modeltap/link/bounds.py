"""What an answer must keep to, whichever way it came: an instance runs a stranger's code."""

import re
from typing import Final

from modeltap.memo import Memo

ANSWER_BYTES_MAX: Final = 25 * 1024 * 1024
"""Longest answer of a model, as long as the longest request (contract §2.8)."""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def fits_header(text: str | None) -> bool:
    """Tell whether a field may stand in an HTTP header: one line."""
    return text is None or _lines.of(text)


def _is_line(text: str) -> bool:
    return not _CONTROL.search(text)


_lines: Final = Memo(_is_line)  # a model gives the same few content types again and again
