"""What docs/monitor.md gives to who receives notices."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "monitor.md"

Verified = Callable[[Mapping[str, str], bytes, str], bool]


def documented() -> Verified:
    """Take the function from the page, as a reader does."""
    code = re.search(r"```python\n(import base64.*?)```", PAGE.read_text(), re.DOTALL)
    assert code is not None
    found: dict[str, Any] = {}
    exec(code[1], found)
    verified: Verified = found["verified"]
    return verified
