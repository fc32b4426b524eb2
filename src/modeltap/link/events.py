"""What happens to links that an operator should know."""

import logging
from dataclasses import dataclass
from typing import ClassVar

from modeltap.telemetry import Event


@dataclass(frozen=True, slots=True)
class LinkLost(Event):
    """An instance closed its connection, died, or was cut off; `in_flight` calls failed with it."""

    level: ClassVar[int] = logging.WARNING
    instance: str
    in_flight: int
