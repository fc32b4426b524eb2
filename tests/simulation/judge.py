"""What must hold, at every step of a day and at its end, whatever has happened.

The judge is told what was offered and what need not arrive, and looks at what is there: buckets,
rings, files and ledger. It shares no arithmetic with `account`, which it judges, too.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from simulated_bucket import Bucket
from simulated_gateway import Gateway

from modeltap.capture.account import Count, account
from modeltap.capture.counters import Drop
from modeltap.capture.disk import Disk
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.frame import open_parcel
from modeltap.capture.ledger import LedgerReader
from modeltap.capture.segment import SegmentFile, SegmentId, content, segment_files
from modeltap.clock import utc
from modeltap.record import decode

_Slot = tuple[str, int]


@dataclass(frozen=True)
class Offered:
    """What of a record is to be found in which folder of which bucket."""

    bucket: str
    folder: str  # up to and without the hour
    received_ns: int
    input: bytes
    output: bytes | None

    @property
    def place(self) -> str:
        return f"{self.folder}/{utc(self.received_ns):%Y/%m/%d/%H}"


@dataclass
class Promises:
    """What the house has said of the records, one after the other."""

    offered: dict[str, Offered] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)  # need not arrive
    durable: set[str] = field(default_factory=set)  # an answer waited for it, and was told so
    rotten: set[str] = field(default_factory=set)  # segments with a bit that was flipped
    uncounted: int = 0  # at most so many were sampled and are forgotten: ring and mirror are gone


class World(Protocol):
    """What the judge looks at."""

    promises: Promises
    spool: SpoolFolder
    buckets: dict[str, Bucket]
    gateways: list[Gateway]


class Judge:
    """Raises `AssertionError` where something does not hold."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._found: dict[str, str] = {}  # bucket and key by event id
        self._in_objects: defaultdict[_Slot, set[int]] = defaultdict(set)
        self._in_file: dict[Path, tuple[int, ...]] = {}
        self._rows: set[tuple[str, int, int]] = set()
        self._delivered: dict[tuple[str, str], int] = {}

    def look_at_buckets(self) -> None:
        """See that whatever was put is true, new, and in its place."""
        for name, bucket in self._world.buckets.items():
            assert not bucket.changed, f"objects that have become others: {bucket.changed}"
            for key in dict.fromkeys(bucket.fresh):
                self._look_at_object(name, key, bucket.data(key))
            bucket.fresh.clear()

    def _look_at_object(self, bucket: str, key: str, data: bytes) -> None:
        assert data.endswith(b"\n"), f"a torn object: {key}"
        for line in data.splitlines():
            record = decode(line)
            wanted = self._world.promises.offered.get(record.event_id)
            assert wanted is not None, f"a record that was not offered, in {key}"
            assert record.input is not None
            output = None if record.output is None else record.output.body
            is_same = (record.input.body, output) == (wanted.input, wanted.output)
            assert is_same, f"another record than was offered, in {key}"
            place = bucket, key.rpartition("/")[0]
            assert place == (wanted.bucket, wanted.place), f"in the wrong place: {key}"
            where = f"{bucket}/{key}"
            first = self._found.setdefault(record.event_id, where)
            assert first == where, f"a record is twice in the bucket: {first}, {where}"

    def look_at_the_numbers(self) -> None:
        """See that no number is in two objects, or in an object and a segment, or two segments."""
        with LedgerReader(self._world.spool.ledger) as ledger:
            for row in ledger.deliveries():
                name = row.writer, row.slot, row.first
                if name not in self._rows:
                    self._rows.add(name)
                    spans = (part.partition("-") for part in row.numbers.split(","))
                    told = [n for a, _, b in spans for n in range(int(a), int(b or a) + 1)]
                    assert len(told) == row.records, f"a row that does not count: {row}"
                    _take(self._in_objects[row.writer, row.slot], told, row.uri)
        held: defaultdict[_Slot, set[int]] = defaultdict(set)
        for file in self._files():
            key = file.id.writer, file.id.slot
            if (*key, file.id.first) not in self._rows:
                numbers = self._numbers_in(file)
                twice = self._in_objects[key].intersection(numbers)
                assert not twice, f"in a segment and in an object: {file.path.name} {twice}"
                _take(held[key], numbers, file.path.name)
        self._look_at_rings()

    def _look_at_rings(self) -> None:
        """See that what will be read again is in nothing that is closed."""
        for gateway in self._world.gateways:
            sealed: defaultdict[int, set[int]] = defaultdict(set)
            folder = self._world.spool.writers / gateway.writer
            for file in segment_files(self._world.spool.disk, folder):
                if file.count is not None:
                    sealed[file.id.slot].update(self._numbers_in(file))
            for slot, number, _ in gateway.held():
                assert number not in sealed[slot], "in a sealed segment, and not released"
                assert number not in self._in_objects[gateway.writer, slot], "shipped, not released"

    def look_at_mirrors(
        self,
        mirrored: Mapping[str, Mapping[int, int]],
        writers: Iterable[str],
        first_held: Mapping[_Slot, int],
    ) -> None:
        """See that what rings had released when they died is counted in what is left of them."""
        spool = self._world.spool
        for writer in writers:
            known = mirrored.get(writer, {})
            for file in segment_files(spool.disk, spool.writers / writer):
                slot = file.id.slot
                released = (
                    number
                    for number, _ in content(spool.disk, file).records
                    if number < first_held.get((writer, slot), math.inf)
                )
                most = max(released, default=0)
                assert most <= known.get(slot, 0), f"released, and not counted: {writer} {most}"

    def look_at_the_account(self) -> list[Count]:
        """See that every sampled record has a fate, and that none is taken back."""
        counts = account(self._world.spool, [gateway.fd for gateway in self._world.gateways])
        for count in counts:
            assert not count.discrepancy, f"records without a fate, or with two: {count}"
            assert count.delivered <= count.sampled
            variant = count.endpoint, count.variant
            before = self._delivered.get(variant, 0)
            assert count.delivered >= before, f"delivered was {before}: {count}"
            self._delivered[variant] = count.delivered
        return counts

    def look_at_the_end(self) -> None:
        """See that everything has arrived that was to, and that the counts say what is there."""
        self.look_at_buckets()
        self.look_at_the_numbers()
        promises, found = self._world.promises, self._found.keys()
        missing = promises.offered.keys() - found - self._put_aside()
        broken = promises.durable & missing
        assert not broken, f"{len(broken)} records are lost of which an answer said: durable"
        lost = missing - promises.doubtful
        assert not lost, f"{len(lost)} records are lost of {len(promises.offered)}"
        self._look_at_givings_up()
        counts = self.look_at_the_account()
        assert not any(count.pending for count in counts), f"still on the way: {counts}"
        delivered = sum(count.delivered for count in counts)
        assert delivered == len(found), f"{delivered} counted as delivered, {len(found)} there"
        sampled = sum(count.sampled for count in counts)
        most = len(promises.offered)
        assert most - promises.uncounted <= sampled <= most, f"{sampled} counted of {most} offered"

    def _look_at_givings_up(self) -> None:
        """See that no segment was given up but those that were damaged, or could not be put."""
        hopeless = set(self._world.promises.rotten)
        for bucket in self._world.buckets.values():
            hopeless |= bucket.hopeless
        with LedgerReader(self._world.spool.ledger) as ledger:
            rows = ledger._rows("SELECT writer, slot, first, reason FROM delivery")
        for *name, reason in rows:
            given_up = reason in {Drop.POISON, Drop.KEY_TAKEN}
            segment = ":".join(map(str, name))
            assert not given_up or segment in hopeless, f"given up for no reason: {segment}"

    def _put_aside(self) -> set[str]:
        """Give the records of the segments that are in quarantine: given up, and counted."""
        folder, disk = self._world.spool.quarantine, self._world.spool.disk
        files = (_aside(folder / name) for name in disk.files(folder))
        return {event_id for file in files for event_id in events_in(disk, file)}

    def _files(self) -> Iterable[SegmentFile]:
        spool = self._world.spool
        for folder in spool.writer_folders():
            yield from segment_files(spool.disk, folder)

    def _numbers_in(self, file: SegmentFile) -> tuple[int, ...]:
        if file.path in self._in_file:
            return self._in_file[file.path]
        numbers = tuple(number for number, _ in content(self._world.spool.disk, file).records)
        if file.count is not None:
            self._in_file[file.path] = numbers
        return numbers


def events_in(disk: Disk, file: SegmentFile) -> set[str]:
    """Give the event ids of a segment's records."""
    return {open_parcel(parcel).event_id for _, parcel in content(disk, file).records}


def _aside(path: Path) -> SegmentFile:
    """Name a segment that was put aside: `{writer}-{its name}`."""
    slot, hour, first, *_ = map(int, path.stem[37:].split("-"))
    return SegmentFile(path, SegmentId(path.name[:36], slot, first), hour, None)


def _take(taken: set[int], numbers: Iterable[int], where: str) -> None:
    twice = taken.intersection(numbers)
    assert not twice, f"numbers that are elsewhere, too: {where} {twice}"
    taken.update(numbers)
