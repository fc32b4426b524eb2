"""The rules of `auth.sigv4`, each by a request that breaks it. botocore signs."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from modeltap import errors
from modeltap.auth import sigv4
from modeltap.nouns import HttpRequest

KEY_ID, SECRET = "AKIAEXAMPLEEXAMPLE22", "s" * 40
SIGNERS = {"s3": S3SigV4Auth}


def signed(
    method: str = "POST",
    url: str = "http://127.0.0.1:8080/endpoints/churn/invocations",
    *,
    body: bytes = b"1,2,3",
    headers: dict[str, str] | None = None,
    service: str = "sagemaker",
    region: str = "us-east-1",
    token: str | None = None,
) -> HttpRequest:
    request = AWSRequest(method, url, data=body, headers=headers or {"Content-Type": "text/csv"})
    signer = SIGNERS.get(service, SigV4Auth)
    signer(Credentials(KEY_ID, SECRET, token), service, region).add_auth(request)
    parts = urlsplit(url)
    return HttpRequest(
        method=method,
        target=(parts.path + (f"?{parts.query}" if parts.query else "")).encode(),
        headers=(
            (b"host", parts.netloc.encode()),
            *((name.lower().encode(), value.encode()) for name, value in request.headers.items()),
        ),
        body=body,
    )


def moment(request: HttpRequest) -> datetime:
    """Give the time at which a request was signed, so that no test reads a clock."""
    text = (request.header(b"x-amz-date") or b"").decode()
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def verify(
    request: HttpRequest,
    *,
    now: datetime | None = None,
    secrets: dict[str, bytes] | None = None,
    services: Iterable[str] = ("sagemaker", "s3", "sts", "iam"),
    region: str = "us-east-1",
    streamed: bool = False,
) -> str:
    assert isinstance(request.body, bytes)
    known = {KEY_ID: SECRET.encode()} if secrets is None else secrets
    return sigv4.Verifier(known.get, region).verify(
        request,
        frozenset(services),
        int((now or moment(request)).timestamp()) * 1_000_000_000,
        None if streamed else hashlib.sha256(request.body).hexdigest().encode(),
    )


def with_header(request: HttpRequest, name: bytes, value: bytes) -> HttpRequest:
    """Give the request with one header in the place of all of its name."""
    rest = tuple(pair for pair in request.headers if pair[0] != name)
    return replace(request, headers=(*rest, (name, value)))


def with_more(request: HttpRequest, *headers: tuple[bytes, bytes]) -> HttpRequest:
    return replace(request, headers=(*request.headers, *headers))


def without(request: HttpRequest, name: bytes) -> HttpRequest:
    return replace(request, headers=tuple(pair for pair in request.headers if pair[0] != name))


def reclaimed(request: HttpRequest, old: bytes, new: bytes) -> HttpRequest:
    """Give the request with its Authorization header changed."""
    value = request.header(b"authorization") or b""
    assert old in value
    return with_header(request, b"authorization", value.replace(old, new))


def s3_put(sent_hash: str | None = None, *, secure: bool = False) -> HttpRequest:
    headers = {"X-Amz-Content-SHA256": sent_hash} if sent_hash else {}
    request = AWSRequest("PUT", "http://127.0.0.1:8080/bucket/key", data=b"data", headers=headers)
    signer = _NamedPayload if sent_hash else S3SigV4Auth
    signer(Credentials(KEY_ID, SECRET), "s3", "us-east-1").add_auth(request)
    headers_sent = [(n.lower().encode(), v.encode()) for n, v in request.headers.items()]
    return HttpRequest(
        "PUT",
        b"/bucket/key",
        ((b"host", b"127.0.0.1:8080"), *headers_sent),
        b"data",
        secure=secure,
    )


class _NamedPayload(S3SigV4Auth):  # type: ignore[misc]  # botocore has no types
    """botocore's S3 signer, for a payload line that the test names."""

    def _modify_request_before_signing(self, request: AWSRequest) -> None:
        sent = request.headers["X-Amz-Content-SHA256"]
        super()._modify_request_before_signing(request)
        request.headers.replace_header("X-Amz-Content-SHA256", sent)

    def payload(self, request: AWSRequest) -> str:
        return str(request.headers["X-Amz-Content-SHA256"])


