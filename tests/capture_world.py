"""Capture from the gateway's offer to the bucket, of real parts, under a simulated clock."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from modeltap.capture.account import Count, account
from modeltap.capture.counters import Counters
from modeltap.capture.disk import SystemDisk
from modeltap.capture.faults import FaultyDisk
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.guard import Guard
from modeltap.capture.ledger import Ledger
from modeltap.capture.mirror import mirror_path
from modeltap.capture.offer import Capture
from modeltap.capture.ring import RingReader, RingWriter, make_ring
from modeltap.capture.shipper import Shipper
from modeltap.capture.spooler import Spooler
from modeltap.capture.waiters import Waiters
from modeltap.clock import SimulatedClock
from modeltap.nouns import Answer, CapturedRecord, CapturePlan, Exchange, Invocation
from modeltap.objects.port import ObjectStore
from modeltap.objects.simulated import SimulatedStore
from modeltap.record import decode
from modeltap.settings import load

PLAN = CapturePlan(
    sampling_percentage=100,
    destination="s3://bucket/prefix",
    input=True,
    output=True,
    csv_types=frozenset({"text/csv"}),
    json_types=frozenset({"application/json"}),
)


def exchange(
    number: int,
    *,
    endpoint: str = "churn",
    variant: str = "AllTraffic",
    plan: CapturePlan | None = PLAN,
    status: int = 200,
    body: bytes | None = None,
    received_ns: int = 0,
) -> Exchange:
    """An exchange whose input tells its number."""
    asked = body if body is not None else f"{number},\u00e9\n".encode()
    return Exchange(
        Invocation(
            f"00000000-0000-4000-8000-{number:012d}",
            endpoint,
            asked,
            content_type="text/csv",
            received_ns=received_ns,
        ),
        Answer(status, "text/csv; charset=utf-8", b"0.5"),
        variant,
        plan,
    )


class World:
    """One gateway, one spooler, one shipper; each can die and start again."""

    def __init__(
        self,
        root: Path,
        *,
        ring_bytes: int = 1 << 20,
        store: ObjectStore | None = None,
        **settings: Any,
    ) -> None:
        self.disk = FaultyDisk(SystemDisk(), percent=0.0)
        self.spool = SpoolFolder(root, self.disk)
        self.spool.make()
        self.clock = SimulatedClock()
        self.settings = load(home=root, **settings)
        self.store: ObjectStore = store or SimulatedStore()
        self.ring_bytes = ring_bytes
        self.rung = 0  # how often the spooler was asked to hurry
        self.start()

    def start(self) -> None:
        """Start the house: a new ring, hence a new writer."""
        self.start_ring()
        self.start_gateway()
        self.start_spooler()
        self.start_shipper()

    def start_ring(self) -> None:
        self.fd = make_ring("ring", self.ring_bytes)

    def start_gateway(self) -> None:
        ring = RingWriter(self.fd, self.clock.uuid4())
        self.guard = Guard(self.disk, self.spool.root, self.settings)
        counters = Counters(ring.counters, ring.allocate)
        self.soon: list[Callable[[], None]] = []
        self.later: list[tuple[float, Callable[[], None]]] = []
        waiters = self.waiters = Waiters(ring, counters, self._ring_bell, self._call_later, 0.05)
        self.capture = Capture(
            ring, counters, self.guard, self.clock.random, self.soon.append, waiters
        )

    def start_spooler(self) -> None:
        ring = RingReader(self.fd)
        self.spooler = Spooler(
            [ring], self.spool, self.settings, self.clock, lambda _: self.waiters.released()
        )

    def start_shipper(self) -> None:
        self.ledger = Ledger(self.spool.ledger)
        self.shipper = Shipper(self.spool, self.stores, self.ledger, self.settings, self.clock)

    def stop(self) -> None:
        """Stop the house in order."""
        self.pump()
        self.spooler.close()
        self.ledger.close()
        os.close(self.fd)

    def kill_spooler(self) -> None:
        for lane in self.spooler._lanes:
            lane.close()

    def kill_all(self) -> None:
        """Lose the ring, as at the end of the supervisor."""
        self.kill_spooler()
        self.ledger.close()
        os.close(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stores(self, uri: str) -> tuple[ObjectStore, str]:
        assert uri.startswith("s3://bucket/")
        return self.store, uri.removeprefix("s3://bucket/")

    def offer(self, *exchanges: Exchange) -> None:
        """Offer in one turn of the gateway's loop."""
        for each in exchanges:
            self.capture.offer(each)
        self.end_turn()

    def end_turn(self) -> None:
        """Do what the gateway's loop does at the end of a turn."""
        due, self.soon[:] = list(self.soon), []
        for each in due:
            each()

    def pump(self) -> None:
        while self.soon:
            self.end_turn()

    def _ring_bell(self) -> None:
        self.rung += 1

    def _call_later(self, seconds: float, function: Callable[[], None]) -> None:
        self.later.append((self.clock.monotonic() + seconds, function))

    def pass_time(self, seconds: float) -> None:
        """Let time pass for the gateway's loop, and nobody else."""
        self.clock.advance(seconds)
        due = [function for at, function in self.later if at <= self.clock.monotonic()]
        self.later = [each for each in self.later if each[0] > self.clock.monotonic()]
        for function in due:
            function()

    def turn(self, seconds: float = 0.1) -> None:
        self.pass_time(seconds)
        self.spooler.turn()

    def ship(self) -> int:
        return asyncio.run(self.shipper.turn())

    def deliver(self) -> None:
        """Let a minute pass: drained, sealed, shipped."""
        self.turn()
        self.turn(61)
        self.ship()

    def account(self) -> list[Count]:
        return account(self.spool, [self.fd])

    @property
    def disk_refuses(self) -> bool:
        """Whether the spooler rests, because the disk has refused something."""
        return self.spooler._stalled

    @property
    def mirror(self) -> Path:
        return mirror_path(self.spool.counters, RingReader(self.fd).writer)

    def count(self) -> Count:
        (count,) = self.account()
        return count

    def objects(self) -> dict[str, bytes]:
        return asyncio.run(_all(self.store))

    def records(self) -> list[CapturedRecord]:
        lines = b"".join(self.objects().values()).splitlines(keepends=True)
        return [decode(line) for line in lines]

    def inputs(self) -> list[bytes]:
        return [record.input.body for record in self.records() if record.input is not None]


async def _all(store: ObjectStore) -> dict[str, bytes]:
    return {info.key: await store.get(info.key) async for info in store.list()}
