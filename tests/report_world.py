"""Findings of small tables, made by the monitor's own parts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from modeltap.monitor.checks import check, drifts_of
from modeltap.monitor.columns import summary_of
from modeltap.monitor.constraints import constraints_of, read_constraints
from modeltap.monitor.findings import Findings, Offender
from modeltap.monitor.profile import Profile
from modeltap.monitor.statistics import baseline_features, statistics_of
from modeltap.nouns import Document

Table = Mapping[str, Sequence[str | None]]


def profile_of(table: Table) -> Profile:
    columns = {name: summary_of(pa.array(texts, pa.string())) for name, texts in table.items()}
    return Profile(len(next(iter(table.values()), ())), columns)


def described(table: Table, **more: Any) -> Findings:
    """Give what a baseline run finds."""
    profile = profile_of(table)
    return Findings("a table", statistics_of(profile), constraints_of(profile), **more)


def compared(baseline: Table, current: Table, config: Document | None = None) -> Findings:
    """Give what a run with a baseline finds; `config` changes its distribution constraints."""
    known, now = profile_of(baseline), profile_of(current)
    statistics, document = statistics_of(known), constraints_of(known)
    document["monitoring_config"]["distribution_constraints"] |= config or {}
    constraints = read_constraints(document)
    drifts = drifts_of(now, constraints, baseline_features(statistics))
    violations = check(now, constraints, drifts)
    return replace(
        described(current),
        baseline_statistics=statistics,
        baseline_constraints=document,
        violations=violations,
        drifts=drifts,
        offenders={
            (each.feature, each.check): tuple(Offender(f"event-{at}", None) for at in range(10))
            for each in violations
        },
    )


def spread(count: int, shift: float = 0.0) -> list[str]:
    """Give numbers without repetition, evenly spread over [shift, 1 + shift)."""
    return [f"{(at * 0.618034) % 1 + shift:.6f}" for at in range(count)]
