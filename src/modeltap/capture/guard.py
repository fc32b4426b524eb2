"""The disk guard: capture stops before the disk is full, and inference never notices.

Two marks, so that it does not flap: stop at or above `capture_disk_stop_percent`, resume below
`capture_disk_resume_percent`. Less than `capture_disk_free_bytes_min` free stops, too: a small disk
must have room for what is on its way. A disk that cannot be asked counts as full. Whoever owns a
guard refreshes it every 250 ms; `open` is one read.
"""

from pathlib import Path

from modeltap.capture.disk import Disk
from modeltap.capture.events import CaptureResumed, CaptureStopped
from modeltap.settings import Settings
from modeltap.telemetry import emit

REFRESH_SECONDS = 0.25
FULL = 100.0, 0


class Guard:
    """Whether there is room for capture, on the file system of one folder."""

    def __init__(self, disk: Disk, folder: Path, settings: Settings) -> None:
        self._disk = disk
        self._folder = folder
        self._stop = settings.capture_disk_stop_percent
        self._resume = settings.capture_disk_resume_percent
        self._free_min = settings.capture_disk_free_bytes_min
        self.open = True
        self.refresh()

    def refresh(self) -> None:
        """Look at the disk; an event for each change, none between."""
        percent, free = self._look()
        if self.open and (percent >= self._stop or free < self._free_min):
            self.open = False
            emit(CaptureStopped(percent, free))
        elif not self.open and percent < self._resume and free >= self._free_min:
            self.open = True
            emit(CaptureResumed(percent, free))

    def _look(self) -> tuple[float, int]:
        try:
            return self._disk.used_percent(self._folder), self._disk.free_bytes(self._folder)
        except OSError:
            return FULL
