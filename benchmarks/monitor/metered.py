"""Run one command and write what its whole tree of processes took.

    python -I -S metered.py REPORT COMMAND …

A program of its own for two reasons. It is the sub-reaper of what it runs, so that a process whose
parent has ended (a JVM, a pool) is waited for and counted. And it is small: a process remembers the
memory of the one that it was forked from as its own peak.
"""

import ctypes
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

_SET_CHILD_SUBREAPER = 36  # prctl(2)


def main(report: str, *command: str) -> int:
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    began = time.monotonic()
    status = subprocess.Popen(command).wait()
    _await_orphans()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures = {
        "user_seconds": used.ru_utime,
        "system_seconds": used.ru_stime,
        "largest_bytes": used.ru_maxrss * 1024,  # of one process
        "seconds": time.monotonic() - began,
    }
    Path(report).write_text(json.dumps(figures))
    return status if status >= 0 else 128 - status


def _await_orphans() -> None:
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
