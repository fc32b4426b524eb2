"""What lies where in the spool; folders are 0700, files 0600 (threats S17, S26).

    counters/{writer}.page                              mirror.py
    writers/{writer}/{slot}-{hour}-{first}.open         a segment being written
    writers/{writer}/{slot}-{hour}-{first}-{count}.seal one to be shipped, never written again
    quarantine/                                         damaged segments, as evidence; oldest go
    ledger.db                                           ledger.py

A writer is one ring's life. Anything else in here is left alone.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

QUARANTINE_BYTES_MAX = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SpoolFolder:
    """The spool's paths."""

    root: Path

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
        """Make what is missing."""
        for folder in (self.root, self.counters, self.writers, self.quarantine):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        sync_folder(self.root)

    def writer_folders(self) -> Iterator[Path]:
        """Give the folders of all writers; links and files among them are passed over."""
        if self.writers.is_dir():
            with os.scandir(self.writers) as entries:
                found = sorted(e.name for e in entries if e.is_dir(follow_symlinks=False))
            yield from (self.writers / name for name in found)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raise `OSError`."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def quarantine(spool: SpoolFolder, path: Path) -> None:
    """Put a damaged segment aside; the oldest go when there is more than the bound."""
    path.rename(spool.quarantine / f"{path.parent.name}-{path.name}")
    files = (file for file in spool.quarantine.iterdir() if file.is_file())
    kept = sorted(files, key=lambda file: file.lstat().st_mtime)
    sizes = [file.lstat().st_size for file in kept]
    while sum(sizes) > QUARANTINE_BYTES_MAX:
        kept.pop(0).unlink()
        sizes.pop(0)
