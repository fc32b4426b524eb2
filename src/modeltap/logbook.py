"""Log groups and streams on disk: what CloudWatch Logs is to SageMaker's containers.

A group is a folder, a stream is a file of raw lines: the file that a model's standard output and
error are appended to by its own process. Names come from users, so they are percent-encoded into
file names, dots included (threat S15). Folders are 0700, files 0600.

    {root}/%2Faws%2Fsagemaker%2FEndpoints%2Fchurn/AllTraffic%2Fi-0123.log      the newest part
                                                  AllTraffic%2Fi-0123.log.1    the part before

Bounds. `trim` moves a stream that has outgrown `stream_bytes_max` aside, over the part before, and
forgets the streams of a group that were silent longest beyond `streams_max`. The writer holds the
file open and appends, so the file is copied and cut, not renamed: a line written in between may be
lost, and so may lines that a follower did not read before the cut. A line is read in pieces of
`LINE_BYTES_MAX`. Control characters are shown, not obeyed: what a model prints must not drive the
reader's terminal.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote

MIB = 1024 * 1024
LINE_BYTES_MAX = 64 * 1024

_SHOWN = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code != ord("\t")}


@dataclass(frozen=True, slots=True)
class Line:
    stream: str
    text: str


class Logbook:
    """All groups under one folder."""

    def __init__(
        self, root: Path, *, stream_bytes_max: int = 16 * MIB, streams_max: int = 200
    ) -> None:
        self._root = root
        self._stream_bytes_max = stream_bytes_max
        self._streams_max = streams_max

    def path(self, group: str, stream: str) -> Path:
        """Give the file to append a stream's raw lines to, made if need be."""
        folder = self._folder(group)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{_encode(stream)}.log"
        path.touch(mode=0o600)
        return path

    def append(self, group: str, stream: str, text: str) -> None:
        """Add one line of our own."""
        with self.path(group, stream).open("ab") as file:
            file.write(" ".join(text.splitlines()).encode() + b"\n")

    def streams(self, group: str) -> list[str]:
        """Give the streams of a group, the one written last at the end; none if unknown."""
        return [_decode(path) for path in _by_age(self._folder(group))]

    def lines(self, group: str) -> Iterator[Line]:
        """Give all that is kept of a group, stream after stream."""
        for path in _by_age(self._folder(group)):
            for part in (_before(path), path):
                yield from _lines(path, part)

    def tail(self, group: str) -> "Tail":
        """Follow a group from its beginning."""
        return Tail(self._folder(group))

    def trim(self) -> None:
        """Hold every bound; to be called now and then."""
        for folder in self._root.glob("*/"):
            paths = _by_age(folder)
            for path in paths[: -self._streams_max]:
                _before(path).unlink(missing_ok=True)
                path.unlink()
            for path in paths[-self._streams_max :]:
                if path.stat().st_size > self._stream_bytes_max:
                    _move_aside(path)

    def _folder(self, group: str) -> Path:
        return self._root / _encode(group)


class Tail:
    """Where a reader of a group stands: each `read` gives the whole lines since the last one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._offsets: dict[Path, int] = {}

    def read(self) -> Iterator[Line]:
        for path in _by_age(self._folder):
            yield from self._read(path)

    def _read(self, path: Path) -> Iterator[Line]:
        offset = self._offsets.get(path, 0)
        with path.open("rb") as file:
            if offset > file.seek(0, os.SEEK_END):  # it was trimmed: go on at its new beginning
                offset = 0
            file.seek(offset)
            self._offsets[path] = offset
            for line in _whole(file):
                self._offsets[path] += len(line)
                yield Line(_decode(path), _text(line))


def _whole(file: BinaryIO) -> Iterator[bytes]:
    """Give lines up to the last end of line; a line still being written waits."""
    while line := file.readline(LINE_BYTES_MAX):
        if not line.endswith(b"\n") and len(line) < LINE_BYTES_MAX:
            return
        yield line


def _lines(path: Path, part: Path) -> Iterator[Line]:
    if not part.exists():
        return
    with part.open("rb") as file:
        while line := file.readline(LINE_BYTES_MAX):
            yield Line(_decode(path), _text(line))


def _text(line: bytes) -> str:
    return line.rstrip(b"\r\n").decode(errors="replace").translate(_SHOWN)


def _move_aside(path: Path) -> None:
    before = _before(path)
    before.touch(mode=0o600)
    shutil.copyfile(path, before)
    os.truncate(path, 0)


def _by_age(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.log"), key=lambda path: (path.stat().st_mtime_ns, path.name))


def _before(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")


def _encode(name: str) -> str:
    return quote(name, safe="").replace(".", "%2E")


def _decode(path: Path) -> str:
    return unquote(path.name.removesuffix(".log"))
