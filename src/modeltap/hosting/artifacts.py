"""model.tar.gz → files, by rules that no archive can bend (threats S11, S12).

The archive is a stranger's. So its headers are read by a loop of our own, one block at a time, and
not by `tarfile`'s extraction, whose filters have been escaped from (CVE-2025-4517) and whose
extended headers may be as large as the archive says:

* only regular files and folders; a link, a device, a pipe or a sparse file refuses the whole;
* names are relative, without `..`, at most 16 deep; every folder is opened by its parent's
  descriptor without following links, and a file is only ever created, never opened anew;
* bytes, files, headers and the gain of the compression are bounded while they stream.

What is refused is an `ArchiveRefused`, whose text is read by the user in a `FailureReason`.
"""

import gzip
import os
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from modeltap.errors import ArchiveRefused, LaunchFailed

_BLOCK = tarfile.BLOCKSIZE
_PIECE = 1024 * 1024
_HEADER_BYTES_MAX = 64 * 1024  # of one extended header: a long name
_DEPTH_MAX = 16
_NAME_BYTES_MAX = 255
_DISK_BYTES_FREE = 256 * 1024 * 1024  # left to the rest of the house
_KINDS = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one archive. The gain counts only past `gain_free_bytes`: models compress well."""

    bytes_max: int = 20 * 1024 * 1024 * 1024
    files_max: int = 10_000
    gain_max: int = 200
    gain_free_bytes: int = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Member:
    parts: tuple[str, ...]
    folder: bool
    size: int


def unpack(archive: Path, into: Path, *, limits: Limits | None = None) -> None:
    """Unpack a gzipped tar into the existing, empty folder `into`.

    Files are 0600, folders 0700. Raise `ArchiveRefused` at the first member that breaks a rule, or
    `LaunchFailed` if this machine cannot hold it; what was written by then stays in `into`.
    """
    try:
        with _opened(archive, limits or Limits()) as stream, _folder(into) as root:
            for member in _members(stream):
                _write(member, stream, root)
    except (gzip.BadGzipFile, zlib.error, EOFError, tarfile.HeaderError) as error:
        raise _refused(f"it is no whole gzipped tar ({error})") from None
    except OSError as error:
        raise LaunchFailed(f"The model archive could not be unpacked: {error}.") from error


# ---------------------------------------------------------------- reading


class _Stream:
    """The decompressed archive, read in order and bounded as it streams."""

    def __init__(self, raw: IO[bytes], limits: Limits) -> None:
        self._raw = raw
        self._plain = gzip.GzipFile(fileobj=raw, mode="rb")
        self._limits = limits
        self._given = 0
        self._files = 0

    def close(self) -> None:
        self._plain.close()

    def read(self, size: int) -> bytes:
        """Give exactly `size` bytes, or fewer at the archive's end."""
        data = self._plain.read(size)
        self._given += len(data)
        if self._given > self._limits.bytes_max:
            raise _refused(f"it holds more than {self._limits.bytes_max} bytes")
        gain = self._given > self._limits.gain_max * max(self._raw.tell(), 1)
        if gain and self._given > self._limits.gain_free_bytes:
            raise _refused(f"it is more than {self._limits.gain_max} times its packed size")
        return data

    def exactly(self, size: int) -> bytes:
        data = self.read(size)
        if len(data) < size:
            raise EOFError("cut short")
        return data

    def pieces(self, size: int) -> Iterator[bytes]:
        """Give a member's `size` bytes piece by piece, and pass over its padding."""
        for start in range(0, size, _PIECE):
            yield self.exactly(min(_PIECE, size - start))
        self.exactly(-size % _BLOCK)

    def count_file(self) -> None:
        self._files += 1
        if self._files > self._limits.files_max:
            raise _refused(f"it holds more than {self._limits.files_max} members")


@contextmanager
def _opened(archive: Path, limits: Limits) -> Iterator[_Stream]:
    with archive.open("rb") as raw, closing(_Stream(raw, limits)) as stream:
        yield stream


def _members(stream: _Stream) -> Iterator[_Member]:
    """Give the members in order; whoever takes a file must read its bytes before the next."""
    long_name: str | None = None
    while block := stream.read(_BLOCK):
        if block == bytes(_BLOCK):
            break
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        stream.count_file()
        if header.type in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
            long_name = _long_name(header, _extended(header, stream))
        elif header.type == tarfile.XGLTYPE:
            _extended(header, stream)
        else:
            yield _member(header, long_name or header.name)
            long_name = None
    while stream.read(_PIECE):  # to its end, where the checksum stands
        pass


