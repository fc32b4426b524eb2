"""What an analysis found, ready to be written down, reported or looked at."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from modeltap.monitor.checks import Drift, Violation
from modeltap.monitor.profile import Rejects
from modeltap.nouns import Document


@dataclass(frozen=True, slots=True)
class Offender:
    """A record that does not keep to a constraint: where it stands, and the value at fault."""

    place: str  # the event id of a captured record, else file:row
    value: str | None  # None: missing


@dataclass(frozen=True, slots=True, eq=False)  # one is itself: what is drawn of it is kept by it
class Findings:
    """The documents of one analysis, and what lies behind them.

    A baseline run has neither baseline nor violations. `matching`: the share of a column's present
    values that fit the baseline's type. `offenders` holds, for a violation's feature
    and check, up to ten of its records; of a drift those where the distributions differ most.
    """

    title: str
    statistics: Document
    constraints: Document
    rejects: Rejects = field(default_factory=Rejects)
    baseline_statistics: Document | None = None
    baseline_constraints: Document | None = None
    violations: tuple[Violation, ...] = ()
    matching: Mapping[str, float] = field(default_factory=dict)
    drifts: tuple[Drift, ...] = ()
    offenders: Mapping[tuple[str, str], tuple[Offender, ...]] = field(default_factory=dict)
    window: tuple[str, str] | None = None  # ISO 8601, UTC: from, to
    notes: tuple[str, ...] = ()  # sentences that a reader must know, such as what is still pending

    @property
    def message(self) -> str:
        """Say how it ended, in AWS's words (contract §4.2)."""
        if not self.violations:
            return "Completed: Job completed successfully with no violations."
        count = len(self.violations)
        return f"CompletedWithViolations: Job completed successfully with {count} violations."
