"""What happens to capture that an operator should know: one value a happening, no payload in it."""

import logging
from dataclasses import dataclass
from typing import ClassVar

from modeltap.telemetry import Event

# ---------------------------------------------------------------- guard


@dataclass(frozen=True, slots=True)
class CaptureStopped(Event):
    """The disk is too full; records are dropped (`disk_watermark`) until there is room."""

    level: ClassVar[int] = logging.WARNING
    percent: float
    free_bytes: int


@dataclass(frozen=True, slots=True)
class CaptureResumed(Event):
    percent: float
    free_bytes: int


# ---------------------------------------------------------------- limits


@dataclass(frozen=True, slots=True)
class EndpointStopped(Event):
    """An endpoint has too much in the spool; its records are dropped (`spool_limit`)."""

    level: ClassVar[int] = logging.WARNING
    endpoint: str
    bytes: int


@dataclass(frozen=True, slots=True)
class EndpointResumed(Event):
    endpoint: str
    bytes: int


# ---------------------------------------------------------------- spooler


@dataclass(frozen=True, slots=True)
class SpoolStalled(Event):
    """The disk refused a write or a sync; records wait in the ring until it takes them."""

    level: ClassVar[int] = logging.ERROR
    reason: str


@dataclass(frozen=True, slots=True)
class SpoolResumed(Event):
    """The disk takes records again."""


@dataclass(frozen=True, slots=True)
class RecordsLost(Event):
    """A gateway and its ring died together: these records had reached no disk."""

    level: ClassVar[int] = logging.WARNING
    records: int


@dataclass(frozen=True, slots=True)
class RingDamaged(Event):
    """Frames of a ring did not match their checksum: a fault of the memory, or of ours."""

    level: ClassVar[int] = logging.ERROR
    frames: int


@dataclass(frozen=True, slots=True)
class LedgerAwaited(Event):
    """What dead gateways lost is counted as soon as the ledger can be read."""

    level: ClassVar[int] = logging.WARNING
    reason: str


# ---------------------------------------------------------------- shipper


@dataclass(frozen=True, slots=True)
class Delivered(Event):
    """A segment's object is in its bucket."""

    endpoint: str
    variant: str
    uri: str
    records: int
    bytes: int


@dataclass(frozen=True, slots=True)
class DeliveryWaiting(Event):
    """A destination takes nothing; its records wait on disk. Once for each spell and reason."""

    level: ClassVar[int] = logging.WARNING
    destination: str
    reason: str


@dataclass(frozen=True, slots=True)
class DeliveryResumed(Event):
    destination: str


@dataclass(frozen=True, slots=True)
class SegmentQuarantined(Event):
    """A segment was damaged, poison, or its key is taken by what is not it; the file is kept."""

    level: ClassVar[int] = logging.ERROR
    segment: str
    reason: str
    records: int  # lost


@dataclass(frozen=True, slots=True)
class SegmentUnreadable(Event):
    """The disk does not give a segment back. It is tried again, later each time. Once a spell."""

    level: ClassVar[int] = logging.ERROR
    segment: str
    reason: str
