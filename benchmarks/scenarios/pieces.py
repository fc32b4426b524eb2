"""What each piece of an invocation costs, alone, in one process."""

import asyncio
import os
import tempfile
import time
from binascii import hexlify
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from itertools import count
from pathlib import Path

import httptools
import numpy as np
import xgboost

from benchmarks.contenders.modeltap import IMAGE
from benchmarks.model import Model
from benchmarks.results import Cell, Plan, Section, Spread, Table
from benchmarks.signing import REGION, signed
from modeltap import record, settings
from modeltap.auth.keyring import Keyring
from modeltap.auth.sigv4 import Verifier
from modeltap.capture.counters import Counters
from modeltap.capture.disk import SystemDisk
from modeltap.capture.frame import Packer, open_parcel, scan
from modeltap.capture.guard import Guard
from modeltap.capture.offer import Capture
from modeltap.capture.plan import encoding
from modeltap.capture.ring import RingReader, RingWriter, make_ring
from modeltap.capture.segment import Label, Segment, SegmentId
from modeltap.capture.stream import Stream
from modeltap.capture.waiters import Waiters
from modeltap.clock import SystemClock
from modeltap.hosting.images import resolve
from modeltap.link.links import Links
from modeltap.nouns import (
    Answer,
    CapturePlan,
    Exchange,
    HttpRequest,
    Instance,
    Invocation,
)
from modeltap_worker import csvrows, server, xgboost_algorithm
from modeltap_worker.frames import Call, Reply

ENDPOINT = "pieces"
RING_BYTES = 64 * 1024 * 1024
IN_FLIGHT = 32

TEXT = """\
CPU µs a call, of this process; each piece alone, in a loop, so warmer than in service. The link hop
has both its ends in the process: the gateway's and the worker's. Rows marked *for comparison* are
ways that modeltap could go and does not.
"""

Piece = Callable[[], object]


def run(plan: Plan) -> Section:
    """Measure each piece round by round."""
    with tempfile.TemporaryDirectory(prefix="bench-pieces-") as name:
        folder = Path(name)
        with _capturing(folder, plan.model) as capturing:
            pieces = {**_asking(folder, plan.model), **_predicting(plan.model, folder), **capturing}
            rows: list[list[Cell]] = [
                [title, Spread.of([_cpu_us(piece, plan.seconds / 10) for _ in _rounds(plan)])]
                for title, piece in pieces.items()
            ]
        hops = [asyncio.run(_hop_us(folder, plan.seconds / 2)) for _ in _rounds(plan)]
    rows.append([f"link hop there and back, {IN_FLIGHT} in flight", Spread.of(hops)])
    return Section("Pieces", TEXT, [Table("One call of each", ("piece", "CPU µs"), rows)])


def _rounds(plan: Plan) -> range:
    return range(plan.rounds)


def _cpu_us(piece: Piece, seconds: float) -> float:
    """Call a piece until the time is up; give its CPU time a call."""
    end = time.perf_counter() + seconds
    piece()
    calls, began = 0, time.process_time()
    while time.perf_counter() < end:
        for _ in range(20):
            piece()
        calls += 20
    return 1e6 * (time.process_time() - began) / max(1, calls)


# ---------------------------------------------------------------- a request


def _asking(folder: Path, model: Model) -> dict[str, Piece]:
    """Parse and verify signed requests, another one each call."""
    clock = SystemClock()
    keyring = Keyring.open(folder / "keys", clock)
    raw = list(signed(folder, 8080, ENDPOINT, model.rows))
    requests = [_parsed(each) for each in raw]
    turn, other = count(), count()
    verifier, services = Verifier(keyring.secret, REGION), frozenset({"sagemaker"})
    now_ns = time.time_ns()

    def checked() -> None:
        request = requests[next(turn) % len(requests)]
        assert isinstance(request.body, bytes)
        verifier.verify(request, services, now_ns, hexlify(sha256(request.body).digest()))

    return {
        "HTTP parse (httptools)": lambda: _parsed(raw[next(other) % len(raw)]),
        "verify a signature, the body's hash included": checked,
    }


