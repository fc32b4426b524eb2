"""What texts a column holds: each with its count while they are few, else how many there are.

Distinct texts are counted by their 64-bit hashes: exactly, as far as 64 bits go (two of a million
texts share one in 3 of 10^8 columns), while there are not too many; beyond that a HyperLogLog of
2^14 registers estimates their number within about 1 %. It is built from the same hashes, so the
order of additions shows in nothing.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from modeltap.monitor.hashing import Hashes, hashes_of

CATEGORIES_MAX = 120
"""Distinct values up to which a column has a histogram: Deequ's threshold (contract §4.3.3)."""

HASHES_MAX = 1 << 16
"""Hashes of a column that a bounded summary keeps before it estimates."""

REGISTER_BITS = 14
REGISTERS = 1 << REGISTER_BITS

Registers = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Words:
    """Distinct texts of a column; exactly one of `hashes` and `registers` counts them."""

    counts: Mapping[str, int] | None = field(default_factory=dict)  # None: too many
    hashes: Hashes | None = field(default_factory=lambda: np.empty(0, np.uint64))  # ascending
    registers: Registers | None = None

    @property
    def distinct(self) -> int:
        """Tell how many there are; an estimate where there are registers."""
        if self.hashes is not None:
            return len(self.hashes)
        assert self.registers is not None
        return _estimate(self.registers)

    def bounded(self) -> "Words":
        """Give what a summary of bounded size keeps."""
        if self.hashes is None or len(self.hashes) <= HASHES_MAX:
            return self
        return Words(None, None, _registers(self.hashes))


def words_of(different: pa.StringArray, counts: NDArray[np.int64]) -> Words:
    """Keep different texts, which came so often each."""
    hashes = np.sort(hashes_of(different))
    if len(hashes) > CATEGORIES_MAX:
        return Words(None, hashes)
    return Words(dict(zip(different.to_pylist(), counts.tolist(), strict=True)), hashes)


def merged(many: Iterable[Words]) -> Words:
    """Unite; an estimate where one of them is."""
    all_words = list(many)
    if any(each.hashes is None for each in all_words):
        registers = [_registers_of(each) for each in all_words]
        return Words(None, None, np.maximum.reduce(registers))
    return Words(_united_counts(all_words), _united_hashes(all_words))


def _united_hashes(many: Iterable[Words]) -> Hashes:
    hashes = [each.hashes for each in many if each.hashes is not None and len(each.hashes)]
    if len(hashes) == 1:
        return hashes[0]
    united = np.sort(np.concatenate([*hashes, np.empty(0, np.uint64)]))
    first = np.append(True, united[1:] != united[:-1])[: len(united)]
    different: Hashes = united[first]  # sooner than by `np.unique`, which hashes them once more
    return different


def _united_counts(many: Iterable[Words]) -> dict[str, int] | None:
    united = Counter[str]()
    for each in many:
        if each.counts is None:
            return None
        united.update(each.counts)
    return dict(united) if len(united) <= CATEGORIES_MAX else None


# ---------------------------------------------------------------- HyperLogLog


def _registers_of(words: Words) -> Registers:
    if words.registers is not None:
        return words.registers
    assert words.hashes is not None
    return _registers(words.hashes)


def _registers(hashes: Hashes) -> Registers:
    """Keep for each group of hashes (by their first bits) the greatest rank of their first one."""
    registers = np.zeros(REGISTERS, np.uint8)
    group = (hashes >> np.uint64(64 - REGISTER_BITS)).astype(np.int64)
    rest = hashes & np.uint64((1 << 64 - REGISTER_BITS) - 1)
    bits = np.frexp(rest.astype(np.float64))[1]  # of 50 bits: exact in a double
    np.maximum.at(registers, group, (64 - REGISTER_BITS + 1 - bits).astype(np.uint8))
    return registers


def _estimate(registers: Registers) -> int:
    """Estimate as Flajolet et al. (2007): linear counting while registers are empty and few."""
    alpha = 0.7213 / (1 + 1.079 / REGISTERS)
    raw = alpha * REGISTERS * REGISTERS / float(np.sum(np.ldexp(1.0, -registers.astype(np.int32))))
    empty = int(np.count_nonzero(registers == 0))
    if empty and raw <= 2.5 * REGISTERS:
        return round(REGISTERS * math.log(REGISTERS / empty))
    return round(raw)
