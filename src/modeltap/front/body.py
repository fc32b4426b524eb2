"""Request bodies: read once, bounded, and held to the hash that was signed."""

import asyncio
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any, Protocol, runtime_checkable

from modeltap.auth.sigv4 import PayloadHash
from modeltap.errors import (
    IncompleteBody,
    PayloadTooLarge,
    RequestTimeout,
    SerializationException,
)
from modeltap.nouns import HttpRequest

GZIP = 31  # zlib's number for a window of 32 KiB in gzip's envelope
SILENCE_SECONDS_MAX = 60.0  # within a body: a client that is gone without a sign holds nothing


@runtime_checkable
class Closable(Protocol):
    """A body that holds something open until it is closed."""

    async def aclose(self) -> None: ...


class Inbox:
    """The body of one request as ASGI hands it over: an async iterable, to be read once.

    The first read asks a waiting client for the body (`100 Continue`).
    """

    def __init__(
        self,
        receive: Any,
        headers: Iterable[tuple[bytes, bytes]],
        *,
        silence_seconds_max: float = SILENCE_SECONDS_MAX,
    ) -> None:
        fields = dict(headers)
        announced = fields.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in fields
        self._receive = receive
        self._awaits_continue = fields.get(b"expect", b"").lower() == b"100-continue"
        self._ended = not announced
        self._broken = False
        self._silence_seconds_max = silence_seconds_max

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while not self._ended:
            self._awaits_continue = False
            message = await self._next()
            if message["type"] == "http.disconnect":
                self._broken = True
                raise IncompleteBody("The client went away before the end of the body.")
            self._ended = not message.get("more_body", False)
            if chunk := message.get("body", b""):
                yield chunk

    async def _next(self) -> Any:
        try:
            async with asyncio.timeout(self._silence_seconds_max):
                return await self._receive()
        except TimeoutError:
            self._broken = True
            raise RequestTimeout(
                "Your socket connection to the server was not read from or written to "
                "within the timeout period."
            ) from None

    async def settle(self, bytes_max: int) -> bool:
        """Read on to the body's end and tell whether it was reached: may the connection stay?"""
        if self._awaits_continue or self._broken:
            return self._ended
        try:
            async for chunk in self:
                bytes_max -= len(chunk)
                if bytes_max < 0:
                    return False
        except (IncompleteBody, RequestTimeout):
            return False
        return True


async def held_to_hash(request: HttpRequest) -> AsyncIterator[bytes]:
    """Pass a streamed body on; raise `PayloadHashMismatch` at its end if it is not what was signed.

    Whoever reads it must not act on a byte before the end.
    """
    assert not isinstance(request.body, bytes)
    check = PayloadHash(request)
    async for chunk in request.body:
        check.update(chunk)
        yield chunk
    check.finish()


async def whole(body: bytes | AsyncIterable[bytes], bytes_max: int) -> bytes:
    """Gather a body. Raise `PayloadTooLarge` beyond `bytes_max`."""
    if isinstance(body, bytes):
        return body
    gathered = bytearray()
    async for chunk in body:
        gathered += chunk
        if len(gathered) > bytes_max:
            raise PayloadTooLarge(f"The body is larger than {bytes_max} bytes.")
    return bytes(gathered)


def unpacked(request: HttpRequest, body: bytes, bytes_max: int) -> bytes:
    """Undo the `gzip` that botocore puts around large bodies of some operations (PutMetricData).

    Raise `PayloadTooLarge` beyond `bytes_max`, `SerializationException` where it is no gzip.
    """
    if (request.header(b"content-encoding") or b"").lower() != b"gzip":
        return body
    try:
        inflate = zlib.decompressobj(GZIP)
        plain = inflate.decompress(body, bytes_max + 1)
    except zlib.error:
        raise SerializationException("The body is not gzip, as its encoding says.") from None
    if len(plain) > bytes_max:
        raise PayloadTooLarge(f"The body is larger than {bytes_max} bytes.")
    if not inflate.eof:
        raise SerializationException("The body's gzip has no end.")
    return plain
