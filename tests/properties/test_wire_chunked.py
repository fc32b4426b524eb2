"""aws-chunked: whatever way the bytes arrive, the same body comes out."""

import base64
import io
import zlib
from itertools import pairwise

import pytest
from botocore.httpchecksum import AwsChunkedWrapper, Crc32Checksum
from hypothesis import given, settings
from hypothesis import strategies as st

from modeltap import errors
from modeltap.wire.chunked import AwsChunked

TRAILER = "x-amz-checksum-crc32"


def written_by_botocore(body: bytes, chunk_size: int) -> bytes:
    wrapper = AwsChunkedWrapper(
        io.BytesIO(body), checksum_cls=Crc32Checksum, checksum_name=TRAILER, chunk_size=chunk_size
    )
    return b"".join(iter(wrapper.read, b""))


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def decoded(data: bytes, cuts: list[int], length: int) -> bytes:
    decoder = AwsChunked(length, trailer=TRAILER)
    body = b"".join(part for piece in pieces(data, cuts) for part in decoder.feed(piece))
    decoder.finish()
    return body


bodies = st.binary(max_size=300)
sizes = st.integers(1, 64)
cuts = st.lists(st.integers(0, 2_000), max_size=12)


@settings(max_examples=300, deadline=None)
@given(bodies, sizes, cuts)
def test_reads_what_botocore_writes_however_it_is_cut(
    body: bytes, size: int, cuts: list[int]
) -> None:
    assert decoded(written_by_botocore(body, size), cuts, len(body)) == body


@settings(max_examples=300, deadline=None)
@given(bodies, sizes, cuts, st.integers(0, 2_000))
def test_refuses_every_truncation(body: bytes, size: int, cuts: list[int], end: int) -> None:
    data = written_by_botocore(body, size)
    with pytest.raises(errors.StoreError):
        decoded(data[: end % len(data)], cuts, len(body))


@settings(max_examples=500, deadline=None)
@given(st.binary(min_size=1, max_size=300), sizes, st.integers(0, 2_000), st.integers(1, 255))
def test_never_gives_another_body_as_good(body: bytes, size: int, at: int, flip: int) -> None:
    data = bytearray(written_by_botocore(body, size))
    data[at % len(data)] ^= flip
    try:
        read = decoded(bytes(data), [], len(body))
    except errors.StoreError:
        return
    checksum = base64.b64encode(zlib.crc32(read).to_bytes(4, "big"))
    assert read == body
    assert checksum in data
