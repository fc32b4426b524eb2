"""The filter patterns of CloudWatch Logs that are served: terms and quoted phrases.

    ERROR "time limit"        every term must be in the message; case matters

A term is of letters, digits and underscores; what has other characters is quoted, with backslashes
before quotes and backslashes. `?any`, `-none`, `%regular%`, `[columns]` and `{ $.json }` are
refused: an answer that ignored them would be wrong. (AWS: filter and pattern syntax.)
"""

import re
from collections.abc import Callable

from modeltap.errors import ValidationException

_TERM = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([A-Za-z0-9_]+))(?=\s|$)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def matcher(pattern: str) -> Callable[[str], bool]:
    """Give the test of a pattern. Raise `ValidationException` for what is not served."""
    terms, place = [], 0
    rest = pattern.rstrip()
    while place < len(rest):
        found = _TERM.match(rest, place)
        if found is None:
            raise _refused(rest[place:].split()[0])
        terms.append(found[2] or _ESCAPED.sub(r"\1", found[1]))
        place = found.end()
    return lambda message: all(term in message for term in terms)


def _refused(term: str) -> ValidationException:
    return ValidationException(
        f"Invalid filter pattern: Invalid character(s) in term '{term}'. Of filterPattern modeltap "
        'serves terms of letters, digits and underscores, and "quoted phrases", which must all be '
        "in the message; put quotes around other characters."
    )
