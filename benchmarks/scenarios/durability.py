"""What it costs to wait for a record: the durability modes of one server, in alternation."""

import sys

from benchmarks import load, machine
from benchmarks.contender import running
from benchmarks.contenders import modeltap
from benchmarks.contenders.modeltap import Way
from benchmarks.results import Cell, Plan, Section, Spread, Table
from modeltap.nouns import Durability

WAYS: tuple[Way, ...] = (0, *(mode.value for mode in Durability))
CONNECTIONS = (1, 8, 32, 64)

TEXT = """\
One server with endpoints on the same model, asked in turn; every request signed, capture
100 %. A `durable` or `strict` answer waits until its record is on the disk; those that come while
the disk syncs wait for the next sync together. *Refused* are the answers of the strict endpoint
whose record was not safe within 50 ms (503).
"""


def run(plan: Plan) -> Section:
    home = modeltap.deployed(plan.folder / "durability", plan.model, WAYS)
    slices: dict[tuple[Way, int], list[load.Slice]] = {}
    with running(home.contender(0), plan.model, machine.server_core()) as server:
        for number in range(plan.rounds):
            print(f"round {number + 1}", file=sys.stderr)
            pools = {way: list(home.signed(server.port, way, plan.model.rows)) for way in WAYS}
            for count in CONNECTIONS:
                for way, pool in pools.items():
                    measured = load.closed_loop(server.pid, server.port, pool, count, plan.seconds)
                    slices.setdefault((way, count), []).append(measured)
    columns = ("connections", "mode", "req/s", "p50, ms", "p99, ms", "refused")
    rows = [_row(slices[way, count], way, count) for count in CONNECTIONS for way in WAYS]
    table = Table("One gateway, one core", columns, rows)
    return Section(title="Durability", text=TEXT, tables=[table], reaches=[])


def _row(measured: list[load.Slice], way: Way, count: int) -> list[Cell]:
    return [
        str(count),
        str(way) if way else "no capture",
        Spread.of([each.per_second for each in measured]),
        Spread.of([each.p50 for each in measured]),
        Spread.of([each.p99 for each in measured]),
        Spread.of([each.refused for each in measured]),
    ]
