"""Hours in small: a steady load for minutes, and what memory and descriptors do meanwhile."""

import sys
import time
from dataclasses import dataclass
from statistics import median

from benchmarks import load, machine, openloop
from benchmarks.contender import Running, running
from benchmarks.contenders import modeltap
from benchmarks.openloop import Stream
from benchmarks.results import Cell, Plan, Reach, Section, Spread, Table

CONNECTIONS = 32
PER_SECOND_MAX = 2000.0
"""So that ten minutes of captured records are a gigabyte, not ten."""

STEP_SECONDS = 20.0
ROWS_SHOWN = 12
GROWTH = 1.05

TEXT = """\
Signed requests, capture 100 %, at half of what the server can do and at most 2,000/s, in an open
loop with a fresh pool each step. Memory is PSS of the whole tree. Growth compares the medians of
the second quarter and of the last: the first is warming up.
"""


@dataclass(frozen=True, slots=True)
class Moment:
    seconds: float
    mib: float
    descriptors: int
    p99: float
    refused: int


def run(plan: Plan) -> Section:
    home = modeltap.deployed(plan.folder / "soak", plan.model, [100])
    with running(home.contender(100), plan.model, machine.server_core()) as server:
        pool = server.pool(plan.model)
        best = load.closed_loop(server.pid, server.port, pool, CONNECTIONS, plan.seconds)
        rate = min(PER_SECOND_MAX, best.per_second / 2)
        moments = _moments(plan, server, rate)
    memory = _growth([each.mib for each in moments])
    descriptors = _growth([float(each.descriptors) for each in moments])
    step = max(1, len(moments) // ROWS_SHOWN)
    rows: list[list[Cell]] = [
        [each.seconds, each.mib, float(each.descriptors), each.p99, float(each.refused)]
        for each in moments[::step]
    ]
    columns = ("after, s", "MiB", "descriptors", "p99, ms", "not 200")
    return Section(
        title="Soak",
        text=TEXT,
        tables=[Table(f"{plan.minutes:g} minutes at {rate:.0f} req/s", columns, rows)],
        reaches=[
            Reach("soak: memory, last quarter : second", GROWTH, False, Spread.of([memory])),
            Reach(
                "soak: descriptors, last quarter : second", GROWTH, False, Spread.of([descriptors])
            ),
        ],
    )


def _moments(plan: Plan, server: Running, rate: float) -> list[Moment]:
    began, moments = time.monotonic(), list[Moment]()
    step = min(STEP_SECONDS, 60 * plan.minutes / 8)
    while time.monotonic() - began < 60 * plan.minutes:
        pool = server.pool(plan.model)
        stream = Stream("calls", server.port, pool, rate, CONNECTIONS)
        told = openloop.fixed_rate([stream], step)["calls"]
        passed = time.monotonic() - began
        mib = machine.pss_bytes(server.pid) / 2**20
        count = machine.descriptors(server.pid)
        moments.append(Moment(round(passed), mib, count, told.p99, told.refused))
        print(f"{passed:.0f} s: {mib:.0f} MiB, {count} descriptors", file=sys.stderr)
    return moments


def _growth(values: list[float]) -> float:
    quarter = max(1, len(values) // 4)
    return median(values[-quarter:]) / median(values[quarter : 2 * quarter] or values[:1])
