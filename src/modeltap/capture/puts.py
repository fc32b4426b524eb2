"""How stores have answered one shipper since it started, for those who scrape: `shipper.json`.

The shipper is a process of its own, so it publishes this by rename: a reader sees it whole or not
at all. Losing it loses nothing but metrics.

    {"outcomes": {OUTCOME: PUTS}, "waiting": {DESTINATION: [OUTCOME, WORDS]},
     "unconditional": [DESTINATION]}
"""

from contextlib import suppress
from dataclasses import dataclass, field

import orjson

from modeltap.capture.folder import SpoolFolder
from modeltap.capture.outcome import Outcome

NAME = "shipper.json"


@dataclass(frozen=True, slots=True)
class Puts:
    """Counts from the shipper's start; all empty where none has published yet."""

    outcomes: dict[Outcome, int] = field(default_factory=dict)
    waiting: dict[str, tuple[Outcome, str]] = field(default_factory=dict)
    """Destinations that take nothing now: why, and what the store said."""
    unconditional: tuple[str, ...] = ()
    """Destinations whose store knows no conditional put."""


def read_puts(spool: SpoolFolder) -> Puts:
    """Read what the shipper published last; nothing where that cannot be read."""
    try:
        document = orjson.loads(spool.disk.read(spool.root / NAME))
        return Puts(
            {Outcome(name): count for name, count in document["outcomes"].items()},
            {name: (Outcome(why), words) for name, (why, words) in document["waiting"].items()},
            tuple(document["unconditional"]),
        )
    except (OSError, KeyError, TypeError, ValueError, AttributeError):
        return Puts()


def write_puts(spool: SpoolFolder, puts: Puts) -> None:
    """Publish. Raise `OSError`."""
    document = {
        "outcomes": {outcome.value: count for outcome, count in puts.outcomes.items()},
        "waiting": puts.waiting,
        "unconditional": puts.unconditional,
    }
    path = spool.root / f"{NAME}.new"
    with suppress(FileNotFoundError):
        spool.disk.unlink(path)  # of a shipper that was killed
    file = spool.disk.create(path)
    try:
        file.write_at(0, orjson.dumps(document))
    finally:
        file.close()
    spool.disk.rename(path, spool.root / NAME)
