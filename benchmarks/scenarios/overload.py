"""More load than can be served: what does not fit is refused at once, the rest goes on."""

from benchmarks import load, machine
from benchmarks.contender import running
from benchmarks.contenders import modeltap
from benchmarks.results import Cell, Plan, Reach, Section, Spread, Table

SUSTAINABLE = (32, 128)
"""Connections, within the bound on calls in flight, at which the peak is looked for."""

OVERLOAD = 1024
"""Four times the bound on calls in flight at one instance (`router/gate.py`)."""

SLICES = 3
SECONDS_MIN = 3.0

TEXT = f"""\
In each round the peak, the best of {SUSTAINABLE} connections, and then {OVERLOAD} connections, four
times as many as an instance takes calls, each asking again as soon as it was refused. *Goodput* is
answers of status 200; *answers* are all. Signed, capture 100 %; memory is PSS of the whole tree.
"""


def run(plan: Plan) -> Section:
    home = modeltap.deployed(plan.folder / "overload", plan.model, [100])
    with running(home.contender(100), plan.model, machine.server_core()) as server:
        pool = server.pool(plan.model)

        def asked(connections: int) -> load.Slice:
            seconds = max(plan.seconds, SECONDS_MIN)
            return load.closed_loop(server.pid, server.port, pool, connections, seconds)

        peaks, slices, memory = [], [], []
        for _ in range(SLICES):
            peaks.append(max(asked(count).good_per_second for count in SUSTAINABLE))
            slices.append(asked(OVERLOAD))
            memory.append(machine.pss_bytes(server.pid) / 2**20)
    rows: list[list[Cell]] = [
        [
            peak,
            each.good_per_second,
            each.good_per_second / peak,
            each.per_second / peak,
            float(each.refused),
            float(each.broken),
            each.p99,
            pss,
        ]
        for peak, each, pss in zip(peaks, slices, memory, strict=True)
    ]
    columns = (
        "peak/s",
        "goodput/s",
        "of peak",
        "answers : peak",
        "503s",
        "broken",
        "p99, ms",
        "MiB",
    )
    pairs = zip(peaks, slices, strict=True)
    goodput = Spread.of([each.good_per_second / peak for peak, each in pairs])
    growth = Spread.of([memory[-1] / memory[0]])
    return Section(
        title="Overload",
        text=TEXT,
        tables=[Table(f"The peak, and {OVERLOAD} connections", columns, rows)],
        reaches=[
            Reach("overload: goodput : peak", 0.8, True, goodput),
            Reach("overload: memory, last slice : first", 1.05, False, growth),
        ],
    )
