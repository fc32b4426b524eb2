"""What an answer must keep to, whichever way it came: an instance runs a stranger's code."""

import re
from functools import lru_cache

ANSWER_BYTES_MAX = 25 * 1024 * 1024
"""Longest answer of a model, as long as the longest request (contract §2.8)."""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@lru_cache(maxsize=128)  # a model gives the same few content types again and again
def fits_header(text: str | None) -> bool:
    """Tell whether a field may stand in an HTTP header: one line."""
    return text is None or not _CONTROL.search(text)
