"""What is to be shipped: the sealed segments of a spool, by destination, oldest first.

A segment is looked at once, to learn where it goes; the rest is told by its name. One that the disk
does not give back is looked at again after a pause that grows, and holds up no other; that is said
once a spell.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modeltap.capture.disk import Disk
from modeltap.capture.events import SegmentUnreadable
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.segment import SegmentFile, segment_files
from modeltap.capture.shipment import placed
from modeltap.clock import Clock
from modeltap.telemetry import emit

FIRST_PAUSE_SECONDS = 1.0
PAUSE_SECONDS_MAX = 300.0


@dataclass(slots=True, eq=False)
class Sealed:
    """A sealed segment that is on its way."""

    file: SegmentFile
    destination: str  # empty where its label is lost
    age: tuple[int, int]  # hour and time of its first record, ns: the order of shipping
    size: int  # bytes on disk
    refusals: int = 0
    taken_before: int = 0  # how many its destination had taken when it first refused this one


@dataclass(slots=True)
class _Unreadable:
    """A spell in which the disk does not give a segment back."""

    failures: int = 0
    until: float = 0.0


class Backlog:
    """The sealed segments of one spool."""

    def __init__(self, spool: SpoolFolder, clock: Clock) -> None:
        self._spool = spool
        self._clock = clock
        self._known: dict[Path, Sealed] = {}
        self._unreadable: dict[Path, _Unreadable] = {}

    def waiting(self, is_free: Callable[[Path], bool]) -> dict[str, list[Sealed]]:
        """List the segments that can be read and are free, by destination, oldest first."""
        files = {file.path: file for file in _sealed_files(self._spool)}
        self._known = {path: each for path, each in self._known.items() if path in files}
        self._unreadable = {path: each for path, each in self._unreadable.items() if path in files}
        found: dict[str, list[Sealed]] = {}
        for path, file in files.items():
            if is_free(path) and not self._rests(path):
                sealed = self._known.get(path) or self._looked_at(file)
                if sealed is not None:
                    found.setdefault(sealed.destination, []).append(sealed)
        for each in found.values():
            each.sort(key=lambda sealed: sealed.age)
        return found

    def pass_over(self, file: SegmentFile, error: OSError) -> None:
        """Let a segment that the disk does not give back rest."""
        spell = self._unreadable.setdefault(file.path, _Unreadable())
        pause = min(PAUSE_SECONDS_MAX, FIRST_PAUSE_SECONDS * 2.0**spell.failures)
        spell.until = self._clock.monotonic() + pause
        spell.failures = min(spell.failures + 1, 30)
        if spell.failures == 1:
            emit(SegmentUnreadable(str(file.id), error.strerror or type(error).__name__))

    def was_read(self, file: SegmentFile) -> None:
        """End the spell of a segment that the disk gave back whole."""
        self._unreadable.pop(file.path, None)

    def _rests(self, path: Path) -> bool:
        spell = self._unreadable.get(path)
        return spell is not None and self._clock.monotonic() < spell.until

    def _looked_at(self, file: SegmentFile) -> Sealed | None:
        try:
            sealed = _look(self._spool.disk, file)
        except FileNotFoundError:
            return None  # shipped since it was listed
        except OSError as error:
            self.pass_over(file, error)
            return None
        self._known[file.path] = sealed
        return sealed


def _sealed_files(spool: SpoolFolder) -> list[SegmentFile]:
    folders = spool.writer_folders()
    files = (file for folder in folders for file in segment_files(spool.disk, folder))
    return [file for file in files if file.count is not None]


def _look(disk: Disk, file: SegmentFile) -> Sealed:
    size, _ = disk.size_and_age(file.path)
    found = placed(disk, file)
    if found is None:
        return Sealed(file, "", (0, 0), size)
    label, stream = found
    return Sealed(file, stream.plan.destination, (label.hour, label.first_ns), size)
