"""One segment, one object: stores that are down, deny, lose acknowledgements (reliability §2.8)."""

import asyncio
import ctypes
import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from capture_world import PLAN, World, exchange
from modeltap.capture.backlog import PAUSE_SECONDS_MAX
from modeltap.capture.counters import Drop
from modeltap.capture.destination import PROBES_MAX, PUTS_MAX, SLOW_SECONDS, Lane
from modeltap.capture.disk import SystemDisk
from modeltap.capture.folder import QUARANTINE_BYTES_MAX, SpoolFolder
from modeltap.capture.frame import HEAD, pack
from modeltap.capture.ledger import Delivery, Ledger, Total
from modeltap.capture.numbers import Numbers
from modeltap.capture.segment import Label, SegmentId, segment_files
from modeltap.capture.shipper import LANES, Shipper
from modeltap.clock import SimulatedClock
from modeltap.errors import ObjectExists, StoreRefused, StoreUnavailable
from modeltap.nouns import CapturePlan
from modeltap.objects.port import ObjectInfo, ObjectStore, Stored, refusal
from modeltap.objects.simulated import SimulatedStore

Fault = Callable[[bool], Exception | None]
"""What a put answers instead of its own answer, by `create_only`."""


class HostileStore(SimulatedStore):
    """A bucket in memory whose puts fail as they are told, before or after they take effect."""

    def __init__(self) -> None:
        super().__init__()
        self.before: list[Fault] = []
        self.after: list[Exception] = []
        self.puts: list[tuple[str, bytes, bool]] = []

    async def put(self, key: str, data: bytes, **given: Any) -> Stored:
        create_only = given.get("create_only", False)
        self.puts.append((key, data, create_only))
        fault = self.before.pop(0)(create_only) if self.before else None
        if fault is not None:
            raise fault
        stored = await super().put(key, data, **given)
        if self.after:
            raise self.after.pop(0)
        return stored


class SilentStore(HostileStore):
    """Puts under `silent…` hang until it is told to give them up."""

    def __init__(self) -> None:
        super().__init__()
        self.silent = True
        self.hanging = 0
        self._given_up = asyncio.Event()

    def give_up(self) -> None:
        self._given_up.set()
        self._given_up = asyncio.Event()

    async def put(self, key: str, data: bytes, **given: Any) -> Stored:
        if self.silent and key.startswith("silent"):
            self.hanging += 1
            try:
                await self._given_up.wait()
            finally:
                self.hanging -= 1
            raise StoreUnavailable("no answer")
        return await super().put(key, data, **given)


