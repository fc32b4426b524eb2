"""What an outage left is shipped when the bucket is back, while new segments go on to come."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine
from benchmarks.contender import running
from benchmarks.contenders import modeltap
from benchmarks.environments import Unavailable
from benchmarks.results import Cell, Plan, Reach, Section, Spread, Table
from modeltap.capture.disk import SystemDisk
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.frame import HOUR_NS, Packer, salt_of
from modeltap.capture.segment import Label, Segment, SegmentId
from modeltap.capture.stream import Stream
from modeltap.clock import SystemClock
from modeltap.nouns import Answer, CapturePlan, Exchange, Invocation

LIVE_PER_SECOND = 200
BODY_BYTES = 2048
SEALED_SECONDS = 30
"""What a segment of the backlog holds; longer would pass the size at which one is sealed."""

OUTAGE_MINUTES_A_SECOND = 6
"""An outage is so much longer than a slice: 30 minutes in a full run."""

POLL_SECONDS = 0.02
DRAIN_SECONDS_MAX = 600.0

TEXT = f"""\
The bucket is not there, and the spool holds what an outage leaves: {LIVE_PER_SECOND} records of
{BODY_BYTES // 1024} KiB a second, in segments of {SEALED_SECONDS} s. Then the bucket is made, and
from there on a live segment of {LIVE_PER_SECOND} records is sealed each second beside. *Drain :
live* is the rate at which the backlog goes, from its first segment to its last, divided by the live
rate; *live* is how long a live segment takes to its bucket, once its destination is known.
"""


@dataclass(frozen=True, slots=True)
class _Drained:
    """One round, from the first segment that is gone to the last."""

    records: int
    bytes: int
    seconds: float
    lags: list[float]  # of live segments, s

    @property
    def per_second(self) -> float:
        return self.records / self.seconds


def run(plan: Plan) -> Section:
    minutes = plan.seconds * OUTAGE_MINUTES_A_SECOND
    found = []
    for number in range(plan.rounds):
        print(f"round {number + 1}: an outage of {minutes:.0f} minutes", file=sys.stderr)
        found.append(_round(plan, int(minutes * 60)))
    ratio = Spread.of([each.per_second / LIVE_PER_SECOND for each in found])
    columns = (
        "outage, min",
        "records",
        "MB",
        "drained in, s",
        "records/s",
        "MB/s",
        "live, worst s",
    )
    rows: list[list[Cell]] = [
        [
            minutes,
            float(each.records),
            each.bytes / 1e6,
            each.seconds,
            each.per_second,
            each.bytes / 1e6 / each.seconds,
            max(each.lags, default=0.0),
        ]
        for each in found
    ]
    return Section(
        title="Drain after an outage",
        text=TEXT,
        tables=[Table("One shipper, embedded buckets, one disk", columns, rows)],
        reaches=[Reach("drain : live rate", 10, True, ratio)],
    )


def _round(plan: Plan, seconds: int) -> _Drained:
    home = modeltap.emptied(plan.folder / "drain")
    spool = SpoolFolder(home.folder / "spool", SystemDisk())
    with running(home.bare(), plan.model, machine.cores()) as server:
        backlog = [
            _sealed(spool, "backlog", LIVE_PER_SECOND * SEALED_SECONDS)
            for _ in range(seconds // SEALED_SECONDS)
        ]
        size = sum(path.stat().st_size for path in backlog)
        modeltap.with_bucket(home, server)
        return _drained(spool, backlog, size)


def _drained(spool: SpoolFolder, backlog: list[Path], size: int) -> _Drained:
    """Seal a live segment each second until the backlog is gone; note how long each is there."""
    live: dict[Path, float] = {}
    lags: list[float] = []
    left = len(backlog)
    began = left_first = 0.0
    next_at = deadline = time.monotonic()
    deadline += DRAIN_SECONDS_MAX
    while left:
        now = time.monotonic()
        if now > deadline:
            raise Unavailable(f"{left} of {len(backlog)} segments are not shipped")
        if now >= next_at:
            live[_sealed(spool, "live", LIVE_PER_SECOND)] = now
            next_at += 1.0
        for path in [path for path in live if not path.exists()]:
            lags.append(now - live.pop(path))
        left = sum(path.exists() for path in backlog)
        if not began and left < len(backlog):
            began, left_first = now, left
        time.sleep(POLL_SECONDS)
    lags += [time.monotonic() - sealed_at for sealed_at in live.values()]
    share = left_first / len(backlog)
    records = int(len(backlog) * share) * LIVE_PER_SECOND * SEALED_SECONDS
    return _Drained(records, int(size * share), time.monotonic() - began, lags)


def _sealed(spool: SpoolFolder, endpoint: str, records: int) -> Path:
    """Write a sealed segment of its own writer."""
    clock = SystemClock()
    writer, now_ns = clock.uuid4(), clock.now_ns()
    folder = spool.root / "planted" / writer  # nobody looks there
    spool.disk.make_folder(folder)
    plan = CapturePlan(
        100,
        f"s3://{modeltap.BUCKET}/{endpoint}",
        input=True,
        output=True,
        csv_types=frozenset({"text/csv"}),
    )
    hour = now_ns // HOUR_NS
    label = Label(now_ns, hour, Stream(endpoint, "AllTraffic", plan).encode())
    segment = Segment.create(folder, SegmentId(writer, 1, 1), label, spool.disk)
    salt = salt_of(writer, 1, hour)
    frames = b"".join(_frames(Packer(plan), salt, records, now_ns))
    segment.append(frames, records, records)
    segment.mark()
    segment.seal()
    return next(folder.rename(spool.writers / writer).glob("*.seal"))


def _frames(packer: Packer, salt: int, records: int, now_ns: int) -> Iterator[bytes]:
    body = (b"0.125," * BODY_BYTES)[:BODY_BYTES]
    for number in range(1, records + 1):
        asked = Invocation(
            f"00000000-0000-4000-8000-{number:012d}",
            "drain",
            body,
            content_type="text/csv",
            received_ns=now_ns,
        )
        answer = Answer(200, "text/csv", b"0.5")
        yield from packer.frame(number, Exchange(asked, answer, "AllTraffic", None), salt)
