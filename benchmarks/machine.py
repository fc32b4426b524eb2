"""The machine: what it is, which cores are whose, and what a process tree costs, from /proc."""

import os
import platform
import shutil
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
_PPID, _TIMES, _STARTED = (
    1,
    slice(11, 15),
    19,
)  # fields of `stat` after the command's closing parenthesis


def cores() -> list[int]:
    """List the cores that this process may use."""
    return sorted(os.sched_getaffinity(0))


def server_core() -> list[int]:
    """Give the core of the contender."""
    return cores()[:1]


def load_core() -> list[int]:
    """Give the core of the load; on a machine with one core, the same."""
    return cores()[-1:]


def pinned(command: list[str], allowed: list[int]) -> list[str]:
    """Run a command, and all that it starts, on these cores."""
    return ["taskset", "-c", ",".join(map(str, allowed)), *command]


def tree(root: int) -> list[int]:
    """List a process and all its descendants."""
    children: dict[int, list[int]] = defaultdict(list)
    for pid in _pids():
        fields = _stat(pid)
        if fields:
            children[int(fields[_PPID])].append(pid)
    found = [root]
    for pid in found:
        found.extend(children[pid])
    return found


def members(root: int) -> dict[int, str]:
    """Give a tree with the moment each process began, so that none is taken for another."""
    return {pid: fields[_STARTED] for pid in tree(root) if (fields := _stat(pid))}


def kill(known: dict[int, str]) -> None:
    """End those of once known processes that still live."""
    for pid, began in known.items():
        fields = _stat(pid)
        if fields and fields[_STARTED] == began:
            os.kill(pid, signal.SIGKILL)


def cpu_seconds(root: int) -> float:
    """Sum up user and system time of a tree, and of its dead that were waited for."""
    stats = (_stat(pid) for pid in tree(root))
    return sum(int(ticks) for fields in stats if fields for ticks in fields[_TIMES]) / TICKS


def pss_bytes(root: int) -> int:
    """Sum up a tree's memory, shared pages divided among those that share them."""
    return sum(_pss(pid) for pid in tree(root))


def pss_below(root: int) -> int:
    """Sum up the memory of a tree without its root."""
    return sum(_pss(pid) for pid in tree(root)[1:])


def descriptors(root: int) -> int:
    """Count a tree's open descriptors."""
    return sum(_descriptors(pid) for pid in tree(root))


def description() -> dict[str, str]:
    """Say what machine this is."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": next(_cpu_names(), platform.machine()),
        "cores": str(len(cores())),
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def busy_percent(seconds: float = 1.0) -> float:
    """Watch how much of our cores other work takes."""
    before = _idle_and_total()
    time.sleep(seconds)
    idle, total = (now - then for now, then in zip(_idle_and_total(), before, strict=True))
    return 100.0 * (1 - idle / max(1, total))


def missing(*programs: str) -> list[str]:
    """Name the programs that are not installed."""
    return [program for program in programs if shutil.which(program) is None]


def _idle_and_total() -> tuple[int, int]:
    fields = [int(value) for value in (PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    return fields[3] + fields[4], sum(fields)


def _cpu_names() -> Iterator[str]:
    for line in (PROC / "cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            yield value.strip()


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())


def _stat(pid: int) -> list[str]:
    """Give the fields after the command's name; none where the process is gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _pss(pid: int) -> int:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def _descriptors(pid: int) -> int:
    try:
        return len(list((PROC / str(pid) / "fd").iterdir()))
    except OSError:
        return 0
