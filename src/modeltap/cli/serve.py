"""`modeltap serve`: the whole house, in the foreground."""

import shlex
import shutil
import sys
from typing import Annotated

from cyclopts import Parameter

from modeltap import telemetry
from modeltap.cli.asked import CannotRun, HomeOption
from modeltap.cli.running import resolve
from modeltap.clock import SystemClock
from modeltap.house.openings import LOOPBACK, opened
from modeltap.house.supervisor import CannotStart
from modeltap.settings import Settings


def serve(
    *,
    home: HomeOption = None,
    port: Annotated[int | None, Parameter(help="port of the endpoints; bulk is this + 1")] = None,
    host: Annotated[str | None, Parameter(help="address to bind")] = None,
) -> None:
    """Serve endpoints until Ctrl-C or SIGTERM. Further settings: docs/settings.md."""
    settings = resolve(home, port=port, host=host)
    telemetry.configure("supervisor")
    try:
        with opened(settings, SystemClock()) as supervisor:
            supervisor.run(lambda: _announce(settings))
    except CannotStart as error:
        raise CannotRun(str(error)) from None


def _announce(settings: Settings) -> None:
    home = shlex.quote(str(settings.home))
    print(f"modeltap serves on {settings.host}:{settings.port}, bulk on {settings.bulk_port}")
    print(f"metrics for Prometheus: http://{LOOPBACK}:{settings.scrape_port}/metrics")
    print(f'in another shell:  eval "$(modeltap env --home {home})"')
    used = disk_percent(settings)
    if used >= settings.capture_disk_stop_percent:
        print(
            f"CAPTURE IS STOPPED: the disk of {settings.home} is {used:.0f} % full, at or above "
            f"{settings.capture_disk_stop_percent:.0f} %. Free space, or raise "
            "capture_disk_stop_percent. Inference goes on.",
            file=sys.stderr,
        )
    sys.stdout.flush()


def disk_percent(settings: Settings) -> float:
    """Give the use of the spool's disk as `df` shows it, in percent."""
    usage = shutil.disk_usage(settings.layout.spool)
    return 100.0 * usage.used / (usage.used + usage.free)
