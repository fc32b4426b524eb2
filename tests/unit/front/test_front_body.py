"""The body of a request that does not come: how long it is waited for, and what is done then."""

import asyncio
from typing import Any

import pytest

from modeltap.errors import IncompleteBody, RequestTimeout
from modeltap.front.body import Inbox

ANNOUNCED = [(b"content-length", b"10")]


def test_a_silent_client_is_given_up_and_its_connection_closed() -> None:
    asked = 0

    async def receive() -> Any:
        nonlocal asked
        asked += 1
        await asyncio.Event().wait()

    async def read() -> bool:
        inbox = Inbox(receive, ANNOUNCED, silence_seconds_max=0.0)
        with pytest.raises(RequestTimeout):
            async for _ in inbox:
                pass
        return await inbox.settle(100)

    assert asyncio.run(read()) is False
    assert asked == 1  # nobody waits a second time


def test_a_client_that_left_is_not_read_on() -> None:
    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def read() -> bool:
        inbox = Inbox(receive, ANNOUNCED)
        with pytest.raises(IncompleteBody):
            async for _ in inbox:
                pass
        return await inbox.settle(100)

    assert asyncio.run(read()) is False


def test_the_rest_of_an_answered_body_is_waited_for_no_longer() -> None:
    async def receive() -> Any:
        await asyncio.Event().wait()

    inbox = Inbox(receive, ANNOUNCED, silence_seconds_max=0.0)
    assert asyncio.run(inbox.settle(100)) is False
