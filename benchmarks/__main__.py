"""`scripts/bench`: measure, print, keep; `--page` renders what is kept."""

import argparse
import shlex
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine, page, results
from benchmarks.environments import ROOT, Unavailable
from benchmarks.model import trained
from benchmarks.results import Circumstances, Plan
from benchmarks.scenarios import SCENARIOS

RESULTS = ROOT / "benchmarks" / "results" / "latest.json"
DOCUMENTS = ROOT / "docs"
FULL, QUICK, TINY = (5, 5.0, 1_000_000), (2, 2.0, 100_000), (1, 1.0, 2_000)
"""Rounds, seconds of a slice, and records of an analysis."""

LEFT_OUT = ("soak",)
"""What runs only when it is named."""


def main(words: list[str]) -> int:
    given = _arguments(words)
    if given.page:
        _write_page(given.results, given.documents)
        return 0
    rounds, seconds, records = TINY if given.tiny else QUICK if given.quick else FULL
    model = trained(given.folder / "model")
    rounds, records = given.rounds or rounds, given.records or records
    contenders = tuple(given.contenders)
    plan = Plan(given.folder, model, rounds, seconds, given.minutes, records, contenders)
    lacking = []
    for name in given.only or [name for name in SCENARIOS if name not in LEFT_OUT]:
        circumstances = _circumstances(words)
        try:
            section = SCENARIOS[name](plan)
        except Unavailable as unavailable:
            lacking.append(name)
            print(f"\n{name}: not measured: {unavailable}", file=sys.stderr)
            continue
        kept = results.load(given.results) | {name: (section, circumstances)}
        results.save(given.results, {key: kept[key] for key in SCENARIOS if key in kept})
        print(page.plain(section), flush=True)
    return 1 if lacking else 0


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(SCENARIOS), metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--tiny", action="store_true", help="one round, to see that it works")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=10, help="of the soak")
    parser.add_argument(
        "--records",
        type=int,
        default=0,
        help="of the analysis (monitor), and of the hour (runs: kB of it)",
    )
    parser.add_argument("--contenders", nargs="+", default=(), help="of the analysis; else all")
    parser.add_argument("--page", action="store_true", help="write docs/performance.md")
    parser.add_argument("--folder", type=Path, default=ROOT / ".bench", help="for homes and model")
    parser.add_argument("--results", type=Path, default=RESULTS, help="what is kept")
    parser.add_argument("--documents", type=Path, default=DOCUMENTS, help="where the page goes")
    given = parser.parse_args(words)
    given.folder = given.folder.absolute()
    return given


def _circumstances(words: list[str]) -> Circumstances:
    return Circumstances(
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        command=shlex.join(["scripts/bench", *words]),
        machine=machine.description(),
        busy_percent=machine.busy_percent(),
    )


def _write_page(kept: Path, documents: Path) -> None:
    (documents / "performance.md").write_text(page.markdown(results.load(kept), documents))


def _told_to_stop(*_: object) -> None:
    sys.exit(143)  # unwinds, so that no server and no mount is left behind


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _told_to_stop)
    sys.exit(main(sys.argv[1:]))
