"""The shipper process: sealed segments → object store."""

import os

from modeltap.auth.keyring import Keyring
from modeltap.capture.folder import SpoolFolder
from modeltap.capture.ledger import Ledger
from modeltap.capture.shipper import Shipper
from modeltap.house.process import Process
from modeltap.objects.remote import Stores

PAUSE_SECONDS = 0.2
NICENESS = 10
"""Encoding yields to inference."""


async def serve(process: Process) -> None:
    """Ship what is sealed until told to stop; then once more, for what was sealed last."""
    os.nice(NICENESS)
    settings = process.settings
    layout = settings.layout
    stores = Stores(settings, Keyring.open(layout.keys, process.clock).first())
    ledger = Ledger(SpoolFolder(layout.spool).ledger)
    shipper = Shipper(layout.spool, stores.at, ledger, settings, process.clock)
    process.ready()
    while not process.stopping.is_set():
        await shipper.turn()
        await process.pause(PAUSE_SECONDS)
    await shipper.turn()
    ledger.close()
