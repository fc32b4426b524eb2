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

Every signature is computed. What is kept between requests are readings of bytes that come again and
again (a claim without its signature, a target, a second) and the signing keys of the day, all pure
functions, in bounded caches.
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple
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
from modeltap.nouns import Headers, HttpRequest

ALGORITHM = "AWS4-HMAC-SHA256"
SKEW_SECONDS_MAX = 900
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

READINGS_MAX = 128
"""Readings kept of each kind; a head is at most 32 KiB long, so a stranger can fill 4 MiB."""

_HEX_SHA256 = re.compile(rb"[0-9a-f]{64}")
_DATE = re.compile(rb"\d{8}T\d{6}Z")
_TARGET = re.compile(rb"/(?:[!\"$&-~]|%[0-9A-Fa-f]{2})*")  # visible ASCII without # and bare %
_HIDDEN = re.compile(rb"%(2f|5c|00)", re.IGNORECASE)
_QUERY_AUTH = re.compile(rb"(?:^|&)(?:X-Amz-(?:Signature|Algorithm|Credential)|Signature)=", re.I)

_GLOBAL_REGION = "us-east-1"
_GLOBAL_SERVICES = frozenset({"iam", "sts"})
"""Services whose clients sign for us-east-1 wherever they are (their global endpoints)."""

_NO_KEY = bytes(40)
_ALGORITHM_LINE = ALGORITHM.encode()
_MALFORMED_CLAIM = "The Authorization header is malformed."
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


@dataclass(frozen=True, slots=True)
class _Claim:
    """A claim without its signature, in the forms that verifying needs."""

    scope: Scope
    signed: frozenset[bytes]
    ordered: tuple[bytes, ...]
    listed: bytes
    scope_line: bytes


class _Fields(NamedTuple):
    """Headers by name; the values of a repeated one are trimmed and joined by a comma."""

    values: dict[bytes, bytes]
    repeated: frozenset[bytes]


def scope(request: HttpRequest) -> Scope:
    """Read the claim; nothing of it is verified yet.

    Raise `MissingAuthenticationToken` where there is none, `IncompleteSignature` where it is
    malformed, and `AccessDenied` for a signature in the query.
    """
    claim, signature = _claim(request, _fields(request.headers))
    return replace(claim.scope, signature=signature.decode())


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
    fields = _fields(request.headers)
    claim, signature = _claim(request, fields)
    scope = claim.scope
    is_s3 = scope.service == "s3"
    path, query = _target(request.target, is_s3)
    moment = _check_date(fields, scope, now)
    _check_scope(scope, region, services)
    _check_signed_headers(fields, claim, is_s3)
    payload = _payload(request, fields, payload_sha256, is_s3)

    headers = _canonical_headers(fields, claim)
    lines = (request.method.encode(), path, query, headers, claim.listed, payload)
    digest = hashlib.sha256(b"\n".join(lines)).hexdigest().encode()
    secret = secrets(scope.access_key_id)
    code = _signing(secret or _NO_KEY, scope.date, scope.region, scope.service).copy()
    code.update(b"\n".join((_ALGORITHM_LINE, moment, claim.scope_line, digest)))
    matches = hmac.compare_digest(code.hexdigest().encode(), signature)
    if secret is None or b"x-amz-security-token" in fields.values:
        raise InvalidClientTokenId("The security token included in the request is invalid.")
    if not matches:
        raise SignatureDoesNotMatch(_MISMATCH)
    return scope.access_key_id


class PayloadHash:
    """Checks a streamed body against the `x-amz-content-sha256` that was signed with it.

    Feed it the body as received (not decoded); an unsigned payload passes whatever it is.
    """

    def __init__(self, request: HttpRequest) -> None:
        self._signed = request.header(b"x-amz-content-sha256") or b""
        self._hash = hashlib.sha256() if _HEX_SHA256.fullmatch(self._signed) else None

    def update(self, data: bytes) -> None:
        if self._hash is not None:
            self._hash.update(data)

    def finish(self) -> None:
        """Raise `PayloadHashMismatch` where the body is not the signed one."""
        if self._hash is not None and self._hash.hexdigest().encode() != self._signed:
            raise _payload_mismatch()


# ---------------------------------------------------------------- the claim


def _fields(headers: Headers) -> _Fields:
    values = dict(headers)
    if len(values) == len(headers):
        return _Fields(values, frozenset())
    lists: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        lists.setdefault(name, []).append(b" ".join(value.split()))
    repeated = frozenset(name for name, found in lists.items() if len(found) > 1)
    return _Fields({name: b",".join(found) for name, found in lists.items()}, repeated)


def _claim(request: HttpRequest, fields: _Fields) -> tuple[_Claim, bytes]:
    """Give what is claimed and the signature, as it was sent."""
    if b"?" in request.target and _QUERY_AUTH.search(request.query):
        raise AccessDenied("Signatures in the query string are not served; sign the headers.")
    header = fields.values.get(b"authorization")
    if header is None:
        raise MissingAuthenticationToken("Missing Authentication Token")
    if b"authorization" in fields.repeated:
        raise IncompleteSignature("There is more than one Authorization header.")
    before, _, rest = header.partition(b"Signature=")
    signature, _, after = rest.partition(b",")
    if header.count(b",") != 2 or not _HEX_SHA256.fullmatch(signature):
        raise IncompleteSignature(_MALFORMED_CLAIM)
    return _terms(before + after), signature


