"""A file system in memory, with a page cache, a durable state, a size, and power that fails.

What a program reads is the cache. What `lose_power` leaves is the durable state and, of what was
not synced, whatever chance had written back before: each step of the journal (a name made, moved,
gone) or not, in any order that the steps allow; each page of 4 KiB whole, or as it was, or torn
between its sectors of 512 bytes, or, where the file had grown, zeros or garbage. That is more than
ext4 does, so whoever survives it survives ext4. Folders are durable when they are made.

A seed of the chance replays a history.
"""

import errno
import os
import random
from pathlib import Path
from typing import Final, NamedTuple

from modeltap.capture.disk import File

PAGE_BYTES: Final = 4096
SECTOR_BYTES: Final = 512


class _Inode:
    """A file's bytes: as they read, and as they are on the disk."""

    def __init__(self) -> None:
        self.cached = bytearray()
        self.durable = bytearray()
        self.dirty: set[int] = set()  # pages whose cache is not on the disk
        self.changed_ns = 0
        self.locked = False
        self.named = False  # its bytes count as used

    def touch(self, start: int, stop: int) -> None:
        self.dirty.update(range(start // PAGE_BYTES, -(-stop // PAGE_BYTES)))

    def resize(self, size: int) -> None:
        """Make the disk's copy so many bytes long."""
        self.durable.extend(bytes(max(0, size - len(self.durable))))
        del self.durable[size:]

    def write_back(self) -> None:
        self.resize(len(self.cached))
        for page in self.dirty:
            span = slice(page * PAGE_BYTES, (page + 1) * PAGE_BYTES)
            self.durable[span] = self.cached[span]
        self.dirty.clear()

    def crash(self, chance: random.Random) -> None:
        """Keep of the cache what chance had written back."""
        before, now = len(self.durable), len(self.cached)
        if before != now:
            between = chance.randint(min(before, now), max(before, now))
            self.resize(chance.choice([before, now, between]))
        for page in sorted(self.dirty):
            self._crash_page(page, before, chance)
        self.cached = bytearray(self.durable)
        self.dirty.clear()
        self.locked = False

    def _crash_page(self, page: int, before: int, chance: random.Random) -> None:
        whole = chance.random()
        for start in range(page * PAGE_BYTES, (page + 1) * PAGE_BYTES, SECTOR_BYTES):
            stop = min(start + SECTOR_BYTES, len(self.durable), len(self.cached))
            if stop <= start:
                return
            if whole < 0.3 or (whole < 0.7 and chance.random() < 0.5):
                self.durable[start:stop] = self.cached[start:stop]
            elif start >= before and chance.random() < 0.3:
                self.durable[start:stop] = chance.randbytes(stop - start)


_Place = tuple[str, str]  # folder and name in it
_Names = dict[str, dict[str, _Inode]]  # by folder and name: days are spent in listing folders


def _place(path: Path) -> _Place:
    folder, _, name = str(path).rpartition("/")
    return folder, name


def _copied(names: _Names) -> _Names:
    return {folder: dict(held) for folder, held in names.items()}


class _Step(NamedTuple):
    """One step of the journal: `place` goes, or comes with an inode, or becomes `then`."""

    place: _Place
    inode: _Inode | None = None
    then: _Place | None = None

    def touches(self, folder: str) -> bool:
        return self.place[0] == folder or (self.then is not None and self.then[0] == folder)

    def apply(self, names: _Names) -> None:
        inode = self.inode
        place = self.place
        if inode is None:
            inode = names.get(place[0], {}).pop(place[1], None)
            place = self.then or place
        if inode is not None and (self.inode is not None or self.then is not None):
            names.setdefault(place[0], {})[place[1]] = inode


class SimulatedFile:
    """An open file of a `SimulatedDisk`."""

    def __init__(self, disk: "SimulatedDisk", inode: _Inode) -> None:
        self._disk = disk
        self._inode = inode
        self._holds = False

    def write_at(self, offset: int, data: bytes) -> None:
        inode, before = self._inode, len(self._inode.cached)
        lacking = max(0, offset + len(data) - before) - self._disk.room
        if lacking > 0:
            data = data[: max(0, len(data) - lacking)]  # a full disk takes what it can
        inode.cached.extend(bytes(max(0, offset - len(inode.cached))))
        inode.cached[offset : offset + len(data)] = data
        inode.touch(offset, offset + len(data))
        self._disk.stamp(inode, grown=len(inode.cached) - before)
        if lacking > 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def cut(self, size: int) -> None:
        inode = self._inode
        before = len(inode.cached)
        inode.cached.extend(bytes(max(0, size - before)))
        del inode.cached[size:]
        inode.touch(min(before, size), max(before, size))
        self._disk.stamp(inode, grown=size - before)

    def sync(self) -> None:
        self._inode.write_back()

    def forget(self) -> None:
        """Do what a failed sync does: all pages count as clean, and only some are on the disk."""
        inode = self._inode
        pages = sorted(inode.dirty)
        inode.dirty = set(pages[: len(pages) // 2])
        inode.write_back()

    def lock(self) -> None:
        if self._inode.locked and not self._holds:
            raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK))
        self._inode.locked = self._holds = True

    def close(self) -> None:
        if self._holds:
            self._inode.locked = self._holds = False


class SimulatedDisk:
    """One file system; its capacity counts the bytes of files."""

    def __init__(self, capacity: int = 1 << 40) -> None:
        self.capacity = capacity
        self._folders: dict[str, _Inode] = {}  # inodes for their locks
        self._cached: _Names = {}
        self._durable: _Names = {}
        self._journal: list[_Step] = []  # what is in the cache and not durable
        self._ticks = 0
        self._used = 0  # bytes of the files that have a name

    @property
    def room(self) -> int:
        return max(0, self.capacity - self._used)

    def stamp(self, inode: _Inode, *, grown: int = 0) -> None:
        """Note that a file has changed."""
        self._ticks += 1
        self._used += grown if inode.named else 0
        inode.changed_ns = self._ticks

    # ------------------------------------------------------------ the port

    def used_percent(self, folder: Path) -> float:
        return 100.0 * self._used / self.capacity

    def free_bytes(self, folder: Path) -> int:
        return self.room

    def make_folder(self, folder: Path) -> None:
        if str(folder) not in self._folders:
            for each in (folder, *folder.parents):
                self._folders.setdefault(str(each), _Inode())

    def remove_folder(self, folder: Path) -> None:
        self._folder(folder)
        if self.files(folder) or self.folders(folder):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
        self.sync_folder(folder)  # no journal forgets names of a folder and remembers its end
        del self._folders[str(folder)]

    def files(self, folder: Path) -> list[str]:
        return sorted(self._cached.get(str(folder), ()))

    def folders(self, folder: Path) -> list[str]:
        above = f"{str(folder).rstrip('/')}/"
        inside = (each[len(above) :] for each in self._folders if each.startswith(above))
        return sorted(name for name in inside if name and "/" not in name)

    def is_file(self, path: Path) -> bool:
        folder, name = _place(path)
        return name in self._cached.get(folder, ())

    def size_and_age(self, path: Path) -> tuple[int, int]:
        inode = self._inode(path)
        return len(inode.cached), inode.changed_ns

    def read(self, path: Path, bytes_max: int = -1, start: int = 0) -> bytes:
        cached = self._inode(path).cached[start:]
        return bytes(cached if bytes_max < 0 else cached[:bytes_max])

    def create(self, path: Path) -> File:
        self._folder(path.parent)
        if self.is_file(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        inode = _Inode()
        self.stamp(inode)
        self._step(_Step(_place(path), inode))
        return SimulatedFile(self, inode)

    def open(self, path: Path, *, make: bool = False) -> File:
        if make and not self.is_file(path):
            return self.create(path)
        return SimulatedFile(self, self._inode(path))

    def open_folder(self, folder: Path) -> File:
        return SimulatedFile(self, self._folder(folder))

    def rename(self, path: Path, name: Path) -> None:
        self._inode(path)
        self._folder(name.parent)
        self._step(_Step(_place(path), then=_place(name)))

    def unlink(self, path: Path) -> None:
        self._inode(path)
        self._step(_Step(_place(path)))

    def sync_folder(self, folder: Path) -> None:
        self._folder(folder)
        kept = []
        for step in self._journal:
            if step.touches(str(folder)):
                step.apply(self._durable)
            else:
                kept.append(step)
        self._journal = kept

    # ------------------------------------------------------------ power

    def lose_power(self, chance: random.Random) -> None:
        """Lose what was not durable, but for what chance had written back before."""
        for step in self._journal:
            if chance.random() < 0.5:
                step.apply(self._durable)
        self._journal.clear()
        self._cached = _copied(self._durable)
        self._used = 0
        for inode in (inode for held in self._cached.values() for inode in held.values()):
            inode.crash(chance)
            inode.named = True
            self._used += len(inode.cached)
        for inode in self._folders.values():
            inode.locked = False

    def rot(self, path: Path, chance: random.Random) -> None:
        """Flip a bit of a file, in the cache and on the disk."""
        inode = self._inode(path)
        at, bit = chance.randrange(len(inode.cached)), 1 << chance.randrange(8)
        for data in (inode.cached, inode.durable):
            if at < len(data):
                data[at] ^= bit

    def _step(self, step: _Step) -> None:
        folder, name = step.then or step.place
        gone = self._cached.get(folder, {}).get(name)
        step.apply(self._cached)
        if gone is not None:  # removed, or replaced
            gone.named = False
            self._used -= len(gone.cached)
        if step.inode is not None:
            step.inode.named = True
        self._journal.append(step)

    def _folder(self, folder: Path) -> _Inode:
        inode = self._folders.get(str(folder))
        if inode is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
        return inode

    def _inode(self, path: Path) -> _Inode:
        folder, name = _place(path)
        inode = self._cached.get(folder, {}).get(name)
        if inode is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return inode
