"""The spooler process: rings → segments on disk."""

from modeltap.capture.disk import SystemDisk
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.ring import RingReader
from modeltap.capture.spooler import Spooler
from modeltap.house.process import Process


async def serve(process: Process) -> None:
    """Drain the rings until told to stop; then seal everything."""
    fds = process.assignment.fds
    rings = [RingReader(fd) for name, fd in sorted(fds.items()) if name.startswith("ring")]
    settings = process.settings
    spool = SpoolFolder(settings.layout.spool, SystemDisk())
    spooler = Spooler(rings, spool, settings, process.clock)
    process.ready()
    await process.every(settings.capture_drain_seconds, spooler.turn)
    spooler.close()
