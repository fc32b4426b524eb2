"""What capture costs: the same server, endpoints that capture 0, 20 and 100 %, in alternation."""

import sys
from collections.abc import Sequence

from benchmarks import load, machine
from benchmarks.contender import Running, running
from benchmarks.contenders import modeltap
from benchmarks.contenders.modeltap import Home
from benchmarks.results import Cell, Plan, Reach, Section, Spread, Table

PERCENTAGES = (0, 20, 100)
CONNECTIONS = (1, 8, 32, 64)
REFERENCE = 32

TEXT = """\
One server with three endpoints on the same model, asked in turn; every request signed. *Kept* is
requests/s divided by those without capture, *CPU* the same for CPU time per request of the whole
tree, spooler and shipper included: where the range of *kept* is wider than the margin asked for,
CPU decides. With two gateways nothing is pinned: server and load share the machine's cores.
"""

Slices = dict[tuple[int, int], list[load.Slice]]
"""By percentage and connections."""


def run(plan: Plan) -> Section:
    home = modeltap.deployed(plan.folder / "capture", plan.model, PERCENTAGES)
    with running(home.contender(0), plan.model, machine.server_core()) as server:
        found = _measured(plan, home, server, CONNECTIONS)
    pair = {}
    for gateways in (1, 2):
        several = home.contender(0, gateways=gateways)
        with running(several, plan.model, machine.cores()) as server:
            pair[gateways] = _measured(plan, home, server, (REFERENCE,), machine.cores())
    return Section(
        title="Capture",
        text=TEXT,
        tables=[_table(found, CONNECTIONS), _gateways(pair)],
        reaches=[*_reaches(found, 20, 0.96), *_reaches(found, 100, 0.90)],
    )


def _measured(
    plan: Plan,
    home: Home,
    server: Running,
    connections: Sequence[int],
    allowed: list[int] | None = None,
) -> Slices:
    slices: Slices = {}
    for number in range(plan.rounds):
        print(f"round {number + 1}", file=sys.stderr)
        pools = {p: list(home.signed(server.port, p, plan.model.rows)) for p in PERCENTAGES}
        for count in connections:
            for percentage, pool in pools.items():
                measured = load.closed_loop(
                    server.pid, server.port, pool, count, plan.seconds, allowed
                )
                slices.setdefault((percentage, count), []).append(measured)
    return slices


def _kept(slices: Slices, percentage: int, count: int) -> Spread:
    pairs = zip(slices[percentage, count], slices[0, count], strict=True)
    return Spread.of([on.per_second / off.per_second for on, off in pairs])


def _cheaper(slices: Slices, percentage: int, count: int) -> Spread:
    """Divide CPU per request without capture by that with it: 1 is no cost."""
    pairs = zip(slices[percentage, count], slices[0, count], strict=True)
    return Spread.of([off.cpu_us / on.cpu_us for on, off in pairs])


def _reaches(slices: Slices, percentage: int, bound: float) -> list[Reach]:
    """Judge by requests/s, or by CPU where the rounds differ more than the margin."""
    kept, what = _kept(slices, percentage, REFERENCE), "requests/s"
    if kept.high - kept.low > 1 - bound:
        kept, what = _cheaper(slices, percentage, REFERENCE), "CPU, the rounds' spread being wide"
    text = f"capture {percentage} % : off, 32 connections, signed (by {what})"
    return [Reach(text, bound, True, kept)]


def _table(slices: Slices, connections: Sequence[int]) -> Table:
    columns = ("connections", "capture", "req/s", "p50, ms", "p99, ms", "CPU µs", "kept", "CPU")
    rows = [_row(slices, percentage, count) for count in connections for percentage in PERCENTAGES]
    return Table("One gateway, one core", columns, rows)


def _row(slices: Slices, percentage: int, count: int) -> list[Cell]:
    measured = slices[percentage, count]
    return [
        str(count),
        f"{percentage} %",
        Spread.of([each.per_second for each in measured]),
        Spread.of([each.p50 for each in measured]),
        Spread.of([each.p99 for each in measured]),
        Spread.of([each.cpu_us for each in measured]),
        _kept(slices, percentage, count),
        _cheaper(slices, percentage, count),
    ]


def _gateways(pair: dict[int, Slices]) -> Table:
    rows: list[list[Cell]] = []
    for gateways, slices in pair.items():
        for percentage in PERCENTAGES:
            rows.append([str(gateways), *_row(slices, percentage, REFERENCE)[1:]])
    columns = ("gateways", "capture", "req/s", "p50, ms", "p99, ms", "CPU µs", "kept", "CPU")
    return Table("1 and 2 gateways, all cores, 32 connections", columns, rows)
