"""Who does the parts of an analysis: this process, or several of this machine.

A part is a function of one unit, given as values that can be pickled, with no state beside them;
so whatever runs such functions elsewhere can take its place.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol, TypeVar

Unit = TypeVar("Unit")
Part = TypeVar("Part")


class Executor(Protocol):
    """A port."""

    def map(
        self, function: Callable[[Unit], Part], units: Sequence[Unit]
    ) -> Iterator[tuple[int, Part]]:
        """Give (index of the unit, its part), in any order; raise what the function raises."""
        ...


class Here:
    """One after the other, in this process."""

    def map(
        self, function: Callable[[Unit], Part], units: Sequence[Unit]
    ) -> Iterator[tuple[int, Part]]:
        for index, unit in enumerate(units):
            yield index, function(unit)


class Processes:
    """Several processes of this machine; they end with the last part."""

    def __init__(self, count: int) -> None:
        self._count = count

    def map(
        self, function: Callable[[Unit], Part], units: Sequence[Unit]
    ) -> Iterator[tuple[int, Part]]:
        count = min(self._count, len(units))
        with ProcessPoolExecutor(count, mp_context=get_context("forkserver")) as pool:
            indices = {pool.submit(function, unit): at for at, unit in enumerate(units)}
            for future in as_completed(indices):
                yield indices.pop(future), future.result()


PROCESSES_BYTES_MIN = 64 << 20
"""A smaller dataset is read before other processes have started."""


def executor_for(files: Sequence[Path]) -> Executor:
    """Choose by how much there is to read."""
    size = sum(file.stat().st_size for file in files)
    if len(files) < 2 or size < PROCESSES_BYTES_MIN:
        return Here()
    return Processes(len(os.sched_getaffinity(0)))
