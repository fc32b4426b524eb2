"""Documents into answers, in the operation's own protocol.

An answer holds what the model has of the document and nothing else: a key too many breaks clients
that read strictly (contract §1.2). Timestamps are aware `datetime`s. The size of the body is left
to whoever writes the answer, but for a member that the model binds to `Content-Length`.
"""

from collections.abc import AsyncIterable, Mapping
from typing import Any

from botocore.model import OperationModel

from modeltap.nouns import Document, Headers, HttpResponse
from modeltap.wire import bindings, json_body, xml_body

Body = bytes | AsyncIterable[bytes]

_ROOTS: Mapping[str, str] = {
    "ListBuckets": "ListAllMyBucketsResult",
    "ListObjects": "ListBucketResult",
    "ListObjectsV2": "ListBucketResult",
    "ListObjectVersions": "ListVersionsResult",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
    "DeleteObjects": "DeleteResult",
    "GetBucketVersioning": "VersioningConfiguration",
}
"""S3's root elements where they are not `{Operation}Result`; the model does not name them."""

_S3_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


def serialize(operation: OperationModel, result: Document, request_id: str) -> HttpResponse:
    """Write the answer of an operation.

    A streaming payload (S3's `Body`) may be bytes or an async iterable and is passed through. Raise
    `InternalFailure` where a header value holds a line break.
    """
    match operation.service_model.protocol:
        case "json":
            return _json(operation, result, request_id)
        case "query":
            return _query(operation, result, request_id)
    return _rest(operation, result, request_id)


def request_id_header(protocol: str, request_id: str) -> tuple[bytes, bytes]:
    """Give the header that carries the request's id."""
    name = b"x-amz-request-id" if protocol == "rest-xml" else b"x-amzn-requestid"
    return name, request_id.encode()


def json_type(service_model: Any) -> bytes:
    """Give the content type of a json service, with its version."""
    return f"application/x-amz-json-{service_model.metadata['jsonVersion']}".encode()


# ---------------------------------------------------------------- RPC: json, query


def _json(operation: OperationModel, result: Document, request_id: str) -> HttpResponse:
    shape = operation.output_shape
    body = json_body.encode(shape.members, result) if shape else b""  # contract §2.1
    content_type = json_type(operation.service_model)
    return HttpResponse(200, _headers("json", request_id, content_type), body)


def _query(operation: OperationModel, result: Document, request_id: str) -> HttpResponse:
    name, shape = operation.name, operation.output_shape
    inner = xml_body.encode(shape.members, result) if shape else ""
    wrapper = shape.serialization.get("resultWrapper") if shape else None
    body = (
        f'<{name}Response xmlns="{operation.service_model.metadata["xmlNamespace"]}">'
        + (f"<{wrapper}>{inner}</{wrapper}>" if wrapper else inner)
        + f"<ResponseMetadata><RequestId>{xml_body.text(request_id)}</RequestId></ResponseMetadata>"
        f"</{name}Response>"
    )
    return HttpResponse(200, _headers("query", request_id, b"text/xml"), body.encode())


# ---------------------------------------------------------------- REST: json, xml


def _rest(operation: OperationModel, result: Document, request_id: str) -> HttpResponse:
    protocol, shape = operation.service_model.protocol, operation.output_shape
    if shape is None:
        return HttpResponse(_status(operation, result), _headers(protocol, request_id))
    bound = bindings.write(shape, result)
    content_type, body = _rest_body(operation, result)
    if any(name == b"content-type" for name, _ in bound):
        content_type = None
    headers = (*_headers(protocol, request_id, content_type), *bound)
    return HttpResponse(_status(operation, result), headers, body)


def _status(operation: OperationModel, result: Document) -> int:
    """Give the status: the result's own, 206 for a part of an object, or the model's."""
    shape = operation.output_shape
    named = bindings.status(shape, result) if shape else None
    if named is None and operation.service_model.service_name == "s3" and "ContentRange" in result:
        return 206
    return named or int(operation.http.get("responseCode", 200))


def _rest_body(operation: OperationModel, result: Document) -> tuple[bytes | None, Body]:
    """Give the body and its content type; None where there is no body."""
    if operation.name == "GetBucketLocation":
        return b"application/xml", _location(result)
    shape = operation.output_shape
    payload = shape.serialization.get("payload")
    if payload is None:
        return _document(operation, bindings.unbound(shape), result, _root(operation))
    member, value = shape.members[payload], result.get(payload)
    if member.type_name == "structure":
        root = member.serialization.get("name", member.name)
        return _document(operation, member.members, value or {}, root)
    if value is None:
        return None, b""
    return None, value.encode() if isinstance(value, str) else value


def _document(
    operation: OperationModel, members: Mapping[str, Any], value: Document, root: str
) -> tuple[bytes | None, Body]:
    if not members:
        return None, b""
    if operation.service_model.protocol == "rest-json":
        return b"application/json", json_body.encode(members, value)
    inner = xml_body.encode(members, value)
    return b"application/xml", _s3_document(root, inner)


def _root(operation: OperationModel) -> str:
    return _ROOTS.get(operation.name, f"{operation.name}Result")


def _location(result: Document) -> bytes:
    """Write the one answer of S3 whose root element is its value; us-east-1 is the empty one."""
    place = result.get("LocationConstraint") or ""
    return _s3_document("LocationConstraint", xml_body.text(place))


def _s3_document(root: str, inner: str) -> bytes:
    return f'{xml_body.DECLARATION}<{root} xmlns="{_S3_NAMESPACE}">{inner}</{root}>'.encode()


def _headers(protocol: str, request_id: str, content_type: bytes | None = None) -> Headers:
    identity = request_id_header(protocol, request_id)
    return (identity,) if content_type is None else (identity, (b"content-type", content_type))
