"""What outlives every child: the claim on the home, sockets, rings, their bells, meters, and the
life pipe.

The supervisor holds them, so that callers queue on a listening socket while its server restarts,
and a ring keeps its records while a gateway or the spooler is replaced.
"""

import ctypes
import fcntl
import os
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modeltap.capture.ring import make_ring
from modeltap.clock import Clock
from modeltap.house.process import Assignment
from modeltap.house.supervisor import CannotStart, Child, Supervisor
from modeltap.settings import Home, Settings
from modeltap.telemetry.meters import make_pages
from modeltap_worker.socketpath import short_path

PR_SET_CHILD_SUBREAPER = 36
BACKLOG = 2048
LOOPBACK = "127.0.0.1"
SURVIVORS_SECONDS_MAX = 60.0
SURVIVORS_POLL_SECONDS = 0.05


@contextmanager
def opened(settings: Settings, clock: Clock) -> Iterator[Supervisor]:
    """Claim the home, open sockets, rings and the life pipe. Raise `CannotStart` if it is taken.

    What is left of a supervisor that was killed is waited for: it ends at the end of its life pipe.
    """
    os.umask(0o077)
    home = settings.layout
    for folder in (
        home.root,
        home.keys,
        home.spool,
        home.logs,
        home.run,
        home.gateways,
        home.artifacts,
    ):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _claimed(home), _survived(home, clock) as children:
        path = home.run / "settings.json"
        path.write_text(settings.model_dump_json())
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        life, held = os.pipe()
        yield Supervisor(_children(settings, str(path), life, children), held, clock)


@contextmanager
def _claimed(home: Home) -> Iterator[None]:
    with (home.run / "serve.lock").open("w") as lock:
        if not _try_lock(lock.fileno()):
            raise CannotStart(
                f"another `modeltap serve` runs on {home.root}; "
                "stop it, or give --home another folder"
            )
        yield


@contextmanager
def _survived(home: Home, clock: Clock) -> Iterator[int]:
    """Give the lock that all our children inherit, once those of our predecessor let it go."""
    with (home.run / "children.lock").open("w") as lock:
        deadline = clock.monotonic() + SURVIVORS_SECONDS_MAX
        while not _try_lock(lock.fileno()):
            if clock.monotonic() >= deadline:
                raise CannotStart(
                    f"processes of an earlier `modeltap serve` on {home.root} have not ended; "
                    "`fuser` on its run/children.lock names them"
                )
            select.select([], [], [], SURVIVORS_POLL_SECONDS)
        yield lock.fileno()


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _children(settings: Settings, path: str, life: int, children: int) -> list[Child]:
    home = settings.layout
    _check_free(settings.host, settings.port)
    _check_free(settings.host, settings.bulk_port)
    _check_free(LOOPBACK, settings.scrape_port)
    names = [f"ring{i}" for i in range(settings.gateways)]
    rings = {name: make_ring(f"modeltap-{name}", settings.capture_ring_bytes) for name in names}
    released = {f"released{i}": _bell() for i in range(settings.gateways)}
    bell = _bell()
    pages = make_pages("modeltap-meters", settings.gateways)
    store = {
        "listen": _listen_tcp(settings.host, settings.bulk_port),
        "inside": _listen_unix(home.run / "store.sock"),
    }
    control = {
        "inside": _listen_unix(home.run / "control.sock"),
        "metrics": _listen_tcp(LOOPBACK, settings.scrape_port),
        "meters": pages,
        **rings,
    }

    def child(role: str, index: int = 0, **fds: int) -> Child:
        return Child(Assignment(role, path, index, {"life": life, "children": children, **fds}))

    gateways = [
        child(
            "gateway",
            i,
            listen=_listen_tcp(settings.host, settings.port),
            ring=rings[f"ring{i}"],
            released=released[f"released{i}"],
            bell=bell,
            meters=pages,
        )
        for i in range(settings.gateways)
    ]
    return [
        child("store", **store),
        child("control", **control),
        child("shipper"),
        child("spooler", **rings, **released, bell=bell),
        *gateways,
    ]


def _bell() -> int:
    """Make what one process rings and another hears (`capture/waiters.py`)."""
    return os.eventfd(0, os.EFD_NONBLOCK)


def _check_free(host: str, port: int) -> None:
    """Bind once plainly: with SO_REUSEPORT a second server would silently share the port."""
    with socket.socket(_family(host)) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            raise CannotStart(
                f"port {port} of {host} cannot be had ({error.strerror}); "
                f"give --port another: it takes that one and the next two"
            ) from None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _listen_tcp(host: str, port: int) -> int:
    listener = socket.socket(_family(host))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((host, port))
    return _listening(listener)


def _listen_unix(path: Path) -> int:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    with short_path(path) as short:
        listener.bind(short)
    return _listening(listener)


def _listening(listener: socket.socket) -> int:
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener.detach()
