"""Shares and distances → where things stand on a small drawing; plain numbers, no text of SVG.

Units are those of a drawing `WIDTH` wide; it is scaled to the room that it gets.
"""

from dataclasses import dataclass
from math import isfinite

from modeltap.monitor.checks import Drift
from modeltap.monitor.report.shares import Shares
from modeltap.monitor.report.text import shown

WIDTH = 280
HEIGHT = 84
"""Of a histogram, without its scale."""

ROW = 18
BARS_FROM, BARS_TO = 88, 184
"""Where the bars of values begin, and where the longest ends: labels left, numbers right."""

VALUE_CHARACTERS = 15
METER_TIMES = 2
"""A meter reaches to so many thresholds, or to the greatest distance if that is more."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One range of a histogram: where a pointer finds its words."""

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """Two outlines, as paths, and what is written below them."""

    current: str
    baseline: str | None
    slots: tuple[Slot, ...]
    slot_width: float
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One value: a broad bar of the baseline with the narrow one of the current data upon it.

    The rest has none: it would dwarf the others.
    """

    y: int
    label: str
    current: float | None
    baseline: float | None
    text: str

    @property
    def share_text(self) -> str:
        return self.text.rpartition(": ")[2]


@dataclass(frozen=True, slots=True)
class Meter:
    """Distances beside their threshold, on one scale."""

    threshold: float
    aws: float
    exact: float


def histogram(shares: Shares) -> Histogram:
    width = WIDTH / len(shares.current)
    return Histogram(
        _outline(shares.current, shares.top),
        None if shares.baseline is None else _outline(shares.baseline, shares.top),
        tuple(Slot(_short(at * width), text) for at, text in enumerate(shares.texts)),
        _short(width),
        shares.low,
        shares.high,
    )


def _outline(shares: tuple[float, ...], top: float) -> str:
    """Draw steps from the lower left corner to the lower right one."""
    width = WIDTH / len(shares)
    steps = (
        f"V{_short(HEIGHT - HEIGHT * share / (top or 1)):g}H{_short(width * (at + 1)):g}"
        for at, share in enumerate(shares)
    )
    return f"M0 {HEIGHT}{''.join(steps)}V{HEIGHT}"


def bars(shares: Shares) -> tuple[Bar, ...]:
    drawn = len(shares.labels) - shares.rest
    return tuple(
        Bar(
            at * ROW,
            shown(label, VALUE_CHARACTERS),
            _length(shares.current, at, shares.top) if at < drawn else None,
            _length(shares.baseline, at, shares.top) if shares.baseline and at < drawn else None,
            text,
        )
        for at, (label, text) in enumerate(zip(shares.labels, shares.texts, strict=True))
    )


def _length(shares: tuple[float, ...], at: int, top: float) -> float:
    return _short((BARS_TO - BARS_FROM) * shares[at] / (top or 1))


def meter(drift: Drift) -> Meter | None:
    """Lay out distances; None for a p-value, which is low where a distance is high."""
    if drift.is_p_value or not (isfinite(drift.aws) and isfinite(drift.exact)):
        return None
    scale = max(METER_TIMES * drift.threshold, drift.aws, drift.exact) or 1.0
    places = (drift.threshold, drift.aws, drift.exact)
    return Meter(*(_short(WIDTH * each / scale) for each in places))


def _short(length: float) -> float:
    return round(length, 1)
