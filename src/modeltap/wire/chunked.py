r"""The aws-chunked body of S3 uploads, taken apart as it streams.

    5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n

This is what boto3 sends over https (`STREAMING-UNSIGNED-PAYLOAD-TRAILER`): lines and data in turn,
a chunk of size 0, trailers, an empty line. Limits: `LINE_BYTES_MAX` a line, the trailer
that is announced and no other, a chunk no larger than what is still announced. Data come out as
they come in; they are good only when `finish` has returned. Bodies with signed chunks are not taken
yet.
"""

from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import ClassVar

from modeltap.errors import (
    BadDigest,
    IncompleteBody,
    InvalidArgument,
    MissingContentLength,
    NotImplementedByStore,
)
from modeltap.nouns import HttpRequest
from modeltap.wire import checksum

LINE_BYTES_MAX = 1_024
UNSIGNED_TRAILER = b"STREAMING-UNSIGNED-PAYLOAD-TRAILER"

_HEX = frozenset(b"0123456789abcdefABCDEF")


class _State(Enum):
    SIZE = auto()
    DATA = auto()
    GAP = auto()  # the line end behind a chunk's data
    TRAILER = auto()
    DONE = auto()


class AwsChunked:
    """One body's decoder: `feed` until the end of the HTTP body, then `finish`.

    `trailers` holds what followed the last chunk, lower-case name → value: what was announced, for
    nothing else is checked.
    """

    def __init__(self, decoded_length: int, *, trailer: str | None = None) -> None:
        """Take the announced length in bytes, and the announced trailer's name if there is one.

        Raise `NotImplementedByStore` where the trailer is of an algorithm that is not kept here.
        """
        self.trailers: dict[str, str] = {}
        self._left = decoded_length
        self._trailer = trailer
        self._checksum = _checksum_of(trailer)
        self._line = bytearray()
        self._chunk_left = 0
        self._state = _State.SIZE

    def feed(self, data: bytes) -> list[bytes]:
        """Give the decoded pieces of some more bytes.

        Raise `IncompleteBody` or `InvalidArgument` as soon as they cannot be part of such a body.
        """
        return list(self._pieces(data))

    def finish(self) -> None:
        """Judge the whole.

        Raise `IncompleteBody` where the last chunk or bytes are missing, `InvalidArgument` where
        the announced trailer is, and `BadDigest` where its checksum is not the body's.
        """
        if self._state is not _State.DONE or self._left:
            raise IncompleteBody("The request body terminated unexpectedly")
        if self._trailer is None:
            return
        value = self.trailers.get(self._trailer)
        if value is None:
            raise InvalidArgument("The trailer that x-amz-trailer announces is missing.")
        if self._checksum is not None and value != checksum.text(self._checksum):
            raise BadDigest("The checksum you specified did not match the calculated checksum.")

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(data):
            if self._state is _State.DATA:
                piece = data[at : at + self._chunk_left]
                at += len(piece)
                self._count(piece)
                yield piece
            else:
                at = self._read_line(data, at)

    def _count(self, piece: bytes) -> None:
        self._left -= len(piece)
        self._chunk_left -= len(piece)
        if self._checksum is not None:
            self._checksum.update(piece)
        if not self._chunk_left:
            self._state = _State.GAP

    def _read_line(self, data: bytes, at: int) -> int:
        """Gather a line and act on it once it is whole; give the place behind it."""
        end = data.find(b"\n", at) + 1
        self._line += data[at : end or len(data)]
        if len(self._line) > LINE_BYTES_MAX or self._state is _State.DONE:
            raise _malformed()
        if not end:
            return len(data)
        line = bytes(self._line)
        self._line.clear()
        if not line.endswith(b"\r\n"):
            raise _malformed()
        self._ON_LINE[self._state](self, line[:-2])
        return end

    def _on_size(self, line: bytes) -> None:
        if not line or len(line) > 16 or not _HEX.issuperset(line):
            raise _malformed()
        self._chunk_left = int(line, 16)
        if self._chunk_left > self._left:
            raise IncompleteBody("The body is longer than x-amz-decoded-content-length announces.")
        self._state = _State.DATA if self._chunk_left else _State.TRAILER

    def _on_gap(self, line: bytes) -> None:
        if line:
            raise _malformed()
        self._state = _State.SIZE

    def _on_trailer(self, line: bytes) -> None:
        if not line:
            self._state = _State.DONE
            return
        name, colon, value = line.decode("latin-1").partition(":")
        name = name.strip().lower()
        if not colon or name != self._trailer or name in self.trailers:
            raise _malformed()
        self.trailers[name] = value.strip()

    _ON_LINE: ClassVar[dict[_State, Callable[["AwsChunked", bytes], None]]] = {
        _State.SIZE: _on_size,
        _State.GAP: _on_gap,
        _State.TRAILER: _on_trailer,
    }


def decoder(request: HttpRequest) -> AwsChunked | None:
    """Give the decoder of a request's body, or None where it is not aws-chunked.

    Raise `MissingContentLength` without a readable `x-amz-decoded-content-length`, and
    `NotImplementedByStore` for signed chunks.
    """
    payload = request.header(b"x-amz-content-sha256") or b""
    if not payload.startswith(b"STREAMING-"):
        return None
    if payload != UNSIGNED_TRAILER:
        raise NotImplementedByStore("Signed chunks are not implemented; unsigned trailers are.")
    length = request.header(b"x-amz-decoded-content-length") or b""
    if not length.isdigit() or len(length) > 16:
        raise MissingContentLength("You must provide the x-amz-decoded-content-length header.")
    trailer = request.header(b"x-amz-trailer")
    return AwsChunked(int(length), trailer=trailer.decode("latin-1").lower() if trailer else None)


def stored_encoding(content_encoding: str | None) -> str | None:
    """Give a `Content-Encoding` without `aws-chunked`, which is of the transport and not stored."""
    parts = [part.strip() for part in (content_encoding or "").split(",")]
    return ",".join(part for part in parts if part and part != "aws-chunked") or None


def _checksum_of(trailer: str | None) -> checksum.Checksum | None:
    if trailer is None or not trailer.startswith(checksum.HEADER_PREFIX):
        return None
    return checksum.new(trailer.removeprefix(checksum.HEADER_PREFIX))


def _malformed() -> InvalidArgument:
    return InvalidArgument("The aws-chunked body is malformed.")
