"""Named events: each operational happening is one small value that owns its log line.

An event's fields are an allow-list by construction: no payload, no secret, no header value goes
into one (threat S20). `emit` never raises.
"""

import logging
import sys
from dataclasses import dataclass, fields
from typing import ClassVar

import structlog


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events; the class name is the event's name."""

    level: ClassVar[int] = logging.INFO


def emit(event: Event) -> None:
    """Write an event's log line to standard error."""
    values = {field.name: getattr(event, field.name) for field in fields(event)}
    structlog.get_logger().log(event.level, type(event).__name__, **values)


def configure(process: str) -> None:
    """Send this process's events to standard error, one JSON object a line."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
