"""What a signature costs: the same bytes, verified and not."""

from contextlib import ExitStack

from benchmarks import load, machine
from benchmarks.contender import running
from benchmarks.contenders import modeltap
from benchmarks.results import Cell, Plan, Reach, Section, Spread, Table

CONNECTIONS = 32

TEXT = """\
Two servers, both up, in alternation, sent the same signed bytes. The second runs a gateway whose
`verify` answers yes: a patch that only the benchmark makes, at the import of the gateway's module.
The body's hash is computed in both. Capture 100 %.
"""


def run(plan: Plan) -> Section:
    home = modeltap.deployed(plan.folder / "verified", plan.model, [100])
    other = modeltap.deployed(plan.folder / "not-verified", plan.model, [100])
    stands = {
        "verified": (home, home.contender(100)),
        "not verified": (other, other.contender(100, verified=False)),
    }
    found: dict[str, list[load.Slice]] = {name: [] for name in stands}
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(running(contender, plan.model, machine.server_core()))
            for name, (_, contender) in stands.items()
        }
        for _ in range(plan.rounds):
            for name, server in servers.items():
                pool = server.pool(plan.model)
                found[name].append(
                    load.closed_loop(server.pid, server.port, pool, CONNECTIONS, plan.seconds)
                )
    pairs = list(zip(found["verified"], found["not verified"], strict=True))
    ratio = Spread.of([with_.cpu_us / without.cpu_us for with_, without in pairs])
    return Section(
        title="Signatures",
        text=TEXT,
        tables=[Table("32 connections", ("", "req/s", "CPU µs/request"), _rows(found))],
        reaches=[Reach("CPU per request, same bytes, verified : not", 1.5, False, ratio)],
    )


def _rows(found: dict[str, list[load.Slice]]) -> list[list[Cell]]:
    return [
        [
            name,
            Spread.of([each.per_second for each in slices]),
            Spread.of([each.cpu_us for each in slices]),
        ]
        for name, slices in found.items()
    ]
