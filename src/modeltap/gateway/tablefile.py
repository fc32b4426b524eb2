"""The routing file, as a gateway reads it: at start, when nudged, and once a second besides.

A gateway obeys: it takes a newer generation as it is, and keeps the table that it has when the file
is gone, older, or unreadable, so that control's trouble is never the caller's.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from modeltap.clock import Clock
from modeltap.errors import UnreadableTable
from modeltap.router.router import Router
from modeltap.router.table import decode
from modeltap.telemetry import Event, emit

POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class TableLoaded(Event):
    generation: int
    endpoints: int


@dataclass(frozen=True, slots=True)
class TableRefused(Event):
    """The file is not a table that can be read; the gateway goes on with the one it has."""

    level: ClassVar[int] = logging.ERROR
    reason: str


class TableFile:
    """Publishes the file's table to a router whenever it is newer than the router's."""

    def __init__(self, path: Path, router: Router) -> None:
        self._path = path
        self._router = router
        self._seen: tuple[int, int, int] | None = None

    def load(self) -> None:
        """Look at the file, and read it if it is another than the last time."""
        try:
            stat = self._path.stat()
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if seen == self._seen:
                return
            table = decode(self._path.read_bytes())
        except FileNotFoundError:
            return  # no endpoint was ever made
        except (OSError, UnreadableTable) as error:
            emit(TableRefused(str(error)))
            return
        self._seen = seen
        if table.generation > self._router.generation:
            self._router.publish(table)
            emit(TableLoaded(table.generation, len(table.routes)))

    async def poll(self, clock: Clock) -> None:
        """Look at the file once a second, for ever: the fallback of the nudge."""
        while True:
            self.load()
            await clock.sleep(POLL_SECONDS)
