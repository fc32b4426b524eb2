"""Two distributions of one column on common bins, so that they can be laid one over the other.

Numbers fall into ten ranges of equal width, from the least to the greatest of both sides; where a
few of them lie far out, the first and the last range are open, because else nothing of the rest
could be seen. Texts, and numbers of few different values, are shown value by value.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from modeltap.monitor.kinds import NUMERIC, kind_of, number_of
from modeltap.monitor.report.text import counted, number, percent, shown
from modeltap.monitor.sketch import Doubles, Sketch
from modeltap.monitor.statistics import BUCKETS, BaselineFeature
from modeltap.monitor.summary import text_of
from modeltap.monitor.words import CATEGORIES_MAX

VALUES_MAX = 10
"""Values that are drawn each for itself; the others are drawn as one."""

CORE = (0.05, 0.95)
"""Between these shares of its values lies the core of a distribution."""

FAR_OUT = 5
"""So many times the core's width the whole must be wide before its ends are cut."""

LABEL_MAX = 60


@dataclass(frozen=True, slots=True)
class Shares:
    """The share, from 0 to 1, of each side's values that a bin holds; of bins in a row.

    `ranges`: they follow each other on a scale from `low` to `high`. `rest`: the last bin holds all
    other values. No `baseline`: there is none, or it cannot be compared.
    """

    labels: tuple[str, ...]
    current: tuple[float, ...]
    baseline: tuple[float, ...] | None = None
    ranges: bool = False
    low: str = ""
    high: str = ""
    rest: bool = False

    @property
    def top(self) -> float:
        """Give the largest share of a bin; that of the rest does not count."""
        bins = len(self.labels) - self.rest
        return max((*self.current[:bins], *(self.baseline or ())[:bins]))

    @property
    def texts(self) -> tuple[str, ...]:
        """Say each bin in words."""
        if self.baseline is None:
            return tuple(
                f"{label}: {percent(share)}"
                for label, share in zip(self.labels, self.current, strict=True)
            )
        both = zip(self.labels, self.baseline, self.current, strict=True)
        return tuple(f"{label}: {percent(then)} → {percent(now)}" for label, then, now in both)


def shares_of(current: BaselineFeature, baseline: BaselineFeature | None) -> Shares | None:
    """Put both sides on common bins; None if of the current values no distribution is known."""
    ours, theirs = _sketch(current), _sketch(baseline) if baseline else None
    if ours and theirs and not (_few(ours) and _few(theirs)):
        return _by_range(ours, theirs)
    counts, known = _counts(current), _counts(baseline) if baseline else {}
    if counts and (known or ours is None or _few(ours)):
        return _by_value(counts, known)
    return _by_range(ours, None) if ours else None


def _sketch(feature: BaselineFeature) -> Sketch | None:
    """Give a sketch that has numbers to draw."""
    sketch = feature.sketch
    if sketch is None or not sketch.weight or not np.isfinite(sketch.weighted()[0]).all():
        return None
    return sketch


def _few(sketch: Sketch) -> bool:
    return len(np.unique(sketch.weighted()[0])) <= VALUES_MAX


# ---------------------------------------------------------------- by range


def _by_range(ours: Sketch, theirs: Sketch | None) -> Shares:
    sketches = [ours] if theirs is None else [ours, theirs]
    bounds, low_open, high_open = _bounds(sketches)
    current, *rest = (_range_shares(each, bounds) for each in sketches)
    names = list(map(number, bounds.tolist()))
    labels = [f"{names[at]} to {names[at + 1]}" for at in range(BUCKETS)]
    low, high = names[0], names[-1]
    if low_open:
        low, labels[0] = f"< {names[1]}", f"below {names[1]}"
    if high_open:
        high, labels[-1] = f"≥ {names[-2]}", f"{names[-2]} and above"
    return Shares(tuple(labels), current, rest[0] if rest else None, True, low, high)


def _bounds(sketches: list[Sketch]) -> tuple[Doubles, bool, bool]:
    """Give eleven bounds, and whether the first and the last range are open."""
    low, high = _reach(sketches, (0.0, 1.0))
    core_low, core_high = _reach(sketches, CORE)
    far_out = high / 2 - low / 2 > FAR_OUT * (core_high / 2 - core_low / 2) > 0
    if not far_out:
        return _between(low, high), False, False
    return _between(core_low, core_high), low < core_low, high > core_high


def _between(low: float, high: float) -> Doubles:
    at = np.linspace(0, 1, BUCKETS + 1)
    bounds: Doubles = low * (1 - at) + high * at  # the width itself may be beyond a double
    return bounds


def _reach(sketches: list[Sketch], ranks: tuple[float, float]) -> tuple[float, float]:
    """Give the least and the greatest of the values that stand at these ranks of each side."""
    ends = [_at_rank(sketch, rank) for sketch in sketches for rank in ranks]
    return min(ends), max(ends)


def _at_rank(sketch: Sketch, rank: float) -> float:
    values, weights = sketch.weighted()
    at = np.searchsorted(np.cumsum(weights), rank * sketch.weight)
    return float(values[min(int(at), len(values) - 1)])


def _range_shares(sketch: Sketch, bounds: Doubles) -> tuple[float, ...]:
    """Count all values, those beyond the bounds in the first and last range."""
    ranks = np.array([0, *sketch.below(bounds[1:-1]), sketch.weight])
    return tuple((np.diff(ranks) / sketch.weight).tolist())


# ---------------------------------------------------------------- by value


def _counts(feature: BaselineFeature) -> dict[str, int]:
    """Give each value with its count; numbers, too, while they are few; nothing if unknown."""
    if feature.categories:
        return {str(value): count for value, count in feature.categories.items() if count > 0}
    sketch = _sketch(feature)
    values, weights = sketch.weighted() if sketch else (np.empty(0), np.empty(0, np.int64))
    different, starts = np.unique(values, return_index=True)
    if not 0 < len(different) <= CATEGORIES_MAX:
        return {}
    counts = np.add.reduceat(weights, starts).tolist()
    return {text_of(each): count for each, count in zip(different.tolist(), counts, strict=True)}


def _by_value(current: Mapping[str, int], baseline: Mapping[str, int]) -> Shares:
    ours, theirs = _value_shares(current), _value_shares(baseline)
    leading = sorted({*ours, *theirs}, key=lambda each: (-_larger(each, ours, theirs), each))
    drawn, others = _ordered(leading[:VALUES_MAX]), leading[VALUES_MAX:]
    labels = [shown(each, LABEL_MAX) or "(empty)" for each in drawn]
    return Shares(
        (*labels, *([counted(len(others), "other")] if others else ())),
        _along(ours, drawn, others),
        _along(theirs, drawn, others) if theirs else None,
        rest=bool(others),
    )


def _value_shares(counts: Mapping[str, int]) -> dict[str, float]:
    total = sum(counts.values())
    return {value: count / total for value, count in counts.items()}


def _larger(value: str, *sides: Mapping[str, float]) -> float:
    return max(side.get(value, 0.0) for side in sides)


def _ordered(values: list[str]) -> list[str]:
    """Put numbers in their order, leave texts in that of their shares."""
    if all(kind_of(each) in NUMERIC for each in values):
        return sorted(values, key=number_of)
    return values


def _along(shares: Mapping[str, float], drawn: list[str], others: list[str]) -> tuple[float, ...]:
    rest = (sum(shares.get(each, 0.0) for each in others),) if others else ()
    return (*(shares.get(each, 0.0) for each in drawn), *rest)