class _Head:
    """What httptools reports of one request."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, part: bytes) -> None:
        self.body += part


def _parsed(raw: bytes) -> HttpRequest:
    head = _Head()
    httptools.HttpRequestParser(head).feed_data(raw)
    return HttpRequest("POST", head.target, tuple(head.headers), head.body)


# ---------------------------------------------------------------- a prediction


def _predicting(model: Model, folder: Path) -> dict[str, Piece]:
    booster = xgboost.Booster(model_file=model.path)
    booster.set_param({"nthread": 1})
    models = folder / "model"
    models.mkdir()
    booster.save_model(models / "xgboost-model.ubj")
    algorithm = xgboost_algorithm.XGBoostAlgorithm(models, resolve(IMAGE).rules, {})
    one, many = model.rows[0], "\n".join(model.rows[:16])
    array = csvrows.parse(many).astype(np.float32)

    def answered(text: str) -> Piece:
        call = Call("text/csv", None, None, text.encode())
        return lambda: algorithm.answer([call])

    calls = [Call("text/csv", None, None, row.encode()) for row in model.rows[:16]]

    def together() -> object:
        return algorithm.answer(calls)

    return {
        "parse one CSV row": lambda: csvrows.parse(one),
        "parse 16 CSV rows": lambda: csvrows.parse(many),
        "answer one row: parse, predict, write": answered(one),
        "answer one body of 16 rows": answered(many),
        "answer 16 calls of one row together": together,
        "for comparison: inplace_predict, one row": lambda: booster.inplace_predict(array[:1]),
        "for comparison: inplace_predict, 16 rows": lambda: booster.inplace_predict(array),
    }


# ---------------------------------------------------------------- a record


@contextmanager
def _capturing(folder: Path, model: Model) -> Iterator[dict[str, Piece]]:
    """Offer into a ring that is emptied, encode as the shipper does, append as the spooler does."""
    clock, disk, spool = SystemClock(), SystemDisk(), folder / "spool"
    spool.mkdir()
    fd = make_ring("bench-ring", RING_BYTES)
    given = settings.load(home=folder, capture_disk_stop_percent=99.9)
    ring = RingWriter(fd, clock.uuid4())
    turns: list[Callable[[], None]] = []
    guard = Guard(disk, spool, given)
    counters = Counters(ring.counters, ring.allocate)
    waiters = Waiters(ring, counters, lambda: None, lambda *_: None, 0.05)
    capture = Capture(ring, counters, guard, clock.random, turns.append, waiters)
    exchange = _exchange(model)
    plan = exchange.plan
    assert plan is not None
    frame = b"".join(Packer(plan).frame(1, exchange, 0))
    ((_, parcel),) = scan(frame, 0, 1).records
    label = Label(clock.now_ns(), 0, Stream(ENDPOINT, "AllTraffic", plan).encode())
    segment = Segment.create(spool, SegmentId(ring.writer, 1, 1), label, disk)
    try:
        yield {
            "offer a record into the ring": _offered(capture, turns, RingReader(fd), exchange),
            "encode a record as JSON (shipper)": lambda: record.encode(
                open_parcel(parcel), lambda kind: encoding(plan, kind)
            ),
            "append 64 records to a segment (spooler)": lambda: segment.append(frame * 64, 64, 1),
        }
    finally:
        segment.close()
        os.close(fd)


def _offered(
    capture: Capture, turns: list[Callable[[], None]], reader: RingReader, exchange: Exchange
) -> Piece:
    """Offer, eight in a turn of the loop; empty the ring often enough that it never fills."""
    calls = count()

    def offer() -> None:
        capture.offer(exchange)
        call = next(calls)
        if call % 8 == 0:
            turns.pop()()
        if call % 50_000 == 0:
            for _ in reader.frames(RING_BYTES):
                pass
            reader.release()

    return offer


def _exchange(model: Model) -> Exchange:
    csv = frozenset({"text/csv"})
    plan = CapturePlan(100, "s3://bench/captured", input=True, output=True, csv_types=csv)
    asked = Invocation(
        SystemClock().uuid4(),
        ENDPOINT,
        model.rows[0].encode(),
        content_type="text/csv",
        received_ns=time.time_ns(),
    )
    answer = Answer(200, "text/csv; charset=utf-8", f"{model.scores[0]!r}\n".encode())
    return Exchange(asked, answer, "AllTraffic", plan)


# ---------------------------------------------------------------- a hop


class _Echo:
    """A worker's algorithm that costs nothing."""

    body_bytes_max = 1024
    batches = True

    def answer(self, calls: Sequence[Call]) -> Sequence[Reply]:
        return [Reply(200, "text/csv", None, call.body) for call in calls]

    def too_large(self) -> Reply:
        return Reply(413, None, None, b"")


async def _hop_us(folder: Path, seconds: float) -> float:
    """Send calls through a link to a worker's server in a thread beside the loop."""
    path = folder / "hop.sock"
    told, tell = os.pipe()
    serving = asyncio.create_task(
        asyncio.to_thread(server.Server(_Echo(), print, batch_rows_max=IN_FLIGHT).serve, path, told)
    )
    while not path.exists():  # noqa: ASYNC110 - the server tells of itself by this file alone
        await asyncio.sleep(0.01)
    links = Links(SystemClock(), 60.0, asyncio.ensure_future)
    instance = Instance("hop", f"unix:{path}")
    invocation = Invocation(SystemClock().uuid4(), ENDPOINT, b"1,2,3", content_type="text/csv")
    calls, left = count(), asyncio.Semaphore(0)
    end = time.perf_counter() + seconds

    def again(_: object = None) -> None:
        if time.perf_counter() < end:
            next(calls)
            links.send(instance, invocation, again)
        else:
            left.release()

    again()
    await asyncio.sleep(0.1)  # connected
    began, counted = time.process_time(), next(calls)
    for _ in range(IN_FLIGHT - 1):
        again()
    for _ in range(IN_FLIGHT):
        await left.acquire()
    spent = time.process_time() - began
    os.close(tell)
    await serving
    os.close(told)
    links.close()
    return 1e6 * spent / (next(calls) - counted)
