"""Ten thousand idle connections, and two hundred that work."""

import subprocess
import sys

from benchmarks import load, machine
from benchmarks.contender import running
from benchmarks.contenders import modeltap
from benchmarks.environments import ROOT, Unavailable
from benchmarks.results import Cell, Plan, Reach, Section, Spread, Table

IDLE, ACTIVE = 10_000, 200

TEXT = """\
Idle connections are kept alive after one `GET /ping` each. Bytes a connection are the growth of the
whole tree's PSS; what the kernel keeps for a socket is not in it.
"""


def run(plan: Plan) -> Section:
    home = modeltap.deployed(plan.folder / "idle", plan.model, [100])
    with running(home.contender(100), plan.model, machine.server_core()) as server:
        pool = server.pool(plan.model)
        quiet = load.closed_loop(server.pid, server.port, pool, ACTIVE, plan.seconds)
        before = machine.pss_bytes(server.pid)
        with _holding(server.port) as holder:
            each = (machine.pss_bytes(server.pid) - before) / IDLE
            busy = load.closed_loop(server.pid, server.port, pool, ACTIVE, plan.seconds)
            holder.communicate()
    rows = [_row("0", quiet, ""), _row(f"{IDLE:,}", busy, each)]
    columns = ("idle", f"req/s of {ACTIVE}", "p99, ms", "refused", "broken", "bytes a connection")
    return Section(
        title="Idle connections",
        text=TEXT,
        tables=[Table(f"{ACTIVE} active connections beside idle ones", columns, rows)],
        reaches=[
            Reach("10,000 idle connections: bytes each", 12 * 1024, False, Spread.of([each])),
            Reach(
                "10,000 idle and 200 active: failed requests",
                1,
                False,
                Spread.of([float(busy.refused + busy.broken)]),
            ),
        ],
    )


def _holding(port: int) -> "subprocess.Popen[str]":
    """Start the holder and wait until it holds all. Raise `Unavailable`."""
    holder = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.holding", str(port), str(IDLE)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    if not holder.stdout.readline():
        holder.communicate()
        raise Unavailable(f"{IDLE:,} connections could not be held; the reason stands above")
    return holder


def _row(idle: str, measured: load.Slice, each: Cell) -> list[Cell]:
    failed = float(measured.refused), float(measured.broken)
    return [idle, measured.per_second, measured.p99, *failed, each]
