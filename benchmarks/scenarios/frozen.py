"""The spool's file system frozen for two seconds, as snapshot agents do, under load."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import machine, openloop
from benchmarks.contender import running
from benchmarks.contenders import modeltap
from benchmarks.environments import Unavailable
from benchmarks.openloop import LATE_MS, Stream, Told
from benchmarks.results import Cell, Plan, Reach, Section, Spread, Table

PER_SECOND, CONNECTIONS = 300.0, 16
FROZEN_SECONDS = 2.0
SECONDS = 2 + FROZEN_SECONDS + 1
IMAGE_BYTES = 512 * 1024 * 1024
PROGRAMS = ("mkfs.ext4", "mount", "umount", "fsfreeze")

TEXT = f"""\
The spool lies on an ext4 of its own on a loop device. {PER_SECOND:.0f} signed requests/s, capture
100 %, in an open loop; in the second run `fsfreeze` holds every write to the spool for
{FROZEN_SECONDS:.0f} s. Nothing is pinned. Needs root.
"""


def run(plan: Plan) -> Section:
    lacking = machine.missing(*PROGRAMS)
    if os.geteuid() != 0 or lacking:
        raise Unavailable(f"needs root and {', '.join(PROGRAMS)}")
    home = modeltap.deployed(plan.folder / "frozen", plan.model, [100])
    with (
        _mounted(plan.folder / "frozen.img", home.folder / "spool") as spool,
        running(home.contender(100), plan.model, machine.cores()) as server,
    ):
        pool = server.pool(plan.model)
        calls = [Stream("calls", server.port, pool, PER_SECOND, CONNECTIONS)]
        quiet = openloop.fixed_rate(calls, SECONDS, machine.cores())["calls"]
        with openloop.running(calls, SECONDS, machine.cores()) as process:
            time.sleep(1.5)
            with _frozen(spool):
                time.sleep(FROZEN_SECONDS)
            frozen = openloop.told(process.communicate()[0])["calls"]
    columns = ("", "p50, ms", "p99, ms", "worst, ms", f"later than {LATE_MS:.0f} ms", "not 200")
    rows = [_row("quiet", quiet), _row("frozen for 2 s", frozen)]
    return Section(
        title="A frozen spool",
        text=TEXT,
        tables=[Table(f"{PER_SECOND:.0f} req/s", columns, rows)],
        reaches=[
            Reach("spool frozen 2 s: latest reply, ms", LATE_MS, False, Spread.of([frozen.worst]))
        ],
    )


@contextmanager
def _mounted(image: Path, point: Path) -> Iterator[Path]:
    """Mount a fresh file system in the spool's place."""
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    done = subprocess.run(
        ["mount", "-o", "loop", str(image), str(point)], capture_output=True, text=True
    )
    if done.returncode != 0:
        raise Unavailable(f"no loop device can be mounted here: {done.stderr.strip()}")
    try:
        point.chmod(0o700)
        yield point
    finally:
        subprocess.run(["umount", str(point)], check=True)
        image.unlink()


@contextmanager
def _frozen(point: Path) -> Iterator[None]:
    subprocess.run(["fsfreeze", "--freeze", str(point)], check=True)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", str(point)], check=True)


def _row(name: str, told: Told) -> list[Cell]:
    return [name, told.p50, told.p99, told.worst, float(told.late), float(told.refused)]
