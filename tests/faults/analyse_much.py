"""Analyse a window of many times the memory bound; tell what it took.

`analyse_much.py FOLDER MEMORY_BYTES TIMES`: makes records, and reads them until the window is so
many times the bound. The last line is JSON.
"""

import json
import resource
import sys
from pathlib import Path

from benchmarks.monitor.data import made
from modeltap.monitor import analyze, baseline

RECORDS = 250_000


def main(folder: Path, memory: int, times: int) -> None:
    """Make the records, a baseline of them, and the window."""
    given = made(folder / "records", RECORDS)
    baseline(given.csv, output=folder / "baseline")
    size = sum(file.stat().st_size for file in given.files)
    copies = times * memory // size + 1
    findings = analyze(
        [given.captured] * copies, folder / "baseline", memory_bytes_max=memory, output=folder
    )
    told = {
        "window_bytes": size * copies,
        "records": findings.statistics["dataset"]["item_count"],
        "made": RECORDS * copies,
        "violations": len(findings.violations),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
