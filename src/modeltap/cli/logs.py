"""`modeltap logs ENDPOINT`: what an endpoint's containers and its launches said."""

import time
from typing import Annotated

from cyclopts import Parameter

from modeltap.cli.running import CannotRun, HomeOption, resolve
from modeltap.logbook import Logbook
from modeltap.nouns import endpoint_log_group

FOLLOW_SECONDS = 0.5


def logs(
    endpoint: str,
    *,
    home: HomeOption = None,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], negative="")] = False,
) -> None:
    """Print an endpoint's log; --follow goes on with it."""
    logbook = Logbook(resolve(home).layout.logs)
    group = endpoint_log_group(endpoint)
    if not logbook.streams(group) and not follow:
        raise CannotRun(f"endpoint {endpoint} has no log; names keep their case")
    tail = logbook.tail(group)
    while True:
        for line in tail.read():
            print(f"{line.stream}  {line.text}", flush=follow)
        if not follow:
            return
        time.sleep(FOLLOW_SECONDS)
