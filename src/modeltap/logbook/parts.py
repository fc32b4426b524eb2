"""The files of a stream: their names, and the lines in them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote

LINE_BYTES_MAX = 64 * 1024

_SHOWN = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code != ord("\t")}


@dataclass(frozen=True, slots=True)
class Line:
    stream: str
    text: str


def encode(name: str) -> str:
    return quote(name, safe="").replace(".", "%2E")


def decode(path: Path) -> str:
    return unquote(path.name.removesuffix(".log"))


def before(path: Path) -> Path:
    """Name the part before the newest one."""
    return path.with_name(f"{path.name}.1")


def times(path: Path) -> Path:
    """Name the file of the marks."""
    return path.with_name(f"{path.name}.times")


def coming(path: Path) -> Path:
    """Name the file that a new version of this one is written to."""
    return path.with_name(f"{path.name}.new")


def by_age(folder: Path) -> list[Path]:
    """Give the newest parts of a group's streams, the one written last at the end."""
    return sorted(folder.glob("*.log"), key=lambda path: (path.stat().st_mtime_ns, path.name))


def forget(path: Path) -> None:
    """Remove a stream, its newest part last: while that is there, so is the stream."""
    for each in (before(path), times(path), path):
        each.unlink(missing_ok=True)
        coming(each).unlink(missing_ok=True)


def size(path: Path) -> int:
    """Give a file's size in bytes; 0 if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def text(line: bytes) -> str:
    return line.rstrip(b"\r\n").decode(errors="replace").translate(_SHOWN)


def whole(file: BinaryIO) -> Iterator[bytes]:
    """Give lines up to the last end of line; a line still being written waits."""
    while line := file.readline(LINE_BYTES_MAX):
        if not line.endswith(b"\n") and len(line) < LINE_BYTES_MAX:
            return
        yield line


def lines(path: Path, part: Path) -> Iterator[Line]:
    """Give all lines of one part of a stream, ended or not; none if there is no such part."""
    if not part.exists():
        return
    with part.open("rb") as file:
        while line := file.readline(LINE_BYTES_MAX):
            yield Line(decode(path), text(line))
