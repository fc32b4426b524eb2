"""Who does the parts of an analysis: this process, or several of this machine.

A part is a function of one unit, given as values that can be pickled, with no state beside them;
so whatever runs such functions elsewhere can take its place.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor as PoolExecutor
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Protocol, TypeVar

from modeltap.tuning import collect_seldom

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


class Threads:
    """Several threads of this process: for parts that spend their time in native code."""

    def __init__(self, count: int) -> None:
        self._count = count

    def map(
        self, function: Callable[[Unit], Part], units: Sequence[Unit]
    ) -> Iterator[tuple[int, Part]]:
        yield from _pooled(ThreadPoolExecutor(self._count), function, units)


class Processes:
    """Several processes of this machine, which end with the last part: for parts that are Python.

    They end with this process, too, however it ends. Function, units and parts are pickled.
    """

    def __init__(self, count: int) -> None:
        self._count = count

    def map(
        self, function: Callable[[Unit], Part], units: Sequence[Unit]
    ) -> Iterator[tuple[int, Part]]:
        pool = ProcessPoolExecutor(self._count, get_context("forkserver"), _begin)
        yield from _pooled(pool, function, units)


def _begin() -> None:
    """Begin a process of a pool."""
    Thread(target=_end_with_parent, daemon=True).start()
    collect_seldom()


def _end_with_parent() -> None:
    """End when who asks for parts has ended.

    Nobody says so where it was killed, or ended at once while this works at a part: it would wait
    for its next one for ever.
    """
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _pooled(
    pool: PoolExecutor, function: Callable[[Unit], Part], units: Sequence[Unit]
) -> Iterator[tuple[int, Part]]:
    try:
        indices = {pool.submit(function, unit): at for at, unit in enumerate(units)}
        for future in as_completed(list(indices)):
            yield indices.pop(future), future.result()  # and nobody holds it here
    finally:  # a part that failed, or nobody who wants the rest: what is begun is waited for
        pool.shutdown(cancel_futures=True)


POOL_BYTES_MIN = 64 << 20
"""A smaller dataset is read before processes have started."""


def executor_for(sizes: Sequence[int], *, in_python: bool) -> Executor:
    """Choose by what there is to read, in bytes of the files, and by what does the work."""
    if len(sizes) < 2 or sum(sizes) < POOL_BYTES_MIN:
        return Here()
    count = min(len(sizes), len(os.sched_getaffinity(0)))
    return Processes(count) if in_python else Threads(count)
