"""The disk guard: capture stops before the disk is full, and inference never notices.

Two marks, so that it does not flap: stop at or above `capture_disk_stop_percent`, resume below
`capture_disk_resume_percent`. A disk that cannot be asked counts as full. Whoever owns a guard
refreshes it every 250 ms; `open` is one read.
"""

from pathlib import Path

from modeltap.capture.disk import Disk
from modeltap.capture.events import CaptureResumed, CaptureStopped
from modeltap.settings import Settings
from modeltap.telemetry import emit

REFRESH_SECONDS = 0.25
FULL_PERCENT = 100.0


class Guard:
    """Whether there is room for capture, on the file system of one folder."""

    def __init__(self, disk: Disk, folder: Path, settings: Settings) -> None:
        self._disk = disk
        self._folder = folder
        self._stop = settings.capture_disk_stop_percent
        self._resume = settings.capture_disk_resume_percent
        self.open = True
        self.refresh()

    def refresh(self) -> None:
        """Look at the disk; an event for each change, none between."""
        try:
            percent = self._disk.used_percent(self._folder)
        except OSError:
            percent = FULL_PERCENT
        if self.open and percent >= self._stop:
            self.open = False
            emit(CaptureStopped(percent))
        elif not self.open and percent < self._resume:
            self.open = True
            emit(CaptureResumed(percent))
