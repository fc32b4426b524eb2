"""Unix sockets in deep folders.

The kernel takes at most 107 bytes as a socket's name (`sun_path`, unix(7)), and a home may lie
deeper. Such a socket is named through its folder: `/proc/self/fd/N/socket`, where N is the folder.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SUN_PATH_BYTES_MAX = 107


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Give a name of `path` that `bind` and `connect` take, valid inside the `with` block only.

    A socket that was bound or connected inside stays so. Raise `OSError` if the folder is missing.
    """
    if len(os.fsencode(path)) <= SUN_PATH_BYTES_MAX:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
