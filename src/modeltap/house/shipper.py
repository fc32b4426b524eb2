"""The shipper process: sealed segments → object store."""

import asyncio
import os

from modeltap.auth.keyring import Keyring
from modeltap.capture.disk import SystemDisk
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.ledger import Ledger
from modeltap.capture.shipper import LANES, Shipper
from modeltap.house.process import Process, Tasks
from modeltap.objects.remote import Stores

PAUSE_SECONDS = 0.2
LAST_DELIVERY_SECONDS_MAX = 5.0
"""What a store has not taken by then is delivered after the next start."""
NICENESS = 19
"""Encoding yields to inference."""


async def serve(process: Process) -> None:
    """Ship what is sealed until told to stop; then once more, for what was sealed last."""
    os.nice(NICENESS)
    process.ready()  # nobody calls it: a disk that refuses the ledger must not keep a house from up
    settings = process.settings
    layout = settings.layout
    stores = Stores(settings, Keyring.open(layout.keys, process.clock).first())
    spool = SpoolFolder(layout.spool, SystemDisk())
    ledger = Ledger(spool.ledger)
    shipper = Shipper(spool, stores.at, ledger, settings, process.clock, stores.renew)
    tasks = Tasks(process)
    shipping = [tasks.spawn(_ship(process, shipper, number)) for number in range(len(LANES))]
    await process.stopping.wait()
    await asyncio.wait(shipping, timeout=LAST_DELIVERY_SECONDS_MAX)
    await tasks.end()
    ledger.close()


async def _ship(process: Process, shipper: Shipper, number: int) -> None:
    """Take turn after turn, in step with the other turns, and a last one when told to stop."""
    await process.pause(PAUSE_SECONDS * number)
    while not process.stopping.is_set():
        await shipper.turn(LANES[number])
        await process.pause(PAUSE_SECONDS * len(LANES))
    await shipper.turn(LANES[number])
