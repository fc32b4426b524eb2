"""A real store process for tests: `AwsApp` on uvicorn, over HTTP and HTTPS, on a home folder.

Run as a program it serves until its standard input ends, and prints one JSON line first.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import uvicorn
from botocore.config import Config

from modeltap import telemetry
from modeltap.auth.authority import Authority
from modeltap.auth.keyring import Keyring
from modeltap.clock import SystemClock, utc
from modeltap.front.app import AwsApp, verifier
from modeltap.front.s3 import s3_service
from modeltap.nouns import Partition
from modeltap.objects.buckets import Buckets

PARTITION = Partition("000000000000", "us-east-1")


@dataclass(frozen=True)
class Store:
    """A running store, as its clients see it."""

    process: "subprocess.Popen[bytes]"
    http: int
    https: int
    key_id: str
    secret: str
    bundle: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http}"

    @property
    def secure_url(self) -> str:
        return f"https://127.0.0.1:{self.https}"

    def client(self, *, secure: bool = False, secret: str = "", **config: Any) -> Any:
        """Give a boto3 client of its own; one attempt a call, so that faults are seen."""
        return boto3.client(
            "s3",
            endpoint_url=self.secure_url if secure else self.url,
            verify=self.bundle if secure else None,
            region_name="us-east-1",
            aws_access_key_id=self.key_id,
            aws_secret_access_key=secret or self.secret,
            config=Config(retries={"total_max_attempts": 1}, **config),
        )


@contextmanager
def running(home: Path) -> Iterator[Store]:
    """Serve a home folder in a process of its own; kill it at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, __file__, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdin and process.stdout
    try:
        yield Store(process, **json.loads(process.stdout.readline()))
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


async def serve(home: Path) -> None:
    telemetry.configure("store")
    clock = SystemClock()
    now = utc(clock.now_ns())
    keyring = Keyring.open(home / "keys", clock)
    authority = Authority.open(home / "keys", now=now)
    certificate, key = authority.tls_files("127.0.0.1", now=now)
    buckets = Buckets.open(home / "buckets", clock, object_bytes_max=64 * 1024 * 1024)
    app = AwsApp(
        {"s3": s3_service(buckets, PARTITION)},
        verifier(keyring.secret, PARTITION, "Role", clock),
        clock,
    )
    sockets = [_listener() for _ in range(2)]
    plain: dict[str, Any] = {
        "app": app,
        "lifespan": "off",
        "ws": "none",
        "access_log": False,
        "log_level": 30,
    }
    tls: dict[str, Any] = {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}
    key_id, secret = keyring.first()
    ports = [each.getsockname()[1] for each in sockets]
    told = dict(zip(("http", "https"), ports, strict=True))
    told |= {"key_id": key_id, "secret": secret, "bundle": str(authority.bundle())}
    print(json.dumps(told), flush=True)
    servers = [
        uvicorn.Server(uvicorn.Config(**plain)),
        uvicorn.Server(uvicorn.Config(**plain, **tls)),
    ]
    await asyncio.gather(
        *(server.serve(sockets=[each]) for server, each in zip(servers, sockets, strict=True))
    )


def _listener() -> socket.socket:
    """Listen on a free port. Opened by number, so that asyncio sees TCP and switches Nagle off."""
    return socket.socket(fileno=socket.create_server(("127.0.0.1", 0)).detach())


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
