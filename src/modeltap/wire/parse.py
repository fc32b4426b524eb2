"""Requests into documents: the members that botocore's client was given, with its types.

Types are checked here, limits in `validate`. What cannot be read is a `SerializationException`;
S3 says `MalformedXML` of bodies and `InvalidArgument` of the rest.
"""

from collections.abc import Mapping
from typing import Any

from botocore.model import OperationModel, Shape

from modeltap.errors import SerializationException
from modeltap.nouns import Document, HttpRequest
from modeltap.wire import bindings, form_body, json_body, xml_body


def parse(operation: OperationModel, request: HttpRequest, body: bytes) -> Document:
    """Read a request of an operation.

    `body` is the whole body; it is empty where the caller hands a streaming payload on itself:
    `request.body` is a stream then, and the payload member is left out.
    """
    shape = operation.input_shape
    if shape is None:
        return {}
    try:
        match operation.service_model.protocol:
            case "json":
                return json_body.decode(shape.members, body)
            case "query":
                return form_body.decode(shape.members, body or request.query)
        return bindings.read(operation, request) | _body(operation, request, body)
    except RecursionError as error:
        raise SerializationException("The body is nested too deeply.") from error


def _body(operation: OperationModel, request: HttpRequest, body: bytes) -> Document:
    """Read what a REST body holds: one payload member, or all members that are not bound."""
    protocol, shape = operation.service_model.protocol, operation.input_shape
    payload = shape.serialization.get("payload")
    if payload is not None:
        return _payload(protocol, payload, shape.members[payload], request, body)
    members = bindings.unbound(shape)
    return _decoded(protocol, members, body) if body and members else {}


def _payload(protocol: str, name: str, shape: Shape, request: HttpRequest, body: bytes) -> Document:
    if shape.type_name == "structure":
        root = shape.serialization.get("name", shape.name)
        return {name: _decoded(protocol, shape.members, body, root)} if body else {}
    if not body and not isinstance(request.body, bytes):
        return {}
    return {name: body if shape.type_name == "blob" else body.decode("utf-8", "replace")}


def _decoded(
    protocol: str, members: Mapping[str, Any], body: bytes, root: str | None = None
) -> Document:
    if protocol == "rest-xml":
        return xml_body.decode(members, body, root=root)
    return json_body.decode(members, body)
