"""Jobs in containers, by a docker-compatible program: Docker's own, or Podman's (decision 0013).

The program runs in a job's shim in place of a job's own: it stays for as long as the container
runs, prints what that prints, passes SIGTERM on, and ends with its exit code. What it cannot do
when it is killed, take the container along, is left to `removal`, which the shim runs after it in
any case. So a container is seen and ended through its job's folder alone, as any other job is.

A container is given no right that it can go without: a user whose files are ours, no capability, no
new privileges, and of this machine the folder `/opt/ml` alone. What a request names goes into one
word each, after a flag or behind the image, so none can be taken for a flag; variables go by a
file, because words can be read by every user of the machine.
"""

import asyncio
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modeltap.errors import LaunchFailed
from modeltap_worker.namespace import ROOT, ROOT_VARIABLE

SETTING = "container_program"
ANSWER_SECONDS_MAX = 10.0
PULL_SECONDS_MAX = 3600.0
SHARES = 110
"""Of the processors, beside the 1024 that others have: what niceness 10 is to other jobs."""

_REFERENCE = re.compile(
    r"(?!(dir|oci|oci-archive|docker-archive|docker-daemon|containers-storage|ostree|sif|tarball):)"
    r"([A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?/)?"
    r"[a-z0-9][a-z0-9._/-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?"
)
"""`registry:port/name:tag@digest`. What stands first is Podman's: it reads those words, and a path
behind them, as an image in a file of this machine."""
_OURS = re.compile(r"PATH|HOME|XDG_\w+|(DOCKER|CONTAINERS?|STORAGE)_\w+")
"""Variables of ours that tell the program where its engine is. None has a secret, nor is one of a
proxy, which Podman would give to the container."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a container may use; 0: all there is."""

    memory_bytes: int = 0
    cpus: float = 0.0


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that has answered."""

    program: str
    user: str  # `uid:gid` in a container, whose files are ours outside of it
    rootless: bool
    limits: Limits


@dataclass(frozen=True, slots=True)
class Container:
    """What a job's container is made of."""

    engine: Engine
    image: str
    entrypoint: tuple[str, ...]  # empty: the image's own
    isolated: bool  # without a network


class Containers:
    """Asks for the engine."""

    def __init__(self, program: str, limits: Limits) -> None:
        """`program`: its name or path; empty: there are no containers."""
        self._program = program
        self._limits = limits

    def engine(self, image: str) -> Engine:
        """Ask the engine that would run an image. Raise `LaunchFailed`: the cause and its fix."""
        if not self._program:
            raise LaunchFailed(f"the setting {SETTING} is empty; it can be docker or podman.")
        if not _REFERENCE.fullmatch(image):
            raise LaunchFailed("that is no reference of an image, as registry/name:tag is.")
        program = shutil.which(self._program)
        if program is None:
            raise LaunchFailed(
                f"there is no program {self._program!r} here. Install Docker or Podman, or name "
                f"one by the setting {SETTING}."
            )
        told = _asked(program)
        rootless = is_rootless(told)
        user = "0:0" if rootless else f"{os.getuid()}:{os.getgid()}"
        return Engine(program, user, rootless, self._limits)


def _asked(program: str) -> dict[str, Any]:
    """Ask an engine about itself."""
    command = [program, "info", "--format", "{{json .}}"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=ANSWER_SECONDS_MAX
        )
        told: Any = json.loads(done.stdout) if done.returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise LaunchFailed(_unanswered(program, type(error).__name__)) from error
    known = told if isinstance(told, dict) else {}
    if not (known.get("ServerVersion") or known.get("host")):
        errors = known.get("ServerErrors") or [last_line(done.stderr)]  # older clients; newer ones
        raise LaunchFailed(_unanswered(program, str(errors[0])))
    return known


def _unanswered(program: str, why: str) -> str:
    return (
        f"{program} reaches no engine ({why}). Start its daemon, and let the user that runs "
        f"modeltap reach it: `{program} info` tells."
    )


def is_rootless(told: Mapping[str, Any]) -> bool:
    """Tell from what an engine says of itself whether its root is the user who runs it. Pure."""
    docker = "name=rootless" in (told.get("SecurityOptions") or ())
    podman = told.get("host", {}).get("security", {}).get("rootless", False)
    return bool(docker or podman)


# ---------------------------------------------------------------- words and variables. Pure.


def run(
    container: Container, name: str, ml: Path, variables: Path, arguments: tuple[str, ...]
) -> tuple[str, ...]:
    """Give the words that run a container to its end."""
    engine, first = container.engine, container.entrypoint[:1]
    limits = engine.limits
    given = [
        f"--name={name}",
        "--pull=never",  # it is there, and `pull` tells better why not
        "--log-driver=none",  # what it prints is kept by us
        "--stop-timeout=0",  # for `removal`: Podman would wait once more; the shim has waited
        f"--user={engine.user}",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        f"--volume={ml}:{ROOT}:Z",
        f"--env-file={variables}",
        *([] if engine.rootless else [f"--cpu-shares={SHARES}"]),
        *(["--network=none"] if container.isolated else []),
        *([f"--memory={limits.memory_bytes}"] if limits.memory_bytes else []),
        *([f"--cpus={limits.cpus:g}"] if limits.cpus else []),
        *(f"--entrypoint={word}" for word in first),
    ]
    behind = (*container.entrypoint[1:], *arguments)
    return (engine.program, "run", *given, container.image, *behind)


def removal(engine: Engine, name: str) -> tuple[str, ...]:
    """Give the words that end and remove a container, whether it runs or is there."""
    return (engine.program, "rm", "--force", "--volumes", name)


def name_of(folder: Path) -> str:
    """Name the container of a job's folder: several homes may share an engine."""
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    return f"modeltap-{digest}-{folder.name}"


def variables_file(given: Mapping[str, str], engine: Engine) -> str:
    """Give the text of a container's `--env-file`; no value has a line break (`front`)."""
    home = {} if engine.user.startswith("0:") else {"HOME": "/tmp"}  # noqa: S108 - the container's
    variables = {**home, **given, ROOT_VARIABLE: str(ROOT)}
    return "".join(f"{name}={value}\n" for name, value in variables.items())


def engine_variables() -> dict[str, str]:
    """Give the variables that the program itself needs."""
    return {name: value for name, value in os.environ.items() if _OURS.fullmatch(name)}


def last_line(said: bytes) -> str:
    return said.decode(errors="replace").strip().rpartition("\n")[2][:300]


# ---------------------------------------------------------------- fetching


async def pull(engine: Engine, image: str, tell: Callable[[str], None]) -> None:
    """Have an image on this machine. Raise `LaunchFailed`."""
    status, _ = await _done(engine, "image", "inspect", "--format={{.Id}}", image)
    if status == 0:
        return
    tell(f"pulling {image}")
    status, said = await _done(engine, "pull", "--quiet", image)
    if status != 0:
        raise LaunchFailed(
            f"ClientError: The image {image} could not be pulled: {last_line(said)} Check "
            f"AppSpecification.ImageUri, and try `{engine.program} pull {image}` as the user that "
            "runs modeltap; an image that is built here needs no registry."
        )


async def _done(engine: Engine, *words: str) -> tuple[int, bytes]:
    process = await asyncio.create_subprocess_exec(
        engine.program,
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PULL_SECONDS_MAX):
            _, said = await process.communicate()
        return process.returncode or 0, said
    except TimeoutError:
        return 1, b"it took more than an hour."
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
