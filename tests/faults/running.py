"""Run a script of this folder as a process of its own, and read what it tells."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


class Script:
    """A script under way: it prints how far it is, and last one JSON object."""

    def __init__(self, name: str, events: Path, *words: object) -> None:
        """Start a script of this folder; its standard error goes to `events`."""
        self._events = events
        command = [sys.executable, str(Path(__file__).with_name(name)), *map(str, words)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with events.open("w") as opened:
            self._process = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=opened, text=True
            )

    def told(self) -> dict[str, Any]:
        """Pass on how far it is until it ends; give its last line."""
        line = "{}"
        with self._process as process:
            assert process.stdout is not None
            for line in process.stdout:
                print(line, end="", flush=True)
        assert process.returncode == 0, self._events.read_text()[-2000:]
        told: dict[str, Any] = json.loads(line)
        return told
