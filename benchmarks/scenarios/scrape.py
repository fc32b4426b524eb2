"""What a look at capture costs, by how much waits in the spool and stands in the ledger."""

import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from benchmarks.results import Plan, Reach, Section, Spread, Table
from modeltap.capture.counters import PAGE_BYTES, Counters
from modeltap.capture.disk import SystemDisk
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.inventory import Inventory
from modeltap.capture.ledger import Delivery, Ledger
from modeltap.capture.mirror import Mirror
from modeltap.capture.segment import Label, Segment, SegmentId
from modeltap.capture.standing import standing
from modeltap.capture.stream import Stream
from modeltap.clock import SystemClock
from modeltap.control.capture_families import CaptureFamilies
from modeltap.nouns import CapturePlan

SIZES = ((100, 0), (10_000, 0), (100, 100_000))
"""(pending segments, ledger rows)"""
VARIANTS = 20
TARGET_MS = 100.0
PLAN = CapturePlan(100, "s3://bucket/prefix", True, True, frozenset(), frozenset())

TEXT = f"""\
`/metrics` and `/capturez` look at all of the spool. A look lists names and asks the ledger once;
what cannot change is remembered from the look before, which the *first* one cannot. CPU of one look
and its metrics, over {VARIANTS} variants.
"""


def run(plan: Plan) -> Section:
    found: dict[tuple[int, int], tuple[list[float], list[float]]] = {}
    for number in range(plan.rounds):
        print(f"round {number + 1}", file=sys.stderr)
        for size in SIZES:
            with tempfile.TemporaryDirectory(dir=plan.folder, prefix="scrape-") as folder:
                first, later = _measured(Path(folder), *size)
            firsts, laters = found.setdefault(size, ([], []))
            firsts.append(first)
            laters.append(later)
    rows: list[list[str | float | Spread]] = [
        [f"{segments:,}", f"{rows:,}", Spread.of(first), Spread.of(later)]
        for (segments, rows), (first, later) in found.items()
    ]
    columns = ("pending segments", "ledger rows", "first look, ms CPU", "later looks, ms CPU")
    most = Spread.of(found[SIZES[1]][1])
    return Section(
        title="Scrapes",
        text=TEXT,
        tables=[Table("One look at capture", columns, rows)],
        reaches=[Reach("a look at 10,000 pending segments: ms CPU", TARGET_MS, False, most)],
    )


def _measured(root: Path, segments: int, rows: int) -> tuple[float, float]:
    """Give ms of CPU of the first look and of the median of later ones."""
    spool = SpoolFolder(root / "spool", SystemDisk())
    spool.make()
    _fill(spool, segments, rows)
    inventory = Inventory(spool)
    looks = sorted([_look(inventory) for _ in range(5)][1:])
    return _look(Inventory(spool)), looks[len(looks) // 2]


def _look(inventory: Inventory) -> float:
    before = time.process_time()
    found = standing(inventory, [])
    list(CaptureFamilies(found, time.time_ns()).collect())
    if any(count.discrepancy for count in found.counts):
        raise AssertionError("the spool was not filled as its counters say")
    return (time.process_time() - before) * 1000


def _fill(spool: SpoolFolder, segments: int, rows: int) -> None:
    """Leave so many segments of one record, and so many rows, of a writer that is gone."""
    writer = SystemClock().uuid4()
    page = memoryview(bytearray(PAGE_BYTES))
    counters = Counters(page, lambda _at, _size: True)
    folder = spool.writers / writer
    spool.disk.make_folder(folder)
    pairs = [(f"endpoint-{number}", "AllTraffic") for number in range(VARIANTS)]
    slots = [counters.slot(*pair) for pair in pairs]
    heads = [_head(folder, slot, pair) for slot, pair in zip(slots, pairs, strict=True)]
    for number in range(segments):
        slot, head = slots[number % VARIANTS], heads[number % VARIANTS]
        name = f"{slot:05d}-0480000-{counters.sample(slot):012d}-{1:09d}.seal"
        (folder / name).write_bytes(head)
    with closing(Ledger(spool.ledger)) as ledger:
        for number in range(rows):
            slot = slots[number % VARIANTS]
            first = counters.sample(slot)
            ledger.add(_row(writer, slot, first, pairs[number % VARIANTS]))
    mirror = Mirror(spool.counters, writer, page, spool.disk)
    mirror.write()
    mirror.close()


def _head(folder: Path, slot: int, pair: tuple[str, str]) -> bytes:
    """Give the bytes of a segment that has nothing but its label: a look reads no more."""
    label = Label(0, 480_000, Stream(*pair, PLAN).encode())
    segment = Segment.create(folder, SegmentId(folder.name, slot, 1), label, SystemDisk())
    data = segment.path.read_bytes()
    segment.discard()
    return data


def _row(writer: str, slot: int, first: int, pair: tuple[str, str]) -> Delivery:
    uri, numbers = f"s3://bucket/{slot}/{first}", str(first)
    return Delivery(writer, slot, first, first, *pair, uri, "e", 100, 1, 0, first, numbers, "")
