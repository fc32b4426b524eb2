"""Small file systems of their own for a test: on memory, and in an image on a loop device."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MIB = 1024 * 1024


@contextmanager
def tmpfs(point: Path, size: int) -> Iterator[Path]:
    """Mount so many bytes of memory on a new folder."""
    with _mounted(point, "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs"):
        yield point


@contextmanager
def ext4(image: Path, point: Path, size: int, options: str = "") -> Iterator[Path]:
    """Mount a new ext4 of so many bytes, none of them reserved, in a sparse image."""
    with image.open("wb") as file:
        file.truncate(size)
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("mkfs.ext4 is not installed")
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True)
    with _mounted(point, "-o", ",".join(filter(None, ("loop", options))), str(image)):
        yield point


@contextmanager
def _mounted(point: Path, *words: str) -> Iterator[None]:
    """Mount, or skip the test where this machine refuses that."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    point.mkdir()
    done = subprocess.run(["mount", *words, str(point)], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"mount is refused here: {done.stderr.strip()}")
    try:
        yield
    finally:
        # Lazily: a broken file system, or a file that is still open, must not hold up the others.
        subprocess.run(["umount", "--lazy", str(point)], check=True)
