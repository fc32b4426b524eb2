"""Sums of doubles and of their squares that are exact, so that no split and no order shows in them.

A double is a whole number of 2^-1074, its square one of 2^-2148: the sums are kept as Python's
whole numbers in these units, and rounded once, at the end. The arrays are cut into slices of 21
bits on common grids (as in Ozaki's error-free products), whose row sums and dot products a double
holds exactly; three or four slices make up most columns, so it costs a few passes over memory.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

UNIT = 1074  # a double is a whole number of 2^-UNIT
SLICE_BITS = 21
ROW = 1024  # values a row: 2^10 products of 2^42 stay below 2^53
BLOCK = 64 * ROW  # values a turn, which stay in the processor's cache
EXPONENT_MAX = 400  # beyond 2^±400 squares might leave the range of a double: one by one


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, sum and sum of squares of numbers, exact; their least and greatest."""

    count: int = 0
    total: int = 0  # in units of 2^-1074
    squares: int = 0  # in units of 2^-2148
    low: float = math.inf
    high: float = -math.inf

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            self.count + other.count,
            self.total + other.total,
            self.squares + other.squares,
            min(self.low, other.low),
            max(self.high, other.high),
        )

    @property
    def sum(self) -> float:
        return _rounded(self.total, 1 << UNIT)

    @property
    def mean(self) -> float:
        """Give the rounded sum by the count, as AWS does; where the sum has no double, exactly."""
        rounded = self.sum
        return rounded / self.count if math.isfinite(rounded) else self.total / (self.count << UNIT)

    @property
    def std_dev(self) -> float:
        """Give the population's deviation, rounded twice: the variance and its root."""
        scaled = self.count * self.squares - self.total * self.total
        variance = _rounded(scaled, self.count * self.count << 2 * UNIT)
        if math.isfinite(variance):
            return math.sqrt(variance)
        return math.isqrt(scaled) / (self.count << UNIT)


def _rounded(numerator: int, denominator: int) -> float:
    try:
        return numerator / denominator  # whole by whole: rounded once, correctly
    except OverflowError:
        return math.inf if numerator > 0 else -math.inf


def of_doubles(values: Doubles) -> Moments:
    """Sum up finite doubles."""
    blocks = (values[at : at + BLOCK] for at in range(0, len(values), BLOCK))
    return sum(map(_of_block, blocks), Moments())


def _of_block(values: Doubles) -> Moments:
    low, high = float(values.min()), float(values.max())
    size = np.abs(values)
    plain = (size < 2.0**EXPONENT_MAX) & ((size > 2.0**-EXPONENT_MAX) | (size == 0))
    if plain.all():
        total, squares = _sums(values)
    else:
        total, squares = _sums(values[plain])
        for value in values[~plain].tolist():
            unit = _units(value)
            total, squares = total + unit, squares + unit * unit
    return Moments(len(values), total, squares, low, high)


def of_counts(values: NDArray[np.int64], counts: NDArray[np.int64]) -> Moments:
    """Sum up whole numbers, ascending and not empty, that each come so often."""
    low, high, count = int(values[0]), int(values[-1]), int(counts.sum())
    if max(low * low, high * high) * count < 1 << 63:
        total, squares = int(values @ counts), int(values * values @ counts)
    else:
        pairs = list(zip(values.tolist(), counts.tolist(), strict=True))
        total = sum(value * times for value, times in pairs)
        squares = sum(value * value * times for value, times in pairs)
    return Moments(count, total << UNIT, squares << 2 * UNIT, float(low), float(high))


def _units(value: float) -> int:
    numerator, denominator = value.as_integer_ratio()
    return (numerator << UNIT) // denominator


def _sums(values: Doubles) -> tuple[int, int]:
    slices = list(_slices(values))
    total = sum(_shifted(one.sum(axis=1), grid, UNIT) for one, grid in slices)
    squares = 0
    for at, (one, grid) in enumerate(slices):
        squares += _shifted(np.einsum("ij,ij->i", one, one), 2 * grid, 2 * UNIT)
        for other, beside in slices[at + 1 :]:
            squares += 2 * _shifted(np.einsum("ij,ij->i", one, other), grid + beside, 2 * UNIT)
    return total, squares


def _slices(values: Doubles) -> Iterator[tuple[Doubles, int]]:
    """Cut all values into parts that are small whole numbers of 2^grid; give parts and grid."""
    rest = np.zeros((-(-len(values) // ROW), ROW))
    rest.reshape(-1)[: len(values)] = values
    while len(values) and (largest := float(np.abs(rest).max())) > 0:
        grid = math.frexp(largest)[1] - SLICE_BITS
        shift = math.ldexp(1.5, grid + 52)  # so large that its last bit is the grid
        part = (rest + shift) - shift
        yield part, grid
        rest -= part


def _shifted(sums: Doubles, grid: int, unit: int) -> int:
    whole: list[int] = np.ldexp(sums, -grid).astype(np.int64).tolist()
    return sum(whole) << (unit + grid)
