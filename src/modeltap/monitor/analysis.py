"""One analysis, from files to findings: the order of its steps, and nothing else.

plan ─▶ parts, each a file's profile ─▶ merged ─▶ statistics, constraints
                                            └──▶ drifts ─▶ violations ─▶ their records
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from modeltap.monitor.careful import width_of
from modeltap.monitor.checks import check, drifts_of
from modeltap.monitor.constraints import Constraints, constraints_of, read_constraints
from modeltap.monitor.datasets import summarise
from modeltap.monitor.executor import Executor, executor_for
from modeltap.monitor.failure import AnalysisFailed
from modeltap.monitor.findings import Findings
from modeltap.monitor.folding import Folding
from modeltap.monitor.kinds import Kind
from modeltap.monitor.offenders import offenders_of
from modeltap.monitor.plan import Format, Plan
from modeltap.monitor.profile import Profile, Rejects
from modeltap.monitor.statistics import BaselineFeature, baseline_features, statistics_of
from modeltap.nouns import Document

FILES_LOOKED_AT = 10  # for how many values their rows have
MEMORY_OF_A_BYTE = 2
"""Bytes of memory that a whole summary may take for each byte of its file."""

MEMORY_BYTES_MAX = 2 << 30
"""Where nothing else is asked for."""

Progress = Callable[[int, int], object]
"""Hears how many bytes of the files are done, and of how many."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be analysed, and against what; `plan` says how the files are read.

    `rejects` were found before: what of the data is in no file.
    """

    title: str
    files: Sequence[Path]
    plan: Plan
    baseline_constraints: Document | None = None
    baseline_statistics: Document | None = None
    memory_bytes_max: int = MEMORY_BYTES_MAX
    categorical_drift_method: str = "LInfinity"
    rejects: Rejects = field(default_factory=Rejects)


@dataclass(frozen=True, slots=True)
class _Baseline:
    constraints: Constraints = field(default_factory=lambda: Constraints(evaluate=False))
    features: Mapping[str, BaselineFeature] = field(default_factory=dict)


def analyse(request: Request, progress: Progress, executor: Executor | None = None) -> Findings:
    """Analyse. Raise `AnalysisFailed` where data or baseline cannot be used.

    Summaries are whole while the files are small enough for `memory_bytes_max`, else bounded.
    `executor` is chosen by size and kind of the data unless it is given.
    """
    baseline = _read_baseline(request)
    width = _width(request)
    plan = _planned(request, baseline, width)
    executor = executor or _executor(request.files, plan, width)
    found = _profiled(request.files, plan, executor, progress)
    if request.baseline_constraints is None:
        found = _reread(found, request, plan, executor, progress)
    found = replace(found.finished(), rejects=request.rejects + found.rejects)
    _require_rows(found, request)
    drifts = drifts_of(found, baseline.constraints, baseline.features)
    violations = check(found, baseline.constraints, drifts)
    return Findings(
        title=request.title,
        statistics=statistics_of(found),
        constraints=constraints_of(found, request.categorical_drift_method),
        rejects=found.rejects,
        baseline_statistics=request.baseline_statistics,
        baseline_constraints=request.baseline_constraints,
        violations=violations,
        matching={
            each.name: found.columns[each.name].tally.matching(each.kind)
            for each in baseline.constraints.features
            if each.name in found.columns
        },
        drifts=drifts,
        offenders=offenders_of(
            violations,
            found,
            baseline.constraints,
            baseline.features,
            request.files,
            plan,
            executor,
        ),
        window=window_of(plan),
    )


def _read_baseline(request: Request) -> _Baseline:
    if request.baseline_constraints is None:
        return _Baseline()
    constraints = read_constraints(request.baseline_constraints)
    statistics = request.baseline_statistics
    return _Baseline(constraints, {} if statistics is None else baseline_features(statistics))


def window_of(plan: Plan) -> tuple[str, str] | None:
    """Give the first moment of a plan's window, and the first behind it."""
    return None if plan.start is None or plan.end is None else (plan.start, plan.end)


# ---------------------------------------------------------------- planning


def _planned(request: Request, baseline: _Baseline, width: int) -> Plan:
    plan = request.plan
    names = plan.names or baseline.constraints.names
    if plan.format is Format.CAPTURE:
        names = _as_many(names, width or len(names))
    size = sum(file.stat().st_size for file in request.files)
    return replace(
        plan,
        names=names,
        textual=frozenset(
            each.name for each in baseline.constraints.features if each.kind is Kind.STRING
        ),
        watched=_watched(baseline),
        whole=size * MEMORY_OF_A_BYTE <= request.memory_bytes_max,
    )


def _executor(files: Sequence[Path], plan: Plan, width: int) -> Executor:
    named = plan.format is Format.CAPTURE and not width
    in_python = plan.preprocessor is not None or plan.format is Format.JSON or named
    return executor_for([file.stat().st_size for file in files], in_python=in_python)


def _width(request: Request) -> int:
    """Tell how many values captured rows have, if they have no names."""
    if request.plan.format is not Format.CAPTURE:
        return 0
    looked_at = request.files[:FILES_LOOKED_AT]
    return next((found for file in looked_at if (found := width_of(file, request.plan))), 0)


def _as_many(names: tuple[str, ...], width: int) -> tuple[str, ...]:
    """Give as many names as there are values: the baseline's, and numbers beyond."""
    return (*names[:width], *(f"_c{at}" for at in range(len(names), width)))


def _watched(baseline: _Baseline) -> dict[str, tuple[str, ...]]:
    """Give the values that a check will ask for."""
    watched: dict[str, tuple[str, ...]] = {}
    for feature in baseline.constraints.features:
        known = baseline.features.get(feature.name)
        categories = (known.categories if known else None) or {}
        if values := dict.fromkeys([*feature.domains, *categories]):
            watched[feature.name] = tuple(values)
    return watched


# ---------------------------------------------------------------- profiling


def _profiled(files: Sequence[Path], plan: Plan, executor: Executor, progress: Progress) -> Profile:
    sizes = [file.stat().st_size for file in files]
    folding = Folding(whole=plan.whole)
    done = 0
    for at, part in executor.map(partial(summarise, plan=plan), files):
        folding.add(at, part)
        done += sizes[at]
        progress(done, sum(sizes))
    return folding.whole()


def _reread(
    found: Profile, request: Request, plan: Plan, executor: Executor, progress: Progress
) -> Profile:
    """Read a new baseline's columns of numbers and other texts again, now all of it as text.

    So the categories that are kept for later are those of the file: `007` is none of `7`.
    """
    mixed = {
        name
        for name, each in found.columns.items()
        if each.tally.kind() is Kind.STRING and each.tally.numeric
    }
    if not mixed:
        return found
    return _profiled(request.files, replace(plan, textual=frozenset(mixed)), executor, progress)


def _require_rows(found: Profile, request: Request) -> None:
    if found.rows:
        return
    refused = ", ".join(f"{count} {reason}" for reason, count in found.rejects.counts.items())
    if refused and found.rejects.samples:
        refused += f" (as {found.rejects.samples[0].place})"
    within = f" from {request.plan.start} to {request.plan.end}" if request.plan.start else ""
    raise AnalysisFailed(
        f"Job inputs had no data: no usable row in {len(request.files)} files{within}"
        + (f"; refused: {refused}." if refused else ".")
        + " Check the dataset's address, its format and the window."
    )
