"""A column of texts → its summary.

Arrow reads the numbers; whether they are numbers in Deequ's sense (`kinds.py`) is seen from their
bytes, a column at once. Only a column that is not clean is looked at value by value, by RE2.
"""

from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modeltap.monitor import moments
from modeltap.monitor.counting import counted
from modeltap.monitor.hashing import texts_of
from modeltap.monitor.kinds import BOOLEANS, FRACTIONAL, INTEGRAL, Tally
from modeltap.monitor.summary import Numbers, Summary
from modeltap.monitor.words import words_of

ZERO, NINE, PLUS, POINT = (ord(each) for each in "09+.")
EXPONENT = list(b"eE")
NUMBER_BEGINS = list(b"+- 0123456789")
BOOLEAN_BEGINS = list(b"tf")


def summary_of(texts: pa.StringArray, *, textual: bool = False) -> Summary:
    """Sum up a column; a null is a missing value. `textual`: also keep numbers as texts."""
    present = texts.drop_null() if texts.null_count else texts
    summary = None if textual else _of_clean_numbers(present, texts.null_count)
    return summary or _of_mixed(present, texts.null_count, textual=textual)


# ---------------------------------------------------------------- clean numbers


def _of_clean_numbers(texts: pa.StringArray, missing: int) -> Summary | None:
    """Sum up texts that are all plain numbers; None if they are not."""
    if not len(texts):
        return Summary(Tally(missing=missing))
    if (digits := _digits(texts)) is not None:
        return Summary(Tally(integral=len(texts), missing=missing), _whole_numbers(digits))
    octets, offsets = texts_of(texts)
    if not np.diff(offsets).all() or octets.min() < PLUS or not _numeric(octets):
        return None
    points = np.flatnonzero(octets == POINT)
    if not len(points) and octets.max() <= NINE:
        return _of_whole_numbers(texts, missing)
    values = _cast(texts, pa.float64()) if _well_formed(octets, offsets, points) else None
    if values is None or not np.isfinite(values).all():
        return None
    fractional = len(points) if octets.max() <= NINE else _marked(octets, offsets)
    tally = Tally(len(texts) - fractional, fractional, missing=missing)
    return Summary(tally, _fractions(values))


def _numeric(octets: np.ndarray) -> bool:
    """Tell whether all is of numbers, as far as Arrow does not tell itself when it reads them."""
    return bool(octets.max() <= NINE or np.isin(octets[octets > NINE], EXPONENT).all())


def _digits(texts: pa.StringArray) -> np.ndarray | None:
    """Read texts that are a digit each, as of one-hot columns; None if one is not."""
    _, starts, data = texts.buffers()
    offsets = np.frombuffer(starts, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    if offsets[-1] - offsets[0] != len(texts) or (np.diff(offsets) != 1).any():
        return None
    octets = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
    digits = octets - np.uint8(ZERO)  # what is below 0 comes out above 9
    return digits if digits.max() <= NINE - ZERO else None


def _of_whole_numbers(texts: pa.StringArray, missing: int) -> Summary | None:
    values = _cast(texts, pa.int64())
    if values is None:
        return None
    return Summary(Tally(integral=len(texts), missing=missing), _whole_numbers(values))


def _cast(texts: pa.StringArray, to: pa.DataType) -> np.ndarray | None:
    try:
        return np.asarray(pc.cast(texts, to))
    except pa.ArrowInvalid:
        return None


def _well_formed(octets: np.ndarray, offsets: np.ndarray, points: np.ndarray) -> bool:
    """Tell whether every point stands between digits of its value, as Deequ wants it."""
    if octets[0] == POINT or octets[-1] == POINT:
        return False
    starts, lasts = octets[offsets[:-1]], octets[offsets[1:] - 1]
    if (starts == POINT).any() or (lasts == POINT).any():
        return False
    around = np.concatenate([octets[points - 1], octets[points + 1]])
    return not len(around) or bool(around.min() >= ZERO and around.max() <= NINE)


def _marked(octets: np.ndarray, offsets: np.ndarray) -> int:
    """Count the values that are written as fractions: with a point, an exponent, or both."""
    marks = np.flatnonzero((octets == POINT) | (octets > NINE))
    owners = np.searchsorted(offsets, marks, side="right")
    return int(np.count_nonzero(np.diff(owners, prepend=-1)))


def _whole_numbers(values: np.ndarray) -> Numbers:
    """Keep whole numbers as narrow as they are, which is mostly one byte.

    Beyond 2^53 they become doubles first, as in AWS's engine.
    """
    found = counted(values)
    if found is None or max(-found.low, found.high) > 2**53:
        return _fractions(values.astype(np.float64))
    narrow = reduce(np.promote_types, map(np.min_scalar_type, (found.low, found.high, -1)))
    return Numbers(moments.of_counts(found.values, found.counts), (values.astype(narrow),))


def _fractions(values: np.ndarray) -> Numbers:
    return Numbers(moments.of_doubles(values), (values,)) if len(values) else Numbers()


# ---------------------------------------------------------------- everything else


def _of_mixed(texts: pa.StringArray, missing: int, *, textual: bool) -> Summary:
    """Sum up texts of any form; each different one is looked at once."""
    encoded = texts.dictionary_encode()
    different, at = encoded.dictionary, np.asarray(encoded.indices)
    counts = np.bincount(at, minlength=len(different))
    begun = _first_octets(different)
    numeric = np.isin(begun, NUMBER_BEGINS)
    integral, fractional = (
        _matching(different, each.pattern, numeric) for each in (INTEGRAL, FRACTIONAL)
    )
    values = np.full(len(different), np.nan)
    values[integral | fractional] = numbers_of(different.filter(pa.array(integral | fractional)))
    number = np.isfinite(values)
    boolean = _matching(different, "|".join(sorted(BOOLEANS)), np.isin(begun, BOOLEAN_BEGINS))
    tally = Tally(
        int(counts[integral & number].sum()),
        int(counts[fractional & number].sum()),
        int(counts[boolean].sum()),
        int(counts[~number & ~boolean].sum()),
        missing,
    )
    kept = np.full(len(different), True) if textual else ~number
    words = words_of(different.filter(pa.array(kept)), counts[kept])
    return Summary(tally, _fractions(values[at[number[at]]]), words, textual)


def _first_octets(texts: pa.StringArray) -> np.ndarray:
    """Give the byte that each text begins with; of an empty one any."""
    octets, offsets = texts_of(texts)
    return np.append(octets, np.uint8(0))[offsets[:-1]]


def _matching(texts: pa.StringArray, pattern: str, possible: np.ndarray) -> np.ndarray:
    """Tell which texts match; only those that begin as a match does are looked at."""
    found = possible.copy()
    if possible.any():
        candidates = texts.filter(pa.array(possible))
        found[possible] = np.asarray(pc.match_substring_regex(candidates, f"^(?:{pattern})$"))
    return found


def numbers_of(texts: pa.StringArray) -> np.ndarray:
    """Read what is a number by its form: Arrow knows neither a leading plus nor a blank."""
    bare = pc.replace_substring(pc.ascii_ltrim(texts, "+"), " ", "")
    return np.asarray(pc.cast(bare, pa.float64()))
