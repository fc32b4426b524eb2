"""The command line: `modeltap serve`, `env`, `run`, `logs`, `capture`, `baseline`, `analyze` …

The roof of the house: the only room that prints, and the one that reads the user's environment.
"""

import os
import sys

from cyclopts import App

from modeltap.cli.asked import CannotRun

app = App(
    name="modeltap",
    help="Model endpoints that AWS clients cannot tell from Amazon SageMaker, with data capture.",
    version_flags=["--version"],
)
GROUPS = {"capture:app": "capture", "schedules:app": "monitor"}
# By name: a command loads what it needs, and no command waits for what another needs.
for command, does in {
    "serve:serve": "Serve endpoints until Ctrl-C or SIGTERM.",
    "environment:env": "Print the variables that lead AWS clients here.",
    "environment:run": "Run a command with these variables.",
    "logs:logs": "Print an endpoint's or a processing job's log.",
    "capture:app": "Look at what was captured.",
    "schedules:app": "Look at monitoring schedules and their executions; run one now.",
    "monitor:baseline": "Suggest a baseline of a dataset.",
    "monitor:analyze": "Compare data with a baseline.",
    "documents:settings": "Print docs/settings.md.",
    "documents:operations": "Print docs/operations.md.",
}.items():
    app.command(
        f"modeltap.cli.{command}", name=GROUPS.get(command) or command.partition(":")[2], help=does
    )


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
