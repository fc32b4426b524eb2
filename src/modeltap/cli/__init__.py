"""The command line: `modeltap serve`, `env`, `run`, `logs`, `capture`, `baseline`, `analyze` …

The roof of the house: the only room that prints, and the one that reads the user's environment.
"""

import os
import sys

from cyclopts import App

from modeltap.cli import capture, environment, logs, serve
from modeltap.cli.running import CannotRun

app = App(
    name="modeltap",
    help="Model endpoints that AWS clients cannot tell from Amazon SageMaker, with data capture.",
    version_flags=["--version"],
)
app.command(serve.serve)
app.command(environment.env)
app.command(environment.run)
app.command(logs.logs)
app.command(capture.app)
# By name, because these import much that other commands do not need.
app.command("modeltap.cli.monitor:baseline", help="Suggest a baseline of a dataset.")
app.command("modeltap.cli.monitor:analyze", help="Compare data with a baseline.")
app.command("modeltap.cli.documents:settings", help="Print docs/settings.md.")
app.command("modeltap.cli.documents:operations", help="Print docs/operations.md.")


def main() -> None:
    """Run the command line; what a user can mend ends with one line and status 1."""
    status = _run()
    sys.stderr.flush()
    # At once: obstore's threads may abort an interpreter that takes its time to end.
    os._exit(status)


def _run() -> int:
    try:
        app()
        sys.stdout.flush()
    except CannotRun as error:
        sys.stdout.flush()
        print(f"modeltap: {error}", file=sys.stderr)
        return 1
    except SystemExit as ended:
        sys.stdout.flush()
        return _status(ended)
    except BrokenPipeError:  # whoever reads our output has seen enough, as `head` has
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _status(ended: SystemExit) -> int:
    """Read a status as the interpreter does."""
    if ended.code is None or isinstance(ended.code, int):
        return ended.code or 0
    print(ended.code, file=sys.stderr)
    return 1
