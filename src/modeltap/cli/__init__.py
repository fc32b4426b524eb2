"""The command line: `modeltap serve`, `env`, `run`, `logs`, `capture`, `settings`, `operations`.

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
# By name, because these two import every face of the house.
app.command("modeltap.cli.documents:settings", help="Print docs/settings.md.")
app.command("modeltap.cli.documents:operations", help="Print docs/operations.md.")


def main() -> None:
    """Run the command line; what a user can mend ends with one line and status 1."""
    try:
        app()
    except CannotRun as error:
        print(f"modeltap: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # whoever reads our output has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
