"""AWS's own demo model answers the documents' sample requests with exactly the printed digits.

The model is not ours to ship: this check runs where the shared data lie beside the repository.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, Server
from .deployed import (
    await_in_service,
    await_records,
    capture,
    create_endpoint,
    create_model,
    invoke,
    upload,
)
from .training import XGBOOST_0_90

CHURN = ROOT.parent / "shared" / "data" / "churn"

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(not CHURN.exists(), reason=f"AWS's demo model is not at {CHURN}"),
]


def samples() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CHURN / "seed_samples.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def endpoint(server: Server) -> str:
    url = upload(server, CHURN / "xgb-churn-prediction-model.tar.gz", "churn.tar.gz")
    create_model(server, "churn", url, XGBOOST_0_90)
    create_endpoint(server, "churn", "churn", capture())
    await_in_service(server, "churn")
    return "churn"


def test_the_printed_digits_and_the_printed_records(server: Server, endpoint: str) -> None:
    runtime = server.client("sagemaker-runtime")
    for sample in samples():
        answer = invoke(runtime, endpoint, sample["request_body"])
        assert answer == sample["expected_output_data"]
    found = await_records(server, endpoint, 3)
    by_input = {record["captureData"]["endpointInput"]["data"]: record for record in found}
    for sample in samples():
        record = by_input[sample["request_body"]]
        metadata = record.pop("eventMetadata")
        assert list(metadata) == ["eventId", "inferenceTime"]
        assert json.dumps(record) == json.dumps(printed(sample))


def printed(sample: dict[str, Any]) -> dict[str, Any]:
    """Give the record as the documents print it, but for its ids and times."""
    return {
        "captureData": {
            "endpointInput": {
                "observedContentType": "text/csv",
                "mode": "INPUT",
                "data": sample["request_body"],
                "encoding": "CSV",
            },
            "endpointOutput": {
                "observedContentType": "text/csv; charset=utf-8",
                "mode": "OUTPUT",
                "data": sample["expected_output_data"],
                "encoding": "CSV",
            },
        },
        "eventVersion": "0",
    }


def test_the_whole_validation_set_runs(server: Server, endpoint: str) -> None:
    """The page's loop, over the file that it names."""
    runtime = server.client("sagemaker-runtime")
    rows = Path(CHURN / "validation.csv").read_text().splitlines(keepends=True)[:201]
    for row in rows:
        assert 0.0 < float(invoke(runtime, endpoint, row.split(",", 1)[1])) < 1.0
