"""The command line: `modeltap serve`, `env`, `run`, `logs`, `capture`.

The roof of the house: the only room that prints, and the one that reads the user's environment.
"""

import sys

from cyclopts import App

from modeltap.cli import capture, documents, environment, logs, serve
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
app.command(documents.settings)


def main() -> None:
    """Run the command line; what a user can mend ends with one line and status 1."""
    try:
        app()
    except CannotRun as error:
        print(f"modeltap: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
