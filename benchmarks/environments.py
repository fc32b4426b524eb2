"""One virtual environment a contender, from a lock with hashes; kept in `.venvs/`."""

import hashlib
import subprocess
import sys
from pathlib import Path

import uv

ROOT = Path(__file__).parents[1]
OWN_PYTHON = sys.executable
LOCKS = ROOT / "benchmarks" / "requirements"


class Unavailable(Exception):
    """A contender cannot be had here; the text says why."""


def python(name: str) -> Path:
    """Give the Python of an environment, made if need be. Raise `Unavailable`."""
    lock, home = LOCKS / f"{name}.txt", ROOT / ".venvs" / f"bench-{name}"
    stamp = hashlib.sha256(lock.read_bytes()).hexdigest()
    interpreter, written = home / "bin" / "python", home / "stamp"
    if not written.exists() or written.read_text() != stamp:
        print(f"installing {name} into {home.relative_to(ROOT)} …", file=sys.stderr)
        tool = uv.find_uv_bin()
        _step([tool, "venv", "--quiet", "--clear", "--python", sys.executable, str(home)])
        sync = [tool, "pip", "sync", "--quiet", "--compile-bytecode", "--python", str(interpreter)]
        _step([*sync, "--require-hashes", str(lock)])
        written.write_text(stamp)
    return interpreter


def version(name: str, package: str) -> str:
    """Give the version of a package that a lock pins."""
    lines = (LOCKS / f"{name}.txt").read_text().splitlines()
    pin = next(line for line in lines if line.startswith(f"{package}=="))
    return pin.removeprefix(f"{package}==").split()[0]


def _step(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        said = " ".join(done.stderr.split())
        raise Unavailable(f"cannot be installed: {said[-300:]}")
