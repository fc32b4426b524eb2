"""`modeltap capture fsck`, `cat`, `requeue`: the spool's files, for whoever must look at them."""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modeltap.capture.disk import SystemDisk
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.fsck import Health, fsck, quarantined_segment
from modeltap.capture.ledger import Ledger, LedgerReader
from modeltap.capture.lines import lines
from modeltap.capture.segment import SegmentFile, content, segment_files
from modeltap.capture.stream import Stream
from modeltap.cli.asked import CannotRun, HomeOption
from modeltap.cli.running import resolve
from modeltap.errors import LedgerUnreadable, MalformedRecord
from modeltap.settings import Settings

BAD = (Health.DAMAGED, Health.UNREADABLE)


def check(*, home: HomeOption = None) -> None:
    """Examine every file of the spool; status 1 if one is damaged. It changes nothing."""
    bad = 0
    for examined in fsck(spool_of(resolve(home))):
        bad += examined.health in BAD
        lost = f", {examined.lost} lost" if examined.lost else ""
        print(f"{examined.health:<11} {examined.records:>8} records{lost}  {examined.path}")
    if bad:
        print(f"{bad} damaged: what can be read of them is delivered, the rest is counted")
        sys.exit(1)


def cat(segment: str, *, home: HomeOption = None) -> None:
    """Print the records of one segment, one JSON line each: a path, or a name that `fsck` tells."""
    spool = spool_of(resolve(home))
    file = _found(spool, segment)
    try:
        held = content(spool.disk, file)
    except OSError as error:
        raise CannotRun(f"{file.path} cannot be read: {error.strerror}") from None
    if held.label is None:
        raise CannotRun(f"{file.path} has lost its label: nothing says how its records are written")
    try:
        stream = Stream.decode(held.label.stream)
    except MalformedRecord as error:
        raise CannotRun(f"{file.path}: {error}") from None
    for line in lines(held.records, stream).values():
        sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def requeue(quarantined: str, *, home: HomeOption = None) -> None:
    """Have a segment that was put aside shipped after all, if none of its records was."""
    spool = spool_of(resolve(home))
    path = spool.quarantine / Path(quarantined).name
    file = quarantined_segment(spool, path)
    if file is None or not spool.disk.is_file(path):
        raise CannotRun(
            f"{quarantined} is not in {spool.quarantine}; `modeltap capture fsck` lists"
        )
    if not content(spool.disk, file).records:
        raise CannotRun(f"{path} holds no record that can be read: there is nothing to ship")
    _take_back(spool, file)
    print(f"{spool.put_back(path)} is shipped next")


def ledger_to_write(spool: SpoolFolder) -> Ledger:
    """Open the ledger for writing; a damaged one is the shipper's to mend. Raise `CannotRun`."""
    with ledger_readable():
        if spool.ledger.exists():
            with LedgerReader(spool.ledger) as reader:
                reader.totals()
    try:
        return Ledger(spool.ledger)
    except sqlite3.Error as error:
        raise CannotRun(f"the ledger cannot be written ({error}); try again") from None


def _take_back(spool: SpoolFolder, file: SegmentFile) -> None:
    """Take the ledger's row back: first, for a file that has one is taken for shipped."""
    ledger = ledger_to_write(spool)
    try:
        row = ledger.row(file.id)
        if row is not None and row.uri:
            raise CannotRun(
                f"{row.records} of its records are in {row.uri}: shipped again, they would be "
                f"there twice. The {row.lost} lost ones are not in the file, either"
            )
        ledger.take_back(file.id)
    finally:
        ledger.close()


def _found(spool: SpoolFolder, segment: str) -> SegmentFile:
    """Find a segment by its path or name, also among those that were put aside."""
    wanted = Path(segment).name
    for folder in spool.writer_folders():
        for file in segment_files(spool.disk, folder):
            if file.path.name == wanted and (wanted == segment or file.path.samefile(segment)):
                return file
    put_aside = quarantined_segment(spool, spool.quarantine / wanted)
    if put_aside is None or not spool.disk.is_file(put_aside.path):
        raise CannotRun(f"no segment {segment} in {spool.root}; `modeltap capture fsck` lists all")
    return put_aside


def spool_of(settings: Settings) -> SpoolFolder:
    return SpoolFolder(settings.layout.spool, SystemDisk())


@contextmanager
def ledger_readable() -> Iterator[None]:
    """Say what helps where the ledger cannot be read."""
    try:
        yield
    except LedgerUnreadable as error:
        raise CannotRun(
            f"the ledger of deliveries cannot be read ({error}); a running server mends it"
        ) from None
