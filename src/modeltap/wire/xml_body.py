"""XML bodies, both ways: requests and answers of S3, answers of the query protocol.

Reading is through defusedxml: a document type, an entity or an external reference is refused.
Writing is by hand: S3's keys may hold a carriage return, which a reader of XML turns into a line
feed unless it is written as a character reference, and the standard writer does not do so.
"""

from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from modeltap.errors import MalformedXML
from modeltap.nouns import Document
from modeltap.wire import names, scalar

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'

_MALFORMED = (
    "The XML you provided was not well-formed or did not validate against our published schema"
)


# ---------------------------------------------------------------- reading


def decode(members: Mapping[str, Any], raw: bytes, *, root: str | None = None) -> Document:
    """Read a body into a document of these members.

    Namespaces are ignored, as S3 does. Raise `MalformedXML`, also where the root is not `root`.
    """
    try:
        element = fromstring(raw, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise MalformedXML(_MALFORMED) from error
    if root is not None and _local(element) != root:
        raise MalformedXML(_MALFORMED)
    return _members(members, element)


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _members(members: Mapping[str, Any], element: Element) -> Document:
    children: dict[str, list[Element]] = {}
    for child in element:
        children.setdefault(_local(child), []).append(child)
    return {
        name: _member(shape, found)
        for name, shape in members.items()
        if (found := children.get(names.element(name, shape)))
    }


def _member(shape: Any, found: list[Element]) -> Any:
    if names.is_flat(shape):
        return _items(shape, found) if shape.type_name == "list" else _entries(shape, found)
    if len(found) > 1:
        raise MalformedXML(_MALFORMED)
    return _decoded(shape, found[0])


def _decoded(shape: Any, element: Element) -> Any:
    match shape.type_name:
        case "structure":
            return _members(shape.members, element)
        case "list":
            return _items(shape, list(element))
        case "map":
            return _entries(shape, list(element))
    try:
        return scalar.read(shape, element.text or "")
    except ValueError as error:
        raise MalformedXML(_MALFORMED) from error


def _items(shape: Any, found: list[Element]) -> list[Any]:
    return [_decoded(shape.member, element) for element in found]


def _entries(shape: Any, found: list[Element]) -> dict[str, Any]:
    key, value = names.entry(shape)
    entries = {}
    for element in found:
        parts = {_local(part): part for part in element}
        if parts.keys() < {key, value}:
            raise MalformedXML(_MALFORMED)
        entries[parts[key].text or ""] = _decoded(shape.value, parts[value])
    return entries


# ---------------------------------------------------------------- writing


def text(value: str) -> str:
    """Write character data."""
    return escape(value, {"\r": "&#13;", '"': "&quot;"})


def encode(members: Mapping[str, Any], value: Mapping[str, Any]) -> str:
    """Write the members of a document, without an element around them; None is left out."""
    return "".join(
        _encoded(names.element(name, shape), shape, value[name])
        for name, shape in members.items()
        if value.get(name) is not None
    )


def _encoded(name: str, shape: Any, value: Any) -> str:
    if shape.type_name == "list":
        return _written_list(name, shape, value)
    if shape.type_name == "map":
        return _written_map(name, shape, value)
    if shape.type_name == "structure":
        return f"<{name}>{encode(shape.members, value)}</{name}>"
    return f"<{name}>{text(scalar.write(shape, value))}</{name}>"


def _written_list(name: str, shape: Any, value: list[Any]) -> str:
    if names.is_flat(shape):
        return "".join(_encoded(name, shape.member, item) for item in value)
    items = "".join(_encoded(names.item(shape), shape.member, item) for item in value)
    return f"<{name}>{items}</{name}>"


def _written_map(name: str, shape: Any, value: Mapping[str, Any]) -> str:
    key_name, value_name = names.entry(shape)
    outer = name if names.is_flat(shape) else "entry"
    entries = "".join(
        f"<{outer}>{_encoded(key_name, shape.key, key)}"
        f"{_encoded(value_name, shape.value, item)}</{outer}>"
        for key, item in value.items()
    )
    return entries if names.is_flat(shape) else f"<{name}>{entries}</{name}>"
