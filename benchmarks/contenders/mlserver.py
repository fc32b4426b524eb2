"""MLServer, with inference in its own process (`parallel_workers: 0`), which it does fastest."""

import json
from collections.abc import Iterator

from benchmarks.contender import APPS, Contender, Place, post
from benchmarks.model import Model

NAME = "bench"


def _command(place: Place) -> list[str]:
    settings = {
        "host": "127.0.0.1",
        "http_port": place.port,
        "grpc_port": place.port + 1,
        "metrics_port": place.port + 2,
        "metrics_endpoint": None,
        "parallel_workers": 0,
        "debug": False,
    }
    model = {"name": NAME, "implementation": "mlserver_app.Classifier"}
    (place.folder / "settings.json").write_text(json.dumps(settings))
    (place.folder / "model-settings.json").write_text(json.dumps(model))
    return [place.python, "-m", "mlserver.cli.main", "start", str(place.folder)]


def _requests(port: int, model: Model) -> Iterator[bytes]:
    for row in model.rows:
        values = [float(value) for value in row.split(",")]
        rows = {"name": "rows", "shape": [1, len(values)], "datatype": "FP32", "data": values}
        body = json.dumps({"inputs": [rows]}).encode()
        yield post(port, f"/v2/models/{NAME}/infer", "application/json", body)


def _score(body: bytes) -> float:
    return float(json.loads(body)["outputs"][0]["data"][0])


def contender(model: Model) -> Contender:
    return Contender(
        name="mlserver",
        title="MLServer (parallel_workers 0)",
        environment="mlserver",
        command=_command,
        requests=_requests,
        score=_score,
        variables={"MODEL": str(model.path), "PYTHONPATH": str(APPS)},
    )
