"""Sets of sequence numbers, as spans: what tells a hole from a whole.

A slot's records are numbered from 1 without a gap, at the sampling decision. So what became of them
tiles: the numbers in objects, in segments and in the ring do not overlap, and what none of them has
was dropped.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

Span = tuple[int, int]
"""First and last number, both in it."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """Spans in order, none touching another. Text: `1-5,7,9-12`."""

    spans: tuple[Span, ...] = ()

    @classmethod
    def of(cls, numbers: Iterable[int]) -> Self:
        return cls.joined((number, number) for number in numbers)

    @classmethod
    def joined(cls, spans: Iterable[Span]) -> Self:
        """Unite spans in any order, overlapping or not."""
        merged: list[Span] = []
        for first, last in sorted(spans):
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = merged[-1][0], max(merged[-1][1], last)
            else:
                merged.append((first, last))
        return cls(tuple(merged))

    @classmethod
    def up_to(cls, last: int) -> Self:
        """Give the numbers from 1 on."""
        return cls(((1, last),) if last else ())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text that `str` gives. Raise `ValueError` on another."""
        return cls.joined(_span(part) for part in text.split(",") if part)

    def __str__(self) -> str:
        return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in self.spans)

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.spans)

    def __or__(self, other: "Numbers") -> "Numbers":
        return Numbers.joined((*self.spans, *other.spans))

    def __and__(self, other: "Numbers") -> "Numbers":
        return Numbers(tuple(_common(self.spans, other.spans)))

    def __sub__(self, other: "Numbers") -> "Numbers":
        return Numbers(tuple(_remaining(self.spans, other.spans)))


def _span(text: str) -> Span:
    first, _, last = text.partition("-")
    span = int(first), int(last or first)
    if not 0 < span[0] <= span[1]:
        raise ValueError(f"no span of sequence numbers: {text!r}")
    return span


def _common(ours: tuple[Span, ...], others: tuple[Span, ...]) -> Iterator[Span]:
    at = 0
    for first, last in ours:
        while at < len(others) and others[at][1] < first:
            at += 1
        here = at
        while here < len(others) and others[here][0] <= last:
            yield max(first, others[here][0]), min(last, others[here][1])
            here += 1


def _remaining(ours: tuple[Span, ...], others: tuple[Span, ...]) -> Iterator[Span]:
    common = list(_common(ours, others))
    at = 0
    for first, last in ours:
        while at < len(common) and common[at][0] <= last:
            if first < common[at][0]:
                yield first, common[at][0] - 1
            first = common[at][1] + 1
            at += 1
        if first <= last:
            yield first, last
