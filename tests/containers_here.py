"""The container engines that answer on this machine, and an image of programs of this machine.

No registry is needed: the image is packed and imported where a test wants it.
"""

import io
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from modeltap.errors import LaunchFailed
from modeltap.hosting.containers import Containers, Engine, Limits

IMAGE = "localhost/modeltap-test:1"
PROGRAMS = ("sh", "cat", "env", "id", "ls", "sleep", "tr")


NAMES = ("docker", "podman")


def engine_of(program: str) -> Engine:
    """Give an engine with which a container starts here; else skip the test that asks."""
    try:
        engine = Containers(program, Limits()).engine(IMAGE)
    except LaunchFailed as error:
        pytest.skip(str(error))
    with imported(engine):
        command = [program, "run", "--rm", "--network=none", IMAGE, "/bin/id"]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"{program} starts no container here: {done.stderr.strip()}")
    return engine


def any_engine() -> Engine:
    """Give the first engine of these; else skip the test that asks."""
    for program in NAMES:
        with suppress(pytest.skip.Exception):
            return engine_of(program)
    pytest.skip(f"none of {', '.join(NAMES)} starts a container here")


@contextmanager
def imported(engine: Engine) -> Iterator[Engine]:
    """Have an engine hold the image."""
    command = [engine.program, "import", "-", IMAGE]
    subprocess.run(command, check=True, input=image(), capture_output=True)
    try:
        yield engine
    finally:
        subprocess.run([engine.program, "rmi", "--force", IMAGE], check=True, capture_output=True)


def image() -> bytes:
    """Pack programs of this machine, and the libraries that they need."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        paths = sorted({f"/bin/{name}" for name in PROGRAMS} | libraries())
        for folder in sorted({each for path in paths for each in Path(path).parents[:-1]}):
            add_folder(archive, str(folder), 0o755)
        add_folder(archive, "/tmp", 0o1777)
        for path in paths:
            archive.add(os.path.realpath(path), path)
    return packed.getvalue()


def add_folder(archive: tarfile.TarFile, path: str, mode: int) -> None:
    folder = tarfile.TarInfo(path)
    folder.type, folder.mode = tarfile.DIRTYPE, mode
    archive.addfile(folder)


def libraries() -> set[str]:
    command = ["ldd", *(f"/bin/{name}" for name in PROGRAMS)]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return set(re.findall(r"(/\S+) \(0x", told))
