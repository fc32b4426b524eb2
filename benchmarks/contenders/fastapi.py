"""FastAPI on uvicorn with uvloop and httptools: what most teams write themselves."""

from collections.abc import Iterator

from benchmarks.contender import APPS, Contender, Place, post
from benchmarks.model import Model


def _command(place: Place) -> list[str]:
    return [
        *(place.python, "-m", "uvicorn", "fastapi_app:app", "--app-dir", str(APPS)),
        *("--port", str(place.port), "--loop", "uvloop", "--http", "httptools"),
        *("--no-access-log", "--log-level", "warning"),
    ]


def requests(port: int, model: Model) -> Iterator[bytes]:
    """Give one CSV line a request, as AWS's containers take it."""
    return (post(port, "/invocations", "text/csv", row.encode()) for row in model.rows)


def contender(model: Model) -> Contender:
    return Contender(
        name="fastapi",
        title="FastAPI + uvicorn (uvloop, httptools)",
        environment="fastapi",
        command=_command,
        requests=requests,
        score=float,
        variables={"MODEL": str(model.path)},
    )
