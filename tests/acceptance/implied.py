"""What the rules say of rows against a dataset, worked out anew from the documents of the rules.

No line of the analyzer is used: types and completeness as in `docs/monitor.md`, distances as Deequ
computes them (decision 0009). For numeric datasets whose columns have at most 4,000 values.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import sqrt

INTEGRAL = re.compile(r"[-+]? ?\d+")
FRACTIONAL = re.compile(r"[-+]? ?\d+(\.\d+|(\.\d+)?[Ee][-+]?\d+)")
DRIFT_MAX = 0.1
SKETCHED = 2050  # what level 0 of a sketch holds; one more value, and half of them go up

Rows = Sequence[Sequence[str]]
Violations = dict[tuple[str, str], str]
"""By feature and check: a description, or of a drift nothing."""


def violations(names: Sequence[str], dataset: Rows, rows: Rows) -> Violations:
    found: Violations = {}
    for name, before, now in zip(names, _columns(dataset), _columns(rows), strict=True):
        found |= _of_column(name, [each for each in before if each], len(before), now)
    return found


def _columns(rows: Rows) -> Iterator[Sequence[str]]:
    return zip(*rows, strict=True)


def _of_column(name: str, before: Sequence[str], count: int, now: Sequence[str]) -> Violations:
    found: Violations = {}
    assert all(map(_is_number, before)), f"{name} is no column of numbers"
    integral = all(map(INTEGRAL.fullmatch, before))
    present = [each for each in now if each]
    fit = sum(map(_is_integral if integral else _is_number, present)) / len(present)
    kind = "Integral" if integral else "Fractional"
    if fit < 1.0:
        found[name, "data_type_check"] = (
            "Data type match requirement is not met. "
            f"Expected data type: {kind}, Expected match: 100.0%. "
            f"Observed: Only {fit * 100}% of data is {kind}."
        )
    if len(present) / len(now) < len(before) / count:
        found[name, "completeness_check"] = (
            "Data completeness requirement is not met. "
            f"Expected completeness: {len(before) / count * 100}%. "
            f"Observed: Only {len(present) / len(now) * 100}% of data is complete."
        )
    if all(map(_is_number, present)) and _distance(before, present) > DRIFT_MAX:
        found[name, "baseline_drift_check"] = ""
    return found


def _is_integral(text: str) -> bool:
    return INTEGRAL.fullmatch(text) is not None


def _is_number(text: str) -> bool:
    return _is_integral(text) or FRACTIONAL.fullmatch(text) is not None


# ---------------------------------------------------------------- distance


def _distance(before: Sequence[str], now: Sequence[str]) -> float:
    """Give the largest difference of two distributions, less what chance may do."""
    ours, theirs = _ranks(now), _ranks(before)
    n, m = ours[1][-1], theirs[1][-1]
    points = {*ours[0], *theirs[0]}
    simple = max(abs(_below(ours, point) / n - _below(theirs, point) / m) for point in points)
    return max(0.0, simple - 1.8 * sqrt((n + m) / (n * m)))


Ranks = tuple[list[float], list[int]]


def _ranks(texts: Sequence[str]) -> Ranks:
    """Give a sketch's values, and the weight up to each; of equal ones the heaviest counts."""
    numbers = [float(text.replace(" ", "")) for text in texts]
    raised = numbers[:SKETCHED] if len(numbers) > SKETCHED else []
    weights = dict.fromkeys(numbers[len(raised) :], 1) | dict.fromkeys(sorted(raised)[::2], 2)
    values = sorted(weights)
    return values, list(accumulate(weights[value] for value in values))


def _below(ranks: Ranks, point: float) -> int:
    at = bisect_right(ranks[0], point)
    return ranks[1][at - 1] if at else 0
