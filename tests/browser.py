"""A real browser, without a window, led over its own protocol; needs nothing but Chromium itself.

`--remote-debugging-pipe`: JSON messages that end with a zero, in on descriptor 3, out on 4.
"""

import json
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run "
    "--remote-debugging-pipe"
)
ANSWER_SECONDS = 60
INSTALL_SECONDS = 600

Message = dict[str, Any]


def chromium() -> str:
    """Find the browser; as root install Debian's if there is none, else skip the test."""
    if _found() is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
            subprocess.run(
                ["apt-get", "-qq", *command],
                check=False,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                timeout=INSTALL_SECONDS,
            )
    found = _found()
    if found is None:
        pytest.skip("There is no Chromium: apt-get install chromium, then run this test again.")
    return found


def _found() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One page; `complaints` gathers what its console and its policies said."""

    def __init__(self, write_to: int, read_from: int) -> None:
        self.complaints: list[str] = []
        self._write_to, self._read_from = write_to, read_from
        self._session: str | None = None
        self._number = 0
        self._buffer = b""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable")

    def open(self, path: Path) -> None:
        self._call("Page.navigate", url=path.as_uri())
        while self._next().get("method") != "Page.loadEventFired":
            pass

    def value(self, expression: str) -> Any:
        """Evaluate JavaScript as a debugger does, which no policy of the page forbids."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def prefer(self, scheme: str) -> None:
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self._call("Emulation.setEmulatedMedia", features=[feature])

    def size(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **metrics)

    def _call(self, method: str, **params: Any) -> Message:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write_to, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            pass
        assert "error" not in answer, answer
        result: Message = answer["result"]
        return result

    def _next(self) -> Message:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read_from], [], [], ANSWER_SECONDS)
            got = os.read(self._read_from, 1 << 20) if ready else b""
            assert got, "the browser says nothing"
            self._buffer += got
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: Message = json.loads(line)
        if message.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
            self.complaints.append(json.dumps(message["params"]))
        if message.get("method") == "Runtime.consoleAPICalled":
            self.complaints.append(json.dumps(message["params"]))
        return message


@contextmanager
def page() -> Iterator[Page]:
    """Start a browser with a profile of its own, and end it."""
    their_in, our_out = os.pipe()
    our_in, their_out = os.pipe()
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        run = f'exec "$0" {FLAGS} --user-data-dir="$1" 3<&{their_in} 4>&{their_out}'
        process = subprocess.Popen(
            ["bash", "-c", run, chromium(), profile],
            pass_fds=(their_in, their_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(their_in)
        os.close(their_out)
        try:
            yield Page(our_out, our_in)
        finally:
            os.close(our_out)
            os.close(our_in)
            process.terminate()
            process.wait(ANSWER_SECONDS)
