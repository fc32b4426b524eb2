"""The processes of an analysis end with it, however it ends."""

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

ASKS = """
import os, sys, time
from modeltap.monitor.executor import Processes

def work(unit):
    if unit:
        print(os.getpid(), flush=True)
        time.sleep(600)
    return unit

if __name__ == "__main__":
    for _ in Processes(2).map(work, [0, 1]):
        sys.stdin.readline()
        os._exit(0)
"""


@pytest.mark.parametrize("killed", [False, True])
def test_no_process_is_left_that_works_at_a_part(tmp_path: Path, killed: bool) -> None:
    script = tmp_path / "asks.py"
    script.write_text(ASKS)
    with subprocess.Popen(
        [sys.executable, script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # semaphores are cleared away for who had no time to
        text=True,
    ) as asks:
        assert asks.stdin is not None
        assert asks.stdout is not None
        process = os.pidfd_open(int(asks.stdout.readline()))
        if killed:
            asks.kill()
        else:
            asks.stdin.write("\n")
            asks.stdin.flush()
        ended, _, _ = select.select([process], [], [], 60)
        os.close(process)
        assert ended
