"""Jobs as local processes: one folder and one shim each (`modeltap_worker.job`, `jobspec`).

A job is a guest as an instance is (`guests`): its shim has a session of its own and outlives
control, and a new control reads from the folder how it stands. Unlike an instance it runs a program
that knows nothing of us and believes to be in a container, so `/opt/ml` is made true for it: by a
private view of the file system where the kernel allows one, which `probe` finds out once; else
`/opt/ml` is replaced, in the arguments and in the values of variables, by where it really is. In
both cases the variable `MODELTAP_ML_ROOT` tells where that is. A job in a container has it by a
mount, and a program in its shim that stands for the container (`containers`).

The folder's name is the job's: AWS's pattern for it has letters, digits and hyphens alone.
"""

import asyncio
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from modeltap.hosting import containers
from modeltap.hosting.containers import Container
from modeltap.hosting.guests import ANNEX, holder, is_locked, lay_annex, read, start
from modeltap.telemetry import Event, emit
from modeltap_worker import jobspec, namespace
from modeltap_worker.job import remove
from modeltap_worker.jobspec import Cause, Exit, JobSpec

ML_ROOT = str(namespace.ROOT)
PROBE_SECONDS_MAX = 20.0
SPEC_BYTES_MAX = 1024 * 1024
"""200 words of 256 characters, each written as `\\uXXXX` at most."""
VARIABLES = "variables"
"""A container's `--env-file`, in the job's folder."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")
_ML_PATH = re.compile(r"(?<![\w./-])/opt/ml(?=/|$|[^\w./-])")
"""`/opt/ml` where a path begins: `--data=/opt/ml/x`, `/a:/opt/ml`; not `/opt/mlx`, `/x/opt/ml`."""


class Stand(StrEnum):
    """How a job stands, by its folder alone."""

    ABSENT = "absent"  # its program was never started
    RUNNING = "running"
    ENDED = "ended"  # `exit` tells how
    LOST = "lost"  # its shim was killed: nobody knows how


@dataclass(frozen=True, slots=True)
class JobOrder:
    """One program to be run in a job's folder, as the job's request names its paths."""

    job: str
    command: tuple[str, ...]  # in a container: what its entrypoint is given
    environment: Mapping[str, str]
    programs: Path  # folder in which commands are looked for first: `python3` is the image's
    log: Path
    seconds_max: float
    container: Container | None = None


@dataclass(frozen=True, slots=True)
class JobPathsFound(Event):
    """How `/opt/ml` is made true for jobs here."""

    private: bool  # by a mount namespace; else by rewriting arguments and variables
    reason: str


@dataclass(frozen=True, slots=True)
class JobStarted(Event):
    job: str


class JobLauncher:
    """The jobs' folders under one folder.

    `life` is the read end of the life pipe: its end ends every job. `private` None: to be probed.
    """

    def __init__(
        self, jobs: Path, *, life: int, stop_seconds_max: float, private: bool | None = None
    ) -> None:
        self._jobs = jobs
        self._life = life
        self._stop_seconds_max = stop_seconds_max
        self._private = private
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    async def probe(self) -> bool:
        """Tell whether jobs have `/opt/ml` by a private view; the kernel is asked once."""
        if self._private is None:
            private, reason = await asyncio.to_thread(_probe, self._jobs)
            emit(JobPathsFound(private, reason))
            self._private = private
        return self._private

    def folders(self) -> list[str]:
        """Name the jobs that have a folder."""
        return sorted(path.name for path in self._jobs.glob("*/") if _ID.fullmatch(path.name))

    def stand(self, job: str) -> Stand:
        """Tell how a job stands; cheap enough for every turn of a loop."""
        child = self._children.get(job)
        if child is not None and child.poll() is not None:
            del self._children[job]  # and reaped
        folder = self._folder(job)
        if is_locked(folder / jobspec.LOCK):
            return Stand.RUNNING
        if (folder / jobspec.EXIT).exists():
            return Stand.ENDED
        # An empty lock was made by a control that died before its shim began.
        return Stand.LOST if _size(folder / jobspec.LOCK) else Stand.ABSENT

    def ml(self, job: str) -> Path:
        """Give the folder that is `/opt/ml` to a job."""
        return self._folder(job) / jobspec.ML

    async def furnish(self, job: str) -> Path:
        """Make a job's folder anew; give its `/opt/ml`, empty. Raise `OSError`."""
        await self.clear(job)
        ml = self.ml(job)
        for folder in (self._jobs, ml.parent, ml, ml.with_name(jobspec.WORK)):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lay_annex(ml.parent)
        return ml

    async def start(self, order: JobOrder) -> None:
        """Start a furnished job. Raise `OSError`, or `ValueError` for an argument with a NUL."""
        private = await self.probe()
        self._start(order, private)
        emit(JobStarted(order.job))

    def _start(self, order: JobOrder, private: bool) -> None:
        # One step for the loop: a start that is cancelled never leaves a shim behind.
        folder = self._folder(order.job)
        spec = folder / jobspec.SPEC
        spec.write_text(_spec(folder, order, private, self._stop_seconds_max).encode())
        if order.container is not None:
            text = containers.variables_file(order.environment, order.container.engine)
            (folder / VARIABLES).write_text(text)
        lock = os.open(folder / jobspec.LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the shim's from its first moment
            command = [sys.executable, "-P", "-B", "-m", "modeltap_worker.job", str(spec)]
            shim = start(
                [*command, str(self._life), str(lock)],
                folder,
                order.log,
                {"PYTHONPATH": str(folder / ANNEX), "LANG": "C.UTF-8", "PYTHONNOUSERSITE": "1"},
                (self._life, lock),
            )
            self._children[order.job] = shim
            os.pwrite(lock, f"{shim.pid}\n".encode(), 0)  # as it does itself: it counts as started
        finally:
            os.close(lock)

    def exit(self, job: str) -> Exit:
        """Tell how a job has ended."""
        try:
            return Exit.decode(read(self._folder(job) / jobspec.EXIT))
        except (OSError, ValueError):
            return Exit(1, Cause.UNSTARTED, "how it ended cannot be read")

    def end(self, job: str) -> None:
        """Ask a job to end; its shim kills what does not. Again and again is as well as once."""
        folder = self._folder(job)
        pid = holder(folder / jobspec.LOCK, folder / jobspec.SPEC)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    async def clear(self, job: str) -> None:
        """Remove what a job that does not run has left. Idempotent."""
        await self.bury(job)
        # What a program made unremovable is tried again with the next turn.
        await asyncio.to_thread(shutil.rmtree, self._folder(job), ignore_errors=True)

    async def bury(self, job: str) -> None:
        """Remove the container that a lost job has left running, if it has one. Idempotent."""
        folder = self._folder(job)
        if self.stand(job) is Stand.LOST:
            with suppress(OSError, ValueError, TypeError):  # no spec: no container
                spec = JobSpec.decode(read(folder / jobspec.SPEC, SPEC_BYTES_MAX))
                await asyncio.to_thread(remove, spec)

    def _folder(self, job: str) -> Path:
        if not _ID.fullmatch(job):
            raise ValueError(f"{job!r} is no name of a job")
        return self._jobs / job


def _spec(folder: Path, order: JobOrder, private: bool, stop_seconds_max: float) -> JobSpec:
    if order.container is not None:
        return _contained(folder, order, order.container, stop_seconds_max)
    root = ML_ROOT if private else str(folder / jobspec.ML)
    given = {name: placed(value, root) for name, value in order.environment.items()}
    return JobSpec(
        command=tuple(placed(word, root) for word in order.command),
        environment=_variables(folder / jobspec.WORK, order.programs, given, root),
        private=private,
        seconds_max=order.seconds_max,
        stop_seconds_max=stop_seconds_max,
    )


def _contained(
    folder: Path, order: JobOrder, container: Container, stop_seconds_max: float
) -> JobSpec:
    name, ml = containers.name_of(folder), folder / jobspec.ML
    return JobSpec(
        command=containers.run(container, name, ml, folder / VARIABLES, order.command),
        environment=containers.engine_variables(),
        private=False,
        seconds_max=order.seconds_max,
        stop_seconds_max=stop_seconds_max,
        removal=containers.removal(container.engine, name),
    )


def _variables(work: Path, programs: Path, given: Mapping[str, str], root: str) -> dict[str, str]:
    """Give a program's variables: none of ours, the job's own, and what it cannot do without."""
    default = {
        "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": str(work),
        "TMPDIR": str(work),
        "PYTHONUNBUFFERED": "1",  # as AWS's images have it: the log is read while it runs
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
    }
    return default | dict(given) | {namespace.ROOT_VARIABLE: root}


def placed(text: str, root: str) -> str:
    """Replace `/opt/ml`, wherever a path begins with it, by where it really is. Pure."""
    return _ML_PATH.sub(lambda _: root, text)


def _probe(jobs: Path) -> tuple[bool, str]:
    """Try a private view; tell whether it came to be, and what was said if not."""
    ours = (jobs, Path(sys.prefix), Path(sys.base_prefix))
    if any(path.resolve().is_relative_to(ML_ROOT) for path in ours):
        return False, f"what a job would have as {ML_ROOT} would hide our own files there"
    folder = jobs.with_name(f"{jobs.name}-probe")
    shutil.rmtree(folder, ignore_errors=True)
    ml, scratch = folder / jobspec.ML, folder / "scratch"
    try:
        for each in (ml, scratch):
            each.mkdir(mode=0o700, parents=True)
        lay_annex(folder)
        done = subprocess.run(
            [sys.executable, "-P", "-B", "-m", "modeltap_worker.namespace", str(ml), str(scratch)],
            env={"PYTHONPATH": str(folder / ANNEX), "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS_MAX,
        )
        said = done.stderr.strip().rpartition("\n")[2]
        return (ml / namespace.PROBE).exists(), said
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, str(error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
