"""The analysis of captured records: CPU of the whole process tree and memory, beside others.

Contenders run one at a time on all cores, in turn, round by round, each on a hundred records (what
starting costs) and on its share of all.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import TypeVar

from benchmarks.environments import Unavailable
from benchmarks.monitor import cost
from benchmarks.monitor.contenders import (
    EVIDENTLY,
    EXACT,
    GENERAL,
    LIMIT,
    MERGEABLE,
    PART,
    WHYLOGS,
    Contender,
    Task,
    all_of_them,
)
from benchmarks.monitor.cost import Cost
from benchmarks.monitor.data import FILES, Input, made
from benchmarks.results import Bar, Cell, Plan, Reach, Section, Spread, Table

FEW = 100
"""Records that cost nothing beside starting."""

BOUNDED = 1_000_000
"""Records that the bounds in seconds are for."""

TEXT = """\
{records:,} captured records of 69 columns (20 numbers, 43 one-hot, 6 strings) in {files} files,
made by a seeded generator. *Records* are read as captured: {megabytes:,.0f} MB of JSON lines that
hold the rows in two CSV strings, *records of JSON* in two JSON objects, which are parsed one by
one; *CSV* is the same rows, plain. *All of it* is: what is missing, mean, population deviation,
smallest, largest, ten buckets and the 99 percentiles of each number; what is missing, distinct
values and, up to 120, their counts of each string. modeltap also checks against a baseline, and
writes its documents and a page. A *program* is ours, on that library, to the same end, as cheap as
we could make it: it is told the columns' types, which modeltap takes from its baseline, and neither
checks nor draws. Whatever a contender gives is compared with the
truth; estimates may be off by a percent of ranks, a tenth of the distinct values.

