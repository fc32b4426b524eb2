"""What S3 uploads bring with them: aws-chunked bodies and checksums."""

import base64
import hashlib
import zlib
from collections.abc import Callable

import crc32c
import pytest

from modeltap import errors
from modeltap.nouns import HttpRequest
from modeltap.wire import checksum, chunked
from modeltap.wire.chunked import AwsChunked

BODY = b"hello, world"
CRC32 = base64.b64encode(zlib.crc32(BODY).to_bytes(4, "big")).decode()


def whole(length: int, data: bytes, trailer: str | None = None) -> bytes:
    decoder = AwsChunked(length, trailer=trailer)
    body = b"".join(decoder.feed(data))
    decoder.finish()
    return body


def test_takes_a_body_without_trailers() -> None:
    assert whole(5, b"2\r\nhe\r\n3;ext\r\nllo\r\n0\r\n\r\n".replace(b";ext", b"")) == b"hello"


def test_gives_the_trailers() -> None:
    decoder = AwsChunked(12, trailer="x-amz-checksum-crc32")
    decoder.feed(b"C\r\nhello, world\r\n0\r\nX-Amz-Checksum-CRC32: " + CRC32.encode() + b"\r\n\r\n")
    decoder.finish()
    assert decoder.trailers == {"x-amz-checksum-crc32": CRC32}


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", errors.IncompleteBody),
        (b"5\r\nhello\r\n", errors.IncompleteBody),
        (b"5\r\nhello\r\n0\r\n", errors.IncompleteBody),
        (b"4\r\nhell\r\n0\r\n\r\n", errors.IncompleteBody),
        (b"6\r\nhello!\r\n0\r\n\r\n", errors.IncompleteBody),
        (b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", errors.IncompleteBody),
        (b"5\nhello\r\n0\r\n\r\n", errors.InvalidArgument),
        (b"\r\n", errors.InvalidArgument),
        (b"0x5\r\n", errors.InvalidArgument),
        (b"+5\r\n", errors.InvalidArgument),
        (b"-5\r\n", errors.InvalidArgument),
        (b"5\r\nhello!\r\n", errors.InvalidArgument),
        (b"5\r\nhello\r\n0\r\n\r\nmore", errors.InvalidArgument),
        (b"5\r\nhello\r\n0\r\nno colon\r\n\r\n", errors.InvalidArgument),
        (
            b"5\r\nhello\r\n0\r\n" + b"".join(b"%d:b\r\n" % n for n in range(9)),
            errors.InvalidArgument,
        ),
        (b"5\r\nhello\r\n0\r\na:b\r\nA:c\r\n\r\n", errors.InvalidArgument),
        (b"5" * 20, errors.IncompleteBody),
        (b"5" * 2_000, errors.InvalidArgument),
        (b"00000000000000000005\r\n", errors.InvalidArgument),
    ],
)
def test_refuses_what_is_no_such_body(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        whole(5, data)


@pytest.mark.parametrize("announced", [None, "x-amz-checksum-crc32"])
def test_refuses_a_trailer_that_was_not_announced(announced: str | None) -> None:
    """It would be kept, and told to readers, without ever having been checked."""
    trailers = f"x-amz-checksum-crc32:{CRC32}\r\n" if announced else ""
    body = f"c\r\nhello, world\r\n0\r\n{trailers}x-amz-checksum-sha256:AAAA\r\n\r\n"
    with pytest.raises(errors.InvalidArgument):
        whole(12, body.encode(), announced)


def test_refuses_a_missing_and_a_wrong_trailer() -> None:
    chunks = b"C\r\nhello, world\r\n0\r\n"
    with pytest.raises(errors.InvalidArgument):
        whole(12, chunks + b"\r\n", "x-amz-checksum-crc32")
    with pytest.raises(errors.BadDigest):
        whole(12, chunks + b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n", "x-amz-checksum-crc32")


# ---------------------------------------------------------------- from a request


def request(**headers: str) -> HttpRequest:
    named = tuple((name.replace("_", "-").encode(), v.encode()) for name, v in headers.items())
    return HttpRequest("PUT", b"/bucket/key", named)


def upload(**headers: str) -> HttpRequest:
    return request(x_amz_content_sha256="STREAMING-UNSIGNED-PAYLOAD-TRAILER", **headers)


def test_a_plain_body_needs_no_decoder() -> None:
    assert chunked.decoder(request()) is None
    assert chunked.decoder(request(x_amz_content_sha256="UNSIGNED-PAYLOAD")) is None


def test_the_decoder_follows_the_headers() -> None:
    decoder = chunked.decoder(
        upload(x_amz_decoded_content_length="12", x_amz_trailer="x-amz-checksum-crc32")
    )
    assert decoder is not None
    body = decoder.feed(b"c\r\nhello, world\r\n0\r\nx-amz-checksum-crc32:")
    assert b"".join(body) == BODY
    decoder.feed(CRC32.encode() + b"\r\n\r\n")
    decoder.finish()


@pytest.mark.parametrize("length", [{}, {"x_amz_decoded_content_length": "-1"}])
def test_the_decoded_length_must_be_given(length: dict[str, str]) -> None:
    with pytest.raises(errors.MissingContentLength):
        chunked.decoder(upload(**length))


def test_what_is_not_kept_is_refused_by_name() -> None:
    with pytest.raises(errors.NotImplementedByStore):
        chunked.decoder(request(x_amz_content_sha256="STREAMING-AWS4-HMAC-SHA256-PAYLOAD"))
    with pytest.raises(errors.NotImplementedByStore, match="CRC32C"):
        chunked.decoder(
            upload(x_amz_decoded_content_length="1", x_amz_trailer="x-amz-checksum-crc64nvme")
        )


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (None, None),
        ("aws-chunked", None),
        ("gzip", "gzip"),
        ("gzip,aws-chunked", "gzip"),
        ("aws-chunked, gzip", "gzip"),
    ],
)
def test_aws_chunked_is_not_stored(sent: str | None, stored: str | None) -> None:
    assert chunked.stored_encoding(sent) == stored


# ---------------------------------------------------------------- checksums


def crc32c_of(data: bytes) -> bytes:
    return crc32c.crc32c(data).to_bytes(4, "big")


DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    "x_amz_checksum_crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "x_amz_checksum_crc32c": crc32c_of,
    "x_amz_checksum_sha1": lambda data: hashlib.sha1(data).digest(),
    "x_amz_checksum_sha256": lambda data: hashlib.sha256(data).digest(),
    "content_md5": lambda data: hashlib.md5(data).digest(),
}


@pytest.mark.parametrize("name", DIGESTS)
def test_verifies_what_the_headers_announce(name: str) -> None:
    good = base64.b64encode(DIGESTS[name](BODY)).decode()
    verifier = checksum.Verifier(request(**{name: good}, x_amz_checksum_mode="ENABLED"))
    verifier.update(BODY[:5])
    verifier.update(BODY[5:])
    verifier.finish()
    other = checksum.Verifier(request(**{name: good}))
    other.update(BODY.upper())
    with pytest.raises(errors.BadDigest):
        other.finish()


@pytest.mark.parametrize("value", ["", "AAAA", "not base64!", "AAAAAAAA"])
def test_refuses_what_is_no_digest(value: str) -> None:
    with pytest.raises(errors.InvalidArgument):
        checksum.Verifier(request(x_amz_checksum_crc32=value))


def test_writes_checksums_as_s3_does() -> None:
    made = checksum.new("CRC32")
    made.update(BODY)
    assert checksum.text(made) == CRC32
    with pytest.raises(errors.NotImplementedByStore):
        checksum.new("CRC64NVME")
