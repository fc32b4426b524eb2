"""What happens in a gateway's HTTP that its operator should know."""

import logging
from dataclasses import dataclass
from typing import ClassVar

from modeltap.telemetry import Event


@dataclass(frozen=True, slots=True)
class RequestFailed(Event):
    """A request ended in an error that nobody named: a fault of modeltap's own."""

    level: ClassVar[int] = logging.ERROR
    error: str
