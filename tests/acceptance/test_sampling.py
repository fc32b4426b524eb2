"""What share is captured, and which halves of it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from .conftest import Server
from .deployed import (
    await_in_service,
    await_records,
    capture,
    create_endpoint,
    create_model,
    invoke,
    records,
    upload,
)
from .training import XGBOOST_0_90, trained

pytestmark = pytest.mark.acceptance

REQUESTS = 1000
CONFIGS = {
    "share-100": capture(100),
    "share-20": capture(20),
    "share-0": capture(0),
    "share-off": capture(100, enabled=False),
    "share-input": capture(100, "Input"),
}


@pytest.fixture(scope="module")
def rows(server: Server, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Deploy one endpoint a config, send them all the same requests; give the distinct rows."""
    folder = trained(
        XGBOOST_0_90, server.home / "environments", tmp_path_factory.mktemp("sampling")
    )
    create_model(server, "sampled", upload(server, folder / "model.tar.gz", "sampled.tar.gz"))
    for name, config in CONFIGS.items():
        create_endpoint(server, name, "sampled", config)
    await_in_service(server, *CONFIGS)
    found = (folder / "inputs.csv").read_text().splitlines(keepends=True)
    runtime = server.client("sagemaker-runtime", max_pool_connections=16)
    with ThreadPoolExecutor(8) as pool:
        for name in CONFIGS:
            count = REQUESTS if name in ("share-20", "share-100") else 100
            jobs = [pool.submit(invoke, runtime, name, found[i % 400]) for i in range(count)]
            assert all(job.result() for job in jobs)
    return found


def test_all_at_100_percent(server: Server, rows: list[str]) -> None:
    found = await_records(server, "share-100", REQUESTS)
    assert len(found) == REQUESTS
    assert len({record["eventMetadata"]["eventId"] for record in found}) == REQUESTS


def test_a_fifth_at_20_percent(server: Server, rows: list[str]) -> None:
    await_records(server, "share-100", REQUESTS)  # sent later, so the fifth is there by now
    assert 150 <= len(await_records(server, "share-20", 150)) <= 250


def test_none_at_0_percent_or_when_disabled(server: Server, rows: list[str]) -> None:
    await_records(server, "share-input", 100)  # the last to be sent
    assert records(server, "share-0") == []
    assert records(server, "share-off") == []


def test_input_only_has_no_output(server: Server, rows: list[str]) -> None:
    found = await_records(server, "share-input", 100)
    assert len(found) == 100
    assert all(list(record["captureData"]) == ["endpointInput"] for record in found)
