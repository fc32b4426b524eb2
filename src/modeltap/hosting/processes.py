"""Instances as local processes: the launcher that needs nothing but this machine.

An instance is a folder (`modeltap_worker.spec`) and one process in a session of its own, so that
control's death, terminal or signals do not reach it. It inherits the life pipe and nothing else:
no variable of ours, no descriptor, no core dumps, umask 077. Whether it lives is told by its lock
alone, which any launcher can read; being its parent only matters for reaping it.
"""

import asyncio
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from modeltap.clock import Clock
from modeltap.hosting.artifacts import unpack
from modeltap.hosting.guests import ANNEX, has_open, holder, is_locked, lay_annex, read, start
from modeltap.hosting.launcher import Adopted, LaunchOrder, Unhealthy
from modeltap.nouns import Instance
from modeltap.telemetry import Event, emit
from modeltap_worker import frames, spec
from modeltap_worker.frames import Decoder, FrameError
from modeltap_worker.socketpath import short_path
from modeltap_worker.spec import Spec

PING_SECONDS_MAX = 2.0
"""Longest wait for a ping's answer (contract §3.1)."""

_POLL_SECONDS = 0.02
_REASON_CHARACTERS_MAX = 500
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True)
class InstanceStarted(Event):
    instance: str
    endpoint: str
    variant: str


@dataclass(frozen=True, slots=True)
class InstanceAdopted(Event):
    instance: str
    endpoint: str
    variant: str


@dataclass(frozen=True, slots=True)
class InstanceStopped(Event):
    instance: str
    killed: bool  # it did not end by itself in time


class ProcessLauncher:
    """A `Launcher` of local processes, one folder each under `instances`.

    `life` is the read end of the life pipe: its end ends every instance. `batch_rows_max` bounds
    what a model predicts together.
    """

    def __init__(
        self,
        instances: Path,
        *,
        life: int,
        clock: Clock,
        stop_seconds_max: float,
        batch_rows_max: int,
    ) -> None:
        self._instances = instances
        self._life = life
        self._clock = clock
        self._stop_seconds_max = stop_seconds_max
        self._batch_rows_max = batch_rows_max
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    async def launch(self, order: LaunchOrder) -> Instance:
        """Give an instance that answered its first ping. Raise `LaunchFailed`; nothing is left."""
        folder = self._folder(order.id)
        self._instances.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
        try:
            await asyncio.to_thread(_furnish, folder, order, self._batch_rows_max)
            self._children[order.id] = _start(folder, order, self._life)
            await self._until_ready(order)
        except (OSError, ValueError) as error:  # ValueError: a variable that holds a NUL
            await self.stop(order.id)
            raise _not_healthy(order, f"It could not be started: {error}.") from error
        except BaseException:  # a cancelled launch leaves nothing either
            await self.stop(order.id)
            raise
        emit(InstanceStarted(order.id, order.endpoint, order.variant))
        return _instance(folder)

    async def probe(self, instance: str, seconds_max: float) -> bool:
        """Tell whether an instance answers a ping in that time, with its model loaded.

        A worker in the middle of a prediction answers after it.
        """
        return await _ping(self._folder(instance) / spec.SOCKET, seconds_max) == ""

    def alive(self, instance: str) -> bool:
        """Tell whether an instance's process lives: whether its lock is held."""
        child = self._children.get(instance)
        if child is not None and child.poll() is not None:
            return False  # and reaped; a process that the model forked may still hold the lock
        return is_locked(self._folder(instance) / spec.LOCK)

    async def adopt(self) -> list[Adopted]:
        """Give every instance that serves, or may be busy; end and clear away all others.

        One that a killed control had just started is among the others: its model is still loading.
        """
        self._instances.mkdir(mode=0o700, parents=True, exist_ok=True)
        folders = sorted(self._instances.iterdir())
        found = await asyncio.gather(*(self._adopt_or_stop(folder) for folder in folders))
        return [each for each in found if each is not None]

    async def _adopt_or_stop(self, folder: Path) -> Adopted | None:
        found = await self._found(folder)
        if found is None:
            await self.stop(folder.name)
        else:
            emit(InstanceAdopted(found.instance.id, found.endpoint, found.variant))
        return found

    async def stop(self, instance: str) -> None:
        """Ask an instance to finish, end it if it does not, and clear it away. Idempotent.

        SIGTERM, and after `stop_seconds_max` SIGKILL to its whole process group; SIGKILL at once
        for one of an earlier house, of whose callers none is left.
        """
        folder = self._folder(instance)
        if self._pid(instance) is not None:
            emit(InstanceStopped(instance, killed=await self._end(instance)))
        self._children.pop(instance, None)
        # What a guest made unremovable is tried again at the next adoption.
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _folder(self, instance: str) -> Path:
        if not _ID.fullmatch(instance):
            raise ValueError(f"{instance!r} is no id of an instance")
        return self._instances / instance

    async def _until_ready(self, order: LaunchOrder) -> None:
        child = self._children[order.id]
        path = self._folder(order.id) / spec.SOCKET
        deadline = self._clock.monotonic() + order.startup_seconds_max
        while self._clock.monotonic() < deadline:
            if child.poll() is not None:
                raise _not_healthy(order, _death(child.returncode))
            load_error = await _ping(path, PING_SECONDS_MAX) if path.exists() else None
            if load_error:
                raise _not_healthy(order, load_error)
            if load_error is not None:
                return
            await self._clock.sleep(_POLL_SECONDS)
        raise _not_healthy(order, f"It did not answer within {order.startup_seconds_max:g} s.")

    async def _found(self, folder: Path) -> Adopted | None:
        if not is_locked(folder / spec.LOCK):
            return None
        try:
            told = Spec.decode(read(folder / spec.SPEC))
        except (OSError, ValueError):
            return None
        if told.instance != folder.name or not await self._serves(folder):
            return None
        return Adopted(_instance(folder), told.endpoint, told.variant, told.fleet)

    async def _serves(self, folder: Path) -> bool:
        """Tell whether a worker answers, or takes calls of this house and may be busy with one."""
        path = folder / spec.SOCKET
        load_error = await _ping(path, PING_SECONDS_MAX)
        if load_error is None and path.exists():
            return has_open(holder(folder / spec.LOCK, folder / spec.SPEC), self._life)
        return load_error == ""

    async def _end(self, instance: str) -> bool:
        """Signal until the process is gone; tell whether it had to be killed."""
        if has_open(self._pid(instance), self._life):
            self._signal(instance, signal.SIGTERM)
            if await self._gone(instance):
                return False
        self._signal(instance, signal.SIGKILL)
        await self._gone(instance)
        return True

    async def _gone(self, instance: str) -> bool:
        deadline = self._clock.monotonic() + self._stop_seconds_max
        while self._pid(instance) is not None:
            if self._clock.monotonic() >= deadline:
                return False
            await self._clock.sleep(_POLL_SECONDS)
        return True

    def _signal(self, instance: str, number: signal.Signals) -> None:
        pid = self._pid(instance)
        if pid is not None:
            with suppress(ProcessLookupError):
                (os.killpg if number is signal.SIGKILL else os.kill)(pid, number)

    def _pid(self, instance: str) -> int | None:
        """Give the process of an instance that has not ended, child of ours or not."""
        child = self._children.get(instance)
        if child is not None:
            return child.pid if child.poll() is None else None
        folder = self._folder(instance)
        return (
            holder(folder / spec.LOCK, folder / spec.SPEC)
            if is_locked(folder / spec.LOCK)
            else None
        )


