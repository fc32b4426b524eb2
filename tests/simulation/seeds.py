"""Many seeds, on all cores: what fails is named, with the command that replays it."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, suppress
from multiprocessing import get_context

import structlog

CHUNK = 10
PROGRESS_SECONDS = 10.0

Play = Callable[[int], object]
PutIn = Callable[[str], AbstractContextManager[None]]
Failure = tuple[int, str]


def play_all(play: Play, seeds: Sequence[int]) -> list[Failure]:
    """Play all; tell of progress on standard error. Give the seeds that failed, and how."""
    chunks = [seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK)]
    failures: list[Failure] = []
    began = told_at = time.monotonic()
    with pool() as executor:
        futures = [executor.submit(_failures, play, chunk) for chunk in chunks]
        for done, future in enumerate(futures, 1):
            for failure in future.result():
                failures.append(failure)
                _tell(replay(failure))
            if time.monotonic() - told_at > PROGRESS_SECONDS:
                told_at = time.monotonic()
                _tell(f"{min(done * CHUNK, len(seeds))} of {len(seeds)} seeds")
    seconds = time.monotonic() - began
    _tell(f"{len(seeds)} seeds, {len(failures)} failed, {seconds:.0f} s")
    return failures


def pool() -> ProcessPoolExecutor:
    """Make a process for each core; the logs of simulated houses are of no interest there."""
    context = get_context("forkserver")
    return ProcessPoolExecutor(os.cpu_count(), mp_context=context, initializer=_begin)


def replay(failure: Failure) -> str:
    seed, how = failure
    return f"python tests/simulation/history.py {seed}  # {how}"


def _begin() -> None:
    quiet = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=quiet)


def _failures(play: Play, seeds: Iterable[int]) -> list[Failure]:
    return [failure for seed in seeds if (failure := _failure(play, seed)) is not None]


def _failure(play: Play, seed: int) -> Failure | None:
    try:
        play(seed)
    except Exception as error:  # border: any failure is the seed's
        return seed, f"{type(error).__name__}: {str(error).splitlines()[0][:300]}"
    return None


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def catch_all(play: Play, bugs: Mapping[str, range], put_in: PutIn) -> dict[str, int | None]:
    """Give, for each bug and the days that it is looked for in, the first that fails with it."""
    with pool() as executor:
        futures = {
            name: executor.submit(_first_failure, play, put_in, name, days)
            for name, days in bugs.items()
        }
        return {name: future.result() for name, future in futures.items()}


def _first_failure(play: Play, put_in: PutIn, name: str, days: range) -> int | None:
    with put_in(name):
        for seed in days:
            with suppress(Exception):
                play(seed)
                continue
            return seed
    return None