@lru_cache(maxsize=READINGS_MAX)
def _terms(text: bytes) -> _Claim:
    """Read an `Authorization` header whose signature was taken out."""
    algorithm, _, rest = text.decode("latin-1").partition(" ")
    pairs = [part.strip().partition("=") for part in rest.split(",") if part.strip()]
    terms = {name: value for name, _, value in pairs}
    credential = terms.get("Credential", "").split("/")
    well_formed = (
        algorithm == ALGORITHM
        and len(pairs) == 2
        and terms.keys() == {"Credential", "SignedHeaders"}
        and len(credential) == 5
        and credential[4] == "aws4_request"
        and all(credential)
    )
    if not well_formed:
        raise IncompleteSignature(_MALFORMED_CLAIM)
    names = terms["SignedHeaders"].split(";")
    if names != sorted(set(names)) or any(name != name.lower() for name in names):
        raise IncompleteSignature("SignedHeaders must be sorted, unique and in lower case.")
    key_id, date, region, service, _ = credential
    scope = Scope(key_id, date, region, service, tuple(names), "")
    ordered = tuple(name.encode() for name in names)
    return _Claim(scope, frozenset(ordered), ordered, b";".join(ordered), scope.text.encode())


# ---------------------------------------------------------------- checks


@lru_cache(maxsize=READINGS_MAX)
def _target(target: bytes, is_s3: bool) -> tuple[bytes, bytes]:
    """Rules 2 and 3: give the canonical path and query of a good target."""
    path, _, query = target.partition(b"?")
    if not _TARGET.fullmatch(target) or (not is_s3 and not _is_normal(path)):
        raise SerializationException("The request target is malformed.")
    return _quoted(unquote_to_bytes(path) if is_s3 else path, safe="/"), _canonical_query(query)


def _is_normal(path: bytes) -> bool:
    parts = unquote_to_bytes(path).split(b"/")[1:]
    is_aliased = b"" in parts[:-1] or b"." in parts or b".." in parts
    return not is_aliased and not _HIDDEN.search(path)


def _check_date(fields: _Fields, claim: Scope, now: datetime) -> bytes:
    """Rules 4, 6, 7: give the moment of the signature as it was sent."""
    moment = fields.values.get(b"x-amz-date", b"")
    if b"x-amz-date" in fields.repeated or not _DATE.fullmatch(moment):
        raise IncompleteSignature("There must be one X-Amz-Date header, YYYYMMDDTHHMMSSZ.")
    signed_at = _instant(moment)
    if abs((now - signed_at).total_seconds()) > SKEW_SECONDS_MAX:
        raise RequestTimeTooSkewed(
            "The difference between the request time and the current time is too large."
        )
    if claim.date != moment[:8].decode():
        raise SignatureDoesNotMatch("Date in Credential scope does not match X-Amz-Date.")
    return moment


@lru_cache(maxsize=READINGS_MAX)
def _instant(moment: bytes) -> datetime:
    try:
        return datetime.strptime(moment.decode(), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise IncompleteSignature("X-Amz-Date is not a date.") from error


def _check_scope(claim: Scope, region: str, services: frozenset[str]) -> None:
    """Rule 6."""
    if claim.service not in services:
        raise SignatureDoesNotMatch("Credential should be scoped to correct service.")
    is_global = claim.service in _GLOBAL_SERVICES and claim.region == _GLOBAL_REGION
    if claim.region != region and not is_global:
        raise SignatureDoesNotMatch(f"Credential should be scoped to a valid region: {region}.")


def _check_signed_headers(fields: _Fields, claim: _Claim, is_s3: bool) -> None:
    """Rules 4 and 5; order and spelling are checked where the claim is read."""
    sent = fields.values.keys()
    if b"host" not in sent or b"host" in fields.repeated or b"host" not in claim.signed:
        raise IncompleteSignature("There must be one Host header, and it must be signed.")
    if not claim.signed <= sent:
        raise SignatureDoesNotMatch(_MISMATCH)
    for name in sent - claim.signed:
        if name.startswith(b"x-amz-") or (name == b"content-type" and not is_s3):
            raise AccessDenied("There were headers present in the request which were not signed")


def _payload(
    request: HttpRequest, fields: _Fields, payload_sha256: str | None, is_s3: bool
) -> bytes:
    """Rule 8: give the payload's line of the canonical request."""
    computed = None if payload_sha256 is None else payload_sha256.encode()
    sent = fields.values.get(b"x-amz-content-sha256", computed)
    if b"x-amz-content-sha256" in fields.repeated or sent is None:
        raise IncompleteSignature("There must be one x-amz-content-sha256 header.")
    if sent is computed or _HEX_SHA256.fullmatch(sent):
        if computed is not None and sent != computed:
            raise _payload_mismatch()
        return sent
    if is_s3 and sent in (UNSIGNED_PAYLOAD.encode(), UNSIGNED_TRAILER.encode()):
        if request.secure:
            return sent
        raise AccessDenied(f"{sent.decode()} is taken over TLS only.")
    if is_s3 and sent.startswith(b"STREAMING-"):
        raise NotImplementedByStore("Signed chunks are not implemented; unsigned trailers are.")
    raise IncompleteSignature("The value of x-amz-content-sha256 is invalid.")


def _payload_mismatch() -> PayloadHashMismatch:
    return PayloadHashMismatch(
        "The provided 'x-amz-content-sha256' header does not match what was computed."
    )


# ---------------------------------------------------------------- the canonical request


def _canonical_headers(fields: _Fields, claim: _Claim) -> bytes:
    values = fields.values
    lines = [b"%b:%b\n" % (name, b" ".join(values[name].split())) for name in claim.ordered]
    return b"".join(lines)


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
def _signing(secret: bytes, date: str, region: str, service: str) -> hmac.HMAC:
    """Give the code of a day's signing key, to be copied before it is fed."""
    key = b"AWS4" + secret
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, digestmod=hashlib.sha256)
