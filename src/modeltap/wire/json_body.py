"""JSON bodies, both ways: json-1.0, json-1.1 and the body of rest-json.

Reading checks types and nothing else; limits are the work of `validate`. A member that the model
does not know is dropped, and null counts as absent, as AWS has it. A wrong type is a
`SerializationException` in AWS's words ("NUMBER_VALUE can not be converted to a String").
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from modeltap.errors import SerializationException
from modeltap.nouns import Document
from modeltap.wire import timestamp

_INTEGER_BITS = {"integer": 31, "long": 63}


# ---------------------------------------------------------------- reading


def decode(members: Mapping[str, Any], raw: bytes) -> Document:
    """Read a body into a document of these members; an empty body is an empty document."""
    try:
        value = orjson.loads(raw or b"{}")
    except orjson.JSONDecodeError as error:
        raise SerializationException("The body is not JSON.") from error
    return _members(members, value)


def _members(members: Mapping[str, Any], value: Any) -> Document:
    if not isinstance(value, dict):
        raise _wrong(value, "Expected a structure")
    found = {}
    for name, shape in members.items():
        item = value.get(shape.serialization.get("name", name))
        if item is not None:
            found[name] = _decoded(shape, item)
    return found


def _decoded(shape: Any, value: Any) -> Any:
    return _DECODERS[shape.type_name](shape, value)


def _structure(shape: Any, value: Any) -> Any:
    if shape.is_document_type:
        return value
    return _members(shape.members, value)


def _list(shape: Any, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong(value, "Expected list or null")
    return [None if item is None else _decoded(shape.member, item) for item in value]


def _map(shape: Any, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(value, "Expected map or null")
    return {key: _decoded(shape.value, item) for key, item in value.items() if item is not None}


def _string(shape: Any, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(value, "can not be converted to a String")
    return value


def _integer(shape: Any, value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(value, f"can not be converted to {_article(shape.type_name)}")
    if not -(1 << _INTEGER_BITS[shape.type_name]) <= value < 1 << _INTEGER_BITS[shape.type_name]:
        raise SerializationException(f"Number is out of the range of {_article(shape.type_name)}")
    return value


def _float(shape: Any, value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _wrong(value, f"can not be converted to {_article(shape.type_name)}")
    return float(value)


def _boolean(shape: Any, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(value, "can not be converted to a Boolean")
    return value


def _timestamp(shape: Any, value: Any) -> Any:
    form = timestamp.format_of(shape, timestamp.EPOCH)
    wanted = int | float if form == timestamp.EPOCH else str
    if isinstance(value, bool) or not isinstance(value, wanted):
        raise _wrong(value, "can not be converted to a Date")
    try:
        return timestamp.read(value, form)
    except ValueError as error:
        raise _wrong(value, "can not be converted to a Date") from error


def _blob(shape: Any, value: Any) -> bytes:
    try:
        return base64.b64decode(_string(shape, value), validate=True)
    except binascii.Error as error:
        raise SerializationException("A blob is not base64.") from error


_DECODERS: Mapping[str, Callable[[Any, Any], Any]] = {
    "structure": _structure,
    "list": _list,
    "map": _map,
    "string": _string,
    "character": _string,
    "integer": _integer,
    "long": _integer,
    "float": _float,
    "double": _float,
    "boolean": _boolean,
    "timestamp": _timestamp,
    "blob": _blob,
}


def _article(type_name: str) -> str:
    return f"{'an' if type_name == 'integer' else 'a'} {type_name.capitalize()}"


def _wrong(value: Any, wanted: str) -> SerializationException:
    """Say what was found by its JSON token, never by its value."""
    if isinstance(value, dict):
        return SerializationException("Start of structure or map found where not expected.")
    if isinstance(value, list):
        return SerializationException("Start of list found where not expected")
    if isinstance(value, bool):
        return SerializationException(f"{str(value).upper()}_VALUE {wanted}")
    token = "STRING_VALUE" if isinstance(value, str) else "NUMBER_VALUE"
    return SerializationException(f"{token} {wanted}")


# ---------------------------------------------------------------- writing


def encode(members: Mapping[str, Any], value: Document) -> bytes:
    """Write a document; members that the model does not know, and None, are left out."""
    return orjson.dumps(_plain_members(members, value))


def _plain_members(members: Mapping[str, Any], value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        shape.serialization.get("name", name): _plain(shape, value[name])
        for name, shape in members.items()
        if value.get(name) is not None
    }


def _plain(shape: Any, value: Any) -> Any:
    match shape.type_name:
        case "structure":
            return value if shape.is_document_type else _plain_members(shape.members, value)
        case "list":
            return [_plain(shape.member, item) for item in value]
        case "map":
            return {key: _plain(shape.value, item) for key, item in value.items()}
        case "timestamp":
            return timestamp.write(value, timestamp.format_of(shape, timestamp.EPOCH))
        case "blob":
            return base64.b64encode(value).decode()
        case "float" | "double":
            return float(value)
    return value
