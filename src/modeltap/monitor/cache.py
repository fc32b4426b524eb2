"""Bounded summaries of files, kept: a day is a merge of its hours, and nothing is read twice.

An entry is named by what the file holds and by how it is read, not by where it lies: an object of
the same ETag has the same bytes. Captured records outside the plan's window are no part of a
summary, so only one from which the window left out nothing is kept, and it serves every window
that its records lie in.
"""

import hashlib
import pickle
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from modeltap.monitor.plan import Format, Plan
from modeltap.monitor.profile import Profile

FORM = 1  # of an entry; it grows whenever a summary of the same file would be another
BYTES_MAX = 1 << 30
DIGEST_BYTES = 20

Summarise = Callable[[Path, Plan], Profile]


def kept(file: Path, plan: Plan, summarise: Summarise) -> Profile:
    """Sum up a file, or find it summed up; a preprocessor's results are never kept."""
    if plan.cache is None or plan.preprocessor is not None:
        return summarise(file, plan)
    entry = Path(plan.cache) / _name(file, plan)
    found = None if plan.whole else _read(entry)
    if found is not None and _covers(plan, found):
        return found
    found = summarise(file, plan)
    if _covers(plan, found):
        _write(entry, found.bounded())
    return found


def trim(folder: Path, bytes_max: int = BYTES_MAX) -> None:
    """Remove the oldest entries while all together are over the bound."""
    entries = sorted(folder.glob("*"), key=lambda entry: entry.stat().st_mtime, reverse=True)
    size = 0
    for entry in entries:
        size += entry.stat().st_size
        if size > bytes_max:
            entry.unlink(missing_ok=True)


def _covers(plan: Plan, found: Profile) -> bool:
    """Tell whether no record lies outside the plan's window."""
    if plan.format is not Format.CAPTURE or (plan.start is None and plan.end is None):
        return True
    if found.span is None:
        return False
    first, last = found.span
    return (plan.start is None or plan.start <= first) and (plan.end is None or last < plan.end)


def _name(file: Path, plan: Plan) -> str:
    how = replace(plan, start=None, end=None, whole=False, cache=None, textual=frozenset())
    told = repr((FORM, how, sorted(plan.textual))).encode()
    with file.open("rb") as content:
        digest = hashlib.file_digest(
            content, lambda: hashlib.blake2b(told, digest_size=DIGEST_BYTES)
        )
    return digest.hexdigest()


def _read(entry: Path) -> Profile | None:
    """Read an entry; one that is damaged is none. Only who may write to our home wrote it."""
    try:
        data = entry.read_bytes()
        digest, content = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
        if hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest() != digest:
            return None
        found: Profile = pickle.loads(content)  # noqa: S301 - our own file, of this very form
    except (OSError, pickle.UnpicklingError):
        return None
    return found


def _write(entry: Path, found: Profile) -> None:
    content = pickle.dumps(found, protocol=5)
    digest = hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()
    beside = entry.with_name(f"{entry.name}.{id(found)}.part")
    with suppress(OSError):  # a summary that cannot be kept is computed again
        entry.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside.write_bytes(digest + content)
        beside.rename(entry)
