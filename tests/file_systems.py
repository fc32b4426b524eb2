"""Small file systems of their own for a test: on memory, and in an image on a loop device.

Where `mount` is refused, the test is skipped; only there.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

MIB = 1024 * 1024


@contextmanager
def tmpfs(point: Path, size: int) -> Iterator[Path]:
    """Mount so many bytes of memory on a new folder."""
    with _mounted(point, "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs"):
        yield point


@contextmanager
def ext4(image: Path, point: Path, size: int) -> Iterator[Path]:
    """Mount a new ext4 of so many bytes, none of them reserved, in a sparse image."""
    _make_ext4(image, size)
    with _mounted(point, "-o", "loop", str(image)):
        yield point


class ThinDisk:
    """An ext4 in a sparse image on a tmpfs that is smaller than it says (thin provisioning).

    While the tmpfs is full, what is written to blocks that the image does not have yet is lost: the
    write succeeds, the first sync after it fails, and the second one says that all is well, until
    the page is read again. With `journal` the image has the blocks of the journal and of the
    metadata: then the file system lives on; else it turns read-only until it is mounted again.
    """

    def __init__(self, root: Path, *, journal: bool) -> None:
        """Mount it. `close` must follow."""
        self.point = root / "thin"
        self._below = root / "below"
        self._ballast = self._below / "ballast"
        self._image = self._below / "image"
        self._mounts = ExitStack()
        try:
            self._mounts.enter_context(tmpfs(self._below, 24 * MIB))
            _make_ext4(self._image, 48 * MIB)
            self.point.mkdir()
            self._mount()
            if journal:
                self._go_round_the_journal()
                self.remount()  # writes the metadata to their own places
        except BaseException:
            self._mounts.close()
            raise

    def fill(self) -> None:
        """Take all the room that is left below."""
        with self._ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(64 * 1024))

    def free(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)

    def remount(self) -> None:
        """Unmount it, which no open file may prevent, and mount it: what is read is on the disk."""
        subprocess.run(["umount", str(self.point)], check=True)
        self._mount()

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.point)], check=True)
        self._mounts.close()

    def _mount(self) -> None:
        _mount(self.point, "-o", "loop,errors=continue", str(self._image))

    def _go_round_the_journal(self) -> None:
        fd = os.open(self.point / "file", os.O_RDWR | os.O_CREAT)
        for number in range(800):  # two to three blocks each, of 1,024; none of a file's data
            os.utime(fd, ns=(number, number))
            os.fsync(fd)
        os.close(fd)


def _make_ext4(image: Path, size: int) -> None:
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("mkfs.ext4 is not installed")
    with image.open("wb") as file:
        file.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", "-b", "4096", str(image)], check=True)


@contextmanager
def _mounted(point: Path, *words: str) -> Iterator[None]:
    point.mkdir()
    _mount(point, *words)
    try:
        yield
    finally:
        # Lazily: a broken file system, or a file that is still open, must not hold up the others.
        subprocess.run(["umount", "--lazy", str(point)], check=True)


def _mount(point: Path, *words: str) -> None:
    """Mount, or skip the test where this machine refuses that."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    done = subprocess.run(["mount", *words, str(point)], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"mount is refused here: {done.stderr.strip()}")
