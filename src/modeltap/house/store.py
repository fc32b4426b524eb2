"""The store process: embedded buckets and the detour, on the bulk port; sole holder of the CA."""

import asyncio

from modeltap.auth.authority import Authority
from modeltap.auth.keyring import Keyring
from modeltap.clock import utc
from modeltap.front.app import AwsApp, verifier
from modeltap.front.s3.service import s3_service
from modeltap.gateway import accept
from modeltap.gateway.asgi import UvicornProtocol
from modeltap.gateway.detour import Detour
from modeltap.house.process import Process, Tasks
from modeltap.house.tls import detour_context, server_context
from modeltap.objects.buckets import Buckets
from modeltap.objects.multipart import Uploads

EXPIRY_SECONDS = 3600.0
LOOPBACK = ("127.0.0.1", "::1", "localhost")


async def serve(process: Process) -> None:
    """Serve S3 on the bulk port and, behind the gateways, on a Unix socket."""
    settings, clock = process.settings, process.clock
    authority = Authority.open(settings.layout.keys, now=utc(clock.now_ns()))
    authority.bundle()
    tls = server_context(*authority.tls_files(settings.host, now=utc(clock.now_ns())))
    buckets = Buckets.open(
        settings.layout.buckets, clock, object_bytes_max=settings.object_bytes_max
    )
    services = {"s3": s3_service(buckets, settings.partition)}
    keys = Keyring.open(settings.layout.keys, clock)
    verify = verifier(keys.secret, settings.partition, settings.role, clock)
    direct = UvicornProtocol(AwsApp(services, verify, clock), clock)
    inside = UvicornProtocol(AwsApp(services, verify, clock, behind_gateway=True), clock)
    detour = Detour(
        direct,
        detour_context(authority, settings.region, clock),
        (settings.reachable_host, settings.port),
        tunnels=settings.host in LOOPBACK,
    )
    tasks = Tasks(process)
    listeners = [
        tasks.spawn(
            accept.serve(process.socket("listen"), direct, clock=clock, tls=tls, taker=detour)
        ),
        tasks.spawn(accept.serve(process.socket("inside"), inside, clock=clock)),
    ]
    tasks.spawn(_expiry(process, Uploads(buckets)))
    process.ready()
    await process.stopping.wait()
    for listener in listeners:
        listener.cancel()
    await direct.drain()
    await inside.drain()
    await tasks.end()
    buckets.close()


async def _expiry(process: Process, uploads: Uploads) -> None:
    """End uploads that nobody completed, at the start and every hour."""
    while not process.stopping.is_set():
        await asyncio.to_thread(uploads.expire)
        await process.pause(EXPIRY_SECONDS)
