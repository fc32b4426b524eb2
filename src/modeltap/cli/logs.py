"""`modeltap logs ENDPOINT` and `--job NAME`: what containers said, and the steps around them."""

import time
from collections.abc import Iterator
from typing import Annotated

from cyclopts import Parameter

from modeltap.cli.running import CannotRun, HomeOption, resolve
from modeltap.control.jobs import LOG_GROUP
from modeltap.logbook import Line, Logbook, Tail
from modeltap.nouns import endpoint_log_group

FOLLOW_SECONDS = 0.5


def logs(
    endpoint: str | None = None,
    *,
    job: str | None = None,
    home: HomeOption = None,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], negative="")] = False,
) -> None:
    """Print the log of an endpoint, or of a --job by its name; --follow goes on with it."""
    if (endpoint is None) == (job is None):
        raise CannotRun("name an endpoint, or a job: modeltap logs ENDPOINT, modeltap logs --job J")
    group = LOG_GROUP if endpoint is None else endpoint_log_group(endpoint)
    prefix = "" if job is None else f"{job}/"
    logbook = Logbook(resolve(home).layout.logs)
    known = any(stream.startswith(prefix) for stream in logbook.streams(group))
    if not known and not follow:
        what = f"job {job}" if endpoint is None else f"endpoint {endpoint}"
        raise CannotRun(f"{what} has no log; names keep their case")
    tail = logbook.tail(group)
    while True:
        for line in _of(tail, prefix):
            print(f"{line.stream}  {line.text}", flush=follow)
        if not follow:
            return
        time.sleep(FOLLOW_SECONDS)


def _of(tail: Tail, prefix: str) -> Iterator[Line]:
    return (line for line in tail.read() if line.stream.startswith(prefix))
