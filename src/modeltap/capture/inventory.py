"""What lies in a spool, for readers that come again: what was read once is not read again.

A sealed segment never changes and its name tells the most of it; an open one only grows. So a look
at 10,000 segments is a listing of their names, and what an open one has grown by.

A spooler whose disk refuses a write cuts an open segment back to what was safe. What is remembered
of it then is in the ring again, so a set of numbers still tells the truth; and who finds that a
look does not come out even may `forget`, and look anew.
"""

from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from modeltap.capture.folder import SpoolFolder
from modeltap.capture.frame import scan
from modeltap.capture.numbers import Numbers
from modeltap.capture.segment import SegmentFile, segment_named
from modeltap.capture.shipment import placed


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose a segment's records are, and when the first of them was received."""

    endpoint: str
    variant: str
    first_ns: int


@dataclass(slots=True, eq=False)
class Kept:
    """One segment, and what is known of it."""

    file: SegmentFile
    size: int = 0  # bytes on disk; of an open one those that were read
    numbers: Numbers = field(default_factory=Numbers)  # of an open one, as far as it was read
    origin: Origin | None = None


class Inventory:
    """The segments of one spool. Readers may share it between threads."""

    def __init__(self, spool: SpoolFolder) -> None:
        self.spool = spool
        self._kept: dict[Path, dict[str, Kept]] = {}
        self._reading = Lock()

    def forget(self) -> None:
        self._kept = {}

    def look(self) -> list[Kept]:
        """List the segments that are there, by writer, slot and number. Raise `OSError`."""
        self._kept = {folder: self._of(folder) for folder in self.spool.writer_folders()}
        return [kept for folder in self._kept.values() for kept in folder.values()]

    def read_on(self, kept: Kept) -> None:
        """Read what an open segment has grown by. Raise `OSError`: it may be sealed by now."""
        with self._reading:
            start = kept.size
            found = scan(
                self.spool.disk.read(kept.file.path, start=start),
                kept.file.salt,
                kept.file.id.first,
            )
            kept.numbers |= Numbers.of(number for number, _ in found.records)
            kept.size = start + found.intact_bytes  # a torn end is read again

    def origin(self, kept: Kept) -> Origin | None:
        """Tell where a segment came from; None where its label is lost. Raise `OSError`."""
        if kept.origin is None:
            found = placed(self.spool.disk, kept.file)
            if found is not None:
                label, stream = found
                kept.origin = Origin(stream.endpoint, stream.variant, label.first_ns)
        return kept.origin

    def _of(self, folder: Path) -> dict[str, Kept]:
        before = self._kept.get(folder, {})
        found: dict[str, Kept] = {}
        for name in self.spool.disk.files(folder):
            kept = before.get(name) or self._met(folder / name)
            if kept is not None:
                found[name] = kept
        return found

    def _met(self, path: Path) -> Kept | None:
        file = segment_named(path, path.parent.name)
        if file is None:
            return None
        if file.count is None:
            return Kept(file)
        try:
            return Kept(file, self.spool.disk.size_and_age(path)[0])
        except FileNotFoundError:  # shipped since it was listed: its row says so
            return Kept(file)
