"""The short way and the long way are one: `wire.shortcut` against parse, validate, serialize."""

import string

from hypothesis import given, settings
from hypothesis import strategies as st

from modeltap.errors import ModeltapError
from modeltap.nouns import Document, HttpRequest
from modeltap.wire.catalog import operation_named, service
from modeltap.wire.parse import parse
from modeltap.wire.serialize import serialize
from modeltap.wire.shortcut import Shortcut
from modeltap.wire.validate import validate

RUNTIME = service("sagemaker-runtime")
OPERATION = RUNTIME.operation_model("InvokeEndpoint")
SHORTCUT = Shortcut(OPERATION)

_HEADERS = [
    member.serialization["name"].lower().encode()
    for member in OPERATION.input_shape.members.values()
    if member.serialization.get("location") == "header"
]
_NAME = st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=66)
_VALUE = st.one_of(
    st.sampled_from([b"", b" ", b"text/csv", b"NEW_SESSION", b"a" * 64, b"a" * 65, b"a" * 1025]),
    st.text(max_size=8).map(str.encode),
    st.binary(max_size=4),
    _NAME.map(str.encode),
)
_FIELD = st.tuples(st.sampled_from([*_HEADERS, b"host", b"user-agent", b"\xe9"]), _VALUE)
_END = st.sampled_from(["invocations"] * 6 + ["invocations?a=b", "async-invocations", "x", ""])
_LABEL = st.one_of(_NAME, st.sampled_from(["churn"] * 4 + ["a%20b", "a%41", "%", "a?b", "a/b", ""]))


@st.composite
def requests(draw: st.DrawFn) -> HttpRequest:
    return HttpRequest(
        method=draw(st.sampled_from(["POST"] * 5 + ["GET"])),
        target=f"/endpoints/{draw(_LABEL)}/{draw(_END)}".encode(),
        headers=tuple(draw(st.lists(_FIELD, max_size=5))),
        body=draw(st.binary(max_size=3)),
    )


def long_way(request: HttpRequest) -> Document | None:
    assert isinstance(request.body, bytes)
    try:
        if operation_named(request, RUNTIME) != OPERATION.name:
            return None
        params = parse(OPERATION, request, request.body)
        validate(OPERATION, params)
    except ModeltapError:
        return None
    return params


@settings(max_examples=1500, deadline=None)
@given(requests())
def test_what_is_read_is_what_the_long_way_reads(request: HttpRequest) -> None:
    assert isinstance(request.body, bytes)
    document = SHORTCUT.read(request, request.body)
    assert document is None or document == long_way(request)


@settings(max_examples=300, deadline=None)
@given(_NAME, st.sets(st.sampled_from(_HEADERS)), st.binary(max_size=3))
def test_plain_requests_take_the_short_way(name: str, headers: set[bytes], body: bytes) -> None:
    endpoint = "a" + name.replace("-", "")[:62]
    fields = tuple((header, b"abc") for header in headers)
    request = HttpRequest("POST", f"/endpoints/{endpoint}/invocations".encode(), fields, body)
    assert SHORTCUT.read(request, body) == long_way(request) != None  # noqa: E711


@settings(max_examples=500, deadline=None)
@given(
    st.fixed_dictionaries(
        {"Body": st.binary(max_size=3)},
        optional={
            name: st.none() | st.text(max_size=6)
            for name in OPERATION.output_shape.members
            if name != "Body"
        },
    )
)
def test_what_is_written_is_what_the_long_way_writes(result: Document) -> None:
    def outcome(way: object) -> object:
        try:
            return way(result, "id")  # type: ignore[operator]
        except (ModeltapError, UnicodeEncodeError) as error:
            return type(error)

    assert outcome(SHORTCUT.write) == outcome(lambda given, id_: serialize(OPERATION, given, id_))
