"""Form bodies of the query protocol: `Tags.member.1.Key=a&Tags.member.1.Value=b`.

The dotted names are read into a tree first; then the shape walks the tree, so that a hostile depth
or width costs no more than the bytes that were sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modeltap.errors import SerializationException
from modeltap.nouns import Document
from modeltap.wire import names, scalar, uri

DEPTH_MAX = 32
"""Dots that part a name; what lies deeper is in no shape, and would cost memory by the dot."""


@dataclass(slots=True)
class _Node:
    text: str | None = None
    children: "dict[str, _Node]" = field(default_factory=dict)


def decode(members: Mapping[str, Any], raw: bytes) -> Document:
    """Read a form into a document of these members."""
    root = _Node()
    for name, text in uri.query_fields("query", raw):
        node = root
        for part in name.split(".", DEPTH_MAX):
            node = node.children.setdefault(part, _Node())
        node.text = text
    return _members(members, root)


def _members(members: Mapping[str, Any], node: _Node) -> Document:
    found = {}
    for name, shape in members.items():
        child = node.children.get(names.element(name, shape))
        if child is not None:
            found[name] = _decoded(shape, child)
    return found


def _decoded(shape: Any, node: _Node) -> Any:
    match shape.type_name:
        case "structure":
            return _members(shape.members, node)
        case "list":
            return _list(shape, node)
        case "map":
            return _map(shape, node)
    try:
        return scalar.read(shape, node.text or "")
    except ValueError as error:
        raise SerializationException(f"A value is not of type {shape.type_name}.") from error


def _list(shape: Any, node: _Node) -> list[Any]:
    holder = node if names.is_flat(shape) else node.children.get(names.item(shape), _Node())
    return [_decoded(shape.member, child) for child in _numbered(holder)]


def _map(shape: Any, node: _Node) -> dict[str, Any]:
    holder = node if names.is_flat(shape) else node.children.get("entry", _Node())
    key, value = names.entry(shape)
    return {
        child.children.get(key, _Node()).text or "": _decoded(
            shape.value, child.children.get(value, _Node())
        )
        for child in _numbered(holder)
    }


def _numbered(node: _Node) -> list[_Node]:
    """Give the children `1`, `2`, … in their order."""
    places = [place for place in node.children if place.isascii() and place.isdigit()]
    return [node.children[place] for place in sorted(places, key=lambda text: (len(text), text))]
