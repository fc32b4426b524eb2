"""Days of capture, played by chance; and bugs that must not survive them.

A failing seed is replayed by `python tests/simulation/history.py SEED`.
"""

from collections.abc import Callable
from contextlib import suppress
from uuid import uuid4

import pytest
from history import play

from modeltap.capture import shipment
from modeltap.capture.mirror import Mirror
from modeltap.capture.segment import Segment
from modeltap.capture.shipper import Shipper

SEEDS = 60
SEEDS_TO_CATCH = 60


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_day_loses_nothing_and_counts_everything(seed: int) -> None:
    play(seed)


def retried_sync(patch: pytest.MonkeyPatch) -> None:
    """Ask again for a sync that was refused (fsyncgate)."""
    sync = Segment.sync

    def twice(segment: Segment) -> None:
        with suppress(OSError):
            sync(segment)
            return
        sync(segment)

    patch.setattr(Segment, "sync", twice)


def random_keys(patch: pytest.MonkeyPatch) -> None:
    """Give a segment's object another name at each try."""
    patch.setattr(shipment, "object_uri", lambda *_: f"s3://bucket/p/{uuid4()}.jsonl")


def deleted_when_refused(patch: pytest.MonkeyPatch) -> None:
    """Let a segment go that its destination did not take."""

    def rest(self: Shipper, *_: object) -> None:
        for folder in self._spool.writer_folders():
            for name in self._spool.disk.files(folder):
                if name.endswith(".seal"):
                    self._spool.disk.unlink(folder / name)

    patch.setattr(Shipper, "_rest", rest)


def nameless_slots(patch: pytest.MonkeyPatch) -> None:
    """Leave it to the next sync to make a slot's names durable."""
    write = Mirror.write

    def without_sync(mirror: Mirror) -> None:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(Mirror, "sync", lambda _: None)
            write(mirror)

    patch.setattr(Mirror, "write", without_sync)


def all_taken_for_held(patch: pytest.MonkeyPatch) -> None:
    """Give a segment up as if the ring still held all of it."""
    patch.setattr(Segment, "mark", _mark_none)


def _mark_none(segment: Segment) -> None:
    segment._safe = 0, 0


@pytest.mark.parametrize(
    "bug", [retried_sync, random_keys, deleted_when_refused, nameless_slots, all_taken_for_held]
)
def test_a_bug_does_not_survive(
    bug: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    bug(monkeypatch)
    for seed in range(SEEDS_TO_CATCH):
        try:
            play(seed)
        except AssertionError:
            return
    pytest.fail(f"{SEEDS_TO_CATCH} days did not see it")
