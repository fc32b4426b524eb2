"""A body on its way from a socket to whoever reads it.

Constraints: at most `HELD_BYTES_MAX` wait here before reading from the client is paused (one read
of the socket may go beyond). Chunks are handed on as they came, never joined on the way. The first
read answers `Expect: 100-continue`, so that the answer comes from whoever wants the body.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from modeltap.errors import PayloadTooLarge
from modeltap.nouns import HttpRequest

HELD_BYTES_MAX = 64 * 1024


class Body:
    """An async iterator of chunks, fed by the connection and read by one task.

    `flow` is told whenever room was made or taken; `proceed` sends the interim answer, if one is
    expected.
    """

    def __init__(self, flow: Callable[[], None], proceed: Callable[[], None] | None) -> None:
        self.complete = False
        self._flow = flow
        self._proceed = proceed
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def is_awaited(self) -> bool:
        """Tell whether the client still waits to be asked for the body (`100-continue`)."""
        return self._proceed is not None and not self._chunks and not self.complete

    @property
    def is_full(self) -> bool:
        return self._held > HELD_BYTES_MAX

    def feed(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._held += len(chunk)
        self._wake()
        self._flow()

    def end(self) -> None:
        self.complete = True
        self._wake()

    def fail(self, error: Exception) -> None:
        """The rest will not come: the reader gets this error after what has arrived."""
        self._error = error
        self._wake()

    def __aiter__(self) -> "Body":
        return self

    async def __anext__(self) -> bytes:
        """Give the next chunk. Raise what `fail` was given where the rest will not come."""
        if self._proceed is not None:
            self._proceed()
            self._proceed = None
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self.complete:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        chunk = self._chunks.popleft()
        self._held -= len(chunk)
        self._flow()
        return chunk

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def read_whole(request: HttpRequest, bytes_max: int) -> bytes:
    """Give a request's whole body. Raise `PayloadTooLarge`, unread where its length is told."""
    if isinstance(request.body, bytes):
        _bound(len(request.body), bytes_max)
        return request.body
    _bound(int(request.header(b"content-length") or b"0"), bytes_max)
    chunks: list[bytes] = []
    held = 0
    async for chunk in request.body:
        held += len(chunk)
        _bound(held, bytes_max)
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def too_large(bytes_max: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is longer than {bytes_max} bytes.")


def _bound(count: int, bytes_max: int) -> None:
    if count > bytes_max:
        raise too_large(bytes_max)
