"""KServe's Python server: protocol V1, one worker, no gRPC."""

import json

from benchmarks.contender import APPS, Contender, Place, json_rows
from benchmarks.model import Model


def _command(place: Place) -> list[str]:
    app = [place.python, str(APPS / "kserve_app.py")]
    return [*app, "--http_port", str(place.port), "--enable_grpc", "false", "--workers", "1"]


def contender(model: Model) -> Contender:
    return Contender(
        name="kserve",
        title="KServe's Python server",
        environment="kserve",
        command=_command,
        requests=json_rows("/v1/models/bench:predict", "instances"),
        score=lambda body: float(json.loads(body)["predictions"][0]),
        variables={"MODEL": str(model.path)},
    )
