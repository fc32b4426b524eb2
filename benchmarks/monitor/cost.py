"""What one command costs: CPU and memory of its process tree, from its start to its end."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import machine
from benchmarks.environments import ROOT, Unavailable

SECONDS_MAX: Final = 1200.0
METERED: Final = Path(__file__).with_name("metered.py")
_PAUSE_SECONDS: Final = 0.05
_PAUSES_A_LOOK: Final = 10
"""Looking at memory takes one core at most a tenth of the time."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a tree took."""

    cpu_seconds: float  # user and system
    seconds: float
    peak_bytes: int  # PSS of the tree, or RSS of its largest process where that is more


def of(command: Sequence[str], variables: Mapping[str, str], folder: Path) -> Cost:
    """Run a command to its end; what it prints goes to `folder`/log. Raise `Unavailable`."""
    folder.mkdir(parents=True, exist_ok=True)
    report, log = folder / "cost.json", folder / "log"
    with log.open("w") as written:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(METERED), str(report), *command],
            env=_environment(variables),
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,
        )
    peak = _watched(process)
    if process.returncode != 0:
        raise Unavailable(f"ended with status {process.returncode}: {_last_line(log)}")
    found = json.loads(report.read_text())
    cpu = found["user_seconds"] + found["system_seconds"]
    return Cost(cpu, found["seconds"], max(peak, found["largest_bytes"]))


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    return next((line.strip()[:120] for line in reversed(lines) if line.strip()), "nothing said")


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Take the bound of one thread off, which `scripts/bench` sets: all cores are a contender's."""
    path = f"{ROOT}:{os.environ.get('PYTHONPATH', '')}".rstrip(":")
    kept = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    return kept | {"PYTHONPATH": path, **variables}


def _watched(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a tree; give its largest PSS. Raise `Unavailable` after too long."""
    peak, deadline = 0, time.monotonic() + SECONDS_MAX
    try:
        while process.poll() is None:
            began = time.monotonic()
            if began > deadline:
                raise Unavailable(f"not done after {SECONDS_MAX:.0f} s")
            peak = max(peak, machine.pss_below(process.pid))
            _pause(process, (time.monotonic() - began) * _PAUSES_A_LOOK)
    finally:
        machine.kill(machine.members(process.pid))
        process.wait()
    return peak


def _pause(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(max(_PAUSE_SECONDS, seconds))
    except subprocess.TimeoutExpired:
        return
