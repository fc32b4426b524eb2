"""Capture stops where there is no room: said by DescribeEndpoint, `/capturez` and `/metrics`.

Inference goes on, what is dropped is counted, and capture goes on when there is room again.
"""

import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from file_systems import MIB, tmpfs

from .conftest import MODELTAP, Server, new_server
from .deployed import (
    await_in_service,
    await_records,
    capture,
    capturez,
    create_endpoint,
    create_model,
    invoke,
    until,
    upload,
)
from .training import XGBOOST_0_90, trained

pytestmark = pytest.mark.acceptance
SPOOL_BYTES = 48 * MIB
BALLAST_BYTES = 40 * MIB  # above 75 %
NOWHERE = "no-such-bucket"
LIMIT_BYTES = 20_000


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """Serve `roomy`, and `stuck` whose bucket is not there, with a spool on a small disk."""
    with ExitStack() as stack:
        home = tmp_path_factory.mktemp("stops")
        stack.enter_context(tmpfs(home / "spool", SPOOL_BYTES))
        server = new_server(
            home,
            capture_disk_stop_percent="75",
            capture_disk_free_bytes_min=str(MIB),
            capture_endpoint_bytes_max=str(LIMIT_BYTES),
        )
        stack.callback(server.stop)
        folder = trained(XGBOOST_0_90, home / "environments", tmp_path_factory.mktemp("model"))
        create_model(server, "m", upload(server, folder / "model.tar.gz"))
        create_endpoint(server, "roomy", "m", capture())
        create_endpoint(server, "stuck", "m", capture(bucket=NOWHERE))
        await_in_service(server, "roomy", "stuck")
        yield server, (folder / "inputs.csv").read_text().splitlines(keepends=True)[0]


def page(server: Server, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port + 2}{path}") as answer:
        text: str = answer.read().decode()
    return text


def variant(server: Server, endpoint: str) -> dict[str, Any]:
    (found,) = [each for each in capturez(server)["variants"] if each["endpoint"] == endpoint]
    return dict(found)


def status(sagemaker: Any, endpoint: str) -> str:
    told = sagemaker.describe_endpoint(EndpointName=endpoint)
    return str(told["DataCaptureConfig"]["CaptureStatus"])


def audit(server: Server, endpoint: str) -> tuple[int, str]:
    command = [*MODELTAP, "capture", "audit", endpoint, "--home", str(server.home)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_a_full_disk_stops_capture_and_room_starts_it(small: tuple[Server, str]) -> None:
    server, row = small
    runtime, sagemaker = server.client("sagemaker-runtime"), server.client("sagemaker")
    invoke(runtime, "roomy", row)
    assert (status(sagemaker, "roomy"), capturez(server)["state"]) == ("Started", "running")
    ballast = server.home / "spool" / "ballast"
    ballast.write_bytes(bytes(BALLAST_BYTES))
    try:
        assert until(lambda: status(sagemaker, "roomy") == "Stopped")
        assert capturez(server)["state"] == "disk_watermark"
        assert 'smcap_state{state="disk_watermark"} 1.0' in page(server, "/metrics")
        for _ in range(5):
            assert invoke(runtime, "roomy", row)
        told = variant(server, "roomy")
        assert (told["dropped"], told["discrepancy"]) == ({"disk_watermark": 5}, 0)
    finally:
        ballast.unlink()
    assert until(lambda: status(sagemaker, "roomy") == "Started")
    assert capturez(server)["state"] == "running"
    invoke(runtime, "roomy", row)
    assert len(await_records(server, "roomy", 2)) == 2
    assert until(lambda: variant(server, "roomy")["delivered"] == 2)
    code, text = audit(server, "roomy")
    assert (code, "5 missing (2-6), 5 counted as dropped" in text) == (0, True), text


def test_an_endpoint_with_too_much_in_the_spool_stops_alone(small: tuple[Server, str]) -> None:
    server, row = small
    runtime, sagemaker = server.client("sagemaker-runtime"), server.client("sagemaker")

    for _ in range(2 * LIMIT_BYTES // len(row)):
        invoke(runtime, "stuck", row)
    assert until(lambda: status(sagemaker, "stuck") == "Stopped")
    assert status(sagemaker, "roomy") == "Started"
    assert capturez(server)["state"] == "spool_limit"
    assert until(lambda: bool(capturez(server)["waiting"]))
    (held,) = capturez(server)["waiting"]
    assert (held["destination"], held["outcome"]) == (f"s3://{NOWHERE}/capture", "held")
    told = variant(server, "stuck")
    assert (told["over_its_limit"], told["discrepancy"]) == (True, 0)
    assert told["pending_bytes"] >= LIMIT_BYTES
    code, text = audit(server, "stuck")  # nothing is delivered yet, and nothing is missing
    assert code == 0, text
    newest = max((server.home / "spool" / "writers").glob("*/*.seal"), key=_first)
    newest.unlink()
    code, text = audit(server, "stuck")
    assert (code, "without a fate" in text) == (1, True), text


def test_invented_names_make_no_series(small: tuple[Server, str]) -> None:
    server, row = small
    runtime = server.client("sagemaker-runtime")

    def series() -> int:
        lines = page(server, "/metrics").splitlines()
        return sum(not line.startswith("#") for line in lines)

    def refused(name: str) -> None:
        with pytest.raises(ClientError):
            invoke(runtime, name, row)

    refused("nobody")
    before = series()
    for number in range(200):
        refused(f"nobody-{number}")
    assert series() == before


def _first(segment: Path) -> int:
    """Give the number of a segment's first record; all those on disk are of `stuck`."""
    return int(segment.name.split("-")[2])
