"""A disk that refuses: any disk, whose calls fail as a list or a plan says.

Calls are told apart by kind: `write`, `sync` (of files), `folder` (sync_folder), `create` (create,
open), `rename`, `unlink`, `cut`, `read`.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from modeltap.capture.disk import Disk, File
from modeltap.capture.simdisk import SimulatedFile

Plan = Callable[[str], int | None]
"""A kind of call → the error number that it is refused with, or None."""


def _none(_: str) -> int | None:
    return None


@dataclass
class FaultyDisk:
    """A disk in front of `inside`.

    `write_faults` and `sync_faults` are used up from the front, one a call; None means that the
    call succeeds. `plan` is asked after them, of every call. A write that is refused leaves half of
    its bytes, as a full disk does; a sync that is refused is not done, as a broken one is not.
    """

    inside: Disk
    percent: float | None = None  # instead of the real one
    write_faults: list[int | None] = field(default_factory=list)
    sync_faults: list[int | None] = field(default_factory=list)
    plan: Plan = _none
    _opened: list[File] = field(default_factory=list)

    def die(self) -> None:
        """Close what is open, as the kernel does for a process that was killed."""
        while self._opened:
            self._opened.pop().close()

    def ask(self, kind: str) -> None:
        """Raise the `OSError` that a call is refused with."""
        listed = {"write": self.write_faults, "sync": self.sync_faults}.get(kind)
        fault = listed.pop(0) if listed else self.plan(kind)
        if fault is not None:
            raise OSError(fault, os.strerror(fault))

    def used_percent(self, folder: Path) -> float:
        return self.inside.used_percent(folder) if self.percent is None else self.percent

    def free_bytes(self, folder: Path) -> int:
        return self.inside.free_bytes(folder)

    def make_folder(self, folder: Path) -> None:
        self.inside.make_folder(folder)

    def remove_folder(self, folder: Path) -> None:
        self.ask("unlink")
        self.inside.remove_folder(folder)

    def files(self, folder: Path) -> list[str]:
        return self.inside.files(folder)

    def folders(self, folder: Path) -> list[str]:
        return self.inside.folders(folder)

    def is_file(self, path: Path) -> bool:
        return self.inside.is_file(path)

    def size_and_age(self, path: Path) -> tuple[int, int]:
        return self.inside.size_and_age(path)

    def read(self, path: Path, bytes_max: int = -1) -> bytes:
        self.ask("read")
        return self.inside.read(path, bytes_max)

    def create(self, path: Path) -> File:
        self.ask("create")
        return self._kept(self.inside.create(path))

    def open(self, path: Path, *, make: bool = False) -> File:
        self.ask("create")
        return self._kept(self.inside.open(path, make=make))

    def open_folder(self, folder: Path) -> File:
        return self._kept(self.inside.open_folder(folder))

    def rename(self, path: Path, name: Path) -> None:
        self.ask("rename")
        self.inside.rename(path, name)

    def unlink(self, path: Path) -> None:
        self.ask("unlink")
        self.inside.unlink(path)

    def sync_folder(self, folder: Path) -> None:
        self.ask("folder")
        self.inside.sync_folder(folder)

    def _kept(self, file: File) -> File:
        self._opened.append(file)
        return _FaultyFile(self, file)


class _FaultyFile:
    def __init__(self, disk: FaultyDisk, inside: File) -> None:
        self._disk = disk
        self._inside = inside

    def write_at(self, offset: int, data: bytes) -> None:
        try:
            self._disk.ask("write")
        except OSError:
            self._inside.write_at(offset, data[: len(data) // 2])
            raise
        self._inside.write_at(offset, data)

    def cut(self, size: int) -> None:
        self._disk.ask("cut")
        self._inside.cut(size)

    def sync(self) -> None:
        try:
            self._disk.ask("sync")
        except OSError:
            if isinstance(self._inside, SimulatedFile):
                self._inside.forget()
            raise
        self._inside.sync()

    def lock(self) -> None:
        self._inside.lock()

    def close(self) -> None:
        self._disk._opened.remove(self._inside)
        self._inside.close()
