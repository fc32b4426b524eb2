"""What a program that computes much is told before it loads numpy and the others.

Only programs of our own ask: whoever imports modeltap keeps the settings of their process.
"""

import gc
import os
import re
from pathlib import Path

PROCESSORS = Path("/proc/cpuinfo")
PROCESSOR_BYTES = 4096  # one of them: all that is looked at is alike in all

_ZEN_4 = re.compile(
    r"^vendor_id\s*: AuthenticAMD$.*^cpu family\s*: 25$.*^flags\s*:.* avx512f\b",
    re.MULTILINE | re.DOTALL,
)


def variables() -> dict[str, str]:
    """Give the variables that make numpy fast on this machine.

    numpy's BLAS starts threads that wait for work by spinning, a tenth of all that an analysis
    takes; it has none for them.
    """
    return {"OPENBLAS_NUM_THREADS": "1"} | of_processor(_processor())


def of_processor(described: str) -> dict[str, str]:
    """Give the variables for a processor, as Linux describes it.

    numpy's AVX-512 sort stores with COMPRESS, which AMD's optimization guide for Zen 4 says to
    avoid: there a million doubles take six times as long as by AVX2. OpenJDK chooses alike. To see:
    `python -m timeit -s "import numpy as n; a = n.random.rand(10**6)" "n.sort(a)"`, with the
    variable and without.
    """
    return {"NPY_DISABLE_CPU_FEATURES": "X86_V4"} if _ZEN_4.search(described) else {}


def _processor() -> str:
    try:
        with PROCESSORS.open(encoding="utf-8", errors="replace") as described:
            return described.read(PROCESSOR_BYTES)
    except OSError:  # no Linux
        return ""


def tune() -> None:
    """Set this process up; what its user has set stays."""
    for name, value in variables().items():
        os.environ.setdefault(name, value)
    collect_seldom()


def collect_seldom() -> None:
    """Look for cycles of garbage seldom: few are made, beside many values.

    Looking as often as Python does takes 6 % of an analysis' CPU.
    """
    gc.set_threshold(200_000, 50, 50)
