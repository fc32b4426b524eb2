"""Image → virtual environment: built once by `uv`, kept, shared by every image of the same pins.

A virtual environment cannot be moved, so it is built where it will stay, and its file `ready`,
written last, tells that it is whole: what a killed builder left has none, and is built anew. A lock
per environment lets one builder work while others wait for it. Only wheels are installed: building
a package would run its code here and need compilers.

`close` ends what is being built, so that a server that is told to stop leaves no builder behind.

The models' Python is the version that runs modeltap, because only that is surely here.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import uv

from modeltap.errors import LaunchFailed
from modeltap.hosting.images import Image

Progress = Callable[[str], None]
"""Takes one line that tells a person what is being done."""

_READY = "ready"
_LINES_SHOWN = 8
_LOCK_POLL_SECONDS = 0.1


class Environments:
    """The virtual environments under one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._steps = _Steps()

    def ensure(self, image: Image, progress: Progress) -> Path:
        """Give the Python of the image's environment, building it at first use.

        Blocks for seconds to minutes: call it in a thread. Raise `LaunchFailed`.
        """
        home = self._folder / _name(image)
        if not _is_ready(home, image):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked(home.with_name(f"{home.name}.lock"), image) as lock:
                if not _is_ready(home, image):
                    _Build(home, image, progress, lock, self._steps).run()
        return _python(home)

    def close(self) -> None:
        """End every building; those that wait for one give up. From any thread, for good."""
        self._steps.close()

    @contextmanager
    def _locked(self, path: Path, image: Image) -> Iterator[int]:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while not _try_lock(lock):
                if self._steps.closed.wait(_LOCK_POLL_SECONDS):
                    raise LaunchFailed(_failure(image, _STOPPED))
            yield lock
        finally:
            os.close(lock)


def _name(image: Image) -> str:
    return f"{image.framework}-{image.version}-py{sys.version_info[0]}.{sys.version_info[1]}"


def _python(home: Path) -> Path:
    return home / "bin" / "python"


def _is_ready(home: Path, image: Image) -> bool:
    ready = home / _READY
    # The pins may have changed with modeltap; the interpreter may have gone with an upgrade.
    return ready.exists() and ready.read_text() == _pins(image) and _python(home).exists()


def _pins(image: Image) -> str:
    return "".join(f"{package}\n" for package in image.packages)


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class _Steps:
    """The commands that run now, so that they can be ended together."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()

    def close(self) -> None:
        self.closed.set()
        with self._lock:
            for process in self._running:
                _kill(process)

    @contextmanager
    def running(self, process: subprocess.Popen[str]) -> Iterator[None]:
        """Count a process in until it was waited for; it is ended at once after `close`."""
        with self._lock:
            self._running.add(process)
        if self.closed.is_set():
            _kill(process)
        try:
            with process:
                yield
        finally:
            with self._lock:
                self._running.discard(process)


def _kill(process: subprocess.Popen[str]) -> None:
    """End a command with all that it started; it leads a group of its own."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class _Build:
    """One building of one environment, under its lock."""

    home: Path
    image: Image
    progress: Progress
    lock: int
    steps: _Steps

    def run(self) -> None:
        self.progress(f"building the environment of {self.image.name} (first use; it is kept)")
        if self.home.exists():
            shutil.rmtree(self.home)
        tool, python = uv.find_uv_bin(), str(_python(self.home))
        self._step([tool, "venv", "--python", sys.executable, str(self.home)])
        install = [tool, "pip", "install", "--python", python, "--only-binary", ":all:"]
        # Compiled here, because nothing that runs in it may write into it.
        self._step([*install, "--compile-bytecode", *self.image.packages])
        self._step([python, "-I", "-c", f"import {self.image.framework}"], variables={})
        (self.home / _READY).write_text(_pins(self.image))
        self.progress(f"the environment of {self.image.name} is ready")

    def _step(self, command: list[str], *, variables: dict[str, str] | None = None) -> None:
        """Run one command; uv needs our variables (proxies, index), the framework none."""
        last: deque[str] = deque(maxlen=_LINES_SHOWN)
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=variables,
            pass_fds=(self.lock,),  # a builder that is killed leaves uv at work: it holds on, too
            start_new_session=True,
        )
        with self.steps.running(process):
            assert process.stdout is not None
            for line in process.stdout:
                last.append(line.strip())
                self.progress(line.rstrip())
        if self.steps.closed.is_set():
            raise LaunchFailed(_failure(self.image, _STOPPED))
        if process.returncode != 0:
            raise LaunchFailed(_failure(self.image, " ".join(last)))


_STOPPED = "modeltap was stopped meanwhile."


def _failure(image: Image, said: str) -> str:
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return (
        f"The environment of image {image.name} could not be built "
        f"({', '.join(image.packages)} on Python {python}): {said[-600:]} "
        "Check that the package index can be reached; if a wheel is missing for this Python, "
        "run modeltap on Python 3.11. Then create the endpoint or job again."
    )