CPU is user and system time of the whole process tree, imports included; *start* is what the same
command takes on {few} records. Who is too slow for all runs on fewer: *all* is then *start*, and
the rest in proportion. *MiB* is the largest PSS of the tree. *Ratio* is CPU for all, to
modeltap's exact analysis.
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one contender took in one round."""

    start: Cost
    whole: Cost
    records: int

    def cpu_for(self, records: int) -> float:
        """Give CPU seconds for so many records: start, and the rest in proportion."""
        rest = max(0.0, self.whole.cpu_seconds - self.start.cpu_seconds)
        return self.whole.cpu_seconds + rest * max(0, records - self.records) / self.records


Round = dict[str, Turn]
Found = TypeVar("Found")


def run(plan: Plan) -> Section:
    """Measure all contenders in turn, round by round."""
    folder, contenders = plan.folder / "monitor", _taking_part(plan)
    reasons: dict[str, str] = {}
    _in_turn(contenders, reasons, "warming up", lambda each: _warm(folder, each, plan.records))
    rounds = [
        _in_turn(contenders, reasons, say, lambda each: _turn(folder, each, plan.records))
        for say in (f"round {number + 1}" for number in range(plan.rounds))
    ]
    return section(made(folder, plan.records), contenders, rounds, reasons)


def _in_turn(
    contenders: Sequence[Contender],
    reasons: dict[str, str],
    say: str,
    do: Callable[[Contender], Found],
) -> dict[str, Found]:
    """Let each do something; who cannot is left out from then on, with the reason."""
    found: dict[str, Found] = {}
    for contender in contenders:
        if contender.name in reasons:
            continue
        print(f"{say}: {contender.title}", file=sys.stderr)
        try:
            found[contender.name] = do(contender)
        except Unavailable as unavailable:
            reasons[contender.name] = f"{say}: {unavailable}"
            print(f"  left out from here on: {unavailable}", file=sys.stderr)
    return found


def _taking_part(plan: Plan) -> list[Contender]:
    everyone = all_of_them()
    unknown = set(plan.contenders) - {each.name for each in everyone}
    if unknown:
        known = ", ".join(each.name for each in everyone)
        raise SystemExit(f"--contenders: no {', '.join(sorted(unknown))}; there are {known}")
    return [each for each in everyone if not plan.contenders or each.name in plan.contenders]


def _task(folder: Path, contender: Contender, records: int) -> Task:
    wanted = min(records // contender.part, contender.records_max or records)
    given = made(folder, wanted, FILES // contender.part)
    return Task(contender.python(), given, folder / "answers" / contender.name)


def _warm(folder: Path, contender: Contender, records: int) -> None:
    """Make what it needs, and let it run once, so that its modules are compiled."""
    few, all_its = (_task(folder, contender, size) for size in (FEW * contender.part, records))
    if contender.prepare is not None:
        contender.prepare(few)
        contender.prepare(all_its)
    _cost(contender, few)


def _turn(folder: Path, contender: Contender, records: int) -> Turn:
    start = _cost(contender, _task(folder, contender, FEW * contender.part))
    task = _task(folder, contender, records)
    whole = _cost(contender, task)
    contender.check(task)
    return Turn(start, whole, task.given.records)


def _cost(contender: Contender, task: Task) -> Cost:
    rmtree(task.folder, ignore_errors=True)
    return cost.of(contender.command(task), contender.variables, task.folder)


# ---------------------------------------------------------------- what is made of it


def section(
    given: Input, contenders: Sequence[Contender], rounds: Sequence[Round], reasons: dict[str, str]
) -> Section:
    """Make a section of what was measured."""
    size = sum(path.stat().st_size for path in given.files) / 1e6
    return Section(
        title="Analysis of captured records",
        text=TEXT.format(records=given.records, files=FILES, megabytes=size, few=FEW),
        tables=[_table(given.records, contenders, rounds, reasons)],
        reaches=_reaches(given.records, rounds),
        bars=_bars(given.records, contenders, rounds),
        bars_title=f"CPU seconds for {given.records:,} records, all processes, imports included",
    )


def _turns(rounds: Sequence[Round], name: str) -> list[Turn]:
    return [each[name] for each in rounds if name in each]


def _table(
    records: int, contenders: Sequence[Contender], rounds: Sequence[Round], reasons: dict[str, str]
) -> Table:
    rows: list[list[Cell]] = []
    for contender in contenders:
        row: list[Cell] = [contender.title, contender.reads]
        if turns := _turns(rounds, contender.name):
            row += _figures(records, turns)
            row += [_ratio(records, rounds, contender) or ""]
        else:
            row += [""] * 7
        row.append(reasons.get(contender.name, contender.gives))
        rows.append(row)
    columns = ("", "reads", "records", "CPU s", "start", "all", "s", "MiB", "ratio", "gives")
    return Table("One at a time, all cores", columns, rows)


def _figures(records: int, turns: Sequence[Turn]) -> list[Cell]:
    return [
        f"{turns[0].records:,}",
        Spread.of([turn.whole.cpu_seconds for turn in turns]),
        Spread.of([turn.start.cpu_seconds for turn in turns]),
        Spread.of([turn.cpu_for(records) for turn in turns]),
        Spread.of([turn.whole.seconds for turn in turns]),
        Spread.of([turn.whole.peak_bytes / 2**20 for turn in turns]),
    ]


def _ratio(records: int, rounds: Sequence[Round], contender: Contender) -> Spread | None:
    return None if contender.name == PART else _against_ours(records, rounds, (contender.name,))


def _against_ours(records: int, rounds: Sequence[Round], names: Sequence[str]) -> Spread | None:
    """Divide the CPU of the best of these by that of our exact analysis, round by round."""
    ratios = [
        min(each[name].cpu_for(records) for name in names if name in each)
        / each[EXACT].cpu_for(records)
        for each in rounds
        if EXACT in each and any(name in each for name in names)
    ]
    return Spread.of(ratios) if ratios else None


def _reaches(records: int, rounds: Sequence[Round]) -> list[Reach]:
    whole = f"analysis of {records:,} records"
    wanted: list[tuple[str, float, bool, Spread | None]] = [
        *(_bounds(whole, rounds) if records == BOUNDED else []),
        (f"{whole}, mergeable: memory to a quarter's", 1.2, False, _growth(rounds)),
        (f"{whole}, CPU: best general engine", 1.3, True, _against_ours(records, rounds, GENERAL)),
        ("same: whylogs", 6, True, _against_ours(records, rounds, (WHYLOGS,))),
        ("same: evidently", 24, True, _against_ours(records, rounds, (EVIDENTLY,))),
    ]
    return [Reach(text, bound, least, found) for text, bound, least, found in wanted if found]


def _bounds(whole: str, rounds: Sequence[Round]) -> list[tuple[str, float, bool, Spread | None]]:
    exact, mergeable = _turns(rounds, EXACT), _turns(rounds, MERGEABLE)
    memory = [turn.whole.peak_bytes / 1e6 for turn in mergeable]
    return [
        (f"{whole}, exact: CPU s", 7, False, _cpu(exact)),
        (f"{whole}, mergeable: CPU s", 8, False, _cpu(mergeable)),
        (f"{whole}, mergeable: MB", 700, False, Spread.of(memory) if memory else None),
    ]


def _cpu(turns: Sequence[Turn]) -> Spread | None:
    return Spread.of([turn.whole.cpu_seconds for turn in turns]) if turns else None


def _growth(rounds: Sequence[Round]) -> Spread | None:
    """Divide the memory of all records by that of a quarter of the files."""
    ratios = [
        each[MERGEABLE].whole.peak_bytes / each[PART].whole.peak_bytes
        for each in rounds
        if MERGEABLE in each and PART in each
    ]
    return Spread.of(ratios) if ratios else None


def _bars(records: int, contenders: Sequence[Contender], rounds: Sequence[Round]) -> list[Bar]:
    return [
        Bar(
            f"{contender.title} ({contender.reads})",
            Spread.of([turn.cpu_for(records) for turn in turns]),
            contender.title.startswith("modeltap"),
        )
        for contender in contenders
        if contender.name not in (LIMIT, PART) and (turns := _turns(rounds, contender.name))
    ]
