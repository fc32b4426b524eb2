"""The Disk port: all that capture asks of the file system under its spool, and can be refused.

Every call raises `OSError` where the file system refuses. What it promises is what POSIX and ext4
promise, and no more:

* what was written is durable after `File.sync`; a name, new, moved or gone, after `sync_folder`;
* a write that was refused may have left some of its bytes;
* a sync that was refused has lost what it was to make durable, and a second one says "done"
  (fsyncgate): never ask twice;
* usage is `df`'s: used / (used + available to us), because that is the figure that operators see,
  and Amazon's rule ("below 75 %") speaks of it.

Implementations: `SystemDisk` here, `SimulatedDisk` in `simdisk.py` (memory: page cache and durable
state, power loss), and `FaultyDisk` in `faults.py`, which makes any of them refuse. One contract
suite: `tests/contract/test_capture_disk.py`.
"""

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

FILE_MODE = 0o600
FOLDER_MODE = 0o700


class File(Protocol):
    """A file that is open for writing; whoever opened it closes it, once."""

    def write_at(self, offset: int, data: bytes) -> None:
        """Write all of `data` from `offset` on, over what is there or after its end."""
        ...

    def cut(self, size: int) -> None:
        """Make the file `size` bytes long, shorter or longer (by zeros)."""
        ...

    def sync(self) -> None:
        """Make the file's data durable."""
        ...

    def lock(self) -> None:
        """Hold the file against others until it is closed; `BlockingIOError` if one holds it."""
        ...

    def close(self) -> None: ...


class Disk(Protocol):
    """A port: one file system."""

    def used_percent(self, folder: Path) -> float:
        """Tell how full the file system of `folder` is, 0 … 100; about 1.5 µs."""
        ...

    def free_bytes(self, folder: Path) -> int:
        """Tell how many bytes of the file system of `folder` are available to us."""
        ...

    def make_folder(self, folder: Path) -> None:
        """Make a folder and those above it (0700); one that is there is left as it is."""
        ...

    def remove_folder(self, folder: Path) -> None:
        """Remove an empty folder."""
        ...

    def files(self, folder: Path) -> list[str]:
        """Give the names of the regular files, sorted; none where there is no folder."""
        ...

    def folders(self, folder: Path) -> list[str]:
        """Give the names of the folders, sorted; none where there is no folder."""
        ...

    def is_file(self, path: Path) -> bool:
        """Tell whether a regular file is there."""
        ...

    def size_and_age(self, path: Path) -> tuple[int, int]:
        """Give a file's size in bytes and the time of its last change in ns."""
        ...

    def read(self, path: Path, bytes_max: int = -1) -> bytes:
        """Read a file from its beginning, whole or at most so many bytes."""
        ...

    def create(self, path: Path) -> File:
        """Make a new file (0600) and open it; `FileExistsError` if the name is taken."""
        ...

    def open(self, path: Path, *, make: bool = False) -> File:
        """Open a file that is there, or make it; never through a link."""
        ...

    def open_folder(self, folder: Path) -> File:
        """Open a folder, for its lock alone."""
        ...

    def rename(self, path: Path, name: Path) -> None:
        """Give a file another name, which replaces a file that has it."""
        ...

    def unlink(self, path: Path) -> None: ...

    def sync_folder(self, folder: Path) -> None:
        """Make the names in a folder durable."""
        ...


class SystemFile:
    """A descriptor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write_at(self, offset: int, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._fd, rest, offset)
            rest, offset = rest[written:], offset + written

    def cut(self, size: int) -> None:
        os.ftruncate(self._fd, size)

    def sync(self) -> None:
        os.fdatasync(self._fd)

    def lock(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self) -> None:
        os.close(self._fd)


class SystemDisk:
    """The machine's own disk."""

    def used_percent(self, folder: Path) -> float:
        figures = os.statvfs(folder)
        used = figures.f_blocks - figures.f_bfree
        return 100.0 * used / max(1, used + figures.f_bavail)

    def free_bytes(self, folder: Path) -> int:
        figures = os.statvfs(folder)
        return figures.f_bavail * figures.f_frsize

    def make_folder(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)

    def remove_folder(self, folder: Path) -> None:
        folder.rmdir()

    def files(self, folder: Path) -> list[str]:
        return _names(folder, lambda entry: entry.is_file(follow_symlinks=False))

    def folders(self, folder: Path) -> list[str]:
        return _names(folder, lambda entry: entry.is_dir(follow_symlinks=False))

    def is_file(self, path: Path) -> bool:
        return path.is_file() and not path.is_symlink()

    def size_and_age(self, path: Path) -> tuple[int, int]:
        figures = path.lstat()
        return figures.st_size, figures.st_mtime_ns

    def read(self, path: Path, bytes_max: int = -1) -> bytes:
        with path.open("rb") as opened:
            return opened.read(bytes_max)

    def create(self, path: Path) -> File:
        return SystemFile(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, FILE_MODE))

    def open(self, path: Path, *, make: bool = False) -> File:
        flags = os.O_RDWR | os.O_NOFOLLOW | (os.O_CREAT if make else 0)
        return SystemFile(os.open(path, flags, FILE_MODE))

    def open_folder(self, folder: Path) -> File:
        return SystemFile(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW))

    def rename(self, path: Path, name: Path) -> None:
        path.rename(name)

    def unlink(self, path: Path) -> None:
        path.unlink()

    def sync_folder(self, folder: Path) -> None:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _names(folder: Path, chosen: Callable[[os.DirEntry[str]], bool]) -> list[str]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if chosen(entry))
    return []
