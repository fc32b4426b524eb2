"""The k-th call to the disk is refused, or is the last of its process, for every k (F7).

One cycle of capture, twice, with a spooler's start between: offered, spooled, sealed, shipped,
settled. Whatever fails, once everything works again all is there, once, and counted.
"""

import asyncio
import errno
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from capture_world import World, exchange

ERRORS = [errno.EIO, errno.ENOSPC, errno.EMFILE, errno.EROFS]
RECORDS = 6


class Killed(BaseException):
    """The process ends here."""


class Plan:
    """Fails the k-th call, and that alone."""

    def __init__(self, k: int, error: int | None) -> None:
        self.calls: list[str] = []
        self._k = k
        self._error = error

    def __call__(self, kind: str) -> int | None:
        self.calls.append(kind)
        if len(self.calls) - 1 != self._k:
            return None
        if self._error is None:
            raise Killed
        return self._error


def spool(world: World, seconds: float) -> None:
    """Let the spooler take a turn; who is killed, or cannot start, is started again."""
    try:
        world.turn(seconds)
    except Killed:
        world.kill_spooler()
        started(world, world.start_spooler)


def ship(world: World) -> None:
    try:
        asyncio.run(world.shipper.turn())
    except (Killed, OSError):
        world.ledger.close()
        started(world, world.start_shipper)


def started(world: World, start: Callable[[], None]) -> None:
    """Start again until it is up, as the supervisor does."""
    for _ in range(2):
        try:
            start()
        except (Killed, OSError):
            world.disk.die()
        else:
            return
    raise AssertionError("it does not start")


def cycle(world: World, first: int) -> None:
    for number in range(first, first + RECORDS, 2):
        world.offer(exchange(number), exchange(number + 1, endpoint="fraud"))
        spool(world, 0.1)
        spool(world, 2)
    spool(world, 61)
    ship(world)


def played(folder: Path, plan: Plan) -> World:
    """Play both cycles; then let everything work, and everything arrive."""
    folder.mkdir()
    world = World(folder)
    world.disk.plan = plan
    cycle(world, 0)
    world.kill_spooler()
    started(world, world.start_spooler)
    cycle(world, RECORDS)
    world.disk.plan = lambda _: None
    world.start_shipper()
    for _ in range(3):
        world.turn(2)
        world.deliver()
    return world


def check(world: World) -> None:
    found = Counter(int(body.split(b",")[0]) for body in world.inputs())
    assert found == Counter(range(2 * RECORDS))
    counts = world.account()
    assert sum(count.delivered for count in counts) == 2 * RECORDS
    assert all(
        not count.pending and not count.dropped and not count.discrepancy for count in counts
    )


@pytest.mark.parametrize(
    "error", [*ERRORS, None], ids=lambda e: errno.errorcode[e] if e else "kill"
)
def test_any_one_call_may_fail(tmp_path: Path, error: int | None) -> None:
    kinds: set[str] = set()
    for k in count():
        plan = Plan(k, error)
        world = played(tmp_path / str(k), plan)
        try:
            check(world)
        except AssertionError as failure:
            raise AssertionError(f"call {k}, {plan.calls[k : k + 1]}") from failure
        finally:
            world.stop()
        if k >= len(plan.calls):
            break  # that one came through without a fault: every call had its turn
        kinds.add(plan.calls[k])
    assert kinds >= {"write", "sync", "folder", "create", "rename", "unlink", "read"}
    assert k > 80
