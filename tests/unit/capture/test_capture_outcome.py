"""The outcome table, row by row: what the shipper does with each answer (reliability §2.8)."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from capture_world import PLAN, World, exchange
from modeltap.capture.counters import Drop
from modeltap.capture.outcome import REFUSALS_MAX, Outcome, outcome_of
from modeltap.capture.puts import Puts, read_puts
from modeltap.capture.shipper import Shipper
from modeltap.errors import ObjectExists, ObjectNotFound, StoreUnavailable
from modeltap.objects.port import Stored, refusal
from modeltap.objects.simulated import Fault, SimulatedStore

ANSWERS = [
    (412, "PreconditionFailed", Outcome.EXISTS),
    (409, "ConditionalRequestConflict", Outcome.CONFLICT),
    (500, "InternalError", Outcome.UNAVAILABLE),
    (502, "", Outcome.UNAVAILABLE),
    (503, "SlowDown", Outcome.UNAVAILABLE),
    (504, "", Outcome.UNAVAILABLE),
    (429, "", Outcome.UNAVAILABLE),
    (400, "RequestTimeout", Outcome.UNAVAILABLE),
    (400, "IncompleteBody", Outcome.UNAVAILABLE),
    (400, "ExpiredToken", Outcome.CREDENTIALS),
    (403, "ExpiredToken", Outcome.CREDENTIALS),
    (403, "InvalidToken", Outcome.CREDENTIALS),
    (403, "InvalidAccessKeyId", Outcome.CREDENTIALS),
    (403, "SignatureDoesNotMatch", Outcome.CREDENTIALS),
    (403, "RequestTimeTooSkewed", Outcome.SKEWED),
    (403, "AccessDenied", Outcome.HELD),
    (403, "", Outcome.HELD),
    (401, "", Outcome.HELD),
    (404, "NoSuchBucket", Outcome.HELD),
    (301, "PermanentRedirect", Outcome.HELD),
    (400, "AuthorizationHeaderMalformed", Outcome.HELD),
    (400, "KMS.DisabledException", Outcome.HELD),
    (0, "", Outcome.HELD),
]
"""What means the same to create and to overwrite."""

UNCONDITIONAL = [(400, "InvalidRequest"), (413, "EntityTooLarge"), (501, "NotImplemented")]


@pytest.mark.parametrize("create_only", [True, False])
@pytest.mark.parametrize(("status", "code", "outcome"), ANSWERS[1:])
def test_an_answer_and_its_outcome(
    status: int, code: str, outcome: Outcome, create_only: bool
) -> None:
    assert outcome_of(refusal(status, code), create_only=create_only) is outcome


@pytest.mark.parametrize(("status", "code"), UNCONDITIONAL)
def test_what_may_come_of_a_condition(status: int, code: str) -> None:
    error = refusal(status, code)
    assert outcome_of(error, create_only=True) is Outcome.NO_CONDITIONS
    plain = Outcome.HELD if status == 501 else Outcome.REFUSED
    assert outcome_of(error, create_only=False) is plain


def test_what_is_no_answer() -> None:
    assert outcome_of(StoreUnavailable("reset"), create_only=True) is Outcome.UNAVAILABLE
    assert outcome_of(ObjectNotFound("gone"), create_only=True) is Outcome.UNAVAILABLE
    assert outcome_of(ObjectExists("there"), create_only=True) is Outcome.EXISTS
    assert outcome_of(refusal(422, ""), create_only=True) is Outcome.REFUSED


# ---------------------------------------------------------------- what is done then


class Odd(SimulatedStore):
    """A bucket that takes small objects alone, and keeps no metadata."""

    refused = 0

    async def put(self, key: str, data: bytes, **given: Any) -> Stored:
        if len(data) > 5000:
            self.refused += 1
            raise refusal(413, "EntityTooLarge")
        return await super().put(key, data, **given | {"metadata": None})


class Forgetful(Odd):
    """Such a bucket, which took the first large object, too; but that answer was lost."""

    async def put(self, key: str, data: bytes, **given: Any) -> Stored:
        if len(data) > 5000 and not [each async for each in self.list(key)]:
            await SimulatedStore.put(self, key, data)
            raise StoreUnavailable("the answer was lost")
        return await super().put(key, data, **given)


class Answering:
    """A bucket that fails its puts as it is told, and counts what it is asked."""

    def __init__(self) -> None:
        self.store = SimulatedStore(self.fault)
        self.answer: Fault | None = None
        self.only: Callable[[int], bool] = lambda _: True  # of the number of the put
        self.puts = 0

    def fault(self, call: str) -> Fault | None:
        if call != "put":
            return None
        self.puts += 1
        return self.answer if self.only(self.puts) else None


@pytest.fixture
def bucket() -> Answering:
    return Answering()


@pytest.fixture
def world(tmp_path: Path, bucket: Answering) -> Iterator[World]:
    with World(tmp_path, store=bucket.store) as world:
        yield world


def seal(world: World, *numbers: int, body: bytes | None = None, to: str = "prefix") -> None:
    plan = replace(PLAN, destination=f"s3://bucket/{to}")
    for number in numbers:
        world.offer(exchange(number, body=body, plan=plan))
    world.turn()
    world.turn(61)


def tries(world: World, bucket: Answering, seconds: int) -> list[int]:
    """Ship each second; give the seconds at which a put was made."""
    found = []
    for second in range(seconds):
        before = bucket.puts
        world.ship()
        found += [second] * (bucket.puts - before)
        world.clock.advance(1)
    return found


HELD_SECONDS = 60.0  # capture_retry_seconds_max


def arrives(world: World, bucket: Answering, seconds: float = HELD_SECONDS) -> None:
    """See that nothing was lost meanwhile, and that all arrives once the store is well."""
    before = world.count()
    assert (before.pending, before.delivered, before.dropped) == (1, 0, {})
    bucket.answer = None
    world.clock.advance(seconds)
    assert world.ship() == 1
    after = world.count()
    assert (after.delivered, after.pending, after.discrepancy) == (1, 0, 0)
    assert read_puts(world.spool).waiting == {}


@pytest.mark.parametrize("fault", [Fault.DENIED, Fault.NO_BUCKET, Fault.MOVED, Fault.SKEWED])
def test_configuration_is_held_and_asked_again_each_minute(
    world: World, bucket: Answering, fault: Fault, capfd: pytest.CaptureFixture[str]
) -> None:
    bucket.answer = fault
    seal(world, 0)
    assert tries(world, bucket, 200) == [0, 60, 120, 180]
    assert capfd.readouterr().out.count("DeliveryWaiting") == 1
    arrives(world, bucket)
    assert capfd.readouterr().out.count("DeliveryResumed") == 1


@pytest.mark.parametrize("fault", [Fault.DOWN, Fault.BUSY])
def test_a_store_that_is_busy_is_backed_off_from(
    world: World, bucket: Answering, fault: Fault, capfd: pytest.CaptureFixture[str]
) -> None:
    bucket.answer = fault
    seal(world, 0)
    found = tries(world, bucket, 3000)
    pauses = [after - before for before, after in pairwise(found)]
    assert max(pauses) <= 60
    assert len([pause for pause in pauses if pause > 30]) > 10  # jitter is full: 0 … 60
    assert len([pause for pause in pauses if pause < 30]) > 10
    assert capfd.readouterr().out.count("DeliveryWaiting") == 1
    arrives(world, bucket)


def test_a_conflict_is_tried_again_soon(world: World, bucket: Answering) -> None:
    bucket.answer = Fault.CONFLICT
    seal(world, 0)
    assert tries(world, bucket, 20) == list(range(20))
    arrives(world, bucket, 1)


def test_credentials_are_renewed_and_nothing_is_lost(world: World, bucket: Answering) -> None:
    renewed: list[str] = []

    def renew(uri: str) -> None:
        renewed.append(uri)
        if len(renewed) == 3:
            bucket.answer = None

    world.shipper = Shipper(
        world.spool, world.stores, world.ledger, world.settings, world.clock, renew
    )
    bucket.answer = Fault.EXPIRED
    seal(world, 0)
    assert len(tries(world, bucket, 60)) == 4  # three refused, each renewed, and one taken
    assert renewed == [renewed[0]] * 3
    assert renewed[0].startswith("s3://bucket/prefix/")
    assert world.count().delivered == 1


def test_a_segment_that_alone_is_refused_is_poison_and_holds_up_no_other(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The bucket takes anything but large objects: those alone are lost, and counted."""
    store = Odd()
    with World(tmp_path, store=store) as world:
        seal(world, 0, 1, body=b"x" * 5000)
        for number in range(2, 12):
            seal(world, number)
        delivered = []
        for _ in range(60):
            world.ship()
            delivered.append(world.count().delivered)
            world.clock.advance(1)
        assert delivered[4] == 10  # a rest or two, and all others are through
        count = world.count()
        assert (count.dropped, count.pending, count.discrepancy) == ({Drop.POISON: 2}, 0, 0)
        assert store.refused == 2 * REFUSALS_MAX  # each to create, and once more without
        assert len(list(world.spool.quarantine.iterdir())) == 1
        assert capfd.readouterr().out.count("reason=poison") == 1
        told = read_puts(world.spool).outcomes
        assert (told[Outcome.REFUSED], told[Outcome.POISON]) == (REFUSALS_MAX, 1)


