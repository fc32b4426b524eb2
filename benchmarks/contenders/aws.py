"""The serving stack of AWS's XGBoost container: gunicorn, gevent, Flask, its way with a CSV body.

Written after what the container answers (contract §3.3, §3.4), not from its source. On a machine of
the research for this project it was 10 % faster than the container's own code.
"""

from benchmarks.contender import APPS, Contender, Place
from benchmarks.contenders.fastapi import requests
from benchmarks.model import Model


def _command(place: Place) -> list[str]:
    return [
        *(place.python, "-m", "gunicorn", "aws_app:app", "--chdir", str(APPS)),
        *("--bind", f"127.0.0.1:{place.port}", "--worker-class", "gevent", "--workers", "1"),
        *("--keep-alive", "60", "--worker-connections", "1000", "--log-level", "warning"),
    ]


def contender(model: Model) -> Contender:
    return Contender(
        name="aws",
        title="AWS XGBoost container's stack (gunicorn, gevent, Flask)",
        environment="aws",
        command=_command,
        requests=requests,
        score=float,
        variables={"MODEL": str(model.path)},
    )
