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
again (a claim without its signature, a target, a second, the names of the headers) and the signing
keys of the day, all pure functions, in bounded caches.
"""

import hashlib
import re
from binascii import hexlify
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, final

from modeltap.auth.signingkey import signing_key
from modeltap.auth.targets import canonical
from modeltap.errors import (
    AccessDenied,
    IncompleteSignature,
    InvalidClientTokenId,
    MissingAuthenticationToken,
    NotImplementedByStore,
    PayloadHashMismatch,
    RequestTimeTooSkewed,
    SignatureDoesNotMatch,
)
from modeltap.memo import Memo
from modeltap.nouns import HttpRequest

ALGORITHM = "AWS4-HMAC-SHA256"
SKEW_SECONDS_MAX = 900
UNSIGNED_PAYLOAD = b"UNSIGNED-PAYLOAD"
UNSIGNED_TRAILER = b"STREAMING-UNSIGNED-PAYLOAD-TRAILER"

Secrets = Callable[[str], bytes | None]

READINGS_MAX = 128
"""Readings kept of each kind; a head is at most 32 KiB long, so a stranger can fill 4 MiB."""

_HEX_SHA256 = re.compile(rb"[0-9a-f]{64}")
_DATE = re.compile(rb"\d{8}T\d{6}Z")
_QUERY_AUTH = re.compile(rb"(?:^|&)(?:X-Amz-(?:Signature|Algorithm|Credential)|Signature)=", re.I)

_GLOBAL_REGION = "us-east-1"
_GLOBAL_SERVICES = frozenset({"iam", "sts"})
"""Services whose clients sign for us-east-1 wherever they are (their global endpoints)."""

_NONE: frozenset[bytes] = frozenset()
_NO_KEY = bytes(40)
_NO_DATE = "There must be one X-Amz-Date header, YYYYMMDDTHHMMSSZ."
_ALGORITHM_LINE = ALGORITHM.encode()
_MALFORMED_CLAIM = "The Authorization header is malformed."
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS "
    "Secret Access Key and signing method. Consult the service documentation for details."
)


@final
class Scope:
    """What an `Authorization` header claims; its signature is not in it."""

    def __init__(
        self, access_key_id: str, date: str, region: str, service: str, names: tuple[bytes, ...]
    ) -> None:
        self.access_key_id: Final = access_key_id
        self.date: Final = date  # YYYYMMDD
        self.region: Final = region
        self.service: Final = service
        self.names: Final = names  # of the signed headers
        # From here on: the forms that verifying needs.
        self.is_s3: Final = service == "s3"
        self.day: Final = date.encode()
        self.line: Final = f"{date}/{region}/{service}/aws4_request".encode()
        self.listed: Final = b";".join(names)
        self.template: Final = b"".join([b"%s:%%b\n" % name.replace(b"%", b"%%") for name in names])
        self.covered: tuple[bytes, ...] = ()  # header names that were found good under this claim


@final
class _Fields:
    """Headers by name; the values of a repeated one are trimmed and joined by a comma."""

    def __init__(self, values: dict[bytes, bytes], repeated: frozenset[bytes]) -> None:
        self.values: Final = values
        self.repeated: Final = repeated


def scope(request: HttpRequest) -> Scope:
    """Read the claim; nothing of it is verified yet.

    Raise `MissingAuthenticationToken` where there is none, `IncompleteSignature` where it is
    malformed, and `AccessDenied` for a signature in the query.
    """
    scope, signature = _claim(request, _fields(request))
    _check_form(signature)
    return scope


@final
class Verifier:
    """Verifies what is signed with the keys of one key ring, for one region.

    `secrets` gives the secret of a key id, or None.
    """

    def __init__(self, secrets: Secrets, region: str) -> None:
        self._secrets = secrets
        self._region = region

    def verify(
        self,
        request: HttpRequest,
        services: frozenset[str],
        now_ns: int,
        payload_sha256: bytes | None,
    ) -> str:
        """Verify the signature of a request to one of `services`; give its access key id.

        `payload_sha256` is the hex digest of a body that was received whole; None for a body that
        streams: then the header `x-amz-content-sha256` is believed here and checked by
        `PayloadHash`. Raises leaves of `AuthError`, and `SerializationException` for a malformed
        target.
        """
        fields = _fields(request)
        scope, signature = _claim(request, fields)
        path, query = canonical(request.target, s3=scope.is_s3)
        moment = _check_date(fields, scope, now_ns)
        _check_scope(scope, self._region, services)
        _check_names(tuple(fields.values), fields.repeated, scope)
        payload = _payload(request, fields, payload_sha256, scope.is_s3)

        headers = _canonical_headers(fields, scope)
        lines = (request.method.encode(), path, query, headers, scope.listed, payload)
        digest = hexlify(hashlib.sha256(b"\n".join(lines)).digest())
        secret = self._secrets(scope.access_key_id)
        key = signing_key(secret or _NO_KEY, scope.date, scope.region, scope.service)
        matches = key.signs(b"\n".join((_ALGORITHM_LINE, moment, scope.line, digest)), signature)
        if secret is None or b"x-amz-security-token" in fields.values:
            raise InvalidClientTokenId("The security token included in the request is invalid.")
        if not matches:
            _check_form(signature)
            raise SignatureDoesNotMatch(_MISMATCH)
        return scope.access_key_id


class PayloadHash:
    """Checks a streamed body against the `x-amz-content-sha256` that was signed with it.

    Feed it the body as received (not decoded); an unsigned payload passes whatever it is.
    """

    def __init__(self, request: HttpRequest) -> None:
        self._announced = request.header(b"x-amz-content-sha256") or b""
        self._hash = hashlib.sha256() if _HEX_SHA256.fullmatch(self._announced) else None

    def update(self, data: bytes) -> None:
        if self._hash is not None:
            self._hash.update(data)

    def finish(self) -> None:
        """Raise `PayloadHashMismatch` where the body is not the signed one."""
        if self._hash is not None and hexlify(self._hash.digest()) != self._announced:
            raise _payload_mismatch()


# ---------------------------------------------------------------- the claim


def _fields(request: HttpRequest) -> _Fields:
    headers = request.headers
    if len(request.fields) == len(headers):
        return _Fields(request.fields, _NONE)
    lists: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        lists.setdefault(name, []).append(b" ".join(value.split()))
    repeated = frozenset(name for name, found in lists.items() if len(found) > 1)
    return _Fields({name: b",".join(found) for name, found in lists.items()}, repeated)


def _claim(request: HttpRequest, fields: _Fields) -> tuple[Scope, bytes]:
    """Give what is claimed, and the signature as it was sent."""
    if request.target.find(b"?") >= 0 and _QUERY_AUTH.search(request.query):
        raise AccessDenied("Signatures in the query string are not served; sign the headers.")
    header = fields.values.get(b"authorization")
    if header is None:
        raise MissingAuthenticationToken("Missing Authentication Token")
    if b"authorization" in fields.repeated:
        raise IncompleteSignature("There is more than one Authorization header.")
    before, _, rest = header.partition(b"Signature=")
    signature, _, after = rest.partition(b",")
    if header.count(b",") != 2:
        raise IncompleteSignature(_MALFORMED_CLAIM)
    return _scopes.of(before + after), signature


def _check_form(signature: bytes) -> None:
    """Tell what is no signature from one that does not match."""
    if not _HEX_SHA256.fullmatch(signature):
        raise IncompleteSignature(_MALFORMED_CLAIM)


def _scope(text: bytes) -> Scope:
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
    return Scope(key_id, date, region, service, tuple([name.encode() for name in names]))


_scopes: Final = Memo(_scope, READINGS_MAX)


# ---------------------------------------------------------------- checks


def _check_date(fields: _Fields, scope: Scope, now_ns: int) -> bytes:
    """Rules 4, 6, 7: give the moment of the signature as it was sent."""
    moment = fields.values.get(b"x-amz-date", b"")
    if b"x-amz-date" in fields.repeated:
        raise IncompleteSignature(_NO_DATE)
    if abs(now_ns - _instants.of(moment)) > SKEW_SECONDS_MAX * 1_000_000_000:
        raise RequestTimeTooSkewed(
            "The difference between the request time and the current time is too large."
        )
    if moment[:8] != scope.day:
        raise SignatureDoesNotMatch("Date in Credential scope does not match X-Amz-Date.")
    return moment


def _instant_ns(moment: bytes) -> int:
    if not _DATE.fullmatch(moment):
        raise IncompleteSignature(_NO_DATE)
    try:
        instant = datetime.strptime(moment.decode(), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise IncompleteSignature("X-Amz-Date is not a date.") from error
    return int(instant.timestamp()) * 1_000_000_000


_instants: Final = Memo(_instant_ns, READINGS_MAX)


def _check_scope(scope: Scope, region: str, services: frozenset[str]) -> None:
    """Rule 6."""
    if scope.service not in services:
        raise SignatureDoesNotMatch("Credential should be scoped to correct service.")
    is_global = scope.service in _GLOBAL_SERVICES and scope.region == _GLOBAL_REGION
    if scope.region != region and not is_global:
        raise SignatureDoesNotMatch(f"Credential should be scoped to a valid region: {region}.")


def _check_names(sent: tuple[bytes, ...], repeated: frozenset[bytes], scope: Scope) -> None:
    """Rules 4 and 5; order and spelling are checked where the claim is read."""
    if sent == scope.covered and not repeated:
        return
    signed = frozenset(scope.names)
    if b"host" not in sent or b"host" in repeated or b"host" not in signed:
        raise IncompleteSignature("There must be one Host header, and it must be signed.")
    if not signed.issubset(sent):
        raise SignatureDoesNotMatch(_MISMATCH)
    for name in frozenset(sent) - signed:
        if name.startswith(b"x-amz-") or (name == b"content-type" and not scope.is_s3):
            raise AccessDenied("There were headers present in the request which were not signed")
    if not repeated:
        scope.covered = sent


def _payload(request: HttpRequest, fields: _Fields, computed: bytes | None, is_s3: bool) -> bytes:
    """Rule 8: give the payload's line of the canonical request."""
    sent = fields.values.get(b"x-amz-content-sha256")
    if sent is None and computed is not None:
        return computed
    if b"x-amz-content-sha256" in fields.repeated or sent is None:
        raise IncompleteSignature("There must be one x-amz-content-sha256 header.")
    if _HEX_SHA256.fullmatch(sent):
        if computed is not None and sent != computed:
            raise _payload_mismatch()
        return sent
    if is_s3 and sent in (UNSIGNED_PAYLOAD, UNSIGNED_TRAILER):
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


def _canonical_headers(fields: _Fields, scope: Scope) -> bytes:
    values = [fields.values[name] for name in scope.names]
    text = scope.template % tuple(values)
    if _is_trimmed(text):
        return text
    return scope.template % tuple([b" ".join(value.split()) for value in values])


def _is_trimmed(text: bytes) -> bool:
    """Tell that no value has white space but single blanks; at its ends none has (`Headers`)."""
    # Not by `in`, which takes five times as long with bytes: it tries them as a number first.
    return text.find(b"  ") < 0 and text.find(b"\t") < 0
