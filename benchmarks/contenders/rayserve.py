"""Ray Serve: one replica behind its proxy, access log and dashboard off."""

from benchmarks.contender import APPS, Contender, Place
from benchmarks.contenders.fastapi import requests
from benchmarks.model import Model


def _command(place: Place) -> list[str]:
    return [place.python, str(APPS / "rayserve_app.py"), str(place.port), str(place.folder)]


def contender(model: Model) -> Contender:
    return Contender(
        name="rayserve",
        title="Ray Serve",
        environment="rayserve",
        command=_command,
        requests=requests,
        score=float,
        variables={
            "MODEL": str(model.path),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_DEDUP_LOGS": "0",
        },
    )
