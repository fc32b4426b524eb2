"""`modeltap logs ENDPOINT`, `modeltap logs --job NAME`: what containers and launches said."""

import time
from typing import Annotated

from cyclopts import Parameter

from modeltap.cli.asked import CannotRun, HomeOption
from modeltap.cli.running import resolve
from modeltap.logbook import Logbook
from modeltap.nouns import PROCESSING_LOG_GROUP, TRANSFORM_LOG_GROUP, endpoint_log_group

FOLLOW_SECONDS = 0.5


def logs(
    endpoint: str | None = None,
    *,
    job: str | None = None,
    home: HomeOption = None,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], negative="")] = False,
) -> None:
    """Print an endpoint's log, or with --job a job's; --follow goes on with it."""
    logbook = Logbook(resolve(home).layout.logs)
    whose, group, prefix = _place(logbook, endpoint, job)
    streams = [name for name in logbook.streams(group) if name.startswith(prefix)]
    if not streams and not follow:
        raise CannotRun(f"{whose} has no log; names keep their case")
    tail = logbook.tail(group, prefix)
    while True:
        for line in tail.read():
            print(f"{line.stream}  {line.text}", flush=follow)
        if not follow:
            return
        time.sleep(FOLLOW_SECONDS)


def _place(logbook: Logbook, endpoint: str | None, job: str | None) -> tuple[str, str, str]:
    """Give whose log is meant, its group, and how its streams begin."""
    if (endpoint is None) == (job is None):
        raise CannotRun("name one endpoint, or one job with --job")
    if endpoint is not None:
        return f"endpoint {endpoint}", endpoint_log_group(endpoint), ""
    prefix = f"{job}/"
    transforms = any(name.startswith(prefix) for name in logbook.streams(TRANSFORM_LOG_GROUP))
    return f"job {job}", TRANSFORM_LOG_GROUP if transforms else PROCESSING_LOG_GROUP, prefix
