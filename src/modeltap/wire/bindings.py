"""What REST carries outside the body: labels of the path, query fields, headers, the status.

Header values are UTF-8, as S3 reads its metadata. A value that would break out of its header line
is refused when it is written: a model's answer may be hostile.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from botocore.model import OperationModel, Shape, StructureShape

from modeltap.errors import InternalFailure
from modeltap.nouns import Document, HttpRequest
from modeltap.wire import scalar, timestamp, uri

_BREAKING = frozenset("\r\n\0")


@lru_cache(maxsize=1024)
def unbound(shape: StructureShape) -> dict[str, Shape]:
    """Give the members of a structure that travel in its body."""
    return {n: m for n, m in shape.members.items() if "location" not in m.serialization}


@lru_cache(maxsize=1024)
def bound(shape: StructureShape) -> list[tuple[str, str, str, Shape]]:
    """List the members outside the body: name, location, name there, shape."""
    return [
        (name, member.serialization["location"], member.serialization.get("name", name), member)
        for name, member in shape.members.items()
        if "location" in member.serialization
    ]


# ---------------------------------------------------------------- reading


def read(operation: OperationModel, request: HttpRequest) -> Document:
    """Read the bound members of an operation's input."""
    protocol = operation.service_model.protocol
    labels = uri.labels(protocol, operation.http["requestUri"], request.path)
    query: dict[str, list[str]] = {}
    for name, value in uri.query_fields(protocol, request.query):
        query.setdefault(name, []).append(value)
    headers = _texts(protocol, request)
    found: Document = {}
    for name, location, key, shape in bound(operation.input_shape):
        try:
            value = _read_one(shape, location, key, labels, query, headers)
        except ValueError as error:
            message = f"The value of {key} is not of type {shape.type_name}."
            raise uri.malformed(protocol, message) from error
        if value is not None:
            found[name] = value
    return found


def _texts(protocol: str, request: HttpRequest) -> dict[str, str]:
    """Give the headers as text; repeated ones are joined by a comma (RFC 9110 §5.3)."""
    texts: dict[str, str] = {}
    try:
        for raw_name, raw in request.headers:
            name, value = raw_name.decode("ascii"), raw.decode()
            texts[name] = f"{texts[name]},{value}" if name in texts else value
    except UnicodeDecodeError as error:
        raise uri.malformed(protocol, "A header is not UTF-8.") from error
    return texts


def _read_one(
    shape: Shape,
    location: str,
    key: str,
    labels: Mapping[str, str],
    query: Mapping[str, list[str]],
    headers: Mapping[str, str],
) -> Any:
    match location:
        case "uri":
            return scalar.read(shape, labels[key]) if key in labels else None
        case "querystring":
            return _from_query(shape, key, query)
        case "headers":
            return _prefixed(key.lower(), headers) or None
    value = headers.get(key.lower())
    return None if value is None else _from_header(shape, value)


def _from_query(shape: Shape, key: str, query: Mapping[str, list[str]]) -> Any:
    if shape.type_name == "map":
        return {name: values[0] for name, values in query.items()}
    if key not in query:
        return None
    if shape.type_name == "list":
        return [scalar.read(shape.member, value) for value in query[key]]
    return scalar.read(shape, query[key][0])


def _from_header(shape: Shape, value: str) -> Any:
    if shape.type_name == "list":
        return [
            scalar.read(shape.member, part, timestamp.HTTP)
            for part in map(str.strip, value.split(","))
        ]
    return scalar.read(shape, value, timestamp.HTTP)


def _prefixed(prefix: str, headers: Mapping[str, str]) -> dict[str, str]:
    return {n.removeprefix(prefix): v for n, v in headers.items() if n.startswith(prefix)}


# ---------------------------------------------------------------- writing


def write(shape: StructureShape, result: Document) -> list[tuple[bytes, bytes]]:
    """Write the members of an output that travel in headers.

    Raise `InternalFailure` for a value that holds a line break.
    """
    headers: list[tuple[str, str]] = []
    for name, location, key, member in bound(shape):
        value = result.get(name)
        if value is None:
            continue
        if location == "headers":
            headers += [(key + each, str(item)) for each, item in value.items()]
        elif location == "header":
            headers.append((key, _to_header(member, value)))
    return [safe(name, value) for name, value in headers]


def status(shape: StructureShape, result: Document) -> int | None:
    """Give the status that the result itself names, if its shape has such a member."""
    for name, location, _, _ in bound(shape):
        if location == "statusCode" and result.get(name) is not None:
            return int(result[name])
    return None


def _to_header(shape: Shape, value: Any) -> str:
    if shape.type_name == "list":
        return ",".join(scalar.write(shape.member, item, timestamp.HTTP) for item in value)
    return scalar.write(shape, value, timestamp.HTTP)


def safe(name: str, value: str) -> tuple[bytes, bytes]:
    """Write a header. Raise `InternalFailure` where it holds a line break."""
    if _BREAKING.intersection(name) or _BREAKING.intersection(value):
        raise InternalFailure("An answer holds a header value with a line break.")
    return name.lower().encode(), value.encode()
