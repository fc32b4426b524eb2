"""How far two distributions of one column lie apart, in two dialects.

`exact` is what the words say: the largest difference of the two distribution functions. `aws` is
what AWS's engine computes: of a value that stands several times in a sketch it counts only the
last, heaviest one (Deequ's issue 392), so repeated values lose weight: a one-hot column
that moves from 0.1 to 0.3 has a distance of 0. Both are shown; `aws` is judged by default,
because who moves here expects AWS's verdicts (`docs/decisions/0009`).
"""

import math
from collections.abc import Mapping
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from modeltap.monitor.sketch import Doubles, Sketch

ROBUST = 1.8
"""Of Deequ's correction for few values (Kolmogorov-Smirnov at alpha = 0.003)."""


class Dialect(StrEnum):
    AWS = "aws"
    EXACT = "exact"


def numerical(current: Sketch, baseline: Sketch, dialect: Dialect, *, robust: bool) -> float:
    """Compare two sketches that are not empty."""
    ours, theirs = _ranked(current, dialect), _ranked(baseline, dialect)
    at = np.union1d(ours[0], theirs[0])
    simple = float(np.abs(_shares(ours, at) - _shares(theirs, at)).max())
    return _corrected(simple, int(ours[1][-1]), int(theirs[1][-1]), robust=robust)


Ranked = tuple[Doubles, NDArray[np.int64]]


def _ranked(sketch: Sketch, dialect: Dialect) -> Ranked:
    """Give ascending, different values and the weight of all that are not above each."""
    values, weights = sketch.weighted()
    last = np.append(values[1:] != values[:-1], True)
    if dialect is Dialect.AWS:
        return values[last], np.cumsum(weights[last])
    return values[last], np.cumsum(weights)[last]


def _shares(ranked: Ranked, at: Doubles) -> Doubles:
    values, ranks = ranked
    shares: Doubles = np.append(0, ranks)[np.searchsorted(values, at, side="right")] / ranks[-1]
    return shares


def _corrected(simple: float, n: int, m: int, *, robust: bool) -> float:
    if not robust:
        return simple
    return max(0.0, simple - ROBUST * math.sqrt((n + m) / (n * m)))


def categorical(
    current: Mapping[str, int], baseline: Mapping[str, int], total: int, *, robust: bool
) -> float:
    """Give the largest difference of a value's share (L-infinity); neither side is empty.

    `total`: how many values there are in all, of which `current` may know only some.
    """
    m = sum(baseline.values())
    values = {*current, *baseline}
    simple = max(abs(current.get(each, 0) / total - baseline.get(each, 0) / m) for each in values)
    return _corrected(simple, total, m, robust=robust)


# ---------------------------------------------------------------- chi-squared


def chi_squared(current: Mapping[str, int], baseline: Mapping[str, int]) -> float | None:
    """Give the p-value of Pearson's test; None where fewer than two groups are left to compare.

    Rare values are grouped first, as Deequ does (Cochran's and Yates' rules).
    """
    seen = {each: float(current.get(each, 0)) for each in baseline}
    scale = sum(seen.values()) / sum(baseline.values())
    expected = {each: count * scale for each, count in baseline.items()}
    _regroup(seen, expected)
    if len(expected) < 2 or not all(expected.values()):
        return None
    statistic = sum((seen[each] - count) ** 2 / count for each, count in expected.items())
    return _chi_squared_tail(statistic, len(expected) - 1)


def _regroup(seen: dict[str, float], expected: dict[str, float]) -> None:
    while len(expected) >= 2:
        least, spared = (10, 0) if len(expected) == 2 else (5, int(0.2 * len(expected)))
        if sum(count < least for count in expected.values()) <= spared:
            return
        rarest = min(expected, key=lambda each: expected[each])
        moved, wanted = seen.pop(rarest), expected.pop(rarest)
        next_rarest = min(expected, key=lambda each: expected[each])
        seen[next_rarest] += moved
        expected[next_rarest] += wanted


def _chi_squared_tail(statistic: float, freedom: int) -> float:
    """Give Q(freedom / 2, statistic / 2), whose finite sums are known for whole `freedom`."""
    half = statistic / 2
    if freedom % 2 == 0:
        terms = [math.exp(_log_term(half, at) - half) for at in range(freedom // 2)]
        return min(1.0, math.fsum(terms))
    terms = [math.exp(_log_term(half, at + 0.5) - half) for at in range(freedom // 2)]
    return min(1.0, math.fsum([math.erfc(math.sqrt(half)), *terms]))


def _log_term(half: float, power: float) -> float:
    """Give log(half^power / gamma(power + 1))."""
    if half == 0:
        return 0.0 if power == 0 else -math.inf
    return power * math.log(half) - math.lgamma(power + 1)
