"""What is known of one column: a value with a zero and a merge, so that data may be split anyhow.

Count, types, sums, extremes and missing values are exact, whatever the split. A summary that is
kept whole holds the numbers themselves; a bounded one holds their sketch, and its size does not
grow with the data.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from modeltap.monitor import sketch, words
from modeltap.monitor.counting import counted
from modeltap.monitor.kinds import Tally
from modeltap.monitor.moments import Moments
from modeltap.monitor.sketch import IN_ORDER_MAX, Sketch
from modeltap.monitor.words import Words


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of a column: chunks in the order of the data, or a sketch of them, or both."""

    moments: Moments = field(default_factory=Moments)
    chunks: tuple[np.ndarray, ...] | None = ()  # of doubles, or of whole numbers of any width
    sketched: Sketch | None = None

    def sketch(self) -> Sketch:
        """Sketch them: in their order while they are few, as AWS does (`sketch.IN_ORDER_MAX`)."""
        if self.sketched is not None:
            return self.sketched
        values = _joined(self)
        if len(values) <= IN_ORDER_MAX:
            return sketch.in_order(values.astype(np.float64))
        return _sketch_of_many(values)

    def bounded(self) -> "Numbers":
        """Give what a summary of bounded size keeps."""
        if self.chunks is None:
            return self
        return Numbers(self.moments, None, _sketch_of_many(_joined(self)))

    def finished(self) -> "Numbers":
        """Give them with their sketch: nothing more is to be merged."""
        return replace(self, sketched=self.sketch())


def _sketch_of_many(values: np.ndarray) -> Sketch:
    """Sketch an array that nobody else has: it may be put in order."""
    if values.dtype.kind == "i" and len(values):
        found = counted(values)
        if found is not None:
            return sketch.of_counts(found.values.astype(np.float64), found.counts)
    doubles = values.astype(np.float64, copy=False)
    doubles.sort()
    return sketch.of_sorted(doubles)


@dataclass(frozen=True, slots=True)
class Summary:
    """One column. `words` holds its texts that are no numbers; all of them if `textual`.

    `watched`: how often the values came that the baseline knows, however many others there are.
    """

    tally: Tally = field(default_factory=Tally)
    numbers: Numbers = field(default_factory=Numbers)
    words: Words = field(default_factory=Words)
    textual: bool = False
    watched: Mapping[str, int] = field(default_factory=dict)

    def bounded(self) -> "Summary":
        return replace(self, numbers=self.numbers.bounded(), words=self.words.bounded())

    def finished(self) -> "Summary":
        """Give what a document is written from: nothing more is to be merged."""
        return replace(self, numbers=self.numbers.finished())

    def categories(self) -> dict[str, int] | None:
        """Give each value with its count; None if there are too many (`words.CATEGORIES_MAX`)."""
        if self.words.counts is None or self.textual:
            return None if self.words.counts is None else dict(self.words.counts)
        numbers = _number_counts(self.numbers)
        if numbers is None or len(numbers) + len(self.words.counts) > words.CATEGORIES_MAX:
            return None
        return {**self.words.counts, **numbers}

    def known_counts(self) -> Mapping[str, int]:
        """Give each value with its count; where there are too many, those that are watched."""
        categories = self.categories()
        return self.watched if categories is None else categories

    def distinct(self) -> int:
        """Tell how many values are different; numbers in a column of texts by their value."""
        if self.textual or not self.tally.numeric:
            return self.words.distinct
        return self.words.distinct + _distinct_numbers(self.numbers)


def _distinct_numbers(numbers: Numbers) -> int:
    if numbers.chunks is None:  # those that the sketch holds: there are more
        return len(np.unique(numbers.sketch().weighted()[0]))
    return len(np.unique(_joined(numbers)))


def _joined(numbers: Numbers) -> np.ndarray:
    return np.concatenate([*(numbers.chunks or ()), np.empty(0, np.int8)])


def _number_counts(numbers: Numbers) -> dict[str, int] | None:
    if numbers.chunks is None:
        return None if numbers.moments.count else {}
    values, counts = np.unique(_joined(numbers), return_counts=True)
    if len(values) > words.CATEGORIES_MAX:
        return None
    return {
        text_of(value): count for value, count in zip(values.tolist(), counts.tolist(), strict=True)
    }


def text_of(number: float) -> str:
    """Write a number as the category that it is."""
    return str(int(number)) if float(number).is_integer() and abs(number) < 1e15 else repr(number)


def merged(many: Sequence[Summary]) -> Summary:
    """Merge summaries of parts of a column, in the order of the parts."""
    if len(many) == 1:
        return many[0]
    numbers = [each.numbers for each in many]
    return Summary(
        sum((each.tally for each in many), Tally()),
        _merged_numbers(numbers),
        words.merged(each.words for each in many),
        any(each.textual for each in many),
        dict(sum((Counter(each.watched) for each in many), Counter())),
    )


def _merged_numbers(many: Sequence[Numbers]) -> Numbers:
    moments = sum((each.moments for each in many), Moments())
    if any(each.chunks is None for each in many):
        return Numbers(moments, None, sketch.merged([_bounded_sketch(each) for each in many]))
    return Numbers(moments, tuple(chunk for each in many for chunk in each.chunks or ()))


def _bounded_sketch(numbers: Numbers) -> Sketch:
    return numbers.bounded().sketch()
