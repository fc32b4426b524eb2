"""Programs of this machine that jobs may name as images: `modeltap://command/usr/local/bin/x`.

What follows `command` is the program's absolute path. Only what the setting `job_commands` lists
can be named: a program, or a folder, which stands for the programs directly in it. Names are
compared as they are written, so a link in such a folder is as good as what it leads to; that is
asked before the file system is, and so nobody learns here what else is on the machine.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from modeltap.errors import LaunchFailed

SCHEME = "modeltap://"
COMMAND = f"{SCHEME}command"
SETTING = "job_commands"


class Commands:
    """What may be named, as absolute paths."""

    def __init__(self, allowed: Sequence[Path]) -> None:
        self._allowed = frozenset(allowed)

    def program(self, uri: str) -> Path:
        """Give the program that an image URI names. Raise `LaunchFailed`."""
        if not uri.startswith(f"{COMMAND}/"):
            raise LaunchFailed(
                f"{uri} is no image of modeltap: {COMMAND}, and after it the absolute path of a "
                f"program on this machine, is one, as in {COMMAND}/usr/local/bin/my-monitor."
            )
        return self.checked(uri.removeprefix(COMMAND))

    def checked(self, name: str) -> Path:
        """Give the program of a path, if jobs may run it and it is there. Raise `LaunchFailed`."""
        path = Path(name)
        if not path.is_absolute() or ".." in path.parts or "\0" in name:
            raise LaunchFailed(f"{name!r} is no absolute path of a program: write it out in full.")
        if not {path, path.parent} & self._allowed:
            raise LaunchFailed(
                f"Jobs may not run the program {path}: the setting {SETTING} does not list it. It "
                f"lists {self._listed()}. Whoever runs modeltap adds the program or its folder to "
                "it (absolute paths, parted by colons), and starts modeltap again."
            )
        if not path.is_file():
            raise LaunchFailed(f"There is no program {path} on this machine. Install it there.")
        if not os.access(path, os.X_OK):
            raise LaunchFailed(
                f"{path} cannot be run by the user that runs modeltap: chmod +x, and the rights of "
                "its folders, let it."
            )
        return path

    def _listed(self) -> str:
        return ", ".join(sorted(map(str, self._allowed))) or "nothing"