# ---------------------------------------------------------------- what is good


def test_gives_the_key_id_of_a_good_signature() -> None:
    assert verify(signed()) == KEY_ID


def test_takes_a_json_call() -> None:
    target = {"X-Amz-Target": "SageMaker.ListModels", "Content-Type": "application/x-amz-json-1.1"}
    assert verify(signed(url="http://localhost:8080/", headers=target, body=b"{}")) == KEY_ID


@pytest.mark.parametrize("key", ["a%20b", "a//b/./c", "a%2Bb%C3%A9", "..", "a%25b", "%00"])
def test_takes_any_key_of_s3(key: str) -> None:
    request = signed("GET", f"http://localhost:8080/bucket/{key}", body=b"", service="s3")
    assert verify(request) == KEY_ID


def test_takes_a_plus_in_a_query_for_a_space() -> None:
    request = signed("GET", "http://localhost/b?prefix=a%20b", body=b"", service="s3")
    assert verify(replace(request, target=b"/b?prefix=a+b")) == KEY_ID
    with pytest.raises(errors.SignatureDoesNotMatch):
        verify(replace(request, target=b"/b?prefix=a%2Bb"))


@pytest.mark.parametrize("service", ["sts", "iam"])
def test_takes_the_region_of_the_global_services(service: str) -> None:
    request = signed(service=service, url="http://localhost/", region="us-east-1")
    assert verify(request, region="eu-west-1") == KEY_ID


def test_scope_reads_the_claim() -> None:
    claim = sigv4.scope(signed(region="eu-west-1"))
    assert (claim.access_key_id, claim.region, claim.service) == (KEY_ID, "eu-west-1", "sagemaker")
    assert claim.names == (b"content-type", b"host", b"x-amz-date")


# ---------------------------------------------------------------- rule 2: the target


@pytest.mark.parametrize(
    "target",
    [
        b"",
        b"endpoints/churn/invocations",
        b"http://localhost/",
        b"/endpoints/churn invocations",
        b"/endpoints/churn\tx",
        b"/endpoints/\xc3\xa9/invocations",
        b"/endpoints/churn/invocations#x",
        b"/endpoints/churn%/invocations",
        b"/endpoints/churn%zz/invocations",
        b"/endpoints//churn/invocations",
        b"/endpoints/./churn/invocations",
        b"/endpoints/../churn/invocations",
        b"/endpoints/%2e%2e/churn/invocations",
        b"/endpoints/churn%2Finvocations",
        b"/endpoints/churn%5cinvocations",
        b"/endpoints/churn%00/invocations",
        b"/endpoints/churn/..",
    ],
)
def test_rule_2_refuses_a_target_with_a_second_reading(target: bytes) -> None:
    with pytest.raises(errors.SerializationException):
        verify(replace(signed(), target=target))


# ---------------------------------------------------------------- rule 4: exactly one


@pytest.mark.parametrize("name", [b"authorization", b"x-amz-date", b"host"])
def test_rule_4_refuses_a_second_one(name: bytes) -> None:
    request = signed()
    with pytest.raises(errors.IncompleteSignature):
        verify(with_more(request, (name, request.header(name) or b"")))


@pytest.mark.parametrize("name", [b"x-amz-date", b"host"])
def test_rule_4_refuses_none(name: bytes) -> None:
    request = signed()
    with pytest.raises(errors.IncompleteSignature):
        verify(without(request, name), now=moment(request))


def test_rule_4_asks_for_a_signature() -> None:
    with pytest.raises(errors.MissingAuthenticationToken):
        verify(without(signed(), b"authorization"))


def test_rule_4_refuses_a_signature_in_the_query() -> None:
    request = AWSRequest("GET", "http://localhost/bucket/key")
    S3SigV4QueryAuth(Credentials(KEY_ID, SECRET), "s3", "us-east-1").add_auth(request)
    query = urlsplit(request.url).query.encode()
    presigned = HttpRequest("GET", b"/bucket/key?" + query, ((b"host", b"localhost"),))
    with pytest.raises(errors.AccessDenied, match="query string"):
        verify(presigned, now=datetime(2026, 1, 1, tzinfo=UTC))
    both = signed()
    with pytest.raises(errors.AccessDenied, match="query string"):
        verify(replace(both, target=both.target + b"?" + query))


