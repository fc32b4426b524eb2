"""What lies where in the spool; folders are 0700, files 0600 (threats S17, S26).

    counters/{writer}.page                              mirror.py
    writers/{writer}/{slot}-{hour}-{first}.open         a segment being written
    writers/{writer}/{slot}-{hour}-{first}-{count}.seal one to be shipped, never written again
    quarantine/                                         damaged segments, as evidence; oldest go
    ledger.db, ledger.reserve                           ledger.py

A writer is one ring's life. Anything else in here is left alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modeltap.capture.disk import Disk

WRITER_LENGTH = 36  # of a UUID
QUARANTINE_BYTES_MAX = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SpoolFolder:
    """The spool's paths, and the disk that they are on."""

    root: Path
    disk: Disk

    @property
    def counters(self) -> Path:
        return self.root / "counters"

    @property
    def writers(self) -> Path:
        return self.root / "writers"

    @property
    def quarantine(self) -> Path:
        return self.root / "quarantine"

    @property
    def ledger(self) -> Path:
        return self.root / "ledger.db"

    def make(self) -> None:
        """Make what is missing; what stands in a folder's place is moved aside."""
        for folder in (self.root, self.counters, self.writers, self.quarantine):
            try:
                self.disk.make_folder(folder)
            except FileExistsError:
                self.disk.rename(folder, folder.with_name(f"{folder.name}.aside"))
                self.disk.make_folder(folder)
        self.disk.sync_folder(self.root)

    def writer_folders(self) -> Iterator[Path]:
        """Give the folders of all writers; links and files among them are passed over."""
        return (self.writers / name for name in self.disk.folders(self.writers))

    def quarantined(self, path: Path) -> tuple[str, str]:
        """Give writer and name of a file that was put aside; empty where it is none."""
        writer, name = path.name[:WRITER_LENGTH], path.name[WRITER_LENGTH:]
        return (writer, name[1:]) if name.startswith("-") else ("", "")

    def put_back(self, path: Path) -> Path:
        """Put a file back to where it was before it was put aside; give that place."""
        writer, name = self.quarantined(path)
        folder = self.writers / writer
        self.disk.make_folder(folder)
        self.disk.rename(path, folder / name)
        self.disk.sync_folder(folder)
        return folder / name

    def put_aside(self, path: Path) -> None:
        """Put a damaged segment aside; the oldest go when there is more than the bound."""
        disk = self.disk
        disk.rename(path, self.quarantine / f"{path.parent.name}-{path.name}")
        paths = [self.quarantine / name for name in disk.files(self.quarantine)]
        kept = sorted((disk.size_and_age(path)[::-1], path) for path in paths)
        total = sum(size for (_, size), _ in kept)
        for (_, size), path in kept:
            if total <= QUARANTINE_BYTES_MAX:
                return
            disk.unlink(path)
            total -= size
