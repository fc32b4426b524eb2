"""BentoML: one worker, access log, metrics and tracking off."""

import json

from benchmarks.contender import APPS, Contender, Place, json_rows
from benchmarks.model import Model


def _command(place: Place) -> list[str]:
    serve = [place.python, "-m", "bentoml", "serve", "bentoml_app:Classifier"]
    return [*serve, "--working-dir", str(APPS), "--port", str(place.port)]


def contender(model: Model) -> Contender:
    return Contender(
        name="bentoml",
        title="BentoML",
        environment="bentoml",
        command=_command,
        requests=json_rows("/predict", "rows"),
        score=lambda body: float(json.loads(body)[0]),
        variables={
            "MODEL": str(model.path),
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTOML_CONFIG_OPTIONS": (
                "api_server.logging.access.enabled=false api_server.metrics.enabled=false"
            ),
        },
    )
