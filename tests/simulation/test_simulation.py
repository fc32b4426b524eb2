"""Days of capture, played by chance; and bugs that must not survive them.

A failing seed is replayed by `python tests/simulation/history.py SEED`.
"""

import pytest
from bugs import BUGS, put_in
from history import play
from seeds import catch_all, play_all, replay

SEEDS = 2_000
SEEDS_LONG = 100_000
TOLD_SEEDS = 5


def test_days_lose_nothing_and_count_everything() -> None:
    failures = play_all(play, range(SEEDS))
    assert not failures, "\n".join(map(replay, failures))


@pytest.mark.long
def test_a_hundred_thousand_days() -> None:
    failures = play_all(play, range(SEEDS, SEEDS_LONG))
    assert not failures, "\n".join(map(replay, failures))


@pytest.mark.parametrize("seed", range(TOLD_SEEDS))
def test_a_seed_tells_the_same_story_each_time(seed: int) -> None:
    first, second = list[str](), list[str]()
    play(seed, first.append)
    play(seed, second.append)
    assert len(first) > 100
    assert first == second


def test_no_bug_survives() -> None:
    caught = catch_all(play, {bug.name: bug.days for bug in BUGS}, put_in)
    assert len(caught) == len(BUGS) >= 25
    survivors = [name for name, seed in caught.items() if seed is None]
    assert not survivors, f"no day sees {survivors}"
