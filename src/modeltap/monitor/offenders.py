"""The records behind a violation: up to ten for each, found by a second look at the files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modeltap.monitor.checks import COMPLETENESS, DATA_TYPE, DRIFT, VALUES, Violation
from modeltap.monitor.columns import numbers_of
from modeltap.monitor.constraints import Constraints, Feature
from modeltap.monitor.datasets import placed_tables
from modeltap.monitor.executor import Executor
from modeltap.monitor.findings import Offender
from modeltap.monitor.kinds import FRACTIONAL, INTEGRAL, Kind
from modeltap.monitor.plan import Plan
from modeltap.monitor.profile import Profile
from modeltap.monitor.statistics import BaselineFeature, buckets_of
from modeltap.monitor.summary import Summary

OFFENDERS_MAX = 10
VALUE_CHARACTERS = 200

Choose = Callable[[pa.StringArray], pa.BooleanArray]
"""Tell of each value of a column whether it offends; null counts as no. It can be pickled."""

Key = tuple[str, str]
"""Feature, check."""

Found = dict[Key, list[Offender]]


def offenders_of(
    violations: Sequence[Violation],
    profile: Profile,
    constraints: Constraints,
    baseline: Mapping[str, BaselineFeature],
    files: Sequence[Path],
    plan: Plan,
    executor: Executor,
) -> dict[Key, tuple[Offender, ...]]:
    """Find up to ten records of each violation of a column, in the order of the files."""
    wanted: dict[Key, Choose] = {}
    for each in violations:
        feature = constraints.index.get(each.feature)
        if feature is None:
            continue
        choose = _choice(each.check, feature, profile.columns[feature.name], baseline)
        if choose is not None:
            wanted[each.feature, each.check] = choose
    return _found(wanted, files, plan, executor) if wanted else {}


def _found(
    wanted: Mapping[Key, Choose], files: Sequence[Path], plan: Plan, executor: Executor
) -> dict[Key, tuple[Offender, ...]]:
    """Look at the first file, which mostly is enough, and else at others, several at once."""
    look = partial(_of_file, wanted=wanted, plan=plan)
    found = look(files[0])
    if not _enough(found):
        for part in _in_order(executor.map(look, files[1:])):
            found = {key: [*found[key], *part[key]][:OFFENDERS_MAX] for key in wanted}
            if _enough(found):
                break
    return {key: tuple(each) for key, each in found.items()}


def _in_order(parts: Iterator[tuple[int, Found]]) -> Iterator[Found]:
    """Give parts in the order of their files; one that comes early waits for those before it."""
    early: dict[int, Found] = {}
    following = 0
    for at, part in parts:
        early[at] = part
        while following in early:
            yield early.pop(following)
            following += 1


def _of_file(file: Path, wanted: Mapping[Key, Choose], plan: Plan) -> Found:
    found: Found = {key: [] for key in wanted}
    for places, columns in placed_tables(file, plan):
        for (name, check), choose in wanted.items():
            kept = found[name, check]
            if len(kept) < OFFENDERS_MAX:
                texts = columns.get(name, pa.nulls(len(places), pa.string()))
                kept.extend(_chosen(places, texts, choose, OFFENDERS_MAX - len(kept)))
        if _enough(found):
            break
    return found


def _enough(found: Found) -> bool:
    return all(len(each) == OFFENDERS_MAX for each in found.values())


def _chosen(
    places: pa.StringArray, texts: pa.StringArray, choose: Choose, count: int
) -> Iterator[Offender]:
    at = np.flatnonzero(np.asarray(pc.fill_null(choose(texts), fill_value=False)))[:count]
    for place, text in zip(places.take(at).to_pylist(), texts.take(at).to_pylist(), strict=True):
        yield Offender(place, None if text is None else text[:VALUE_CHARACTERS])


# ---------------------------------------------------------------- which values


def _choice(
    check: str, feature: Feature, current: Summary, baseline: Mapping[str, BaselineFeature]
) -> Choose | None:
    if check == COMPLETENESS:
        return _missing
    if check == DATA_TYPE:
        whole = INTEGRAL.pattern
        pattern = whole if feature.kind is Kind.INTEGRAL else f"{whole}|{FRACTIONAL.pattern}"
        return partial(_of_another_form, f"^(?:{pattern})$")
    if check == VALUES:
        return partial(_beyond, tuple(feature.domains))
    if check == DRIFT and feature.name in baseline:
        return _more_frequent(current, baseline[feature.name])
    return None


def _missing(texts: pa.StringArray) -> pa.BooleanArray:
    return pc.is_null(texts)


def _of_another_form(pattern: str, texts: pa.StringArray) -> pa.BooleanArray:
    return pc.invert(pc.match_substring_regex(texts, pattern))


def _beyond(domains: Sequence[str], texts: pa.StringArray) -> pa.BooleanArray:
    known = pc.is_in(texts, pa.array(domains, pa.string()))
    return pc.and_(pc.is_valid(texts), pc.invert(known))


def _equal(value: str, texts: pa.StringArray) -> pa.BooleanArray:
    return pc.equal(texts, value)


_NUMBER = f"^(?:{INTEGRAL.pattern}|{FRACTIONAL.pattern})$"


def _within(low: float, high: float, texts: pa.StringArray) -> pa.BooleanArray:
    plain = pc.fill_null(pc.match_substring_regex(texts, _NUMBER), fill_value=False)
    numbers = np.full(len(texts), np.nan)
    numbers[np.asarray(plain)] = numbers_of(texts.filter(plain))
    return pa.array((numbers >= low) & (numbers <= high))


def _more_frequent(current: Summary, baseline: BaselineFeature) -> Choose | None:
    """Choose the values whose share has grown most: a tenth of the range, or one category."""
    if baseline.sketch is not None:
        return partial(_within, *_grown_bucket(current, baseline))
    counts = current.known_counts()
    if not counts or not baseline.categories:
        return None
    n, m = current.tally.present, sum(baseline.categories.values())
    known = baseline.categories
    grown = max(counts, key=lambda value: counts[value] / n - known.get(value, 0) / m)
    return partial(_equal, grown)


def _grown_bucket(current: Summary, baseline: BaselineFeature) -> tuple[float, float]:
    assert baseline.sketch is not None
    sketch = current.numbers.sketch()
    theirs = baseline.sketch.weighted()[0]
    low = min(current.numbers.moments.low, float(theirs[0]))
    high = max(current.numbers.moments.high, float(theirs[-1]))
    ours, before = (
        np.array([each["count"] for each in buckets_of(one, low, high)]) / one.weight
        for one in (sketch, baseline.sketch)
    )
    grown = buckets_of(sketch, low, high)[int(np.argmax(ours - before))]
    return grown["lower_bound"], grown["upper_bound"]
