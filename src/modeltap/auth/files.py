"""Private files: written whole or not at all, readable by their owner alone.

`publish_once` is safe among several starters: the first to link its file wins, the others read it.
"""

import os
import secrets
from pathlib import Path

from modeltap.errors import KeysRefused

_OTHERS = 0o077


def private_folder(folder: Path) -> None:
    """Make the folder, or raise `KeysRefused` where others may enter it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _refuse_open(folder)


def read_private(path: Path) -> bytes:
    """Read a file. Raise `KeysRefused` where others may read or write it."""
    _refuse_open(path)
    return path.read_bytes()


def publish_once(path: Path, data: bytes, mode: int = 0o600) -> bytes:
    """Write a file unless it is there, durably; give what it holds then."""
    if not path.exists():
        beside = _beside(path, data, mode)
        try:
            os.link(beside, path)
        except FileExistsError:
            pass  # another starter was first: its file is the one
        finally:
            beside.unlink()
        _sync(path.parent)
    return path.read_bytes() if mode & _OTHERS else read_private(path)


def replace(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file in the place of what is there, durably and at once."""
    beside = _beside(path, data, mode)
    beside.replace(path)
    _sync(path.parent)


def _beside(path: Path, data: bytes, mode: int) -> Path:
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return beside


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_open(path: Path) -> None:
    mode = path.stat().st_mode
    if mode & _OTHERS:
        raise KeysRefused(
            f"{path} may be read or written by others (mode {mode & 0o777:04o}). "
            f"Run: chmod go= '{path}'"
        )
