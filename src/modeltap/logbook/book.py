"""The book itself: what its users call. See the package's head for the files and the rules."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from modeltap.logbook import parts, stream
from modeltap.logbook.parts import Line
from modeltap.logbook.stream import Stream

MIB = 1024 * 1024


class Logbook:
    """All groups under one folder. Any process appends and follows; control alone keeps times."""

    def __init__(
        self, root: Path, *, stream_bytes_max: int = 16 * MIB, streams_max: int = 200
    ) -> None:
        self._root = root
        self._stream_bytes_max = stream_bytes_max
        self._streams_max = streams_max
        self._noted: dict[Path, int] = {}  # bytes of the newest part; only to save looking
        self._lock = Lock()

    # ------------------------------------------------------------ writing

    def path(self, group: str, stream: str) -> Path:
        """Give the file to append a stream's raw lines to, made if need be."""
        folder = self._folder(group)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{parts.encode(stream)}.log"
        path.touch(mode=0o600)
        return path

    def append(self, group: str, stream: str, text: str) -> None:
        """Add one line of our own."""
        with self.path(group, stream).open("ab") as file:
            file.write(" ".join(text.splitlines()).encode() + b"\n")

    # ------------------------------------------------------------ following

    def streams(self, group: str) -> list[str]:
        """Give the streams of a group, the one written last at the end; none if unknown."""
        return [parts.decode(path) for path in parts.by_age(self._folder(group))]

    def lines(self, group: str) -> Iterator[Line]:
        """Give all that is kept of a group, stream after stream."""
        for path in parts.by_age(self._folder(group)):
            for part in (parts.before(path), path):
                yield from parts.lines(path, part)

    def tail(self, group: str, prefix: str = "") -> "Tail":
        """Follow a group, or its streams of a prefix, from its beginning."""
        return Tail(self._folder(group), prefix)

    # ------------------------------------------------------------ with times: control only

    def groups(self) -> list[str]:
        """Give the names of all groups, in order."""
        return sorted(parts.decode(folder) for folder in self._root.glob("*/"))

    @contextmanager
    def reading(
        self, group: str, now_ns: int, wanted: Callable[[str], bool] = lambda name: True
    ) -> Iterator[list[Stream] | None]:
        """Give the wanted streams of a group by name, None if unknown; nothing is cut meanwhile."""
        with self._lock:
            if not self._folder(group).is_dir():
                yield None
                return
            yield self._opened(group, now_ns, wanted)

    def ended(self, group: str, stream: str, now_ns: int) -> None:
        """Say that a stream's writer is no more: its last line is one, even without its end."""
        with self._lock:
            self._note(self.path(group, stream), now_ns, ended=True)

    def keep(self, now_ns: int) -> None:
        """Note the times of what is new, and hold every bound; to be called each second."""
        for folder in self._root.glob("*/"):
            with self._lock:
                self._keep(parts.by_age(folder), now_ns)

    def _keep(self, paths: list[Path], now_ns: int) -> None:
        for path in paths[: -self._streams_max]:
            parts.forget(path)
            self._noted.pop(path, None)
        for path in paths[-self._streams_max :]:
            size = parts.size(path)
            if self._noted.get(path) != size:
                self._note(path, now_ns)
            if size > self._stream_bytes_max:
                stream.cut(path)
                self._noted.pop(path, None)

    def _opened(self, group: str, now_ns: int, wanted: Callable[[str], bool]) -> list[Stream]:
        paths = [path for path in self._folder(group).glob("*.log") if wanted(parts.decode(path))]
        for path in paths:
            self._note(path, now_ns)
        return sorted(map(stream.opened, paths), key=lambda each: each.name)

    def _note(self, path: Path, now_ns: int, *, ended: bool = False) -> None:
        self._noted[path] = stream.note(path, now_ns, ended=ended)

    def _folder(self, group: str) -> Path:
        return self._root / parts.encode(group)


class Tail:
    """Where a reader of a group stands: each `read` gives the whole lines since the last one."""

    def __init__(self, folder: Path, prefix: str = "") -> None:
        self._folder = folder
        self._prefix = prefix
        self._offsets: dict[Path, int] = {}

    def read(self) -> Iterator[Line]:
        for path in parts.by_age(self._folder):
            if parts.decode(path).startswith(self._prefix):
                yield from self._read(path)

    def _read(self, path: Path) -> Iterator[Line]:
        offset = self._offsets.get(path, 0)
        with path.open("rb") as file:
            if offset > file.seek(0, os.SEEK_END):  # it was trimmed: go on at its new beginning
                offset = 0
            file.seek(offset)
            self._offsets[path] = offset
            for line in parts.whole(file):
                self._offsets[path] += len(line)
                yield Line(parts.decode(path), parts.text(line))
