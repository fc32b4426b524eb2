"""What an answer to a put means: the outcome table (reliability §2.8). Pure.

    outcome         answer                                    what the shipper does
    delivered       200                                       row, unlink
    exists          412                                       head: this segment's ▶ row, unlink
    key_taken       412, and another's                        quarantine; never overwritten
    conflict        409                                       again soon
    unavailable     no answer, 5xx, SlowDown, RequestTimeout  again after a backoff
    credentials     ExpiredToken, InvalidToken, …             opens the store anew, then the same
    skewed          RequestTimeTooSkewed                      held: again after the longest pause
    held            AccessDenied, NoSuchBucket, 301, …        held: again after the longest pause
    no_conditions   400, 413, 501 to "create only"            at once without, here and from now on
    refused         any other 4xx                             again after a backoff
    poison          the same, five times, of a destination    quarantine, the next goes on
                    that has taken another since the first

Whatever is held or tried again stays in the spool: nothing but `key_taken` and `poison` is lost,
and both are counted. A store that refuses all that it is sent makes poison of nothing: that is its
configuration, or a proxy's.
"""

from enum import StrEnum

from modeltap.errors import ObjectExists, ObjectStoreError, StoreRefused

REFUSALS_MAX = 5
"""So often one segment is refused where others are taken, and then it is poison."""


class Outcome(StrEnum):
    """What a put came to; the values are the metrics' words."""

    DELIVERED = "delivered"
    EXISTS = "exists"
    KEY_TAKEN = "key_taken"
    CONFLICT = "conflict"
    UNAVAILABLE = "unavailable"
    CREDENTIALS = "credentials"
    SKEWED = "skewed"
    HELD = "held"
    NO_CONDITIONS = "no_conditions"
    REFUSED = "refused"
    POISON = "poison"


CREDENTIAL_CODES = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidToken",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
    }
)
SKEW_CODES = frozenset({"RequestExpired", "RequestTimeTooSkewed"})

CONFIGURATION_STATUSES = frozenset({0, 301, 307, 401, 403, 404, 405})
"""0: we refused the URI or the key ourselves."""

CONFIGURATION_CODES = frozenset(
    {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "InvalidBucketName"}
)
CONFIGURATION_CODES_OF = "KMS."
"""What the codes of a key that is disabled, gone or not ours begin with."""

UNCONDITIONAL_STATUSES = frozenset({400, 413, 501})


def outcome_of(error: ObjectStoreError, *, create_only: bool) -> Outcome:
    """Read an error of a put, which was to create or to overwrite."""
    if isinstance(error, ObjectExists):
        return Outcome.EXISTS
    if not isinstance(error, StoreRefused):
        return Outcome.CONFLICT if error.status == 409 else Outcome.UNAVAILABLE
    if error.code in CREDENTIAL_CODES:
        return Outcome.CREDENTIALS
    if error.code in SKEW_CODES:
        return Outcome.SKEWED
    if _is_configuration(error):
        return Outcome.HELD
    if create_only and error.status in UNCONDITIONAL_STATUSES:
        return Outcome.NO_CONDITIONS
    return Outcome.REFUSED if 400 <= error.status < 500 else Outcome.HELD


def _is_configuration(error: StoreRefused) -> bool:
    return (
        error.status in CONFIGURATION_STATUSES
        or error.code in CONFIGURATION_CODES
        or error.code.startswith(CONFIGURATION_CODES_OF)
    )
