"""What an analyzing program is told, by the processor that it runs on."""

import subprocess
import sys

import pytest

from modeltap import tuning

ZEN_4, ZEN_3, ZEN_5 = (
    ("AuthenticAMD", 25, "avx512f"),
    ("AuthenticAMD", 25, "avx2"),
    ("AuthenticAMD", 26, "avx512f"),
)
INTEL = ("GenuineIntel", 6, "avx512f")


def described(vendor: str, family: int, best: str) -> str:
    return f"""processor\t: 0
vendor_id\t: {vendor}
cpu family\t: {family}
model\t\t: 17
flags\t\t: fpu sse2 avx avx2 {best} rdpid

processor\t: 1
vendor_id\t: {vendor}
cpu family\t: {family}
"""


def test_avx_512_is_left_alone_where_it_sorts_slowly() -> None:
    assert tuning.of_processor(described(*ZEN_4)) == {"NPY_DISABLE_CPU_FEATURES": "X86_V4"}


@pytest.mark.parametrize("processor", [ZEN_3, ZEN_5, INTEL])
def test_any_other_processor_does_all_it_can(processor: tuple[str, int, str]) -> None:
    assert tuning.of_processor(described(*processor)) == {}


def test_a_machine_without_a_description_is_none_of_them() -> None:
    assert tuning.of_processor("") == {}


@pytest.mark.parametrize("processor", [ZEN_4, INTEL])
def test_numpy_understands_what_it_is_told(processor: tuple[str, int, str]) -> None:
    told = tuning.of_processor(described(*processor))
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import numpy"], env=told, capture_output=True
    )
    assert ran.returncode == 0, ran.stderr.decode()


def test_what_a_user_has_set_stays() -> None:
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            "import os; from modeltap.tuning import tune; tune();"
            "print(os.environ['OPENBLAS_NUM_THREADS'])",
        ],
        env={"OPENBLAS_NUM_THREADS": "3"},
        capture_output=True,
        check=True,
        text=True,
    )
    assert ran.stdout == "3\n"
