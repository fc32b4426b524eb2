"""A column of texts → its summary.

Arrow reads the numbers; whether they are numbers in Deequ's sense (`kinds.py`) is seen from their
bytes, a column at once. Only a column that is not clean is looked at value by value, by RE2.
"""

from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modeltap.monitor import moments
from modeltap.monitor.hashing import texts_of
from modeltap.monitor.kinds import BOOLEANS, FRACTIONAL, INTEGRAL, Tally
from modeltap.monitor.summary import SMALL_RANGE, Numbers, Summary
from modeltap.monitor.words import words_of

DIGITS = frozenset(b"0123456789")
WHOLE = DIGITS | frozenset(b"-")
MARKS = frozenset(b".eE")  # what makes a number a fraction
PLAIN = WHOLE | MARKS | frozenset(b"+")


def _table(characters: frozenset[int]) -> np.ndarray:
    return np.array([byte in characters for byte in range(256)])


_IS_DIGIT, _IS_WHOLE, _IS_MARK, _IS_PLAIN = map(_table, (DIGITS, WHOLE, MARKS, PLAIN))


def summary_of(texts: pa.StringArray, *, textual: bool = False) -> Summary:
    """Sum up a column; a null is a missing value. `textual`: also keep numbers as texts."""
    present = texts.drop_null() if texts.null_count else texts
    summary = None if textual else _of_clean_numbers(present, texts.null_count)
    return summary or _of_mixed(present, texts.null_count, textual=textual)


# ---------------------------------------------------------------- clean numbers


def _of_clean_numbers(texts: pa.StringArray, missing: int) -> Summary | None:
    """Sum up texts that are all plain numbers; None if they are not."""
    octets, offsets = texts_of(texts)
    if not len(texts):
        return Summary(Tally(missing=missing))
    if not _IS_PLAIN[octets].all():
        return None
    if _IS_WHOLE[octets].all():
        values = _cast(texts, pa.int64())
        if values is None:
            return None
        return Summary(Tally(integral=len(texts), missing=missing), _whole_numbers(values))
    values = _cast(texts, pa.float64()) if _well_formed(octets, offsets) else None
    if values is None or not np.isfinite(values).all():
        return None
    fractional = _marked(octets, offsets)
    tally = Tally(len(texts) - fractional, fractional, missing=missing)
    return Summary(tally, _fractions(values))


def _cast(texts: pa.StringArray, to: pa.DataType) -> np.ndarray | None:
    try:
        return np.asarray(pc.cast(texts, to))
    except pa.ArrowInvalid:
        return None


def _well_formed(octets: np.ndarray, offsets: np.ndarray) -> bool:
    """Tell whether every point stands between digits of its value, as Deequ wants it."""
    points = np.flatnonzero(octets == ord("."))
    first, last = octets[offsets[:-1]], octets[offsets[1:] - 1]
    if (first == ord(".")).any() or (last == ord(".")).any():
        return False
    return bool(_IS_DIGIT[octets[points - 1]].all() and _IS_DIGIT[octets[points + 1]].all())


def _marked(octets: np.ndarray, offsets: np.ndarray) -> int:
    """Count the values that are written as fractions: with a point, an exponent, or both."""
    marks = np.flatnonzero(_IS_MARK[octets])
    owners = np.searchsorted(offsets, marks, side="right")
    return int(np.count_nonzero(np.diff(owners, prepend=-1)))


def _whole_numbers(values: np.ndarray) -> Numbers:
    """Keep whole numbers as narrow as they are, which is mostly one byte."""
    low, high = int(values.min()), int(values.max())
    if high - low >= SMALL_RANGE:
        return _fractions(values.astype(np.float64)) if max(-low, high) < 2**53 else _long(values)
    counts = np.bincount(values - low)
    at = np.flatnonzero(counts)
    narrow = reduce(np.promote_types, map(np.min_scalar_type, (low, high, -1)))
    return Numbers(moments.of_counts(at + low, counts[at]), (values.astype(narrow),))


def _long(values: np.ndarray) -> Numbers:
    """Whole numbers beyond 2^53 become doubles first, as in AWS's engine."""
    return _fractions(values.astype(np.float64))


def _fractions(values: np.ndarray) -> Numbers:
    return Numbers(moments.of_doubles(values), (values,)) if len(values) else Numbers()


# ---------------------------------------------------------------- everything else


def _of_mixed(texts: pa.StringArray, missing: int, *, textual: bool) -> Summary:
    """Sum up texts of any form, each looked at for itself."""
    integral, fractional = _matching(texts, INTEGRAL.pattern), _matching(texts, FRACTIONAL.pattern)
    values = np.full(len(texts), np.nan)
    numeric = integral | fractional
    values[numeric] = _numbers(texts.filter(pa.array(numeric)))
    finite = np.isfinite(values)
    integral, fractional, others = integral & finite, fractional & finite, ~finite
    other_texts = texts.filter(pa.array(others))
    boolean = int(_matching(other_texts, "|".join(sorted(BOOLEANS))).sum())
    tally = Tally(
        int(integral.sum()),
        int(fractional.sum()),
        boolean,
        int(others.sum()) - boolean,
        missing,
    )
    words = words_of(texts if textual else other_texts)
    return Summary(tally, _fractions(values[finite]), words, textual)


def _matching(texts: pa.StringArray, pattern: str) -> np.ndarray:
    return np.asarray(pc.match_substring_regex(texts, f"^(?:{pattern})$"), dtype=bool)


def _numbers(texts: pa.StringArray) -> np.ndarray:
    """Read what is a number by its form: Arrow knows neither a leading plus nor a blank."""
    bare = pc.replace_substring(pc.ascii_ltrim(texts, "+"), " ", "")
    return np.asarray(pc.cast(bare, pa.float64()))