def test_what_is_refused_and_was_stored_before_is_no_poison(tmp_path: Path) -> None:
    with World(tmp_path, store=Forgetful()) as world:
        seal(world, 0, 1, body=b"x" * 5000)
        for number in range(2, 12):
            seal(world, number)
        for _ in range(60):
            world.ship()
            world.clock.advance(1)
        count = world.count()
        assert (count.delivered, count.dropped, count.pending) == (12, {}, 0)


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.TOO_LARGE])
def test_a_store_that_refuses_all_makes_poison_of_nothing(
    world: World, bucket: Answering, fault: Fault
) -> None:
    """Not of the first segments, nor of those after others were taken: all wait."""
    for spell in range(2):
        bucket.answer = fault
        for number in range(3):
            seal(world, number)
        assert len(tries(world, bucket, 1800)) > 2 * 3 * REFUSALS_MAX
        count = world.count()
        assert (count.dropped, count.pending, count.delivered) == ({}, 3, 3 * spell)
        assert next(iter(read_puts(world.spool).waiting.values()))[0] is Outcome.REFUSED
        bucket.answer = None
        world.clock.advance(60)
        assert world.ship() == 3


def test_after_a_failure_the_smallest_segment_is_the_probe(world: World, bucket: Answering) -> None:
    bucket.answer = Fault.DOWN
    seal(world, 0, body=b"x" * 9000)
    seal(world, 1, body=b"x" * 100)
    seal(world, 2, body=b"x" * 5000)
    world.ship()
    bucket.answer, bucket.only = Fault.DOWN, lambda number: number > 2
    world.clock.advance(2)
    world.ship()
    assert [len(data) < 500 for data in world.objects().values()] == [True]


