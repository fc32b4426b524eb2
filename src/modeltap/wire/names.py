"""The names under which members travel in XML and forms."""

from typing import Any


def element(name: str, shape: Any) -> str:
    """Name a member's element; a flattened list goes by its items' name where that is given."""
    if is_flat(shape) and shape.type_name == "list" and "name" in shape.member.serialization:
        return str(shape.member.serialization["name"])
    return str(shape.serialization.get("name", name))


def item(shape: Any) -> str:
    """Name the items of a list that is not flattened."""
    return str(shape.member.serialization.get("name", "member"))


def entry(shape: Any) -> tuple[str, str]:
    """Name the key and the value in an entry of a map."""
    return (
        str(shape.key.serialization.get("name", "key")),
        str(shape.value.serialization.get("name", "value")),
    )


def is_flat(shape: Any) -> bool:
    """Tell whether a list's items or a map's entries stand without an element around them."""
    return bool(shape.serialization.get("flattened"))
