"""Bits flip on disk (F4): each flip is seen, its record is counted, and all others arrive."""

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from capture_world import World, exchange
from modeltap.capture.counters import Drop
from modeltap.capture.frame import HEAD, REC, pack, scan
from modeltap.capture.segment import Label, SegmentFile, SegmentId, read, segment_files
from modeltap.objects.simulated import SimulatedStore

FLIPS = 20_000
FLIPS_AT_ONCE = 20
RECORDS = 400


@pytest.fixture
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name, World(Path(name)) as world:
        yield world


def sealed(world: World) -> SegmentFile:
    """Capture three records; give their segment, not shipped yet."""
    world.offer(*(exchange(number, body=b"%d" % number) for number in range(3)))
    world.turn()
    world.turn(61)
    (folder,) = world.spool.writer_folders()
    (file,) = segment_files(world.disk, folder)
    return file


def record_frames(data: bytes, file: SegmentFile) -> list[range]:
    """Tell where each record's frame stands."""
    spans = []
    for sequence, payload in scan(data, file.salt, file.id.first).records:
        frame = pack(file.salt, REC, sequence, payload)
        start = data.index(frame)
        spans.append(range(start, start + len(frame)))
    return spans


@pytest.mark.parametrize("bits", [[3], pytest.param(range(8), marks=pytest.mark.long)])
def test_a_flipped_bit_costs_one_record_of_an_object(world: World, bits: list[int]) -> None:
    file = sealed(world)
    good = file.path.read_bytes()
    frames = record_frames(good, file)
    assert len(frames) == 3
    for at in range(len(good)):
        for bit in bits:
            damaged = bytearray(good)
            damaged[at] ^= 1 << bit
            file.path.write_bytes(damaged)
            ship_anew(world)
            lost = {number for number, frame in enumerate(frames) if at in frame}
            assert {int(body) for body in world.inputs()} == {0, 1, 2} - lost
            count = world.count()
            assert count.dropped == ({Drop.CORRUPT: 1} if lost else {})
            assert (count.pending, count.discrepancy) == (0, 0)
            assert len(list(world.spool.quarantine.iterdir())) == len(lost)


def ship_anew(world: World) -> None:
    """Ship as if nothing had been shipped before."""
    world.ledger.close()
    for path in (*world.spool.root.glob("ledger.db*"), *world.spool.quarantine.iterdir()):
        path.unlink()
    world.store = SimulatedStore()
    world.start_shipper()
    assert world.ship() == 1


def test_of_many_flips_none_passes_and_none_costs_another_record() -> None:
    chance = random.Random(4)
    file = SegmentFile(Path("none"), SegmentId("writer", 1, 1), 444_444, RECORDS)
    records = [(number, chance.randbytes(chance.randrange(2000))) for number in range(1, RECORDS)]
    label = Label(0, file.hour, b"stream").encode()
    frames = [pack(file.salt, HEAD, 1, label)] + [pack(file.salt, REC, *each) for each in records]
    good = b"".join(frames)
    ends = [0]
    for frame in frames:
        ends.append(ends[-1] + len(frame))
    for _ in range(FLIPS // FLIPS_AT_ONCE):
        damaged, hit = bytearray(good), set()
        for at in chance.sample(range(len(good)), FLIPS_AT_ONCE):
            damaged[at] ^= 1 << chance.randrange(8)
            hit.add(next(number for number, end in enumerate(ends) if at < end) - 1)
        untouched = [record for number, record in enumerate(records, 1) if number not in hit]
        found = read(bytes(damaged), file)
        assert list(found.records) == untouched
        assert (found.label is None) == (0 in hit)
