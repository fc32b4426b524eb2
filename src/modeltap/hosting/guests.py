"""What every guest process has in common, be it a model's worker or a job's shim.

A guest has a folder, and a session of its own, so that control's death, terminal or signals do not
reach it. It inherits the descriptors that it is given and nothing else: no variable of ours, no
core dumps, umask 077. Whether it lives is told by its lock alone, which anybody can read.

Files in its folder may be the guest's: they are read without following links, without waiting, up
to a bound, and their word is checked.
"""

import fcntl
import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import modeltap_worker

ANNEX = "annex"
FILE_BYTES_MAX = 64 * 1024


def lay_annex(folder: Path) -> None:
    """Make a path in a guest's folder on which only the annex is found."""
    annex = folder / ANNEX
    annex.mkdir(mode=0o700)
    (annex / "modeltap_worker").symlink_to(Path(modeltap_worker.__file__).parent)


def start(
    command: Sequence[str],
    folder: Path,
    log: Path,
    variables: Mapping[str, str],
    descriptors: tuple[int, ...],
) -> "subprocess.Popen[bytes]":
    """Start a guest; what it prints is appended to `log`. Raise `OSError`, `ValueError`."""
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=variables,
            pass_fds=descriptors,
            start_new_session=True,
            umask=0o077,
        )
    finally:
        os.close(out)


def read(path: Path, bytes_max: int = FILE_BYTES_MAX) -> str:
    """Read the beginning of a text. Raise `OSError`, `ValueError`."""
    return read_bytes(path, bytes_max).decode()


def read_bytes(path: Path, bytes_max: int) -> bytes:
    with os.fdopen(_open(path), "rb") as file:
        return file.read(bytes_max)


def is_locked(path: Path) -> bool:
    try:
        lock = _open(path)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def holder(lock: Path, spec: Path) -> int | None:
    """Give the process that holds a lock, if it is the guest that was started with this spec.

    The lock's text is a guest's word, and a process id may be used again: so it is checked.
    """
    try:
        pid = int(read(lock))
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if os.fsencode(spec) in arguments else None


def has_open(pid: int | None, descriptor: int) -> bool:
    """Tell whether a process has a file of ours open: the life pipe tells whose guest it is."""
    ours = os.fstat(descriptor)
    with suppress(OSError):  # it has just ended
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # it has just closed this one
                if os.path.samestat(ours, path.stat()):
                    return True
    return False


def _open(path: Path) -> int:
    """Open a file that a guest can put something else in place of: neither follow nor wait."""
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
