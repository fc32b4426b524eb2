"""Verify AWS Signature Version 4 in the `Authorization` header. Standard library only; pure.

The rules, numbered as in the tests (`tests/unit/auth/test_auth_sigv4.py`):

 1. The raw request target and header list are what is verified, never a decoded path.
 2. Refused before any signature is computed: a target that is not of visible ASCII, holds `#` or a
    bad `%`, or does not start with `/`; outside S3 also a path that is not its own normal form, or
    that hides `/`, a backslash or NUL behind `%`: what was signed is what will be routed.
 3. Outside S3 the canonical path encodes the target's octets once more (`%` becomes `%25`); in S3
    it is decoded and encoded once. In queries a `+` is a space, for the signature and the reader.
 4. Exactly one `Authorization`, one `X-Amz-Date`, one `Host`, and no signature in the query.
 5. The signed headers are sorted, unique, lower case, all there; among them `host`, every `x-amz-*`
    that was sent and, outside S3, `content-type`.
 6. The scope's date is that of `X-Amz-Date`; its region and service are ours.
 7. The clocks differ by at most `SKEW_SECONDS_MAX`.
 8. The body is the one that was signed. `UNSIGNED-PAYLOAD` and unsigned trailers: S3 over TLS only.
 9. Digests are compared in constant time; an unknown key costs the same work as a known one.
10. No session tokens are issued here, so one that is sent is not ours.

Replay within the skew is inherent to SigV4: a client's retry in one second has the same signature.
Not here: presigned URLs and signed chunks, which are refused by name.
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote_from_bytes, unquote_to_bytes

from modeltap.errors import (
    AccessDenied,
    IncompleteSignature,
    InvalidClientTokenId,
    MissingAuthenticationToken,
    NotImplementedByStore,
    PayloadHashMismatch,
    RequestTimeTooSkewed,
    SerializationException,
    SignatureDoesNotMatch,
)
from modeltap.nouns import HttpRequest

ALGORITHM = "AWS4-HMAC-SHA256"
SKEW_SECONDS_MAX = 900
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

_HEX_SHA256 = re.compile(r"[0-9a-f]{64}")
_DATE = re.compile(r"\d{8}T\d{6}Z")
_TARGET = re.compile(rb"/(?:[!\"$&-~]|%[0-9A-Fa-f]{2})*")  # visible ASCII without # and bare %
_HIDDEN = re.compile(rb"%(2f|5c|00)", re.IGNORECASE)
_QUERY_AUTH = re.compile(rb"(?:^|&)(?:X-Amz-(?:Signature|Algorithm|Credential)|Signature)=", re.I)

_GLOBAL_REGION = "us-east-1"
_GLOBAL_SERVICES = frozenset({"iam", "sts"})
"""Services whose clients sign for us-east-1 wherever they are (their global endpoints)."""

_NO_KEY = bytes(40)
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS "
    "Secret Access Key and signing method. Consult the service documentation for details."
)


@dataclass(frozen=True, slots=True)
class Scope:
    """What an `Authorization` header claims."""

    access_key_id: str
    date: str  # YYYYMMDD
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str

    @property
    def text(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def scope(request: HttpRequest) -> Scope:
    """Read the claim; nothing of it is verified yet.

    Raise `MissingAuthenticationToken` where there is none, `IncompleteSignature` where it is
    malformed, and `AccessDenied` for a signature in the query.
    """
    values = _values(request, b"authorization")
    if _QUERY_AUTH.search(request.query):
        raise AccessDenied("Signatures in the query string are not served; sign the headers.")
    if not values:
        raise MissingAuthenticationToken("Missing Authentication Token")
    if len(values) > 1:
        raise IncompleteSignature("There is more than one Authorization header.")
    return _claim(values[0].decode("latin-1"))


def verify(
    request: HttpRequest,
    secrets: Callable[[str], bytes | None],
    *,
    now: datetime,
    region: str,
    services: frozenset[str],
    payload_sha256: str | None,
) -> str:
    """Verify a request's signature and give the access key id that made it.

    `secrets` gives the secret of a key id, or None. `payload_sha256` is the hex digest of a body
    that was received whole; None for a body that streams: then the header `x-amz-content-sha256`
    is believed here and checked by `PayloadHash`. Raises leaves of `AuthError`, and
    `SerializationException` for a malformed target.
    """
    claim = scope(request)
    is_s3 = claim.service == "s3"
    _check_target(request, is_s3)
    moment = _check_date(request, claim, now)
    _check_scope(claim, region, services)
    _check_signed_headers(request, claim, is_s3)
    payload = _payload(request, payload_sha256, is_s3)

    canonical = _canonical_request(request, claim, payload, is_s3)
    digest = hashlib.sha256(canonical).hexdigest()
    text = f"{ALGORITHM}\n{moment}\n{claim.text}\n{digest}"
    secret = secrets(claim.access_key_id)
    key = _signing_key(secret or _NO_KEY, claim.date, claim.region, claim.service)
    expected = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    matches = hmac.compare_digest(expected, claim.signature)
    if secret is None or request.header(b"x-amz-security-token") is not None:
        raise InvalidClientTokenId("The security token included in the request is invalid.")
    if not matches:
        raise SignatureDoesNotMatch(_MISMATCH)
    return claim.access_key_id


class PayloadHash:
    """Checks a streamed body against the `x-amz-content-sha256` that was signed with it.

    Feed it the body as received (not decoded); an unsigned payload passes whatever it is.
    """

    def __init__(self, request: HttpRequest) -> None:
        self._signed = (request.header(b"x-amz-content-sha256") or b"").decode("latin-1")
        self._hash = hashlib.sha256() if _HEX_SHA256.fullmatch(self._signed) else None

    def update(self, data: bytes) -> None:
        if self._hash is not None:
            self._hash.update(data)

    def finish(self) -> None:
        """Raise `PayloadHashMismatch` where the body is not the signed one."""
        if self._hash is not None and self._hash.hexdigest() != self._signed:
            raise _payload_mismatch()


# ---------------------------------------------------------------- the claim


def _claim(header: str) -> Scope:
    algorithm, _, rest = header.partition(" ")
    pairs = [part.strip().partition("=") for part in rest.split(",")]
    fields = {name: value for name, _, value in pairs}
    credential = fields.get("Credential", "").split("/")
    well_formed = (
        algorithm == ALGORITHM
        and len(pairs) == 3
        and fields.keys() == {"Credential", "SignedHeaders", "Signature"}
        and len(credential) == 5
        and credential[4] == "aws4_request"
        and all(credential)
        and _HEX_SHA256.fullmatch(fields["Signature"])
    )
    if not well_formed:
        raise IncompleteSignature("The Authorization header is malformed.")
    signed_headers = tuple(fields["SignedHeaders"].split(";"))
    key_id, date, region, service, _ = credential
    return Scope(key_id, date, region, service, signed_headers, fields["Signature"])


def _values(request: HttpRequest, name: bytes) -> list[bytes]:
    return [value for key, value in request.headers if key == name]


# ---------------------------------------------------------------- checks


def _check_target(request: HttpRequest, is_s3: bool) -> None:
    """Rule 2."""
    if not _TARGET.fullmatch(request.target) or (not is_s3 and not _is_normal(request.path)):
        raise SerializationException("The request target is malformed.")


def _is_normal(path: bytes) -> bool:
    parts = unquote_to_bytes(path).split(b"/")[1:]
    is_aliased = b"" in parts[:-1] or b"." in parts or b".." in parts
    return not is_aliased and not _HIDDEN.search(path)


def _check_date(request: HttpRequest, claim: Scope, now: datetime) -> str:
    """Rules 4, 6, 7: give the moment of the signature as it was sent."""
    values = _values(request, b"x-amz-date")
    moment = values[0].decode("latin-1") if len(values) == 1 else ""
    if not _DATE.fullmatch(moment):
        raise IncompleteSignature("There must be one X-Amz-Date header, YYYYMMDDTHHMMSSZ.")
    try:
        signed_at = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise IncompleteSignature("X-Amz-Date is not a date.") from error
    if abs((now - signed_at).total_seconds()) > SKEW_SECONDS_MAX:
        raise RequestTimeTooSkewed(
            "The difference between the request time and the current time is too large."
        )
    if claim.date != moment[:8]:
        raise SignatureDoesNotMatch("Date in Credential scope does not match X-Amz-Date.")
    return moment


def _check_scope(claim: Scope, region: str, services: frozenset[str]) -> None:
    """Rule 6."""
    if claim.service not in services:
        raise SignatureDoesNotMatch("Credential should be scoped to correct service.")
    is_global = claim.service in _GLOBAL_SERVICES and claim.region == _GLOBAL_REGION
    if claim.region != region and not is_global:
        raise SignatureDoesNotMatch(f"Credential should be scoped to a valid region: {region}.")


def _check_signed_headers(request: HttpRequest, claim: Scope, is_s3: bool) -> None:
    """Rules 4 and 5."""
    signed, sent = claim.signed_headers, [name.decode("latin-1") for name, _ in request.headers]
    if list(signed) != sorted(set(signed)) or any(name != name.lower() for name in signed):
        raise IncompleteSignature("SignedHeaders must be sorted, unique and in lower case.")
    if sent.count("host") != 1 or "host" not in signed:
        raise IncompleteSignature("There must be one Host header, and it must be signed.")
    if not set(signed) <= set(sent):
        raise SignatureDoesNotMatch(_MISMATCH)
    demanded = {name for name in sent if name.startswith("x-amz-")}
    if not is_s3:
        demanded |= {"content-type"} & set(sent)
    if not demanded <= set(signed):
        raise AccessDenied("There were headers present in the request which were not signed")


def _payload(request: HttpRequest, payload_sha256: str | None, is_s3: bool) -> str:
    """Rule 8: give the payload's line of the canonical request."""
    values = _values(request, b"x-amz-content-sha256")
    sent = values[0].decode("latin-1") if values else payload_sha256
    if len(values) > 1 or sent is None:
        raise IncompleteSignature("There must be one x-amz-content-sha256 header.")
    if _HEX_SHA256.fullmatch(sent):
        if payload_sha256 is not None and sent != payload_sha256:
            raise _payload_mismatch()
        return sent
    if is_s3 and sent in (UNSIGNED_PAYLOAD, UNSIGNED_TRAILER):
        if request.secure:
            return sent
        raise AccessDenied(f"{sent} is taken over TLS only.")
    if is_s3 and sent.startswith("STREAMING-"):
        raise NotImplementedByStore("Signed chunks are not implemented; unsigned trailers are.")
    raise IncompleteSignature("The value of x-amz-content-sha256 is invalid.")


