"""A user proves that nothing is lost, and sees it when something is: `modeltap capture …`."""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from .conftest import MODELTAP, Server, new_server
from .deployed import (
    BUCKET,
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
COUNT = 30


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    server = new_server(tmp_path_factory.mktemp("audit"))
    folder = trained(XGBOOST_0_90, server.home / "environments", tmp_path_factory.mktemp("model"))
    create_model(server, "m", upload(server, folder / "model.tar.gz"))
    create_endpoint(server, "audited", "m", capture())
    await_in_service(server, "audited")
    row = (folder / "inputs.csv").read_text().splitlines(keepends=True)[0]
    runtime = server.client("sagemaker-runtime")
    for _ in range(COUNT):
        invoke(runtime, "audited", row)
    assert len(await_records(server, "audited", COUNT)) == COUNT
    yield server, row
    server.stop()


def ran(server: Server, *words: str) -> tuple[int, str]:
    """Run a command; give its status and all that it said."""
    command = [*MODELTAP, "capture", *words, "--home", str(server.home)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_a_whole_endpoint_passes(served: tuple[Server, str]) -> None:
    server, row = served
    assert until(lambda: capturez(server)["variants"][0]["delivered"] == COUNT)
    status, told = ran(server, "audit", "audited")
    assert status == 0, told
    assert f"sampled={COUNT} = delivered={COUNT} + pending=0 + dropped=0" in told
    assert f"{COUNT} records in their rows" in told
    status, told = ran(server, "fsck")
    assert status == 0, told
    runtime = server.client("sagemaker-runtime")
    invoke(runtime, "audited", row)  # on its way: in a ring or a segment
    assert ran(server, "audit", "audited")[0] == 0
    assert until(lambda: capturez(server)["variants"][0]["delivered"] == COUNT + 1)


def test_a_part_of_the_time_can_be_asked_for(served: tuple[Server, str]) -> None:
    server, _ = served
    status, told = ran(server, "audit", "audited", "--from", "2031-01-01T00:00:00")
    assert status == 0, told
    assert "objects: 0 read" in told


def test_an_endpoint_that_captured_nothing_is_named(served: tuple[Server, str]) -> None:
    status, told = ran(served[0], "audit", "nobody")
    assert (status, "nothing was captured of nobody" in told) == (1, True)


def test_what_is_deleted_or_added_is_seen_and_the_ledger_comes_back(
    served: tuple[Server, str],
) -> None:
    server, _ = served
    s3 = server.client("s3")
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix="capture/audited/")["Contents"]
    key = found[0]["Key"]
    body = s3.get_object(Bucket=BUCKET, Key=key)
    data, metadata = body["Body"].read(), body["Metadata"]
    s3.delete_object(Bucket=BUCKET, Key=key)
    status, told = ran(server, "audit", "audited")
    assert (status, f"in the ledger and not in the bucket: s3://{BUCKET}/{key}" in told) == (
        1,
        True,
    )
    s3.put_object(Bucket=BUCKET, Key=key, Body=data, Metadata=metadata)
    assert ran(server, "audit", "audited")[0] == 0
    copy = key.replace(".jsonl", "-copy.jsonl")
    s3.put_object(Bucket=BUCKET, Key=copy, Body=data)
    status, told = ran(server, "audit", "audited")
    assert (status, f"in the bucket and not in the ledger: s3://{BUCKET}/{copy}" in told) == (
        1,
        True,
    )
    s3.delete_object(Bucket=BUCKET, Key=copy)

    server.stop()
    (server.home / "spool" / "ledger.db").unlink()
    server.start()
    await_in_service(server, "audited")
    status, told = ran(server, "rebuild", "audited", "--destination", f"s3://{BUCKET}/capture")
    assert status == 0, told
    assert until(lambda: ran(server, "audit", "audited")[0] == 0)


def test_a_stopped_spooler_shows_and_inference_goes_on(served: tuple[Server, str]) -> None:
    server, row = served
    runtime, sagemaker = server.client("sagemaker-runtime"), server.client("sagemaker")
    assert capturez(server)["state"] == "running"
    status = sagemaker.describe_endpoint(EndpointName="audited")["DataCaptureConfig"]
    assert status["CaptureStatus"] == "Started"
    (spooler,) = server.processes("spooler")
    os.kill(spooler, signal.SIGSTOP)
    try:
        for _ in range(5):
            invoke(runtime, "audited", row)
        (variant,) = capturez(server)["variants"]
        assert (variant["pending"], variant["discrepancy"]) == (5, 0)
    finally:
        os.kill(spooler, signal.SIGCONT)
