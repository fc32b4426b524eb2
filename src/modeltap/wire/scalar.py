"""Scalars as text: in query strings, headers, forms and XML."""

import base64
from datetime import datetime
from typing import Any

from modeltap.wire import timestamp

_BOOLEANS = {"true": True, "false": False}


def read(shape: Any, text: str, time_form: str = timestamp.ISO) -> Any:
    """Read a scalar. Raise `ValueError` (also `binascii.Error`, which is one) where it is none."""
    match shape.type_name:
        case "integer" | "long":
            return _integer(text)
        case "float" | "double":
            return float(text)
        case "boolean":
            return _boolean(text)
        case "timestamp":
            return timestamp.read(text, timestamp.format_of(shape, time_form))
        case "blob":
            return base64.b64decode(text, validate=True)
    return text


def write(shape: Any, value: Any, time_form: str = timestamp.ISO) -> str:
    """Write a scalar."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return str(timestamp.write(value, timestamp.format_of(shape, time_form)))
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


def _integer(text: str) -> int:
    """Read decimal digits only: Python's own reader also takes spaces, underscores and signs."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        raise ValueError("not an integer")
    return int(text)


def _boolean(text: str) -> bool:
    if text.lower() not in _BOOLEANS:
        raise ValueError("not a boolean")
    return _BOOLEANS[text.lower()]
