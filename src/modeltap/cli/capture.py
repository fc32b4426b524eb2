"""`modeltap capture …`: what was captured, and what became of every sampled record."""

import asyncio
import time
from collections.abc import Iterable, Iterator
from typing import Annotated

from cyclopts import App, Parameter

from modeltap.capture.account import Count, account
from modeltap.capture.ledger import Delivery, LedgerReader
from modeltap.cli import capture_audit, capture_spool
from modeltap.cli.asked import CannotRun, HomeOption
from modeltap.cli.capture_spool import ledger_readable, spool_of
from modeltap.cli.running import access_key, resolve, running
from modeltap.errors import ObjectNotFound, ObjectStoreError
from modeltap.objects.remote import Stores
from modeltap.settings import Settings

FOLLOW_SECONDS = 0.5

app = App(name="capture", help="Look at what was captured.")
app.command(capture_audit.audit)
app.command(capture_spool.check, name="fsck")
app.command(capture_spool.cat)
app.command(capture_spool.requeue)
app.command(capture_audit.rebuild)


@app.command
def ls(endpoint: str | None = None, *, home: HomeOption = None) -> None:
    """List the captured objects, and what became of every sampled record.

    What a server that runs has sampled in the last 20 ms may not be counted yet.
    """
    settings = resolve(home)
    for delivery in _deliveries(settings, endpoint):
        print(f"{delivery.records:>8} records {delivery.bytes:>10} bytes  {delivery.uri}")
    with ledger_readable():
        every = account(spool_of(settings))
    counts = [each for each in every if endpoint in (None, each.endpoint)]
    for count in counts:
        print(f"{count.endpoint}/{count.variant}  {' '.join(_fates([count]))}")
    print(" ".join(_fates(counts)))


def _fates(counts: Iterable[Count]) -> Iterator[str]:
    """Sum up what became of sampled records, reason by reason."""
    every = list(counts)
    reasons = sorted({reason for count in every for reason in count.dropped})
    lost = {reason: sum(count.dropped.get(reason, 0) for count in every) for reason in reasons}
    yield f"sampled={sum(count.sampled for count in every)}"
    yield f"delivered={sum(count.delivered for count in every)}"
    yield f"pending={sum(count.pending for count in every)}"
    yield f"dropped={sum(lost.values())}"
    yield from (f"{reason}={number}" for reason, number in lost.items())


@app.command
def tail(
    endpoint: str,
    *,
    home: HomeOption = None,
    records: Annotated[int | None, Parameter(help="stop after so many records")] = None,
    from_start: Annotated[bool, Parameter(negative="", help="begin with what is there")] = False,
) -> None:
    """Print an endpoint's records as they are delivered, one JSON line each."""
    settings = running(home)
    seen = set() if from_start else {each.uri for each in _deliveries(settings, endpoint)}
    for number, line in enumerate(_followed(settings, endpoint, seen), 1):
        print(line, flush=True)
        if number == records:
            return


def _followed(settings: Settings, endpoint: str, seen: set[str]) -> Iterator[str]:
    """Give the lines of every object that is not yet seen, for ever."""
    stores = Stores(settings, access_key(settings))
    while True:
        for delivery in _deliveries(settings, endpoint):
            if delivery.uri not in seen:
                yield from lines(asyncio.run(_read(stores, delivery.uri)))
                seen.add(delivery.uri)
        time.sleep(FOLLOW_SECONDS)


def lines(data: bytes) -> list[str]:
    """Split an object into its records; as text, a payload's U+2028 would split one, too."""
    return [line.decode() for line in data.splitlines()]


async def _read(stores: Stores, uri: str) -> bytes:
    store, key = stores.at(uri)
    try:
        return await store.get(key)
    except ObjectNotFound:
        return b""  # its owner has removed it since
    except ObjectStoreError as error:
        raise CannotRun(f"{uri}: {error}") from None


def _deliveries(settings: Settings, endpoint: str | None) -> list[Delivery]:
    path = spool_of(settings).ledger
    if not path.exists():
        return []
    with ledger_readable(), LedgerReader(path) as ledger:
        return ledger.deliveries(endpoint)
