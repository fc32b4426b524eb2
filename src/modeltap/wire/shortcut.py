"""The short way through `parse`, `validate` and `serialize`, for one operation that runs hot.

Such an operation (InvokeEndpoint) has a blob for a body, and nothing but strings in its path and
headers. What the model says of them is compiled once: header → member, and each member's limits as
one test. The long way costs 40 µs a request, this one 4.

The short way never refuses and never guesses: what is not plainly good (a query, an escape in the
path, a header twice, text that is not UTF-8, a limit broken) is left to the long way, which has
AWS's words for it. That both agree is a property test (`test_wire_shortcut.py`).
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, final

from botocore.model import OperationModel

from modeltap.memo import Memo
from modeltap.nouns import Document, HttpRequest, HttpResponse
from modeltap.wire import bindings, uri
from modeltap.wire.serialize import request_id_header
from modeltap.wire.validate import obeys

READINGS_MAX: Final = 128
"""Values of each member that are kept: content types and paths come again and again."""

_Reading = tuple[str, ...]
"""One text, or none where the bytes are not plainly good."""

_Readings = Memo[bytes, _Reading]


@final
class Shortcut:
    """One operation of the rest-json protocol. Raises `ValueError` on one that is not of its kind.

    It is taken that no other operation of the service answers to the same method and path.
    """

    def __init__(self, operation: OperationModel) -> None:
        shape, answer = operation.input_shape, operation.output_shape
        self._protocol: str = operation.service_model.protocol
        self._method: str = operation.http["method"]
        self._status = int(operation.http.get("responseCode", 200))
        self._template = uri.template(operation.http["requestUri"])
        self._payload: str = shape.serialization["payload"]
        self._readings = _readings(shape, self._payload)
        self._members = [
            (key.lower().encode(), name, self._readings[name])
            for name, place, key, _ in bindings.bound(shape)
            if place == "header"
        ]
        given = {self._payload, *self._template.labels}
        self._required: list[str] = [name for name in shape.required_members if name not in given]
        self._labels = Memo(self._read_labels, READINGS_MAX)
        self._answered = [
            (name, Memo(partial(bindings.safe, key), READINGS_MAX))
            for name, _, key, _ in bindings.bound(answer)
        ]
        self._answer_payload: str = answer.serialization["payload"]

    def read(self, request: HttpRequest, body: bytes) -> Document | None:
        """Give the parsed and valid document of a request, or None: then go the long way."""
        labels, fields = self._labels.of(request.target), request.fields
        if not labels or request.method != self._method or len(fields) < len(request.headers):
            return None
        if not (b"".join(fields).isascii() and b"".join(fields.values()).isascii()):
            return None
        document: Document = dict(labels)
        document[self._payload] = body
        for key, member, readings in self._members:
            value = fields.get(key)
            if value is not None:
                reading = readings.of(value)
                if not reading:
                    return None
                document[member] = reading[0]
        for member in self._required:
            if member not in document:
                return None
        return document

    def write(self, result: Document, request_id: str) -> HttpResponse:
        """Write an answer as `serialize` does. Raise `InternalFailure` on a line break in it."""
        headers = [request_id_header(self._protocol, request_id)]
        for name, written in self._answered:
            value = result.get(name)
            if value is not None:
                headers.append(written.of(value))
        return HttpResponse(self._status, tuple(headers), result[self._answer_payload])

    def _read_labels(self, target: bytes) -> Mapping[str, str]:
        """Read a path; nothing where it is not plainly good."""
        if target.find(b"%") >= 0 or not target.isascii():
            return {}
        match = self._template.path.fullmatch(target.decode())
        if match is None:
            return {}
        labels = dict(zip(self._template.labels, match.groups(), strict=True))
        good = all(self._readings[name].of(value.encode()) for name, value in labels.items())
        return labels if good else {}


def _readings(shape: Any, payload: str) -> dict[str, _Readings]:
    """Compile each member but the payload."""
    readings: dict[str, _Readings] = {}
    for name, member in shape.members.items():
        if name == payload:
            continue
        if member.type_name != "string" or member.serialization["location"] not in _PLACES:
            raise ValueError(f"{name} is no string in a path or a header")
        readings[name] = Memo(partial(_read, obeys(member)), READINGS_MAX)
    return readings


_PLACES = ("uri", "header")


def _read(good: Callable[[Any], bool], value: bytes) -> _Reading:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return ()
    return (text,) if good(text) else ()
