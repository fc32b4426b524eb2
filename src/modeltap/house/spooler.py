"""The spooler process: rings → segments on disk."""

import asyncio
import os

from modeltap.capture.disk import SystemDisk
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.ring import RingReader
from modeltap.capture.spooler import Spooler
from modeltap.house.process import Process


async def serve(process: Process) -> None:
    """Drain the rings until told to stop, and at once when the bell rings; then seal everything."""
    fds = process.assignment.fds
    rings = map(RingReader, process.descriptors("ring"))
    bells = dict(zip(rings, process.descriptors("released"), strict=True))
    settings = process.settings
    spool = SpoolFolder(settings.layout.spool, SystemDisk())
    spooler = Spooler(
        list(bells), spool, settings, process.clock, lambda ring: os.eventfd_write(bells[ring], 1)
    )

    def rung() -> None:
        os.eventfd_read(fds["bell"])
        spooler.turn()

    asyncio.get_running_loop().add_reader(fds["bell"], rung)
    process.ready()
    await process.every(settings.capture_drain_seconds, spooler.turn)
    asyncio.get_running_loop().remove_reader(fds["bell"])
    spooler.close()
