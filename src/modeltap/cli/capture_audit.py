"""`modeltap capture audit ENDPOINT`, and `rebuild`: the bucket against ledger and spool."""

import asyncio
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from modeltap.capture.account import settle_dead
from modeltap.capture.audit import ObjectFindings, SlotAudit, audit_slots
from modeltap.capture.auditing import ObjectAudit, pieces_of, slots_of
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.ledger import Delivery, Ledger
from modeltap.capture.rebuild import rebuild as rebuilt
from modeltap.cli.capture_spool import ledger_readable, spool_of
from modeltap.cli.running import CannotRun, HomeOption, access_key, capture_now, running
from modeltap.errors import ObjectStoreError
from modeltap.objects.remote import Stores

SHOWN = 20  # of a list of findings
LOOKS_MAX = 4
LOOK_SECONDS = 0.5
HOUR_PARTS = 5  # of a key, from its end: yyyy/mm/dd/hh/file

Destination = Annotated[str, Parameter(help="where objects are: s3://bucket/prefix")]


def audit(
    endpoint: str,
    *,
    home: HomeOption = None,
    from_: Annotated[
        datetime | None, Parameter(name="--from", help="objects from this hour on, UTC")
    ] = None,
    to: Annotated[datetime | None, Parameter(help="objects before this hour, UTC")] = None,
    destination: Destination | None = None,
) -> None:
    """Prove that nothing of an endpoint is lost or twice: bucket, ledger and spool, by number.

    Status 1 for a duplicate, for a missing number that no counted drop explains, and for an object
    that is not what the ledger says. Every object is read whole.
    """
    settings = running(home)
    spool, now = spool_of(settings), capture_now(settings)
    slots = slots_of(spool, endpoint)  # before all else: no later number counts
    with ledger_readable():
        pieces, rows = pieces_of(spool, slots, endpoint)
    if not slots and not rows:
        raise CannotRun(f"nothing was captured of {endpoint}; names keep their case")
    audits = audit_slots(slots, pieces, frozenset(now.get("writers", ())))
    stores = Stores(settings, access_key(settings))
    chosen = [row for row in rows if row.uri and _hour(from_) <= _hour_of(row) < _hour(to, "~")]
    with Console(stderr=True).status("reading objects") as status:
        objects = ObjectAudit(stores.at, lambda uri: status.update(f"reading {uri}"))
        _run(_check(objects, chosen))
        if not (from_ or to):
            more = {f"{destination.rstrip('/')}/{endpoint}/"} if destination else set[str]()
            objects.found.unknown.extend(_unknown(objects, spool, endpoint, more))
    for line in (*_identity(now, endpoint), *_told(audits), *_told_of(chosen, objects.found)):
        print(line)
    if from_ or to:
        print("a part of the time: what stands in the bucket alone was not looked for")
    if any(each.duplicates or each.unexplained for each in audits) or not objects.found.is_clean:
        sys.exit(1)
    print("nothing is lost without a counted reason, nothing is there twice")


async def _check(objects: ObjectAudit, rows: Sequence[Delivery]) -> None:
    for row in rows:
        await objects.check(row)


def _unknown(
    objects: ObjectAudit, spool: SpoolFolder, endpoint: str, prefixes: set[str]
) -> list[str]:
    """List what the bucket has and the ledger has not; a row comes right after its object."""
    listed: set[str] = set()
    known: set[str] = set()
    for _ in range(LOOKS_MAX):
        with ledger_readable():
            known = {row.uri for row in pieces_of(spool, {}, endpoint)[1] if row.uri}
        if not listed:
            for prefix in sorted(prefixes | {_prefix(uri) for uri in known}):
                listed |= _run(objects.listed(prefix))
        elif listed <= known:
            break
        time.sleep(LOOK_SECONDS)
    return sorted(listed - known)


def rebuild(endpoint: str, *, destination: Destination, home: HomeOption = None) -> None:
    """Write the ledger's rows that are missing, from the objects in the bucket."""
    settings = running(home)
    spool = spool_of(settings)
    try:
        ledger = Ledger(spool.ledger)
    except sqlite3.Error as error:
        raise CannotRun(f"the ledger cannot be written ({error}); try again") from None
    try:
        at = Stores(settings, access_key(settings)).at
        store, prefix = at(f"{destination.rstrip('/')}/{endpoint}/")
        bucket = destination.removeprefix("s3://").partition("/")[0]
        added = _run(rebuilt(ledger, store, bucket, prefix))
    except ObjectStoreError as error:
        raise CannotRun(f"{destination}: {error}") from None
    finally:
        ledger.close()
    with ledger_readable():  # what seemed to have died with its gateway was delivered
        settle_dead(spool, [])
    print(f"{added} rows added")


def _run(work: Any) -> Any:
    try:
        return asyncio.run(work)
    except ObjectStoreError as error:
        raise CannotRun(f"the bucket cannot be read: {error}") from None


def _identity(now: dict[str, Any], endpoint: str) -> Iterator[str]:
    for each in now.get("variants", ()):
        if each["endpoint"] == endpoint:
            lost = " ".join(f"{reason}={count}" for reason, count in each["dropped"].items())
            yield (
                f"{endpoint}/{each['variant']}  sampled={each['sampled']} = "
                f"delivered={each['delivered']} + pending={each['pending']} + "
                f"dropped={sum(each['dropped'].values())} {lost}".rstrip()
            )


def _told(audits: Sequence[SlotAudit]) -> Iterator[str]:
    for each in audits:
        writer, slot = each.slot
        yield (
            f"writer {writer} slot {slot}: numbers to {each.sampled}, {len(each.missing)} missing "
            f"({each.missing or 'none'}), {each.dropped} counted as dropped, {each.in_ring} in the "
            f"ring, {each.unexplained} unexplained"
        )
        if each.unnumbered:
            yield f"  {each.unnumbered} delivered records of an earlier version have no numbers"
        for place, numbers in each.duplicates.items():
            yield f"  twice: {numbers}, again in {place}"


def _told_of(rows: Sequence[Delivery], found: ObjectFindings) -> Iterator[str]:
    yield f"objects: {len(rows)} read, {sum(row.records for row in rows)} records in their rows"
    for what, each in (
        ("in the ledger and not in the bucket", found.absent),
        ("in the bucket and not in the ledger", found.unknown),
        ("not as it was delivered", found.changed),
        ("event id twice", found.repeated),
    ):
        yield from (f"  {what}: {name}" for name in each[:SHOWN])
        if len(each) > SHOWN:
            yield f"  {what}: {len(each) - SHOWN} more"


def _hour(moment: datetime | None, otherwise: str = "") -> str:
    if moment is None:
        return otherwise
    utc = moment.astimezone(UTC) if moment.tzinfo else moment
    return f"{utc:%Y/%m/%d/%H}"


def _hour_of(row: Delivery) -> str:
    return "/".join(row.uri.split("/")[-HOUR_PARTS:-1])


def _prefix(uri: str) -> str:
    """Give the URI under which all objects of an object's endpoint and destination stand."""
    return "/".join(uri.split("/")[: -HOUR_PARTS - 1]) + "/"
