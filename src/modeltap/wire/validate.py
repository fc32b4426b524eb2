"""The limits of the service model, and AWS's words for what breaks them (contract §2.7).

    2 validation errors detected: Value 'a b' at 'modelName' failed to satisfy constraint: Member
    must satisfy regular expression pattern: …; Value null at 'executionRoleArn' failed to satisfy
    constraint: Member must not be null

All violations of a request are told at once. Items of lists of scalars and entries of maps are told
of the list or map itself ("Map value must satisfy constraint: […]"). Members that the model marks
sensitive are named without their value, and so are structures, maps and what is longer than
`ECHO_CHARS_MAX`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from botocore.model import OperationModel, Shape

from modeltap.errors import InvalidArgument, ModeltapError, ValidationError, ValidationException
from modeltap.nouns import Document

ECHO_CHARS_MAX = 1_024
PATTERN_CHARS_MAX = 16_384
"""Longer text is not matched: a pattern must not cost more than reading the body did."""

_ERRORS: Mapping[str, type[ModeltapError]] = {
    "json": ValidationException,
    "rest-json": ValidationError,
    "query": ValidationError,
    "rest-xml": InvalidArgument,
}


def validate(operation: OperationModel, params: Document) -> None:
    """Check a parsed document. Raise the service's validation error naming every violation.

    Blobs are not measured: their limit is a setting (contract §2.8, limits).
    """
    if operation.input_shape is None:
        return
    found = list(_members(operation.input_shape, params, ""))
    if not found:
        return
    count = f"{len(found)} validation error{'s' if len(found) > 1 else ''} detected"
    raise _ERRORS[operation.service_model.protocol](f"{count}: {'; '.join(found)}")


def obeys(shape: Shape) -> Callable[[Any], bool]:
    """Give one test for the limits of a scalar shape."""
    tests = tuple(_checks(shape).values())
    return lambda value: all(holds(value) for holds in tests)


# ---------------------------------------------------------------- the walk

_NESTED = frozenset({"structure", "list", "map"})


def _failed(what: str, path: str, rule: str) -> str:
    return f"{what} at '{path}' failed to satisfy constraint: {rule}"


def _null(path: str) -> str:
    return _failed("Value null", path, "Member must not be null")


def _members(shape: Any, value: Mapping[str, Any], path: str) -> Iterator[str]:
    for name in shape.required_members:
        if value.get(name) is None:
            yield _null(_at(path, name))
    for name, member in shape.members.items():
        if value.get(name) is not None:
            yield from _value(member, value[name], _at(path, name))
    if getattr(shape, "is_tagged_union", False) and len(value) != 1:
        yield _failed("Value", path, "Member must have exactly one member set")


def _value(shape: Any, value: Any, path: str) -> Iterator[str]:
    for rule in _broken(shape, value):
        yield _failed(_echo(shape, value), path, rule)
    match shape.type_name:
        case "structure":
            yield from _members(shape, value, path)
        case "list":
            yield from _items(shape, value, path)
        case "map":
            yield from _entries(shape, value, path)


def _items(shape: Any, value: list[Any], path: str) -> Iterator[str]:
    if shape.member.type_name in _NESTED:
        for number, item in enumerate(value, 1):
            place = f"{path}.{number}.member"
            yield from [_null(place)] if item is None else _value(shape.member, item, place)
    elif any(item is None or _broken(shape.member, item) for item in value):
        rules = ", ".join([*_rules(shape.member), "Member must not be null"])
        yield _failed(_echo(shape, value), path, f"Member must satisfy constraint: [{rules}]")


def _entries(shape: Any, value: Mapping[str, Any], path: str) -> Iterator[str]:
    if any(_broken(shape.key, key) for key in value):
        rules = ", ".join(_rules(shape.key))
        yield _failed(_echo(shape, value), path, f"Map keys must satisfy constraint: [{rules}]")
    if shape.value.type_name in _NESTED:
        for key, item in value.items():
            yield from _value(shape.value, item, f"{path}.{key}.member")
    elif any(_broken(shape.value, item) for item in value.values()):
        rules = ", ".join(_rules(shape.value))
        yield _failed(_echo(shape, value), path, f"Map value must satisfy constraint: [{rules}]")


def _at(path: str, name: str) -> str:
    name = name[:1].lower() + name[1:]
    return f"{path}.{name}" if path else name


# ---------------------------------------------------------------- one value


def _broken(shape: Any, value: Any) -> list[str]:
    """List the rules of a shape that one value breaks, without those of what it holds."""
    return [rule for rule, holds in _checks(shape).items() if not holds(value)]


def _rules(shape: Any) -> list[str]:
    return list(_checks(shape))


@lru_cache(maxsize=4096)
def _checks(shape: Any) -> dict[str, Callable[[Any], bool]]:
    """Give a shape's rules in AWS's words and order, each with its test."""
    limits, type_name = shape.metadata, shape.type_name
    checks: dict[str, Callable[[Any], bool]] = {}
    if type_name in ("string", "list", "map"):
        checks |= _bounds("length", limits, len)
    elif type_name in ("integer", "long", "float", "double"):
        checks |= _bounds("value", limits, lambda value: value)
    if "enum" in limits and type_name == "string":
        allowed = limits["enum"]
        checks[f"Member must satisfy enum value set: [{', '.join(allowed)}]"] = allowed.__contains__
    if "pattern" in limits and type_name == "string":
        form = _compiled(limits["pattern"])
        checks[f"Member must satisfy regular expression pattern: {limits['pattern']}"] = (
            lambda value: len(value) <= PATTERN_CHARS_MAX and bool(form.fullmatch(value))
        )
    return checks


def _bounds(
    of: str, limits: Mapping[str, Any], measure: Callable[[Any], float]
) -> dict[str, Callable[[Any], bool]]:
    checks: dict[str, Callable[[Any], bool]] = {}
    if "max" in limits:
        most = limits["max"]
        checks[f"Member must have {of} less than or equal to {most}"] = lambda value: (
            measure(value) <= most
        )
    if "min" in limits:
        least = limits["min"]
        checks[f"Member must have {of} greater than or equal to {least}"] = lambda value: (
            measure(value) >= least
        )
    return checks


# ---------------------------------------------------------------- patterns

_TOKEN = re.compile(r"\\p\{(\w+)\}|\\z|\\.|\[|\]")
_CLASSES = {
    "ASCII": r"\x00-\x7f",
    "Print": r"\x20-\x7e",
    "Alnum": "a-zA-Z0-9",
    "N": r"\d",
    "Z": r" \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",
    "L": r"\w",  # and the underscore: each pattern of the models that names L names _ too
}


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    r"""Compile a pattern of the model. They are Java's, whose `\w` and `\d` are ASCII."""
    inside = False

    def translate(match: re.Match[str]) -> str:
        nonlocal inside
        found = match[0]
        if match[1]:
            return _CLASSES[match[1]] if inside else f"[{_CLASSES[match[1]]}]"
        if found in "[]":
            inside = found == "["
        return r"\Z" if found == r"\z" else found

    return re.compile(_TOKEN.sub(translate, pattern), 0 if r"\p{L}" in pattern else re.ASCII)


# ---------------------------------------------------------------- the echo


def _echo(shape: Any, value: Any) -> str:
    """Quote a value as AWS does, unless it is a secret, has parts, or is too long to be of help."""
    text = None if _is_hidden(shape) else _printed(value)
    return f"Value '{text}'" if text is not None and len(text) <= ECHO_CHARS_MAX else "Value"


def _is_hidden(shape: Any) -> bool:
    match shape.type_name:
        case "list":
            return _is_hidden(shape.member)
        case "structure" | "map" | "blob":  # a map may be an environment, with passwords in it
            return True
    return bool(shape.metadata.get("sensitive"))


def _printed(value: Any) -> str:
    """Print as Java does: `[a, b]`, `null`."""
    if isinstance(value, list):
        return f"[{', '.join(map(_printed, value))}]"
    return "null" if value is None else str(value)