@pytest.mark.parametrize("query", [b"AWSAccessKeyId=a&Signature=b&Expires=1", b"x-amz-algorithm=a"])
def test_rule_4_refuses_older_and_oddly_spelled_ones(query: bytes) -> None:
    with pytest.raises(errors.AccessDenied):
        verify(replace(without(signed(), b"authorization"), target=b"/b/k?" + query))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"AWS4-HMAC-SHA256", b"AWS4-HMAC-SHA1"),
        (b"AWS4-HMAC-SHA256 ", b"Basic "),
        (b"aws4_request", b"aws3_request"),
        (b"/us-east-1/", b"//"),
        (b"/us-east-1/", b"/"),
        (b"Signature=", b"Signature=0"),
        (b"Signature=", b"signature="),
        (b", SignedHeaders=", b", SignedHeaders=a, SignedHeaders="),
        (b"Credential=", b""),
    ],
)
def test_rule_4_refuses_a_malformed_header(old: bytes, new: bytes) -> None:
    with pytest.raises(errors.IncompleteSignature):
        verify(reclaimed(signed(), old, new))


# ---------------------------------------------------------------- rule 5: signed headers


@pytest.mark.parametrize(
    "names",
    [b"host;content-type;x-amz-date", b"content-type;host;host;x-amz-date", b"content-type;Host"],
)
def test_rule_5_refuses_unordered_repeated_and_upper_case_names(names: bytes) -> None:
    with pytest.raises(errors.IncompleteSignature):
        verify(reclaimed(signed(), b"content-type;host;x-amz-date", names))


def test_rule_5_asks_for_the_host() -> None:
    with pytest.raises(errors.IncompleteSignature):
        verify(reclaimed(signed(), b"content-type;host;", b"content-type;"))


@pytest.mark.parametrize(
    "header", [(b"x-amz-target", b"SageMaker.DeleteModel"), (b"x-amz-meta-a", b"b")]
)
def test_rule_5_refuses_an_amz_header_that_came_later(header: tuple[bytes, bytes]) -> None:
    with pytest.raises(errors.AccessDenied, match="not signed"):
        verify(with_more(signed(), header))


def test_rule_5_asks_for_the_content_type_outside_s3() -> None:
    with pytest.raises(errors.AccessDenied, match="not signed"):
        verify(with_more(signed(headers={"X-Amz-A": "b"}), (b"content-type", b"text/csv")))
    later = with_more(signed("PUT", "http://h/b/k", service="s3", headers={"X-Amz-A": "b"}))
    assert verify(with_more(later, (b"content-type", b"text/csv"))) == KEY_ID


def test_rule_5_misses_a_signed_header() -> None:
    with pytest.raises(errors.SignatureDoesNotMatch):
        verify(without(signed(), b"content-type"))


# ---------------------------------------------------------------- rules 6 and 7: scope and time


def test_rule_6_refuses_another_region_service_and_date() -> None:
    with pytest.raises(errors.SignatureDoesNotMatch, match="region"):
        verify(signed(region="eu-west-1"))
    with pytest.raises(errors.SignatureDoesNotMatch, match="service"):
        verify(signed(), services=["s3"])
    request = signed()
    date = moment(request)
    yesterday = (date - timedelta(days=1)).strftime("/%Y%m%d/").encode()
    with pytest.raises(errors.SignatureDoesNotMatch, match="Date"):
        verify(reclaimed(request, date.strftime("/%Y%m%d/").encode(), yesterday))


@pytest.mark.parametrize("seconds", [-900, 900])
def test_rule_7_takes_a_clock_that_is_a_little_off(seconds: int) -> None:
    request = signed()
    assert verify(request, now=moment(request) + timedelta(seconds=seconds)) == KEY_ID


