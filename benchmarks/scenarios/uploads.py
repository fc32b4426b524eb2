"""Inference beside bulk: eight uploads of 100 MB at once to S3 on the bulk port."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import machine, openloop
from benchmarks.contender import HOST, running
from benchmarks.contenders import modeltap
from benchmarks.environments import ROOT
from benchmarks.openloop import Stream, Told
from benchmarks.results import Cell, Plan, Reach, Section, Spread, Table

PER_SECOND, CONNECTIONS = 300.0, 16

TEXT = f"""\
{PER_SECOND:.0f} signed requests/s in an open loop, quiet and beside eight boto3 clients that put
100 MB objects without a pause. Nothing is pinned: server, uploads and load share the machine.
"""


def run(plan: Plan) -> Section:
    home = modeltap.deployed(plan.folder / "uploads", plan.model, [100])
    quiet, loaded = [], []
    with running(home.contender(100), plan.model, machine.cores()) as server:
        for _ in range(plan.rounds):
            pool = server.pool(plan.model)
            calls = [Stream("calls", server.port, pool, PER_SECOND, CONNECTIONS)]
            quiet.append(openloop.fixed_rate(calls, plan.seconds, machine.cores())["calls"])
            with _uploading(home.folder, f"http://{HOST}:{server.port + 1}"):
                loaded.append(openloop.fixed_rate(calls, plan.seconds, machine.cores())["calls"])
    pairs = zip(loaded, quiet, strict=True)
    ratio = Spread.of([beside.p99 / alone.p99 for beside, alone in pairs])
    rows = [_row("quiet", quiet), _row("beside eight uploads", loaded)]
    columns = ("", "p50, ms", "p99, ms", "worst, ms", "not 200")
    return Section(
        title="Inference beside uploads",
        text=TEXT,
        tables=[Table(f"{PER_SECOND:.0f} req/s", columns, rows)],
        reaches=[Reach("eight uploads of 100 MB: p99 : quiet p99", 5, False, ratio)],
    )


@contextmanager
def _uploading(home: Path, url: str) -> Iterator[None]:
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.uploading", str(home), url],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as uploader:
        assert uploader.stdout is not None
        uploader.stdout.readline()
        yield
        uploader.communicate()


def _row(name: str, told: list[Told]) -> list[Cell]:
    return [
        name,
        Spread.of([each.p50 for each in told]),
        Spread.of([each.p99 for each in told]),
        Spread.of([each.worst for each in told]),
        float(sum(each.refused for each in told)),
    ]
