"""A contender: a server of the model, how it is started, asked and read.

One module of `contenders/` makes one `Contender`. The interface is small on purpose: which Python,
which command, the bytes of a request, the number in an answer. It is ready when it answers right.
"""

import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from benchmarks import environments, machine
from benchmarks.environments import Unavailable
from benchmarks.model import Model

HOST = "127.0.0.1"
READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 60.0
TOLERANCE = 1e-6
CHECKED_ROWS = 16
APPS = Path(__file__).parent / "apps"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a contender is to run: its Python, a port that is free with the next, the model."""

    python: str
    port: int
    model: Path
    folder: Path


@dataclass(frozen=True, slots=True)
class Contender:
    """One server of the model.

    `requests` makes the pool for a port, one whole HTTP request a row, and is asked anew before
    each slice, because signatures age. `score` reads an answer's body. `exact` asks for equality.
    """

    name: str
    title: str
    environment: str | None  # a lock of benchmarks/requirements; None: modeltap's own Python
    command: Callable[[Place], list[str]]
    requests: Callable[[int, Model], Iterator[bytes]]
    score: Callable[[bytes], float]
    variables: Mapping[str, str] = field(default_factory=dict)
    programs: tuple[str, ...] = ()  # of the system
    exact: bool = False
    serves_model: bool = True  # else a floor, whose answer says nothing
    home: Path | None = None  # a folder to run in that is kept


@dataclass(frozen=True, slots=True)
class Running:
    """A contender that answered right."""

    contender: Contender
    pid: int
    port: int
    ready_seconds: float

    def pool(self, model: Model) -> list[bytes]:
        """Make the requests of one slice."""
        return list(self.contender.requests(self.port, model))


@contextmanager
def running(contender: Contender, model: Model, allowed: list[int]) -> Iterator[Running]:
    """Start a contender on these cores, stop it at the end. Raise `Unavailable`."""
    lacking = machine.missing(*contender.programs)
    if lacking:
        raise Unavailable(f"not installed: {', '.join(lacking)} (apt-get install them)")
    folder = contender.home or Path(tempfile.mkdtemp(prefix="bench-"))
    place = Place(_python(contender), free_port(), model.path, folder)
    log = folder / "bench.log"
    began = time.monotonic()
    with log.open("w") as written:
        process = subprocess.Popen(
            machine.pinned(contender.command(place), allowed),
            env=os.environ | _ONE_THREAD | dict(contender.variables),
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,
        )
    try:
        _await_right(contender, process, place.port, model, log)
        yield Running(contender, process.pid, place.port, time.monotonic() - began)
    finally:
        _stop(process)
        if contender.home is None:
            shutil.rmtree(folder, ignore_errors=True)


_ONE_THREAD = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def _python(contender: Contender) -> str:
    if contender.environment is None:
        return environments.OWN_PYTHON
    return str(environments.python(contender.environment))


def _await_right(
    contender: Contender, process: subprocess.Popen[bytes], port: int, model: Model, log: Path
) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    said = ""
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Unavailable(f"ended with status {process.returncode}: {_last(log)}")
        try:
            _check(contender, port, model)
            return
        except (OSError, http.client.HTTPException, NotReady) as error:
            said = str(error)
            time.sleep(0.02)
    raise Unavailable(f"gave no right answer in {READY_SECONDS_MAX:.0f} s ({said}): {_last(log)}")


class NotReady(Exception):
    """A contender answers, but not yet with a score."""


def _check(contender: Contender, port: int, model: Model) -> None:
    """Ask for the first rows. Raise `Unavailable` where a score is wrong."""
    checked = CHECKED_ROWS if contender.serves_model else 1
    requests = islice(contender.requests(port, model), checked)
    for request, expected in zip(requests, model.scores, strict=False):
        status, body = exchange(port, request)
        if status != http.client.OK:
            raise NotReady(f"status {status}: {body[:200]!r}")
        if not contender.serves_model:
            continue
        difference = abs(contender.score(body) - expected)
        if difference > (0.0 if contender.exact else TOLERANCE):
            raise Unavailable(f"answers wrong, by {difference:g}")


def exchange(port: int, request: bytes) -> tuple[int, bytes]:
    """Send one request's bytes; give the status and the body of the answer."""
    with socket.create_connection((HOST, port), timeout=30) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status, response.read()


def post(port: int, path: str, content_type: str, body: bytes) -> bytes:
    """Make one plain request's bytes."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def json_rows(path: str, member: str) -> Callable[[int, Model], Iterator[bytes]]:
    """Make requests whose JSON body has one member, a list of one row."""

    def requests(port: int, model: Model) -> Iterator[bytes]:
        for row in model.rows:
            body = json.dumps({member: [[float(value) for value in row.split(",")]]})
            yield post(port, path, "application/json", body.encode())

    return requests


def free_port() -> int:
    """Find a port that is free together with the next two."""
    while True:
        with socket.socket() as first:
            first.bind((HOST, 0))
            port = int(first.getsockname()[1])
        if port < 65000 and all(_is_free(port + step) for step in range(3)):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        try:
            trial.bind((HOST, port))
        except OSError:
            return False
    return True


def _last(log: Path) -> str:
    return " ".join(log.read_text(errors="replace").split())[-400:]


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a tree: asked first, then what is left of it."""
    members = machine.members(process.pid)
    process.terminate()
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    machine.kill(members)
