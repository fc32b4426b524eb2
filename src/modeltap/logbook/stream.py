"""One stream: its lines by offset, with their times; noting times, and cutting.

    .log.1   [base - its size, base)         .log   [base, base + its size)

Who calls holds the logbook's lock: offsets mean something only while nothing is cut. The stream's
own writer is not held up by it.

A cut: copy the newest part · mark all that was copied · copy over the part before · empty the
newest part · move the base. Killed between the last two, the newest part ends before what is noted:
`note` sees this and moves the base. Killed before, the cut is made again, and until then the part
before shows the same lines.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from modeltap.logbook import marks, parts
from modeltap.logbook.marks import RECORD, Marks
from modeltap.logbook.parts import LINE_BYTES_MAX

UNFINISHED_NS = 5_000_000_000
"""A line without an end is taken for one after so long a silence: the last words of a process that
died, or a prompt."""

_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a stream: where it stands, and when it was written, in ms since the epoch."""

    start: int
    end: int
    time: int
    text: str


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream as it stands: its lines lie from `first` to `marks.noted`."""

    name: str
    path: Path
    marks: Marks
    first: int

    def within(self, start: int, end: int | None) -> tuple[int, int]:
        """Give the offsets between which lie the lines of times from `start`, before `end`."""
        to = self.marks.noted if end is None else self.marks.since(end)
        return max(self.first, self.marks.since(start)), max(self.first, to)

    def entries(self, start: int, end: int) -> Iterator[Entry]:
        """Give the lines between two offsets at which lines begin."""
        base = self.marks.base
        start, end = max(start, self.first), min(end, self.marks.noted)
        if start < base:
            part = parts.before(self.path)
            yield from self._entries(part, base - parts.size(part), start, min(end, base))
        if end > base:
            yield from self._entries(self.path, base, max(start, base), end)

    def _entries(self, part: Path, base: int, start: int, end: int) -> Iterator[Entry]:
        with part.open("rb") as file:
            file.seek(start - base)
            while start < end:
                bound = min(self.marks.next(start), end)
                line = file.readline(min(LINE_BYTES_MAX, bound - start))
                if not line:
                    return
                behind = start + len(line)
                yield Entry(start, behind, self.marks.time(start), parts.text(line))
                start = behind


def opened(path: Path) -> Stream:
    """Read a stream's marks; `note` must have been there."""
    found = _marks(path, parts.times(path).read_bytes())
    base = found.base
    return Stream(parts.decode(path), path, found, max(0, base - parts.size(parts.before(path))))


def note(path: Path, now_ns: int, *, ended: bool = False) -> int:
    """Mark what is new in a stream; give how many bytes of its newest part are marked.

    `ended`: nobody writes on, so that a last line is one without its end, too.
    """
    known, status = _newest(path), path.stat()
    if known.base + status.st_size < known.noted:
        known = _rebased(path, known.noted)
    ended = ended or now_ns - status.st_mtime_ns >= UNFINISHED_NS
    noted = known.noted - known.base
    end = status.st_size if ended else _last_end(path, noted, status.st_size)
    if end > noted:
        _add(path, known.marked(known.base + end, status.st_mtime_ns // _MS))
    return max(end, noted)


def cut(path: Path) -> None:
    """Move the newest part over the part before, and begin anew."""
    before, copy = parts.before(path), parts.coming(parts.before(path))
    copy.touch(mode=0o600)
    shutil.copyfile(path, copy)
    known, end = _newest(path), copy.stat().st_size
    if known.base + end > known.noted:
        known = known.marked(known.base + end, path.stat().st_mtime_ns // _MS)
        _add(path, known)
    copy.replace(before)
    os.truncate(path, 0)
    _rebased(path, known.noted)


def _last_end(path: Path, start: int, size: int) -> int:
    """Find the end of the last whole line between two places of a file.

    Where there is none in as many bytes as a line may have, the line is taken in pieces.
    """
    if size <= start:
        return start
    seen = max(start, size - LINE_BYTES_MAX)
    with path.open("rb") as file:
        file.seek(seen)
        found = file.read(size - seen).rfind(b"\n")
    if found >= 0:
        return seen + found + 1
    return size if size - start >= LINE_BYTES_MAX else start


# ---------------------------------------------------------------- the file of the marks


def _marks(path: Path, data: bytes) -> Marks:
    largest = max(parts.size(path), parts.size(parts.before(path)))
    return marks.decode(data, largest) or _begun(path)


def _newest(path: Path) -> Marks:
    """Read the base and the last mark, whatever the number of marks is."""
    times = parts.times(path)
    if parts.size(times) < RECORD.size:
        begun = _begun(path)
        _replace(times, begun)
        return begun
    with times.open("rb") as file:
        return _marks(path, file.read(RECORD.size) + _last(file))


def _last(file: BinaryIO) -> bytes:
    records = file.seek(0, os.SEEK_END) // RECORD.size
    if records == 1:
        return b""
    file.seek((records - 1) * RECORD.size)
    return file.read(RECORD.size)


def _begun(path: Path) -> Marks:
    """Give the first marks of a stream; one from before there were marks has two parts already."""
    before, made = parts.before(path), path.stat().st_mtime_ns // _MS
    if not before.exists():
        return Marks(0, made)
    made = before.stat().st_mtime_ns // _MS
    return Marks(parts.size(before), made, (parts.size(before),), (made,))


def _rebased(path: Path, base: int) -> Marks:
    """Have the newest part begin at `base`."""
    first = base - parts.size(parts.before(path))
    found = _marks(path, parts.times(path).read_bytes()).cut(base, first)
    _replace(parts.times(path), found)
    return found


def _replace(times: Path, new: Marks) -> None:
    coming = parts.coming(times)
    coming.touch(mode=0o600)
    coming.write_bytes(new.encode())
    coming.replace(times)


def _add(path: Path, new: Marks) -> None:
    """Write the last mark behind the others; over one that was torn off."""
    with parts.times(path).open("r+b") as file:
        file.seek(file.seek(0, os.SEEK_END) // RECORD.size * RECORD.size)
        file.write(new.newest())
