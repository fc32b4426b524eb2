"""What every command may be given, and how a command says that it cannot do its work.

It imports next to nothing, so that a command loads what it needs and no more.
"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

HomeOption = Annotated[
    Path | None, Parameter(name="--home", help="where all state lives; default ~/.modeltap")
]


class CannotRun(Exception):
    """A command cannot do its work; the text says why and what to do."""
