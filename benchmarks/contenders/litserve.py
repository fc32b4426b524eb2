"""LitServe: one API server, one worker, its fast queue where the system has it."""

import json

from benchmarks.contender import APPS, Contender, Place, json_rows
from benchmarks.model import Model


def _command(place: Place) -> list[str]:
    return [place.python, str(APPS / "litserve_app.py"), str(place.port)]


def contender(model: Model) -> Contender:
    return Contender(
        name="litserve",
        title="LitServe",
        environment="litserve",
        command=_command,
        requests=json_rows("/predict", "rows"),
        score=lambda body: float(json.loads(body)["scores"][0]),
        variables={"MODEL": str(model.path)},
    )
