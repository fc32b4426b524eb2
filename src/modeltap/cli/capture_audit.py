"""`modeltap capture audit ENDPOINT`, and `rebuild`: the bucket against ledger and spool."""

import asyncio
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from modeltap.capture.account import settle_dead
from modeltap.capture.audit import Moving, ObjectFindings, SlotAudit, audit_slots
from modeltap.capture.auditing import ObjectAudit, pieces_of, slots_of, with_later_drops
from modeltap.capture.ledger import Delivery
from modeltap.capture.numbers import Numbers
from modeltap.capture.rebuild import rebuild as rebuilt
from modeltap.cli.asked import CannotRun, HomeOption
from modeltap.cli.capture_spool import ledger_readable, ledger_to_write, spool_of
from modeltap.cli.running import access_key, capture_now, running
from modeltap.errors import ObjectStoreError
from modeltap.objects.remote import Stores
from modeltap.settings import Settings

SHOWN = 20  # of a list of findings
LOOKS_MAX = 4
READS_AT_ONCE = 8
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

    Status 1 for a duplicate, for a missing number that no counted drop explains, for a record
    without a fate, and for an object that is not what the ledger says. Every object is read whole.
    """
    settings = running(home)
    look = _settled_look(settings, endpoint)
    stores = Stores(settings, access_key(settings))
    rows = [row for row in look.rows if row.uri and _hour(from_) <= _hour_of(row) < _hour(to, "~")]
    with Console(stderr=True).status("reading objects") as status:
        objects = ObjectAudit(stores.at, lambda told: status.update(f"{told} of {len(rows)} read"))
        _run(_check(objects, rows))
        if not (from_ or to):
            sure = {_prefix(row.uri) for row in rows}
            sure |= {_under(destination, endpoint)} if destination else set()
            spooled = {_under(each, endpoint) for each in look.destinations}
            listed = _run(_listed(objects, sure, spooled))
            objects.found.unknown.extend(_unknown(listed, settings, endpoint))
    for line in (*_identity(look.variants), *_told(look.audits), *_told_of(rows, objects.found)):
        print(line)
    if from_ or to:
        print("a part of the time: what stands in the bucket alone was not looked for")
    if not (look.is_clean and objects.found.is_clean):
        sys.exit(1)
    print("nothing is lost without a counted reason, nothing is there twice")


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at spool, rings and ledger."""

    variants: list[dict[str, Any]]  # as `/capturez` tells of them
    audits: list[SlotAudit]
    rows: list[Delivery]
    destinations: set[str]  # of what is in the spool

    @property
    def is_clean(self) -> bool:
        return not (
            any(each.duplicates or each.unexplained for each in self.audits)
            or any(each["discrepancy"] for each in self.variants)
        )


def _settled_look(settings: Settings, endpoint: str) -> _Look:
    """Look until nothing is amiss, or it stays so: a record may move on within a look."""
    look = _look(settings, endpoint)
    for _ in range(LOOKS_MAX - 1):
        if look.is_clean:
            break
        time.sleep(LOOK_SECONDS)
        look = _look(settings, endpoint)
    if not look.variants and not look.rows:
        raise CannotRun(f"nothing was captured of {endpoint}; names keep their case")
    return look


def _look(settings: Settings, endpoint: str) -> _Look:
    spool = spool_of(settings)
    counts = slots_of(spool, endpoint)  # before all else: no later number counts
    now = capture_now(settings)
    try:
        with ledger_readable():
            pieces, rows = pieces_of(spool, counts, endpoint)
    except OSError as error:
        raise CannotRun(f"the spool cannot be read: {error}; `fsck` tells which file") from None
    counts = with_later_drops(counts, slots_of(spool, endpoint))
    moving = {
        (each["writer"], each["slot"]): Moving(Numbers.parse(each["numbers"]), each["waiting"])
        for each in now["rings"]
    }
    return _Look(
        [each for each in now["variants"] if each["endpoint"] == endpoint],
        audit_slots(counts, pieces, moving),
        rows,
        {piece.destination for piece in pieces if piece.destination},
    )


async def _check(objects: ObjectAudit, rows: Sequence[Delivery]) -> None:
    for start in range(0, len(rows), READS_AT_ONCE):
        some = rows[start : start + READS_AT_ONCE]
        await asyncio.gather(*(objects.check(row) for row in some))


def _unknown(listed: set[str], settings: Settings, endpoint: str) -> list[str]:
    """Give what the bucket has and the ledger has not; a row comes right after its object."""
    known: set[str] = set()
    for _ in range(LOOKS_MAX):
        with ledger_readable():
            known = {row.uri for row in pieces_of(spool_of(settings), {}, endpoint)[1]}
        if listed <= known:
            break
        time.sleep(LOOK_SECONDS)
    return sorted(listed - known)


async def _listed(objects: ObjectAudit, sure: set[str], spooled: set[str]) -> set[str]:
    """List what stands under some URIs; where only the spool knows one, it need not be there."""
    found: set[str] = set()
    for uri in sorted(sure | spooled):
        try:
            found |= await objects.listed(uri)
        except ObjectStoreError as error:
            if uri in sure:
                raise
            print(f"{uri} has no object by the ledger, and cannot be listed: {error}")
    return found


def rebuild(endpoint: str, *, destination: Destination, home: HomeOption = None) -> None:
    """Write the ledger's rows that are missing, from the objects in the bucket."""
    settings = running(home)
    spool = spool_of(settings)
    ledger = ledger_to_write(spool)
    try:
        at = Stores(settings, access_key(settings)).at
        store, prefix = at(_under(destination, endpoint))
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


def _identity(variants: Iterable[dict[str, Any]]) -> Iterator[str]:
    for each in variants:
        lost = " ".join(f"{reason}={count}" for reason, count in each["dropped"].items())
        yield (
            f"{each['endpoint']}/{each['variant']}  sampled={each['sampled']} = "
            f"delivered={each['delivered']} + pending={each['pending']} + "
            f"dropped={sum(each['dropped'].values())} {lost}".rstrip()
        )
        if each["discrepancy"]:
            yield f"  not so: {each['discrepancy']} records are without a fate"


def _told(audits: Sequence[SlotAudit]) -> Iterator[str]:
    for each in audits:
        writer, slot = each.slot
        yield (
            f"writer {writer} slot {slot}: numbers to {each.sampled}, {len(each.missing)} missing "
            f"({each.missing or 'none'}), {each.dropped} counted as dropped, {each.in_ring} in the "
            f"ring, {each.waiting} on their way there, {each.unexplained} unexplained"
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


def _under(destination: str, endpoint: str) -> str:
    """Give the URI under which all objects of an endpoint stand at a destination."""
    return f"{destination.rstrip('/')}/{endpoint}/"


def _prefix(uri: str) -> str:
    """Give the URI under which all objects of an object's endpoint and destination stand."""
    return "/".join(uri.split("/")[: -HOUR_PARTS - 1]) + "/"