def _payload_mismatch() -> PayloadHashMismatch:
    return PayloadHashMismatch(
        "The provided 'x-amz-content-sha256' header does not match what was computed."
    )


# ---------------------------------------------------------------- the canonical request


def _canonical_request(request: HttpRequest, claim: Scope, payload: str, is_s3: bool) -> bytes:
    headers = b"".join(
        name.encode() + b":" + _canonical_value(request, name.encode()) + b"\n"
        for name in claim.signed_headers
    )
    lines = (
        request.method.encode(),
        _quoted(unquote_to_bytes(request.path) if is_s3 else request.path, safe="/"),
        _canonical_query(request.query),
        headers,
        ";".join(claim.signed_headers).encode(),
        payload.encode(),
    )
    return b"\n".join(lines)


def _canonical_value(request: HttpRequest, name: bytes) -> bytes:
    return b",".join(b" ".join(value.split()) for value in _values(request, name))


def _canonical_query(query: bytes) -> bytes:
    if not query:
        return b""
    fields = []
    for part in query.split(b"&"):
        name, _, value = part.replace(b"+", b" ").partition(b"=")
        fields.append(tuple(_quoted(unquote_to_bytes(text)) for text in (name, value)))
    return b"&".join(name + b"=" + value for name, value in sorted(fields))


def _quoted(octets: bytes, safe: str = "") -> bytes:
    return quote_from_bytes(octets, safe=safe).encode()


@lru_cache(maxsize=1000)
def _signing_key(secret: bytes, date: str, region: str, service: str) -> bytes:
    key = b"AWS4" + secret
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