def _extended(header: tarfile.TarInfo, stream: _Stream) -> bytes:
    if not 0 <= header.size <= _HEADER_BYTES_MAX:
        raise _refused("an extended header of it is too long")
    return b"".join(stream.pieces(header.size))


def _long_name(header: tarfile.TarInfo, data: bytes) -> str | None:
    """Read the name that an extended header gives to the next member (pax or GNU)."""
    if header.type == tarfile.GNUTYPE_LONGNAME:
        return _text(data.rstrip(b"\0"))
    path: str | None = None
    for key, value in _pax_records(data):
        if key == b"path":
            path = _text(value)
        if key == b"size" or key.startswith(b"GNU.sparse"):
            raise _refused("a member of it is a sparse file or over 8 GiB")
    return path


def _pax_records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Read `LENGTH KEY=VALUE\\n` records (POSIX.1-2001 pax)."""
    while data:
        digits, blank, _ = data.partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) < 8 else 0
        record = data[len(digits) + 1 : length]
        if not blank or not record.endswith(b"\n"):
            raise _refused("an extended header of it is malformed")
        key, _, value = record[:-1].partition(b"=")
        yield key, value
        data = data[length:]


def _member(header: tarfile.TarInfo, name: str) -> _Member:
    folder = header.type == tarfile.DIRTYPE
    if not (folder or header.type in (tarfile.REGTYPE, tarfile.AREGTYPE)):
        kind = _KINDS.get(header.type, "of an unknown kind")
        raise _refused(f"its member {_shown(name)} is {kind}; only files and folders are taken")
    if header.size < 0:
        raise _refused(f"its member {_shown(name)} has a negative size")
    return _Member(_parts(name), folder, header.size)


def _parts(name: str) -> tuple[str, ...]:
    if not name.isprintable():
        raise _refused(f"the name of its member {_shown(name)} has unprintable characters")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or ".." in parts:
        raise _refused(f"its member {_shown(name)} points out of the archive")
    if len(parts) > _DEPTH_MAX or any(len(part.encode()) > _NAME_BYTES_MAX for part in parts):
        raise _refused(f"the name of its member {_shown(name)} is too deep or too long")
    return parts


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _refused("the name of a member of it is not UTF-8") from None


# ---------------------------------------------------------------- writing


@contextmanager
def _folder(path: Path | str, *, parent: int | None = None) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write(member: _Member, stream: _Stream, root: int) -> None:
    free = os.fstatvfs(root)
    if free.f_bavail * free.f_frsize < member.size + _DISK_BYTES_FREE:
        raise LaunchFailed("The model archive does not fit on the disk. Make room for it.")
    folders = member.parts if member.folder else member.parts[:-1]
    with _descended(root, folders) as folder:
        if member.folder:
            for _ in stream.pieces(member.size):
                pass
        else:
            _write_file(member, stream, folder)


@contextmanager
def _descended(root: int, folders: tuple[str, ...]) -> Iterator[int]:
    """Open a folder under `root`, making those that are missing."""
    if not folders:
        yield root
        return
    with suppress(FileExistsError):  # if what stands there is no folder, opening it fails
        os.mkdir(folders[0], 0o700, dir_fd=root)
    with _folder(folders[0], parent=root) as inner, _descended(inner, folders[1:]) as folder:
        yield folder


def _write_file(member: _Member, stream: _Stream, folder: int) -> None:
    if not member.parts:
        raise _refused("a member of it has no name")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        descriptor = os.open(member.parts[-1], flags, 0o600, dir_fd=folder)
    except FileExistsError:
        raise _refused(f"it names {_shown('/'.join(member.parts))} twice") from None
    with os.fdopen(descriptor, "wb") as file:
        for piece in stream.pieces(member.size):
            file.write(piece)


def _shown(name: str) -> str:
    return ascii(name[:80])


def _refused(why: str) -> ArchiveRefused:
    return ArchiveRefused(
        f"The model archive is refused: {why}. "
        "Pack it anew with `tar -czf model.tar.gz -C FOLDER .` and upload it."
    )
