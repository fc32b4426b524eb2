"""botocore signs, we verify: every request that it signs passes, and no changed one does."""

import hashlib
import string
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlencode

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from modeltap.auth import sigv4
from modeltap.errors import ModeltapError
from modeltap.nouns import HttpRequest

KEY_ID, SECRET = "AKIAEXAMPLEEXAMPLE22", "s" * 40

_SEGMENTS = st.lists(st.text(min_size=1, max_size=6), max_size=4)
_TOKEN = st.text(string.ascii_lowercase, min_size=1, max_size=6)
_VALUE = st.text(string.ascii_letters + string.digits + " ,;=:/+", max_size=12)


@st.composite
def signed_requests(draw: st.DrawFn) -> HttpRequest:
    """Draw a request and have botocore sign it."""
    service = draw(st.sampled_from(["s3", "sagemaker", "sts"]))
    parts = [part for part in draw(_SEGMENTS) if service == "s3" or _is_plain(part)]
    target = "/" + quote("/".join(parts), safe="/~")
    query = draw(
        st.lists(st.tuples(st.text(min_size=1, max_size=4), st.text(max_size=4)), max_size=3)
    )
    if query:
        target += "?" + urlencode(query, quote_via=quote)
    named = draw(st.dictionaries(_TOKEN, _VALUE, max_size=3))
    headers = {f"x-amz-meta-{name}": value for name, value in named.items()}
    method = draw(st.sampled_from(["GET", "PUT", "POST", "DELETE"]))
    body = draw(st.binary(max_size=16))
    request = AWSRequest(method, f"http://localhost:8080{target}", headers=headers, data=body)
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    signer(Credentials(KEY_ID, SECRET), service, "us-east-1").add_auth(request)
    sent = [
        (name.lower().encode(), value.strip().encode())  # as every parser gives them
        for name, value in request.headers.items()
    ]
    return HttpRequest(method, target.encode(), ((b"host", b"localhost:8080"), *sent), body)


def _is_plain(part: str) -> bool:
    return part not in (".", "..") and not set(part) & set("/\\\0")


def verify(request: HttpRequest, moment: bytes | None) -> str:
    assert isinstance(request.body, bytes)
    now = datetime.strptime((moment or b"").decode(), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return sigv4.Verifier({KEY_ID: SECRET.encode()}.get, "us-east-1").verify(
        request,
        frozenset(["s3", "sagemaker", "sts"]),
        int(now.timestamp()) * 1_000_000_000,
        hashlib.sha256(request.body).hexdigest().encode(),
    )


@settings(max_examples=1500, deadline=None)
@given(signed_requests())
def test_verifies_what_botocore_signs(request: HttpRequest) -> None:
    assert verify(request, request.header(b"x-amz-date")) == KEY_ID


@settings(max_examples=2500, deadline=None)
@given(signed_requests(), st.data())
def test_refuses_what_was_changed(request: HttpRequest, data: st.DataObject) -> None:
    changed = data.draw(st.sampled_from(CHANGES))(request, data)
    assume(meaning(changed) != meaning(request))
    with pytest.raises(ModeltapError):
        verify(changed, request.header(b"x-amz-date"))


# ---------------------------------------------------------------- changes


def method(request: HttpRequest, data: st.DataObject) -> HttpRequest:
    return replace(request, method=data.draw(st.sampled_from(["GET", "PUT", "POST", "DELETE"])))


def target(request: HttpRequest, data: st.DataObject) -> HttpRequest:
    return replace(request, target=byte_changed(request.target, data))


def more_target(request: HttpRequest, data: st.DataObject) -> HttpRequest:
    ends = [b"?a=b", b"&a=b", b"&", b"/", b"/..", b"%20", b"?X-Amz-Security-Token=a"]
    return replace(request, target=request.target + data.draw(st.sampled_from(ends)))


def header(request: HttpRequest, data: st.DataObject) -> HttpRequest:
    headers = list(request.headers)
    at = data.draw(st.integers(0, len(headers) - 1))
    headers[at] = (headers[at][0], byte_changed(headers[at][1], data))
    return replace(request, headers=tuple(headers))


def fewer_headers(request: HttpRequest, data: st.DataObject) -> HttpRequest:
    gone = data.draw(st.sampled_from(request.headers))
    return replace(request, headers=tuple(pair for pair in request.headers if pair != gone))


def more_headers(request: HttpRequest, data: st.DataObject) -> HttpRequest:
    name = data.draw(st.sampled_from([b"x-amz-acl", b"x-amz-date", b"host", b"x-amz-meta-a"]))
    return replace(request, headers=(*request.headers, (name, b"a")))


def body(request: HttpRequest, data: st.DataObject) -> HttpRequest:
    return replace(request, body=data.draw(st.binary(max_size=16)))


CHANGES = [method, target, more_target, header, fewer_headers, more_headers, body]


def byte_changed(text: bytes, data: st.DataObject) -> bytes:
    at = data.draw(st.integers(0, len(text)))
    return text[:at] + bytes([data.draw(st.integers(0x20, 0x7E))]) + text[at + 1 :]


# ---------------------------------------------------------------- what a change must alter


def meaning(request: HttpRequest) -> object:
    """Give what a request says, so that a mere respelling (`%41` for `A` in S3) is no change."""
    try:
        claim = sigv4.scope(request)
    except ModeltapError:
        return None
    is_s3 = claim.service == "s3"
    return (
        request.method,
        unquote_to_bytes(request.path) if is_s3 else request.path,
        sorted(parse_qsl(request.query.decode(), keep_blank_values=True, encoding="latin-1")),
        sorted((name, value.split()) for name, value in request.headers if name in _said(claim)),
        claim,
        request.body,
    )


def _said(claim: sigv4.Scope) -> set[bytes]:
    return {*claim.names, b"host"}
