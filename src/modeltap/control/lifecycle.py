"""The life cycle of an endpoint, one table (contract §2.6). What the table lacks is illegal.

CreateEndpoint → Creating → InService | Failed
UpdateEndpoint: InService → Updating → InService | RollingBack → InService
DeleteEndpoint: InService | Failed → Deleting → gone
"""

from enum import StrEnum

from modeltap.nouns import EndpointStatus as Status


class Event(StrEnum):
    UPDATE = "update"  # asked for: a new fleet is to be built
    DELETE = "delete"  # asked for
    BUILT = "built"  # the new fleet is complete, and every live gateway sends to it
    BUILD_FAILED = "build failed"
    RESTORED = "restored"  # only the old fleet is left


class IllegalStep(Exception):
    """An event that the life cycle does not allow at this status."""

    def __init__(self, status: Status, event: Event) -> None:
        super().__init__(f"{event} while {status}")
        self.status = status


FIRST = Status.CREATING

TABLE = {
    (Status.CREATING, Event.BUILT): Status.IN_SERVICE,
    (Status.CREATING, Event.BUILD_FAILED): Status.FAILED,
    (Status.IN_SERVICE, Event.UPDATE): Status.UPDATING,
    (Status.UPDATING, Event.BUILT): Status.IN_SERVICE,
    (Status.UPDATING, Event.BUILD_FAILED): Status.ROLLING_BACK,
    (Status.ROLLING_BACK, Event.RESTORED): Status.IN_SERVICE,
    (Status.IN_SERVICE, Event.DELETE): Status.DELETING,
    (Status.FAILED, Event.DELETE): Status.DELETING,
}

IN_PROGRESS = frozenset({Status.CREATING, Status.UPDATING, Status.ROLLING_BACK, Status.DELETING})
"""Statuses that end by themselves; until then a caller can neither update nor delete."""


def step(status: Status, event: Event) -> Status:
    """Give the next status. Raise `IllegalStep` if the table has none."""
    try:
        return TABLE[status, event]
    except KeyError:
        raise IllegalStep(status, event) from None
