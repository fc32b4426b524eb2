"""The life cycle's table, read from outside."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeltap.control.lifecycle import FIRST, IN_PROGRESS, TABLE, Event, IllegalStep, step
from modeltap.nouns import EndpointStatus as Status

ENDS = {Status.IN_SERVICE, Status.FAILED}


@pytest.mark.parametrize(("status", "event"), list(itertools.product(Status, Event)))
def test_what_the_table_lacks_is_illegal(status: Status, event: Event) -> None:
    if (status, event) in TABLE:
        assert step(status, event) is TABLE[status, event]
    else:
        with pytest.raises(IllegalStep):
            step(status, event)


def test_only_ends_take_wishes() -> None:
    """Contract §2.6: in progress neither update nor delete; failed, only delete."""
    for status in Status:
        assert ((status, Event.DELETE) in TABLE) == (status in ENDS)
        assert ((status, Event.UPDATE) in TABLE) == (status is Status.IN_SERVICE)
    assert set(Status) - ENDS == IN_PROGRESS


@given(st.lists(st.sampled_from(Event)))
def test_every_walk_stays_among_the_statuses_and_can_go_on(events: list[Event]) -> None:
    status = FIRST
    for event in events:
        if (status, event) in TABLE:
            status = step(status, event)
    assert status is Status.DELETING or any(known is status for known, _ in TABLE)