@contextmanager
def obeyed_modes() -> Iterator[None]:
    """Make file modes count for root, too: put down this thread's capabilities (capset(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    head = (ctypes.c_uint32 * 2)(0x20080522, 0)
    held, bare = (ctypes.c_uint32 * 6)(), (ctypes.c_uint32 * 6)()
    assert libc.capget(head, held) == 0
    bare[1], bare[4] = held[1], held[4]  # nothing effective, the same permitted
    assert libc.capset(head, bare) == 0
    try:
        yield
    finally:
        assert libc.capset(head, held) == 0


def down(_: bool) -> Exception:
    return StoreUnavailable("down")


def denied(_: bool) -> Exception:
    return refusal(403, "AccessDenied")


def no_conditions(create_only: bool) -> Exception | None:
    return refusal(501, "NotImplemented") if create_only else None


@pytest.fixture
def store() -> HostileStore:
    return HostileStore()


@pytest.fixture
def world(tmp_path: Path, store: HostileStore) -> Iterator[World]:
    with World(tmp_path, store=store) as world:
        yield world


def seal(world: World, *numbers: int, **changes: object) -> None:
    for number in numbers:
        world.offer(exchange(number, **changes))  # type: ignore[arg-type]
    world.turn()
    world.turn(61)


def settled(world: World, delivered: int) -> None:
    count = world.count()
    assert (count.delivered, count.pending, count.discrepancy) == (delivered, 0, 0)
    assert not list(world.spool.writers.glob("*/*.seal"))


def test_a_lost_acknowledgement_leaves_one_object(world: World, store: HostileStore) -> None:
    store.after = [StoreUnavailable("reset by peer")]
    seal(world, 0, 1)
    assert world.ship() == 0
    assert world.count().pending == 2  # it is there, and we do not know
    world.clock.advance(2)
    assert world.ship() == 1
    assert len(world.records()) == 2
    assert store.puts[0] == store.puts[1]  # same key, same bytes
    settled(world, 2)


@pytest.mark.parametrize("fault", [down, denied])
def test_a_store_that_takes_nothing_makes_records_wait(
    world: World, store: HostileStore, fault: Fault
) -> None:
    store.before = [fault] * 1000
    seal(world, 0)
    tries = []
    for _ in range(600):
        world.ship()
        world.clock.advance(1)
        tries.append(len(store.puts))
    # A refusal is asked again each minute; silence after a backoff to 0 … 60 s, 30 on average.
    assert tries[-1] == 10 if fault is denied else 15 <= tries[-1] <= 45
    assert world.count().pending == 1
    store.before = []
    world.clock.advance(60)
    assert world.ship() == 1
    settled(world, 1)


def test_a_store_without_conditions_is_overwritten(world: World, store: HostileStore) -> None:
    store.before = [no_conditions] * 10
    seal(world, 0)
    assert world.ship() == 1
    seal(world, 1)
    assert world.ship() == 1
    assert [create_only for _, _, create_only in store.puts] == [True, False, False]
    settled(world, 2)


@pytest.mark.parametrize("longer", [0, 1])
def test_a_key_that_is_taken_is_never_overwritten(
    world: World, store: HostileStore, longer: int
) -> None:
    store.before = [down]
    seal(world, 0, 1)
    world.ship()
    key, data, _ = store.puts[0]
    another = b"x" * (len(data) + longer)
    asyncio.run(SimulatedStore.put(store, key, another))
    world.clock.advance(2)
    assert world.ship() == 1
    assert asyncio.run(store.get(key)) == another
    assert world.count().dropped == {Drop.KEY_TAKEN: 2}
    assert len(list(world.spool.quarantine.iterdir())) == 1
    settled(world, 0)


def test_a_destination_that_rests_holds_up_no_other(world: World, store: HostileStore) -> None:
    store.before = [down]
    seal(world, 0)
    seal(world, 1, plan=replace(PLAN, destination="s3://bucket/other"))
    assert world.ship() == 1
    (key,) = world.objects()
    assert key.startswith("other/")
    world.clock.advance(2)
    world.ship()
    settled(world, 2)


def test_turns_at_once_share_the_destinations(world: World, store: HostileStore) -> None:
    for name in "abcd":
        seal(world, 0, plan=replace(PLAN, destination=f"s3://bucket/{name}"))

    async def several() -> list[int]:
        return await asyncio.gather(*(world.shipper.turn() for _ in range(3)))

    assert sum(asyncio.run(several())) == 4
    assert len(store.puts) == 4
    settled(world, 4)


class YieldingStore(HostileStore):
    """Each call gives way to others, before its effect and after."""

    async def put(self, key: str, data: bytes, **given: Any) -> Stored:
        await asyncio.sleep(0)
        stored = await super().put(key, data, **given)
        await asyncio.sleep(0)
        return stored

    async def head(self, key: str) -> ObjectInfo:
        await asyncio.sleep(0)
        return await super().head(key)


@pytest.mark.parametrize("steps", range(10))
def test_a_turn_may_be_cancelled_anywhere(tmp_path: Path, steps: int) -> None:
    """After any number of steps: nothing is kept busy, and each object is there once."""

    async def cut_short(world: World) -> None:
        turns = [asyncio.create_task(world.shipper.turn(lane)) for lane in LANES]
        for _ in range(steps):
            await asyncio.sleep(0)
        for turn in turns:
            turn.cancel()
        await asyncio.gather(*turns, return_exceptions=True)

    store = YieldingStore()
    with World(tmp_path, store=store) as world:
        for number in range(3):
            seal(world, number)
        store.after = [StoreUnavailable("lost")]
        for _ in range(4):
            asyncio.run(cut_short(world))
            world.clock.advance(2)
        for _ in range(2):  # the acknowledgement may be lost as late as now
            world.ship()
            world.clock.advance(2)
        assert len(world.records()) == 3
        settled(world, 3)


class Play:
    """Turns of all lanes at once, over a store that hangs until it is told to give up."""

    def __init__(self, world: World, store: SilentStore) -> None:
        self.world = world
        self.store = store
        self.turns: list[asyncio.Task[int]] = []

    async def begin(self) -> None:
        """Begin a turn of every lane that has none, and let them go as far as they can."""
        self.turns = [turn for turn in self.turns if not turn.done()]
        self.turns += [
            asyncio.create_task(self.world.shipper.turn(lane)) for lane in LANES[len(self.turns) :]
        ]
        for _ in range(200):
            await asyncio.sleep(0)

    async def end(self) -> None:
        for turn in self.turns:
            turn.cancel()
        await asyncio.gather(*self.turns, return_exceptions=True)

    def delivered(self, endpoint: str) -> int:
        return sum(each.delivered for each in self.world.account() if each.endpoint == endpoint)


def to(name: str) -> CapturePlan:
    return replace(PLAN, destination=f"s3://bucket/{name}")


def test_destinations_that_hang_leave_turns_to_the_others(tmp_path: Path) -> None:
    """More destinations hang than there are turns."""
    silent = [f"silent-{number}" for number in range(len(LANES) + 2)]

    async def hang(play: Play) -> None:
        await play.begin()
        assert play.store.hanging == PROBES_MAX
        for number in range(3):
            seal(play.world, number, endpoint="fine", plan=to("fine"))
        for _ in range(len(silent) // PROBES_MAX + 1):  # a round of those that were never tried
            assert play.delivered("fine") == 0
            play.store.give_up()
            await play.begin()
            assert play.store.hanging <= PROBES_MAX
            if play.delivered("fine"):
                break
        assert play.delivered("fine") == 3
        await play.end()

    store = SilentStore()
    with World(tmp_path, store=store) as world:
        for name in silent:
            seal(world, 0, endpoint=name, plan=to(name))
        asyncio.run(hang(Play(world, store)))
        store.silent = False
        world.clock.advance(200)
        world.ship()
        world.clock.advance(200)
        world.ship()
        assert sum(count.pending for count in world.account()) == 0  # nothing was kept busy


def test_a_trusted_destination_that_begins_to_hang_leaves_a_turn(tmp_path: Path) -> None:
    async def hang(play: Play) -> None:
        await play.begin()
        assert (play.delivered("a"), play.delivered("fine")) == (1, 1)
        play.store.silent = True
        for number in range(10):
            seal(play.world, number, endpoint="a", plan=to("silent"))
        await play.begin()
        assert play.store.hanging == PUTS_MAX
        play.world.clock.advance(SLOW_SECONDS)
        seal(play.world, 1, endpoint="fine", plan=to("fine"))
        await play.begin()
        assert (play.store.hanging, play.delivered("fine")) == (PUTS_MAX, 2)
        play.store.give_up()
        await play.begin()
        assert play.store.hanging == 0  # it failed once, with all its PUTs, and rests
        assert play.world.shipper._destinations["s3://bucket/silent"].failures == 1
        await play.end()

    store = SilentStore()
    store.silent = False
    with World(tmp_path, store=store) as world:
        seal(world, 0, endpoint="a", plan=to("silent"))
        seal(world, 0, endpoint="fine", plan=to("fine"))
        asyncio.run(hang(Play(world, store)))


def test_a_backlog_does_not_starve_what_is_live(tmp_path: Path) -> None:
    """One destination, one PUT at a time by hand: old ones and new ones both go."""

    async def drain(play: Play) -> None:
        play.store.silent = True
        for number in range(1, 9):
            seal(play.world, number, plan=to("silent"))
        await play.begin()
        assert play.store.hanging == PUTS_MAX
        play.store.silent = False
        seal(play.world, 9, plan=to("silent"))
        await play.end()
        play.store.puts.clear()
        assert await play.world.shipper.turn(Lane.NEWEST) == 9

    store = SilentStore()
    store.silent = False
    with World(tmp_path, store=store) as world:
        seal(world, 0, plan=to("silent"))
        world.ship()
        asyncio.run(drain(Play(world, store)))
        numbers = [int(data.split(b'"data":"')[1][:1]) for _, data, _ in store.puts]
        assert numbers == [9, 8, 7, 6, 5, 4, 3, 2, 1]


def test_an_object_that_is_there_and_not_there_is_waited_for(
    world: World, store: HostileStore
) -> None:
    """The key is taken, and then it is gone: any answer of the port makes a destination rest."""
    store.before = [lambda _: ObjectExists("taken")]
    seal(world, 0)
    assert world.ship() == 0
    assert world.count().pending == 1
    world.clock.advance(2)
    assert world.ship() == 1
    settled(world, 1)


def test_a_segment_that_cannot_be_read_holds_up_no_other_and_is_read_again(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    seal(world, 0)
    (file,) = world.spool.writers.glob("*/*.seal")
    seal(world, 1)
    file.chmod(0)
    with obeyed_modes():
        assert world.ship() == 1
        for _ in range(20):
            world.clock.advance(60)
            assert world.ship() == 0
    assert capfd.readouterr().out.count("SegmentUnreadable") == 1
    assert world.count().pending == 1
    file.chmod(0o600)
    world.clock.advance(PAUSE_SECONDS_MAX)
    assert world.ship() == 1
    settled(world, 2)


def test_a_disk_that_gives_back_the_head_of_a_segment_alone(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    """Looked at well and read badly: one spell, and pauses that grow."""
    seal(world, 0)
    reads = 0

    def refuse(kind: str) -> int | None:
        nonlocal reads
        reads += kind == "read"
        return errno.EIO if kind == "read" and reads > 1 else None

    world.disk.plan = refuse
    for _ in range(100):
        assert world.ship() == 0
        world.clock.advance(1)
    assert reads == 1 + 7  # after 0, 1, 3, 7, 15, 31 and 63 s
    assert capfd.readouterr().out.count("SegmentUnreadable") == 1
    world.disk.plan = lambda _: None
    world.clock.advance(PAUSE_SECONDS_MAX)
    assert world.ship() == 1
    settled(world, 1)


def test_a_label_of_another_version_is_damage(world: World) -> None:
    """Whole by its checksum and not ours to read: it must not end the shipper each time."""
    seal(world, 0)
    (file,) = world.spool.writers.glob("*/*.seal")
    (sealed,) = segment_files(world.disk, file.parent)
    label = Label(0, sealed.hour, b'{"endpoint":"churn"}').encode()
    file.write_bytes(pack(sealed.salt, HEAD, 1, label))
    assert world.ship() == 1
    assert world.count().dropped == {Drop.CORRUPT: 1}
    settled(world, 0)


def test_a_segment_with_its_row_is_not_sent_again(world: World, store: HostileStore) -> None:
    """Killed between the row and the unlink."""
    seal(world, 0)
    (file,) = world.spool.writers.glob("*/*.seal")
    kept = file.read_bytes()
    world.ship()
    file.write_bytes(kept)
    assert world.count().pending == 0
    assert world.ship() == 1
    assert len(store.puts) == 1
    settled(world, 1)


def test_damaged_records_are_counted_and_the_rest_shipped(world: World) -> None:
    seal(world, 0, 1, 2)
    (file,) = world.spool.writers.glob("*/*.seal")
    data = bytearray(file.read_bytes())
    data[data.index(b"1,\xc3\xa9")] ^= 1
    file.write_bytes(data)
    world.ship()
    assert world.inputs() == ["0,\u00e9\n".encode(), "2,\u00e9\n".encode()]
    assert world.count().dropped == {Drop.CORRUPT: 1}
    assert [kept.read_bytes() for kept in world.spool.quarantine.iterdir()] == [bytes(data)]
    settled(world, 2)


@pytest.mark.parametrize("left", [b"", b"junk" * 100])
def test_a_segment_of_which_nothing_is_left(world: World, left: bytes) -> None:
    seal(world, 0, 1)
    (file,) = world.spool.writers.glob("*/*.seal")
    file.write_bytes(left)
    assert world.ship() == 1
    assert world.objects() == {}
    assert world.count().dropped == {Drop.CORRUPT: 2}
    settled(world, 0)


def test_the_oldest_goes_first(world: World, store: HostileStore) -> None:
    hour = 3_600_000_000_000
    for number in (5, 1, 3):
        seal(world, number, received_ns=number * hour)
    world.ship()
    assert [int(data.split(b'"data":"')[1][:1]) for _, data, _ in store.puts] == [1, 3, 5]


def test_what_the_object_says_of_itself(world: World, store: HostileStore) -> None:
    seal(world, 0, 1)
    world.ship()
    key, data, create_only = store.puts[0]
    info = asyncio.run(store.head(key))
    assert create_only
    assert re.fullmatch(r"[0-9a-f-]{36}:1:1", info.metadata["modeltap-segment"])
    assert (info.metadata["modeltap-records"], info.metadata["modeltap-last"]) == ("2", "2")
    assert (info.metadata["modeltap-numbers"], info.metadata["modeltap-lost"]) == ("1-2", "0")
    assert data.endswith(b"\n")
    assert data.count(b"\n") == 2
    (row,) = world.ledger.deliveries()
    assert (row.numbers, row.lost, row.reason) == ("1-2", 0, "")


def test_numbers_that_are_too_long_for_metadata_stand_in_the_ledger_alone(
    world: World, store: HostileStore
) -> None:
    other = replace(PLAN, destination="s3://bucket/other")  # of one slot: every second number
    for number in range(600):
        world.offer(exchange(number, plan=(PLAN, other)[number % 2]))
    world.turn()
    world.turn(61)
    assert world.ship() == 2
    assert all(
        "modeltap-numbers" not in asyncio.run(store.head(key)).metadata for key, *_ in store.puts
    )
    first, second = (Numbers.parse(row.numbers) for row in world.ledger.deliveries())
    assert (len(first), len(first & second), str(first | second)) == (300, 0, "1-600")


def test_a_uri_that_no_store_has_makes_its_records_wait(tmp_path: Path) -> None:
    def nowhere(uri: str) -> tuple[ObjectStore, str]:
        raise StoreRefused("not the URI of an S3 object")

    with World(tmp_path) as world:
        seal(world, 0)
        args = (world.spool, nowhere, world.ledger, world.settings, world.clock)
        assert asyncio.run(Shipper(*args).turn()) == 0
        assert world.count().pending == 1


def test_a_row_counts_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    row = Delivery("w", 1, 1, 9, "churn", "A", "s3://b/k", "e", 100, 8, 1, 5, "1-8", "corrupt")
    ledger.add(row)
    ledger.add(row)
    ledger.add(replace(row, first=10, last=12, records=3, lost=0, reason=""))
    ledger.add(replace(row, first=20, last=22, records=0, lost=3, reason="poison"))
    assert ledger.delivered("churn", "A") == 11
    assert ledger.delivered("churn", "B") == 0
    lost = {Drop.CORRUPT: 1, Drop.POISON: 3}
    assert ledger.totals() == {("churn", "A"): Total(11, lost)}
    assert ledger.counts("w") == {
        SegmentId("w", 1, first): n for first, n in ((1, 9), (10, 3), (20, 3))
    }
    ledger.close()


def test_keys_differ_by_writer_and_segment_alone(tmp_path: Path) -> None:
    seen = set()
    for seed in range(3):
        with World(tmp_path / str(seed)) as world:
            world.clock = SimulatedClock(seed=seed)
            world.kill_all()
            world.start()
            seal(world, 0)
            seal(world, 1)
            world.ship()
            seen |= set(world.objects())
    assert len(seen) == 6
    assert len({key[:44] for key in seen}) == 1  # same hour, same second: told apart by the id


def test_quarantine_is_bounded(tmp_path: Path) -> None:
    spool = SpoolFolder(tmp_path, SystemDisk())
    spool.make()
    for number in range(3):
        path = spool.writers / f"{number}.seal"
        path.touch()
        os.truncate(path, QUARANTINE_BYTES_MAX // 2)
        os.utime(path, (number, number))
        spool.put_aside(path)
    kept = sorted(file.name for file in spool.quarantine.iterdir())
    assert kept == ["writers-1.seal", "writers-2.seal"]