# ---------------------------------------------------------------- starting


def _furnish(folder: Path, order: LaunchOrder, batch_rows_max: int) -> None:
    """Fill the instance's folder: model, spec, and a path on which only the annex is found."""
    model = folder / spec.MODEL
    model.mkdir(mode=0o700)
    if order.artifact is not None:
        unpack(order.artifact, model)
    lay_annex(folder)
    told = Spec(
        instance=order.id,
        endpoint=order.endpoint,
        variant=order.variant,
        fleet=order.fleet,
        image=order.image.name,
        algorithm=order.image.algorithm,
        rules=order.image.rules,
        batch_rows_max=batch_rows_max,
    )
    (folder / spec.SPEC).write_text(told.encode())


def _start(folder: Path, order: LaunchOrder, life: int) -> subprocess.Popen[bytes]:
    # -P: the folder that it starts in is no place to import from; -B: nor one to write code to.
    command = [str(order.python), "-P", "-B", "-m", "modeltap_worker"]
    return start(
        [*command, str(folder / spec.SPEC), str(life)],
        folder,
        order.log,
        _variables(folder, order.environment),
        (life,),
    )


def _variables(folder: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Give a guest's variables: none of ours, the model's own, and what it cannot do without."""
    default = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1"}
    fixed = {
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PYTHONPATH": str(folder / ANNEX),
        "PYTHONNOUSERSITE": "1",
        "SM_MODEL_DIR": str(folder / spec.MODEL),
    }
    return default | dict(given) | fixed


def _not_healthy(order: LaunchOrder, why: str) -> Unhealthy:
    """Word a FailureReason: AWS's sentence (contract §2.6), then what AWS does not tell."""
    line = " ".join("".join(char if char.isprintable() else " " for char in why).split())
    line = line[:_REASON_CHARACTERS_MAX]
    return Unhealthy(
        f"The primary container for production variant {order.variant} did not pass the ping "
        "health check. Please check CloudWatch logs for this endpoint. "
        f"{line} See: modeltap logs {order.endpoint}",
        line,
    )


def _death(status: int) -> str:
    if status < 0:
        return f"Its process was ended by {signal.Signals(-status).name} while the model loaded."
    return f"Its process ended with status {status} while the model loaded."


# ---------------------------------------------------------------- looking


def _instance(folder: Path) -> Instance:
    return Instance(folder.name, f"unix:{folder / spec.SOCKET}")


async def _ping(path: Path, seconds_max: float) -> str | None:
    """Ping a worker: its load error, empty if its model is loaded; None if it does not answer."""
    try:
        async with asyncio.timeout(seconds_max):
            with short_path(path) as name:
                reader, writer = await asyncio.open_unix_connection(name)
            try:
                writer.write(frames.encode_ping(0))
                return await _pong(reader)
            finally:
                writer.close()
    except (OSError, FrameError, TimeoutError):
        return None


async def _pong(reader: asyncio.StreamReader) -> str:
    decoder = Decoder()
    while data := await reader.read(frames.PART_BYTES_MAX):
        for frame in decoder.feed(data):
            if frame.kind == frames.PONG:
                return frames.decode_pong(frame)
    raise ConnectionResetError("the worker hung up")
