"""Every error that a caller can see, as one drawn tree.

    ModeltapError                      code, status, message
    ├─ ClientError                     the caller can mend it
    │  ├─ ValidationException          400  control API: references, states, shapes
    │  ├─ ValidationError              400  runtime: endpoint, variant, header
    │  ├─ ResourceLimitExceeded        400  more instances or jobs than the settings allow
    │  ├─ ResourceInUse, -NotFound     400  a name is taken; a schedule is not known
    │  ├─ UnknownOperation             400  in AWS's model, not served here
    │  ├─ SerializationException       400  a body that is not of its protocol
    │  ├─ PayloadTooLarge              413
    │  ├─ NoSuchEntity                 404  IAM; 400 Logs: a group or stream
    │  ├─ AuthError                    403  signature and credential faults, each with AWS's code
    │  └─ StoreError                   4xx  S3's own codes, one class a code
    ├─ ModelError                      424  the model answered with an error, or not at all
    └─ ServerError                     a retry may help
       ├─ InternalFailure              500
       └─ ServiceUnavailable           503
          ├─ RecordNotDurable          503  a strict endpoint's answer, and its record is not safe
          └─ StateUnusable             503  the state database is locked or damaged

A leaf owns its AWS code and HTTP status; the message is given where it is raised, in AWS's words
where they are known (contract §2.7, §2.8). No message carries a payload, a secret or a signature.
"""

from typing import Any, ClassVar


class ModeltapError(Exception):
    """Base of all; never raised itself."""

    code: ClassVar[str] = "InternalFailure"
    status: ClassVar[int] = 500
    variant: tuple[str, str] = "", ""
    """Endpoint and variant that an invocation failed at, once they were chosen."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @property
    def members(self) -> dict[str, Any]:
        """Give the modelled members beside the message, by their wire names."""
        return {}


class ClientError(ModeltapError):
    status = 400


class ValidationException(ClientError):
    code = "ValidationException"


class ValidationError(ClientError):
    code = "ValidationError"


class ResourceLimitExceeded(ClientError):
    code = "ResourceLimitExceeded"


class ResourceInUse(ClientError):
    code = "ResourceInUse"


class ResourceNotFound(ClientError):
    code = "ResourceNotFound"


class UnknownOperation(ClientError):
    code = "UnknownOperationException"


class SerializationException(ClientError):
    code = "SerializationException"


class PayloadTooLarge(ClientError):
    code = "PayloadTooLargeException"
    status = 413


class NoSuchEntity(ClientError):
    code = "NoSuchEntity"
    status = 404


# ---------------------------------------------------------------- authentication


class AuthError(ClientError):
    status = 403


class AccessDenied(AuthError):
    code = "AccessDenied"


class MissingAuthenticationToken(AuthError):
    code = "MissingAuthenticationTokenException"


class IncompleteSignature(AuthError):
    code = "IncompleteSignatureException"
    status = 400


class InvalidClientTokenId(AuthError):  # the key id is not ours
    code = "UnrecognizedClientException"


class SignatureDoesNotMatch(AuthError):
    code = "InvalidSignatureException"


class RequestTimeTooSkewed(AuthError):
    code = "RequestTimeTooSkewed"


class PayloadHashMismatch(AuthError):  # the body is not the one that was signed
    code = "XAmzContentSHA256Mismatch"
    status = 400


# ---------------------------------------------------------------- S3


class StoreError(ClientError):
    """S3's errors. Codes and statuses: S3 API reference, error responses."""


class NoSuchBucket(StoreError):
    code = "NoSuchBucket"
    status = 404


class NoSuchKey(StoreError):
    code = "NoSuchKey"
    status = 404


class NoSuchUpload(StoreError):
    code = "NoSuchUpload"
    status = 404


class BucketAlreadyOwnedByYou(StoreError):
    code = "BucketAlreadyOwnedByYou"
    status = 409


class BucketNotEmpty(StoreError):
    code = "BucketNotEmpty"
    status = 409


class InvalidBucketName(StoreError):
    code = "InvalidBucketName"


class InvalidArgument(StoreError):
    code = "InvalidArgument"


class InvalidRequest(StoreError):
    code = "InvalidRequest"


class IllegalLocationConstraint(StoreError):
    code = "IllegalLocationConstraintException"


class InvalidPart(StoreError):
    code = "InvalidPart"


class InvalidPartOrder(StoreError):
    code = "InvalidPartOrder"


class InvalidRange(StoreError):
    code = "InvalidRange"
    status = 416


class BadDigest(StoreError):
    code = "BadDigest"


class IncompleteBody(StoreError):
    code = "IncompleteBody"


class RequestTimeout(StoreError):
    code = "RequestTimeout"


