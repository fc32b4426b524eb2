"""What settings change: buckets on another store, several gateways."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .conftest import Server, new_server
from .deployed import (
    BUCKET,
    await_in_service,
    await_records,
    capture,
    create_endpoint,
    create_model,
    invoke,
    until,
    upload,
)
from .training import XGBOOST_0_90, trained

pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def model(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(XGBOOST_0_90, server.home / "environments", tmp_path_factory.mktemp("model"))


@pytest.fixture
def other(server: Server, tmp_path: Path) -> Iterator[Server]:
    """Start a server to which `BUCKET` is a bucket on a real S3-compatible store: the first one."""
    home = tmp_path / "home"
    home.mkdir()
    found = server.environment()
    (home / "settings.toml").write_text(
        f"""
gateways = 2
[external_buckets.{BUCKET}]
endpoint = "{found["AWS_ENDPOINT_URL_S3"]}"
access_key_id = "{found["AWS_ACCESS_KEY_ID"]}"
secret_access_key = "{found["AWS_SECRET_ACCESS_KEY"]}"
allow_http = true
"""
    )
    running = new_server(home)
    yield running
    running.stop()


def test_model_data_and_captured_records_on_another_store(
    server: Server, other: Server, model: Path
) -> None:
    url = upload(server, model / "model.tar.gz", "elsewhere.tar.gz")
    create_model(other, "elsewhere", url)
    create_endpoint(other, "elsewhere", "elsewhere", capture())
    await_in_service(other, "elsewhere")
    row = (model / "inputs.csv").read_text().splitlines(keepends=True)[0]
    runtime = other.client("sagemaker-runtime", max_pool_connections=8)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: invoke(runtime, "elsewhere", row), range(200)))
    assert len(set(answers)) == 1
    assert len(other.processes("gateway")) == 2
    found = await_records(server, "elsewhere", 200)
    assert len(found) == 200
    assert until(
        lambda: "sampled=200 delivered=200 pending=0" in other.command("capture", "ls", "elsewhere")
    )
