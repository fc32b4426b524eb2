"""A gateway process: invocations on port N, and capture into its ring."""

import asyncio
import gc
import os
from functools import partial

from modeltap.auth.authority import TLS_CERTIFICATE, TLS_KEY
from modeltap.auth.keyring import Keyring
from modeltap.auth.sigv4 import Verifier
from modeltap.capture.counters import Counters
from modeltap.capture.disk import SystemDisk
from modeltap.capture.guard import REFRESH_SECONDS, Guard
from modeltap.capture.offer import Capture
from modeltap.capture.ring import RingWriter
from modeltap.capture.waiters import Waiters
from modeltap.gateway.app import Gateway, Paths
from modeltap.house.process import Process, Tasks
from modeltap.house.tls import server_context
from modeltap.link.links import Links
from modeltap.router.router import Router
from modeltap.telemetry.meters import Meters

GARBAGE_MIN = 20_000
"""Objects made and not yet freed, before the collector looks: a call leaves no cycle behind, and
those that are in flight would have it look at every few of them."""


async def serve(process: Process) -> None:
    """Serve invocations until told to stop; then finish what is in flight."""
    settings, clock, layout = process.settings, process.clock, process.settings.layout
    tasks = Tasks(process)
    links = Links(clock, settings.invocation_seconds_max, tasks.spawn)
    guard = Guard(SystemDisk(), layout.spool, settings)
    ring = RingWriter(process.assignment.fds["ring"], clock.uuid4())
    counters = Counters(ring.counters, ring.allocate)
    waiters = _waiters(process, ring, counters)
    soon = asyncio.get_running_loop().call_soon
    capture = Capture(ring, counters, guard, clock.random, soon, waiters)
    router = Router(links.send, capture.offer, clock.random, settings.partition)
    gateway = Gateway(
        process.socket("listen"),
        router,
        links.ping,
        Verifier(Keyring.open(layout.keys, clock).secret, settings.region).verify,
        Paths(
            table=layout.routing,
            status=layout.gateways / f"{process.assignment.index}.sock",
            control=layout.run / "control.sock",
            store=layout.run / "store.sock",
        ),
        Meters(process.assignment.fds["meters"], process.assignment.index),
        settings,
        clock,
        server_context(layout.keys / TLS_CERTIFICATE, layout.keys / TLS_KEY),
    )
    for duty in (*gateway.duties(), links.sweep(), _watch(process, guard, ring)):
        tasks.spawn(duty)
    accepting = tasks.spawn(gateway.accept())
    gc.collect()
    gc.freeze()  # what the models and modules are made of need not be looked through again
    gc.set_threshold(GARBAGE_MIN)
    process.ready()
    await process.stopping.wait()
    accepting.cancel()
    await gateway.drain()
    while capture.pump():  # noqa: ASYNC110 - the last slices, one a turn
        await asyncio.sleep(0)
    await tasks.end()
    links.close()


async def _watch(process: Process, guard: Guard, ring: RingWriter) -> None:
    """Refresh the guard, in a thread: a file system that hangs must hold up no reply."""
    while not process.stopping.is_set():
        await asyncio.to_thread(guard.refresh)
        ring.stop(stopped=not guard.open)
        await process.pause(REFRESH_SECONDS)


def _waiters(process: Process, ring: RingWriter, counters: Counters) -> Waiters:
    """Have the spooler hurry by its bell, and hear its answer by the ring's own."""
    loop, fds = asyncio.get_running_loop(), process.assignment.fds
    wake = partial(os.eventfd_write, fds["bell"], 1)
    seconds_max = process.settings.capture_durable_seconds_max
    waiters = Waiters(ring, counters, wake, loop.call_later, seconds_max)

    def rung() -> None:
        os.eventfd_read(fds["released"])
        waiters.released()

    loop.add_reader(fds["released"], rung)
    return waiters
