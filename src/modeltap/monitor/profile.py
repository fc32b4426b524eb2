"""All that one pass over a dataset finds: rows, each column's summary, what was refused."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

from modeltap.monitor import summary
from modeltap.monitor.kinds import Tally
from modeltap.monitor.summary import Summary

SAMPLES_MAX = 10
"""Refused records of each reason that a report shows."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that could not be used, and where it stands; `excerpt` is cut short."""

    reason: str
    place: str  # file:line
    excerpt: str


@dataclass(frozen=True, slots=True)
class Rejects:
    """Records that could not be used: counted by reason, and some of them shown."""

    counts: Mapping[str, int] = field(default_factory=dict)
    samples: tuple[Reject, ...] = ()

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def __add__(self, other: "Rejects") -> "Rejects":
        counts = Counter(self.counts) + Counter(other.counts)
        return Rejects(dict(counts), _capped((*self.samples, *other.samples)))


def rejects_of(rejects: Iterable[Reject]) -> Rejects:
    found = list(rejects)
    return Rejects(dict(Counter(each.reason for each in found)), _capped(found))


def _capped(samples: Iterable[Reject]) -> tuple[Reject, ...]:
    seen = Counter[str]()
    kept = []
    for each in samples:
        seen[each.reason] += 1
        if seen[each.reason] <= SAMPLES_MAX:
            kept.append(each)
    return tuple(kept)


@dataclass(frozen=True, slots=True)
class Profile:
    """A dataset, or a part of one; columns in their order.

    `span`: the first and last `inferenceTime` of captured records, in the window or not.
    """

    rows: int = 0
    columns: Mapping[str, Summary] = field(default_factory=dict)
    rejects: Rejects = field(default_factory=Rejects)
    span: tuple[str, str] | None = None

    def bounded(self) -> "Profile":
        """Give what a profile of bounded size keeps."""
        columns = {name: each.bounded() for name, each in self.columns.items()}
        return replace(self, columns=columns)

    def finished(self) -> "Profile":
        """Give what documents are written from: nothing more is to be merged."""
        columns = {name: each.finished() for name, each in self.columns.items()}
        return replace(self, columns=columns)


def merged(many: Sequence[Profile]) -> Profile:
    """Merge profiles of parts, in the order of the parts.

    A column that a part does not know is missing in all of its rows.
    """
    rowed = [each for each in many if each.rows or each.columns]
    names = dict.fromkeys(name for each in rowed for name in each.columns)
    columns = {
        name: summary.merged([each.columns.get(name) or _absent(each.rows) for each in rowed])
        for name in names
    }
    rejects = reduce(Rejects.__add__, (each.rejects for each in many), Rejects())
    return Profile(sum(each.rows for each in many), columns, rejects, _united(many))


def _united(many: Sequence[Profile]) -> tuple[str, str] | None:
    spans = [each.span for each in many if each.span is not None]
    return (min(first for first, _ in spans), max(last for _, last in spans)) if spans else None


def _absent(rows: int) -> Summary:
    return Summary(Tally(missing=rows))
