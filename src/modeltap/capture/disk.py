"""The Disk port: what capture asks of the disk under its spool, and can be refused.

Three calls, so that a test can fill, stall or break a disk without one. Every implementation gives
`df`'s reading of usage: used / (used + available to us), because that is the figure that operators
see, and Amazon's rule ("below 75 %") speaks of it.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class Disk(Protocol):
    """A port: one file system."""

    def used_percent(self, folder: Path) -> float:
        """Tell how full the file system of `folder` is, 0 … 100; about 1.5 µs."""
        ...

    def write(self, fd: int, data: bytes) -> None:
        """Append all of `data`. Raise `OSError`; how much was written is then unknown."""
        ...

    def sync(self, fd: int) -> None:
        """Make a file's data durable. Raise `OSError`; its unsynced data are then lost."""
        ...


class SystemDisk:
    """The machine's own disk."""

    def used_percent(self, folder: Path) -> float:
        figures = os.statvfs(folder)
        used = figures.f_blocks - figures.f_bfree
        return 100.0 * used / max(1, used + figures.f_bavail)

    def write(self, fd: int, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]

    def sync(self, fd: int) -> None:
        os.fdatasync(fd)


@dataclass
class SimulatedDisk:
    """A disk that is as full and as broken as it is told to be; files are real ones.

    `write_faults` and `sync_faults` are used up from the front, one a call; None means that the
    call succeeds. A write that fails leaves half of its bytes, as a full disk does.
    """

    percent: float = 0.0
    write_faults: list[int | None] = field(default_factory=list)
    sync_faults: list[int | None] = field(default_factory=list)

    def used_percent(self, folder: Path) -> float:
        return self.percent

    def write(self, fd: int, data: bytes) -> None:
        fault = self.write_faults.pop(0) if self.write_faults else None
        SystemDisk().write(fd, data if fault is None else data[: len(data) // 2])
        if fault is not None:
            raise OSError(fault, os.strerror(fault))

    def sync(self, fd: int) -> None:
        fault = self.sync_faults.pop(0) if self.sync_faults else None
        if fault is not None:
            raise OSError(fault, os.strerror(fault))
        SystemDisk().sync(fd)
