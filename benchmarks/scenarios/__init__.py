"""The scenarios by name, in the order of the page. Each measures one thing and gives a section."""

from collections.abc import Callable, Mapping

from benchmarks.results import Plan, Section
from benchmarks.scenarios import (
    capture,
    drain,
    durability,
    fixed,
    frozen,
    idle,
    monitor,
    overload,
    peers,
    pieces,
    runs,
    scrape,
    soak,
    spool,
    uploads,
    verified,
)

Scenario = Callable[[Plan], Section]

SCENARIOS: Mapping[str, Scenario] = {
    "peers": peers.run,
    "capture": capture.run,
    "durability": durability.run,
    "verified": verified.run,
    "fixed": fixed.small,
    "bodies": fixed.large,
    "pieces": pieces.run,
    "overload": overload.run,
    "idle": idle.run,
    "uploads": uploads.run,
    "drain": drain.run,
    "frozen": frozen.run,
    "spool": spool.run,
    "scrape": scrape.run,
    "monitor": monitor.run,
    "runs": runs.run,
    "soak": soak.run,
}
"""What runs when nothing is named; the soak only by name."""
