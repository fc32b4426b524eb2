"""modeltap, captured records: its analysis in bounded memory, whatever the size of the data.

    python -m benchmarks.monitor.apps.modeltap_records CAPTURED BASELINE OUTPUT

The command line chooses by size; this asks for summaries that merge even where all would fit.
"""

import sys

from modeltap.tuning import tune

tune()  # as the command line does

from modeltap.monitor import analyze  # noqa: E402

if __name__ == "__main__":  # the processes of the analysis import this module again
    captured, baseline, output = sys.argv[1:]
    analyze(captured, baseline, output=output, memory_bytes_max=0)
