"""The payload of an S3 request: taken out of its aws-chunks and held to its checksums."""

from collections.abc import AsyncIterator

from modeltap.errors import EntityTooLarge, MissingContentLength
from modeltap.nouns import Document, HttpRequest
from modeltap.wire import chunked
from modeltap.wire.checksum import HEADER_PREFIX, Verifier

LENGTH_DIGITS_MAX = 16
SETTINGS = frozenset({"ChecksumAlgorithm", "ChecksumMode", "ChecksumType"})


class Payload:
    """An async iterable of the decoded bytes, to be read once.

    It raises at its end if the bytes are not what the headers and the trailer announced; whoever
    reads it must not act on a byte before. `checksums` is complete after the end.
    """

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._decoder = chunked.decoder(request)
        self._verifier = Verifier(request)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert not isinstance(self._request.body, bytes)
        async for chunk in self._request.body:
            for piece in self._decoder.feed(chunk) if self._decoder else (chunk,):
                self._verifier.update(piece)
                yield piece
        if self._decoder:
            self._decoder.finish()
        self._verifier.finish()

    def require_length(self, bytes_max: int) -> None:
        """Refuse before a byte is read: no announced length, or one that is too large."""
        name = b"x-amz-decoded-content-length" if self._decoder else b"content-length"
        length = self._request.header(name) or b""
        if not length.isdigit() or len(length) > LENGTH_DIGITS_MAX:
            raise MissingContentLength("You must provide the Content-Length HTTP header.")
        if int(length) > bytes_max:
            raise EntityTooLarge("Your proposed upload exceeds the maximum allowed size")

    def checksums(self, params: Document) -> Document:
        """Give the checksums that were sent and found true, by the model's names."""
        trailers = self._decoder.trailers if self._decoder else {}
        return checksums_of(params) | {
            "Checksum" + name.removeprefix(HEADER_PREFIX).upper(): value
            for name, value in trailers.items()
            if name.startswith(HEADER_PREFIX)
        }


def checksums_of(document: Document) -> Document:
    """Pick the checksum members of a document."""
    return {
        name: value
        for name, value in document.items()
        if name.startswith("Checksum") and name not in SETTINGS
    }