@pytest.mark.parametrize("seconds", [-901, 901, 86_400])
def test_rule_7_refuses_a_clock_that_is_far_off(seconds: int) -> None:
    request = signed()
    with pytest.raises(errors.RequestTimeTooSkewed):
        verify(request, now=moment(request) + timedelta(seconds=seconds))


@pytest.mark.parametrize("date", [b"yesterday", b"20261341T250000Z", b"2026-01-01T00:00:00Z", b""])
def test_rule_7_refuses_what_is_no_date(date: bytes) -> None:
    request = signed()
    with pytest.raises(errors.IncompleteSignature):
        verify(with_header(request, b"x-amz-date", date), now=moment(request))


# ---------------------------------------------------------------- rule 8: the body


def test_rule_8_refuses_another_body() -> None:
    with pytest.raises(errors.SignatureDoesNotMatch):
        verify(replace(signed(), body=b"1,2,4"))
    with pytest.raises(errors.PayloadHashMismatch):
        verify(replace(s3_put(), body=b"tada"))


@pytest.mark.parametrize("sent", [sigv4.UNSIGNED_PAYLOAD.decode(), sigv4.UNSIGNED_TRAILER.decode()])
def test_rule_8_takes_an_unsigned_body_of_s3_over_tls_alone(sent: str) -> None:
    assert verify(s3_put(sent, secure=True)) == KEY_ID
    assert verify(s3_put(sent, secure=True), streamed=True) == KEY_ID
    with pytest.raises(errors.AccessDenied, match="TLS"):
        verify(s3_put(sent, secure=False))


def test_rule_8_takes_no_unsigned_body_outside_s3() -> None:
    request = signed(headers={"X-Amz-Content-SHA256": sigv4.UNSIGNED_PAYLOAD.decode()})
    with pytest.raises(errors.IncompleteSignature):
        verify(replace(request, secure=True))


def test_rule_8_refuses_signed_chunks_by_name() -> None:
    with pytest.raises(errors.NotImplementedByStore):
        verify(s3_put("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", secure=True))


@pytest.mark.parametrize("sent", ["", "abc", "E3B0" * 16])
def test_rule_8_refuses_what_is_no_hash(sent: str) -> None:
    with pytest.raises(errors.IncompleteSignature):
        verify(with_header(s3_put(), b"x-amz-content-sha256", sent.encode()))


def test_rule_8_asks_a_stream_for_its_hash() -> None:
    with pytest.raises(errors.IncompleteSignature):
        verify(signed(), streamed=True)


def test_a_streamed_body_is_checked_as_it_comes() -> None:
    request = s3_put()
    assert verify(request, streamed=True) == KEY_ID
    good, bad = sigv4.PayloadHash(request), sigv4.PayloadHash(request)
    for piece in (b"da", b"ta"):
        good.update(piece)
    good.finish()
    bad.update(b"tada")
    with pytest.raises(errors.PayloadHashMismatch):
        bad.finish()


def test_an_unsigned_stream_is_whatever_comes() -> None:
    check = sigv4.PayloadHash(s3_put(sigv4.UNSIGNED_TRAILER.decode(), secure=True))
    check.update(b"anything")
    check.finish()


# ---------------------------------------------------------------- rules 9 and 10: keys


def test_rule_9_refuses_an_unknown_key_and_a_wrong_secret() -> None:
    with pytest.raises(errors.InvalidClientTokenId):
        verify(signed(), secrets={})
    with pytest.raises(errors.SignatureDoesNotMatch) as caught:
        verify(signed(), secrets={KEY_ID: b"other"})
    assert not re.search("[0-9a-f]{64}", caught.value.message)  # whose it would be is not told


def test_rule_9_does_not_take_the_key_that_stands_in_for_unknown_ones() -> None:
    request = AWSRequest("GET", "http://localhost/", headers={})
    SigV4Auth(Credentials("AKIAUNKNOWN", "\0" * 40), "sagemaker", "us-east-1").add_auth(request)
    headers = [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]
    with pytest.raises(errors.InvalidClientTokenId):
        verify(HttpRequest("GET", b"/", ((b"host", b"localhost"), *headers)))


def test_rule_10_refuses_a_session_token() -> None:
    with pytest.raises(errors.InvalidClientTokenId):
        verify(signed(token="token"))
