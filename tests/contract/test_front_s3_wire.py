"""What an S3 client may do on the socket: wait for 100, send less, send other, send too much."""

import base64
import hashlib
import socket
import ssl
import zlib
from collections.abc import Iterator, Mapping

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from store_process import Store, running

BUCKET = "wire-bucket"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with running(tmp_path_factory.mktemp("home")) as store:
        store.client().create_bucket(Bucket=BUCKET)
        yield store


class Signer(S3SigV4Auth):  # type: ignore[misc]
    """botocore's signer, for a payload line of our choice."""

    def payload(self, request: AWSRequest) -> str:
        return str(request.context["payload"])


def signed(
    store: Store,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    host: str = "127.0.0.1",
    payload: str = "",
    headers: Mapping[str, str | None] | None = None,
) -> bytes:
    """Give the head of a request that botocore signed, for a body or a `payload` line."""
    plain = {"Host": host, "Content-Length": str(len(body))} | dict(headers or {})
    given = {name: value for name, value in plain.items() if value is not None}
    request = AWSRequest(method, f"http://{host}{path}", given, body)
    request.context["payload"] = payload or hashlib.sha256(body).hexdigest()
    Signer(Credentials(store.key_id, store.secret), "s3", "us-east-1").add_auth(request)
    lines = [f"{method} {path} HTTP/1.1", *(f"{n}: {v}" for n, v in request.headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


class Wire:
    """One connection, spoken by hand."""

    def __init__(self, port: int, context: ssl.SSLContext | None = None) -> None:
        plain = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket = context.wrap_socket(plain, server_hostname="127.0.0.1") if context else plain
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def end(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Read one answer: status, headers, body."""
        status = int(self._file.readline().split()[1])
        headers = {}
        while line := self._file.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        return status, headers, self._file.read(int(headers.get("content-length", "0")))

    def is_closed(self) -> bool:
        return self._file.read(1) == b""


def stored(store: Store, key: str) -> bool:
    return "Contents" in store.client().list_objects(Bucket=BUCKET, Prefix=key)


def test_100_continue_is_answered_once_the_signature_was_checked(served: Store) -> None:
    head = signed(served, "PUT", f"/{BUCKET}/k", b"hello", headers={"Expect": "100-continue"})
    with Wire(served.http) as wire:
        wire.send(head)
        assert wire.answer()[0] == 100
        wire.send(b"hello")
        assert wire.answer()[0] == 200
        wire.send(signed(served, "GET", f"/{BUCKET}/k"))  # the connection goes on
        assert wire.answer()[2] == b"hello"


def test_who_may_not_send_is_told_so_instead_of_100(served: Store) -> None:
    head = signed(served, "PUT", f"/{BUCKET}/k2", b"hello", headers={"Expect": "100-continue"})
    for bad in (head.replace(b"/k2 HTTP", b"/k3 HTTP"), head.replace(b"Authorization", b"X-Other")):
        with Wire(served.http) as wire:
            wire.send(bad)
            status, headers, body = wire.answer()
            assert (status, headers["connection"]) == (403, "close")
            assert b"<Code>SignatureDoesNotMatch<" in body or b"<Code>AccessDenied<" in body
            assert wire.is_closed()


def test_a_missing_bucket_is_told_before_the_body(served: Store) -> None:
    head = signed(served, "PUT", "/no-such-bucket/k", b"x", headers={"Expect": "100-continue"})
    with Wire(served.http) as wire:
        wire.send(head)
        status, headers, body = wire.answer()
        assert (status, headers["connection"]) == (404, "close")
        assert b"<Code>NoSuchBucket</Code>" in body


def test_who_sends_unasked_hears_the_answer_and_may_stay(served: Store) -> None:
    body = b"x" * 1_000_000
    with Wire(served.http) as wire:
        wire.send(signed(served, "PUT", "/no-such-bucket/k", body) + body)
        assert wire.answer()[0] == 404
        wire.send(signed(served, "GET", "/"))
        assert wire.answer()[0] == 200


def test_another_body_than_the_signed_one_is_not_stored(served: Store) -> None:
    for sent in (b"hellO", b"HELLO"):
        with Wire(served.http) as wire:
            wire.send(signed(served, "PUT", f"/{BUCKET}/tampered", b"hello") + sent)
            status, _, body = wire.answer()
            assert status == 400 and b"<Code>XAmzContentSHA256Mismatch</Code>" in body
    assert not stored(served, "tampered")


def test_a_body_cut_short_is_not_stored(served: Store) -> None:
    with Wire(served.http) as wire:
        wire.send(signed(served, "PUT", f"/{BUCKET}/short", b"hello") + b"hel")
        wire.end()
        assert wire.is_closed()
    assert not stored(served, "short")


def test_a_body_without_a_length_is_refused(served: Store) -> None:
    headers = {"Content-Length": None, "Transfer-Encoding": "chunked"}
    head = signed(served, "PUT", f"/{BUCKET}/k", b"hello", headers=headers)
    with Wire(served.http) as wire:
        wire.send(head + b"5\r\nhello\r\n0\r\n\r\n")
        status, _, body = wire.answer()
        assert status == 411 and b"<Code>MissingContentLength</Code>" in body


def test_an_announced_giant_is_refused_before_its_first_byte(served: Store) -> None:
    headers = {"Content-Length": str(1024**4), "Expect": "100-continue"}
    head = signed(served, "PUT", f"/{BUCKET}/k", b"hello", headers=headers)
    with Wire(served.http) as wire:
        wire.send(head)
        status, _, body = wire.answer()
        assert status == 400 and b"<Code>EntityTooLarge</Code>" in body


def test_numbers_beyond_all_measure_are_no_fault_of_ours(served: Store) -> None:
    digits = "9" * 5000  # more than Python reads
    with Wire(served.http) as wire:
        given = {"X-Amz-Decoded-Content-Length": digits}  # says nothing of a body in one piece
        wire.send(signed(served, "PUT", f"/{BUCKET}/digits", b"hello", headers=given) + b"hello")
        assert wire.answer()[0] == 200
        wire.send(
            signed(served, "GET", f"/{BUCKET}/digits", headers={"Range": f"bytes=0-{digits}"})
        )
        assert wire.answer()[::2] == (200, b"hello")


def test_a_document_beyond_its_bound_is_refused(served: Store) -> None:
    body = b" " * (4 * 1024 * 1024 + 1)
    with Wire(served.http) as wire:
        wire.send(signed(served, "POST", f"/{BUCKET}?delete", body) + body)
        assert wire.answer()[0] in (400, 413)


def test_a_wrong_trailer_over_tls_is_refused(served: Store) -> None:
    context = ssl.create_default_context(cafile=served.bundle)
    unsigned = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    good = base64.b64encode(zlib.crc32(b"hello").to_bytes(4, "big"))
    for trailer, status in ((good, 200), (b"AAAAAA==", 400)):
        headers = {
            "Content-Encoding": "aws-chunked",
            "X-Amz-Decoded-Content-Length": "5",
            "X-Amz-Trailer": "x-amz-checksum-crc32",
        }
        chunks = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:" + trailer + b"\r\n\r\n"
        head = signed(
            served, "PUT", f"/{BUCKET}/trailer", chunks, payload=unsigned, headers=headers
        )
        with Wire(served.https, context) as wire:
            wire.send(head + chunks)
            assert wire.answer()[0] == status
        with Wire(served.http) as wire:  # not in the clear: nothing would hold the body
            wire.send(head + chunks)
            assert wire.answer()[0] == 403


@pytest.mark.parametrize(
    "host",
    [
        f"{BUCKET}.s3.amazonaws.com",
        f"{BUCKET}.s3.us-east-1.amazonaws.com",
        f"{BUCKET}.s3-us-east-1.amazonaws.com",
    ],
)
def test_virtual_host_style_is_read(served: Store, host: str) -> None:
    with Wire(served.http) as wire:
        wire.send(signed(served, "PUT", "/a/virtual%20key", b"v", host=host) + b"v")
        assert wire.answer()[0] == 200
        wire.send(signed(served, "GET", "/?list-type=2&prefix=a%2Fv", host=host))
        assert b"<Key>a/virtual key</Key>" in wire.answer()[2]
    got = served.client().get_object(Bucket=BUCKET, Key="a/virtual key")
    assert got["Body"].read() == b"v"


def test_a_range_of_a_replaced_object_is_of_one_version(served: Store) -> None:
    """A reader that lags behind a replacement still gets the bytes that its headers announced."""
    size = 30_000_000
    served.client().put_object(Bucket=BUCKET, Key="replaced", Body=b"1" * size)
    with Wire(served.http) as wire:
        wire.send(signed(served, "GET", f"/{BUCKET}/replaced"))
        served.client().put_object(Bucket=BUCKET, Key="replaced", Body=b"2" * 10)
        status, headers, body = wire.answer()
    assert status == 200 and len(body) == int(headers["content-length"])
    assert len(set(body)) == 1
