"""`statistics.json`: what a profile says, in AWS's document (contract §4.3)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from modeltap.monitor.failure import AnalysisFailed
from modeltap.monitor.kinds import NUMERIC, Kind
from modeltap.monitor.profile import Profile
from modeltap.monitor.sketch import C, K, Sketch
from modeltap.monitor.summary import Numbers, Summary
from modeltap.nouns import Document

BUCKETS = 10


def statistics_of(profile: Profile) -> Document:
    """Write a profile down; a dataset without rows has the columns that its reader expected."""
    return {
        "version": 0.0,
        "dataset": {"item_count": profile.rows},
        "features": [feature_of(name, each) for name, each in profile.columns.items()],
    }


def feature_of(name: str, summary: Summary) -> Document:
    kind = summary.tally.kind()
    feature: Document = {"name": name, "inferred_type": kind.value}
    if kind in NUMERIC:
        return {**feature, "numerical_statistics": _numerical(summary)}
    if kind is Kind.STRING:
        return {**feature, "string_statistics": _string(summary)}
    return {**feature, "string_statistics": {"common": _common(summary), "distinct_count": 0.0}}


def _common(summary: Summary) -> Document:
    return {"num_present": summary.tally.present, "num_missing": summary.tally.missing}


def _numerical(summary: Summary) -> Document:
    moments = summary.numbers.moments
    return {
        "common": _common(summary),
        "mean": moments.mean,
        "sum": moments.sum,
        "std_dev": moments.std_dev,
        "min": moments.low,
        "max": moments.high,
        "distribution": {"kll": _kll(summary.numbers)},
    }


def _kll(numbers: Numbers) -> Document:
    sketch = numbers.sketch()
    return {
        "buckets": buckets_of(sketch, numbers.moments.low, numbers.moments.high),
        "sketch": {
            "parameters": {"c": C, "k": float(K)},
            "data": [level.tolist() for level in sketch.levels],
        },
    }


def buckets_of(sketch: Sketch, low: float, high: float) -> list[Document]:
    """Count what lies in ten equal widths, by the sketch's ranks; the last one is closed above.

    The bounds are computed in Deequ's order of operations, so that their last digits agree; where
    rounding leaves the last one below the greatest value, that value is counted nowhere, as there.
    """
    span = high - low
    bounds = np.array([low + span * at / BUCKETS for at in range(BUCKETS + 1)])
    ranks = sketch.below(bounds)
    ranks[-1] = sketch.below(bounds[-1:], inclusive=True)[0]
    counts = np.diff(ranks)
    return [
        {"lower_bound": lower, "upper_bound": upper, "count": float(count)}
        for lower, upper, count in zip(
            bounds[:-1].tolist(), bounds[1:].tolist(), counts, strict=True
        )
    ]


def _string(summary: Summary) -> Document:
    statistics: Document = {
        "common": _common(summary),
        "distinct_count": float(summary.distinct()),
    }
    categories = summary.categories()
    if categories is None:
        return statistics
    buckets = [{"value": value, "count": count} for value, count in ranked(categories)]
    return {**statistics, "distribution": {"categorical": {"buckets": buckets}}}


def ranked(categories: Mapping[str, int]) -> list[tuple[str, int]]:
    """Give the most frequent first, equals by their text."""
    return sorted(categories.items(), key=lambda item: (-item[1], item[0]))


# ---------------------------------------------------------------- reading one


@dataclass(frozen=True, slots=True)
class BaselineFeature:
    """What the baseline's statistics say of a column's distribution, if anything."""

    sketch: Sketch | None
    categories: Mapping[str, int] | None


def baseline_features(statistics: Document) -> dict[str, BaselineFeature]:
    """Read a `statistics.json`, ours or AWS's. Raise `AnalysisFailed`."""
    try:
        return {each["name"]: _baseline_feature(each) for each in statistics["features"]}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AnalysisFailed(
            f"The baseline's statistics are no statistics.json: {error!r}. "
            "Give the file that a baseline job wrote."
        ) from error


def _baseline_feature(feature: Document) -> BaselineFeature:
    kll = (feature.get("numerical_statistics") or {}).get("distribution", {}).get("kll")
    words = (feature.get("string_statistics") or {}).get("distribution", {}).get("categorical")
    levels = (kll or {}).get("sketch", {}).get("data")
    return BaselineFeature(
        Sketch(tuple(np.array(level, np.float64) for level in levels)) if levels else None,
        {each["value"]: int(each["count"]) for each in words["buckets"]} if words else None,
    )
