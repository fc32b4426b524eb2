"""Errors into answers, in the words and the envelope of the service that was asked.

One error of ours has other codes in other services: that is one table here, by protocol, and one
for services that differ from others of their protocol. What is in neither goes out under its own
code.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from botocore.model import ServiceModel

from modeltap.errors import ModeltapError
from modeltap.nouns import Headers, HttpResponse
from modeltap.wire import xml_body
from modeltap.wire.serialize import json_type, request_id_header

_JSON = {
    "AccessDenied": "AccessDeniedException",
    "RequestTimeTooSkewed": "InvalidSignatureException",
    "XAmzContentSHA256Mismatch": "InvalidSignatureException",
}
_SPELLINGS: Mapping[str, Mapping[str, str]] = {
    "json": _JSON,
    "rest-json": _JSON,
    "query": {
        "MissingAuthenticationTokenException": "MissingAuthenticationToken",
        "IncompleteSignatureException": "IncompleteSignature",
        "UnrecognizedClientException": "InvalidClientTokenId",
        "InvalidSignatureException": "SignatureDoesNotMatch",
        "RequestTimeTooSkewed": "SignatureDoesNotMatch",
        "XAmzContentSHA256Mismatch": "SignatureDoesNotMatch",
        "UnknownOperationException": "InvalidAction",
        "SerializationException": "MalformedInput",
        "ValidationException": "ValidationError",
    },
    "rest-xml": {
        "MissingAuthenticationTokenException": "AccessDenied",
        "IncompleteSignatureException": "AuthorizationHeaderMalformed",
        "UnrecognizedClientException": "InvalidAccessKeyId",
        "InvalidSignatureException": "SignatureDoesNotMatch",
        "UnknownOperationException": "NotImplemented",
        "SerializationException": "InvalidRequest",
        "ValidationException": "InvalidArgument",
        "ValidationError": "InvalidArgument",
        "PayloadTooLargeException": "EntityTooLarge",
        "InternalFailure": "InternalError",
    },
}
_OF_SERVICE: Mapping[str, Mapping[str, str]] = {
    "logs": {
        "NoSuchEntity": "ResourceNotFoundException",
        "ValidationException": "InvalidParameterException",
    },
    "cloudwatch": {
        "NoSuchEntity": "ResourceNotFound",
        "ValidationException": "InvalidParameterValue",
        "ResourceLimitExceeded": "LimitExceeded",
        "InternalFailure": "InternalServiceError",
    },
}
_STATUSES: Mapping[tuple[str, str], int] = {
    ("json", "ResourceNotFoundException"): 400,
    ("rest-xml", "NotImplemented"): 501,
}
"""Statuses that change with the spelling."""


def fault(
    service: ServiceModel,
    error: ModeltapError,
    request_id: str,
    *,
    resource: str = "",
    head: bool = False,
) -> HttpResponse:
    """Write an error as a service of AWS does.

    `resource` is S3's path of the request; `head` leaves the body out, as an answer to HEAD must.
    """
    protocol = service.protocol
    spellings = {**_SPELLINGS.get(protocol, {}), **_OF_SERVICE.get(service.service_name, {})}
    code = spellings.get(error.code, error.code)
    status = _STATUSES.get((protocol, code), error.status)
    headers, body = _ENVELOPES[protocol](service, code, error, request_id, resource)
    headers = (request_id_header(protocol, request_id), *headers)
    if head or status == 304:
        return HttpResponse(status, headers)
    return HttpResponse(status, headers, body)


Envelope = tuple[Headers, bytes]


def _json(service: Any, code: str, error: ModeltapError, *_: str) -> Envelope:
    body = {"__type": code, "message": error.message, **error.members}
    headers: Headers = ((b"content-type", json_type(service)),)
    if "awsQueryCompatible" in service.metadata:  # it spoke query before: its codes stay
        kind = "Sender" if error.status < 500 else "Receiver"
        headers += ((b"x-amzn-query-error", f"{code};{kind}".encode()),)
    return headers, orjson.dumps(body)


def _rest_json(service: Any, code: str, error: ModeltapError, *_: str) -> Envelope:
    body = {"Message": error.message, **error.members}
    headers = ((b"content-type", b"application/json"), (b"x-amzn-errortype", code.encode()))
    return headers, orjson.dumps(body)


def _query(service: Any, code: str, error: ModeltapError, request_id: str, _: str) -> Envelope:
    kind = "Sender" if error.status < 500 else "Receiver"
    inner = _elements({"Type": kind, "Code": code, "Message": error.message})
    body = (
        f'<ErrorResponse xmlns="{service.metadata["xmlNamespace"]}"><Error>{inner}</Error>'
        f"{_elements({'RequestId': request_id})}</ErrorResponse>"
    )
    return ((b"content-type", b"text/xml"),), body.encode()


def _rest_xml(
    service: Any, code: str, error: ModeltapError, request_id: str, resource: str
) -> Envelope:
    parts = {"Code": code, "Message": error.message, **error.members}
    parts |= {"Resource": resource, "RequestId": request_id}
    body = f"{xml_body.DECLARATION}<Error>{_elements(parts)}</Error>"
    return ((b"content-type", b"application/xml"),), body.encode()


def _elements(parts: Mapping[str, Any]) -> str:
    return "".join(f"<{name}>{xml_body.text(str(part))}</{name}>" for name, part in parts.items())


_ENVELOPES: Mapping[str, Callable[..., Envelope]] = {
    "json": _json,
    "rest-json": _rest_json,
    "query": _query,
    "rest-xml": _rest_xml,
}
