"""What the tests have to know of the machine that they run on."""

import shutil
import tempfile

CAPTURE_STOPS_AT_PERCENT = 75.0


def disk_is_full() -> bool:
    """Tell whether capture's default limit would stop it where the tests keep their homes."""
    usage = shutil.disk_usage(tempfile.gettempdir())
    return 100.0 * usage.used / (usage.used + usage.free) >= CAPTURE_STOPS_AT_PERCENT