class EntityTooLarge(StoreError):
    code = "EntityTooLarge"


class EntityTooSmall(StoreError):
    code = "EntityTooSmall"


class KeyTooLong(StoreError):
    code = "KeyTooLongError"


class MetadataTooLarge(StoreError):
    code = "MetadataTooLarge"


class MalformedXML(StoreError):
    code = "MalformedXML"


class PreconditionFailed(StoreError):
    code = "PreconditionFailed"
    status = 412


class NotModified(StoreError):
    code = "NotModified"
    status = 304


class MissingContentLength(StoreError):
    code = "MissingContentLength"
    status = 411


class NotImplementedByStore(StoreError):
    code = "NotImplemented"
    status = 501


# ---------------------------------------------------------------- the model


class ModelError(ModeltapError):  # contract §2.8
    code = "ModelError"
    status = 424

    def __init__(self, message: str, *, status: int, body: str, log_stream_arn: str) -> None:
        super().__init__(message)
        self.original_status, self.original_body = status, body
        self.log_stream_arn = log_stream_arn

    @property
    def members(self) -> dict[str, Any]:
        server = self.original_status >= 500 or self.original_status == 0
        return {
            "ErrorCode": "INTERNAL_FAILURE_FROM_MODEL" if server else "CLIENT_ERROR_FROM_MODEL",
            "LogStreamArn": self.log_stream_arn,
            "OriginalMessage": self.original_body,
            "OriginalStatusCode": self.original_status,
        }


class ServerError(ModeltapError):
    """A retry may help."""


class InternalFailure(ServerError):
    code = "InternalFailure"


class ServiceUnavailable(ServerError):
    code = "ServiceUnavailable"
    status = 503


class RecordNotDurable(ServiceUnavailable):
    """The model has answered, and a strict endpoint gives no answer that is not captured."""


class StateUnusable(ServiceUnavailable):
    """The state database is locked by another process, damaged, or not ours."""


# ---------------------------------------------------------------- inside the house


class HouseError(Exception):
    """Base of the errors that cross rooms and never the wire."""


class ResourceExists(HouseError):
    """The name of a new resource is taken, in this or another case."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name} exists")


class StaleVersion(HouseError):
    """A resource was written or deleted since it was read: read it again and decide anew."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name} was changed meanwhile")


class InstanceGone(HouseError):
    """The instance is not there, or died with this call in flight; `sent`: a frame of it left."""

    def __init__(self, instance: str, *, sent: bool) -> None:
        super().__init__(f"instance {instance} is gone")
        self.instance = instance
        self.sent = sent


class InvocationTimedOut(HouseError):
    """The model did not answer within the invocation limit."""


class CallFailed(HouseError):
    """A call could not be made for a reason that nobody named: a fault of modeltap's own."""


class KeysRefused(HouseError):
    """The key folder cannot be used safely. The text says what to do."""


class LaunchFailed(HouseError):
    """An instance or job could not be made. The text is a `FailureReason`: it says what to do."""


class ArchiveRefused(LaunchFailed):
    """A model archive breaks the rules of unpacking. Who knows its address adds it."""


class BucketsInUse(HouseError):
    """Another process holds the folder of the embedded buckets."""


class ObjectStoreError(HouseError):
    """Base of what an object store can answer through its port, in its own status and code."""

    def __init__(self, message: str, *, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class ObjectNotFound(ObjectStoreError):
    """There is no object of that key."""


class ObjectExists(ObjectStoreError):
    """The key is taken, and the write was to create it."""


class ObjectTooLarge(ObjectStoreError):
    """The object is larger than the bound that the reader set."""


class StoreRefused(ObjectStoreError):
    """The store said no: configuration or credentials. A retry alone does not help."""


class StoreUnavailable(ObjectStoreError):
    """The store did not answer, or not for now; a write may or may not have happened."""


class MalformedRecord(HouseError):
    """These bytes are no captured record."""


class SpoolBusy(HouseError):
    """Another process works on this part of the spool: it must end first."""


class LedgerUnreadable(HouseError):
    """The delivery ledger is missing, damaged or locked; the shipper mends it when it runs."""


class UnreadableTable(HouseError):
    """The routing file is not a table of a version that this gateway knows."""


class AnswerUnreadable(HouseError):
    """The model's answer broke its bounds or its protocol; `status` is what it claimed, or 0."""

    def __init__(self, reason: str, *, status: int) -> None:
        super().__init__(reason)
        self.status = status


class BadRequest(HouseError):
    """An HTTP message that is refused before its dialect is known; the connection is closed."""

    def __init__(self, reason: str, *, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


class BackendGone(HouseError):
    """Control or store is not there, or died with this request in hand."""