def test_an_acknowledgement_that_was_lost_is_seen_in_the_head(
    world: World, bucket: Answering
) -> None:
    bucket.answer = Fault.LOST
    seal(world, 0)
    world.ship()
    arrives(world, bucket, 2)
    told = read_puts(world.spool).outcomes
    assert told == {Outcome.UNAVAILABLE: 1, Outcome.EXISTS: 1}


def test_a_store_that_keeps_no_metadata_is_asked_for_the_bytes(tmp_path: Path) -> None:
    store = Odd(lambda call: Fault.LOST if call == "put" else None)
    with World(tmp_path, store=store) as world:
        seal(world, 0)
        world.ship()
        world.clock.advance(2)
        assert world.ship() == 1
        assert world.count().delivered == 1


def test_the_key_of_a_plan_goes_with_the_put(world: World, bucket: Answering) -> None:
    world.offer(exchange(0, plan=replace(PLAN, kms_key_id="alias/capture")), exchange(1))
    world.turn()
    world.turn(61)
    world.ship()
    assert sorted(map(str, bucket.store.kms_key_ids.values())) == ["None", "alias/capture"]


# ---------------------------------------------------------------- what the shipper publishes


def test_what_the_shipper_publishes(world: World, bucket: Answering) -> None:
    assert read_puts(world.spool) == Puts()
    seal(world, 0, to="good")
    world.ship()
    assert read_puts(world.spool) == Puts({Outcome.DELIVERED: 1})
    bucket.answer = Fault.DENIED
    seal(world, 1, to="bad")
    world.ship()
    told = read_puts(world.spool)
    assert told.outcomes == {Outcome.DELIVERED: 1, Outcome.HELD: 1}
    why = Outcome.HELD, "the store answered 403 AccessDenied"
    assert told.waiting == {"s3://bucket/bad": why}
    bucket.answer = Fault.NO_CONDITIONS
    world.clock.advance(HELD_SECONDS)
    world.ship()
    told = read_puts(world.spool)
    assert (told.waiting, told.unconditional) == ({}, ("s3://bucket/bad",))
    assert told.outcomes[Outcome.NO_CONDITIONS] == 1


def test_a_key_that_is_taken_is_a_conflict_that_is_told(world: World, bucket: Answering) -> None:
    bucket.answer = Fault.LOST
    seal(world, 0)
    world.ship()
    (key,) = world.objects()
    bucket.answer = None
    asyncio.run(bucket.store.put(key, b"another's"))
    world.clock.advance(2)
    world.ship()
    assert read_puts(world.spool).outcomes[Outcome.KEY_TAKEN] == 1


def test_what_cannot_be_published_stops_no_delivery(world: World) -> None:
    world.spool.root.joinpath("shipper.json.new").mkdir()  # cannot be made, nor unlinked
    seal(world, 0)
    assert world.ship() == 1
    assert read_puts(world.spool) == Puts()
    world.spool.root.joinpath("shipper.json.new").rmdir()
    world.clock.advance(1)
    world.ship()
    assert read_puts(world.spool) == Puts({Outcome.DELIVERED: 1})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"outcomes": 1}', '{"outcomes": {"new": 1}}'])
def test_what_is_no_publication_reads_as_none(world: World, text: str) -> None:
    world.spool.root.joinpath("shipper.json").write_text(text)
    assert read_puts(world.spool) == Puts()
