"""A real `modeltap serve`, and real clients in environments of their own."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from machine import disk_is_full

ROOT = Path(__file__).parents[2]
MODELTAP = [sys.executable, "-m", "modeltap.cli"]
READY_SECONDS_MAX = 90


@dataclass
class Server:
    """One `modeltap serve` process tree on a home of its own."""

    home: Path
    port: int
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None

    def start(self) -> "Server":
        self.home.mkdir(parents=True, exist_ok=True)
        log = (self.home / "serve.log").open("a")
        self.process = subprocess.Popen(
            [*MODELTAP, "serve", "--home", str(self.home), "--port", str(self.port)],
            env=os.environ | {f"MODELTAP_{k.upper()}": v for k, v in self.settings.items()},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        log.close()
        assert self.process.stdout is not None
        first = self.process.stdout.readline()
        assert first, f"serve did not start:\n{self.log()}"
        return self

    def stop(self, seconds_max: float = 90) -> None:
        """End it as a user does. Raise `TimeoutExpired` if it takes longer."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(seconds_max)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None

    def kill(self) -> None:
        """Kill the supervisor; its children end when they notice."""
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process = None

    def log(self) -> str:
        return (self.home / "serve.log").read_text()

    def environment(self, *options: str) -> dict[str, str]:
        """Read what `modeltap env` prints."""
        lines = self.command("env", *options).splitlines()
        pairs = (line.removeprefix("export ").partition("=") for line in lines)
        return {name: value.strip("'") for name, _, value in pairs}

    def command(self, *words: str, check: bool = True) -> str:
        """Run one `modeltap` command on this home; give what it printed."""
        command = [*MODELTAP, *words, "--home", str(self.home)]
        return subprocess.run(command, check=check, stdout=subprocess.PIPE, text=True).stdout

    def client(self, service: str, **options: Any) -> Any:
        """Make a boto3 client as a user's shell would have it after `modeltap env`."""
        found = self.environment()
        url = found["AWS_ENDPOINT_URL_S3" if service == "s3" else "AWS_ENDPOINT_URL"]
        return boto3.client(
            service,
            endpoint_url=url,
            region_name=found["AWS_DEFAULT_REGION"],
            aws_access_key_id=found["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=found["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}, **options),
        )

    def processes(self, role: str) -> list[int]:
        """Find the process ids of a role (`store`, `control`, …; `worker` for models)."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and _plays(folder, role, str(self.home)):
                found.append(int(folder.name))
        return found


def _plays(folder: Path, role: str, home: str) -> bool:
    try:
        line = (folder / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return False
    if home not in line:
        return False
    return "modeltap_worker" in line if role == "worker" else f'"role":"{role}"' in line


def free_port() -> int:
    """Find a port that is free together with the next two."""
    while True:
        with socket.socket() as first, socket.socket() as second, socket.socket() as third:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
                third.bind(("127.0.0.1", port + 2))
            except OSError:
                continue
            return port


def new_server(home: Path, **settings: str) -> Server:
    """Start a server that seals each second, tries again soon, and captures on a full disk, too."""
    common = {"capture_seal_seconds": "1", "capture_retry_seconds_max": "5"}
    if disk_is_full():
        common["capture_disk_stop_percent"] = "99.9"
    return Server(home, free_port(), common | settings).start()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Share one server; tests name their resources apart."""
    running = new_server(tmp_path_factory.mktemp("home"))
    yield running
    running.stop()
