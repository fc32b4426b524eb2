"""Requests that cannot be read, and those that botocore never sends."""

import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from modeltap import errors
from modeltap.nouns import Document, HttpRequest
from modeltap.wire import catalog
from modeltap.wire.parse import parse


def read_json(name: str, body: bytes) -> Document:
    model = catalog.service("sagemaker").operation_model(name)
    return parse(model, HttpRequest("POST", b"/", (), body), body)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "The body is not JSON."),
        (b'{"ModelName": NaN}', "The body is not JSON."),
        (b"\xff", "The body is not JSON."),
        (b"[]", "Start of list found where not expected"),
        (b'"a"', "STRING_VALUE Expected a structure"),
        (b'{"ModelName": 1}', "NUMBER_VALUE can not be converted to a String"),
        (b'{"ModelName": true}', "TRUE_VALUE can not be converted to a String"),
        (b'{"ModelName": {}}', "Start of structure or map found where not expected."),
        (b'{"ModelName": []}', "Start of list found where not expected"),
        (b'{"Tags": {"Key": "a"}}', "Start of structure or map found where not expected."),
        (b'{"Tags": ["a"]}', "STRING_VALUE Expected a structure"),
        (b'{"EnableNetworkIsolation": "true"}', "STRING_VALUE can not be converted to a Boolean"),
        (b'{"PrimaryContainer": {"Environment": []}}', "Start of list found where not expected"),
    ],
)
def test_json_of_a_wrong_type(body: bytes, text: str) -> None:
    with pytest.raises(errors.SerializationException) as caught:
        read_json("CreateModel", body)
    assert caught.value.message == text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"MaxResults": "1"}', "STRING_VALUE can not be converted to an Integer"),
        (b'{"MaxResults": 1.5}', "NUMBER_VALUE can not be converted to an Integer"),
        (b'{"MaxResults": false}', "FALSE_VALUE can not be converted to an Integer"),
        (b'{"MaxResults": 2147483648}', "Number is out of the range of an Integer"),
        (b'{"CreationTimeAfter": "2026"}', "STRING_VALUE can not be converted to a Date"),
        (b'{"CreationTimeAfter": 1e300}', "NUMBER_VALUE can not be converted to a Date"),
    ],
)
def test_json_numbers_and_dates(body: bytes, text: str) -> None:
    with pytest.raises(errors.SerializationException) as caught:
        read_json("ListModels", body)
    assert caught.value.message == text


def test_json_drops_what_is_null_or_unknown() -> None:
    assert read_json("CreateModel", b'{"ModelName": null, "Unknown": [1]}') == {}
    assert read_json("CreateModel", b"") == {}


def test_json_takes_fractions_of_a_second_and_whole_floats() -> None:
    document = read_json("ListModels", b'{"CreationTimeAfter": 1612498509.879, "MaxResults": 5.0}')
    moment = datetime(2021, 2, 5, 4, 15, 9, 879_000, UTC)
    assert document == {"CreationTimeAfter": moment, "MaxResults": 5}


def read_s3(
    name: str, method: str, target: bytes, *headers: tuple[bytes, bytes], body: bytes = b""
) -> Document:
    model = catalog.service("s3").operation_model(name)
    return parse(model, HttpRequest(method, target, headers, body), body)


@pytest.mark.parametrize(
    "body",
    [
        b"<Delete>",
        b"<Remove><Object><Key>a</Key></Object></Remove>",
        b"not XML",
        b"<Delete><Quiet>perhaps</Quiet></Delete>",
        b"<Delete><Quiet>true</Quiet><Quiet>true</Quiet></Delete>",
        b'<!DOCTYPE d [<!ENTITY e "x">]><Delete><Object><Key>&e;</Key></Object></Delete>',
        b'<!DOCTYPE d SYSTEM "file:///etc/passwd"><Delete/>',
    ],
)
def test_xml_that_is_malformed_or_hostile(body: bytes) -> None:
    with pytest.raises(errors.MalformedXML):
        read_s3("DeleteObjects", "POST", b"/bucket?delete", body=body)


def test_xml_is_read_with_and_without_its_namespace() -> None:
    inner = b"<Object><Key>a&amp;b</Key><Unknown/></Object>"
    plain = b"<Delete>" + inner + b"</Delete>"
    spaced = b'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">' + inner + b"</Delete>"
    wanted = {"Bucket": "bucket", "Delete": {"Objects": [{"Key": "a&b"}]}}
    assert read_s3("DeleteObjects", "POST", b"/bucket?delete", body=plain) == wanted
    assert read_s3("DeleteObjects", "POST", b"/bucket?delete", body=spaced) == wanted


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        (b"/bucket?max-keys=ten", ()),
        (b"/bucket?max-keys=1_0", ()),
        (b"/bucket?max-keys= 1", ()),
        (b"/bucket?max-keys=" + b"1" * 5000, ()),
        (b"/bucket", ((b"x-amz-expected-bucket-owner", b"\xff"),)),
    ],
)
def test_s3_members_of_a_wrong_type(
    target: bytes, headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    with pytest.raises(errors.InvalidArgument):
        read_s3("ListObjects", "GET", target, *headers)


def test_s3_dates_in_headers() -> None:
    modified = (b"if-modified-since", b"Sat, 21 Nov 2026 21:58:08 GMT")
    document = read_s3("GetObject", "GET", b"/bucket/key", modified)
    assert document["IfModifiedSince"] == datetime(2026, 11, 21, 21, 58, 8, tzinfo=UTC)
    with pytest.raises(errors.InvalidArgument):
        read_s3("GetObject", "GET", b"/bucket/key", (b"if-modified-since", b"yesterday"))


async def _nothing() -> AsyncIterator[bytes]:
    yield b""


def test_a_streamed_payload_is_left_to_the_caller() -> None:
    model = catalog.service("s3").operation_model("PutObject")
    request = HttpRequest("PUT", b"/bucket/key", (), _nothing())
    assert parse(model, request, b"") == {"Bucket": "bucket", "Key": "key"}


def test_a_form_is_read_by_its_numbers() -> None:
    """Lists and structures of the query protocol, in any order and beyond nine items."""
    model = catalog.service("iam").operation_model("TagRole")
    tags = [(f"k{number}", f"v{number}") for number in range(1, 12)]
    fields = [
        f"Tags.member.{number}.Key={key}&Tags.member.{number}.Value={value}"
        for number, (key, value) in enumerate(tags, 1)
    ]
    body = "&".join(["Action=TagRole", "RoleName=a+b", *reversed(fields)]).encode()
    document = parse(model, HttpRequest("POST", b"/", (), body), body)
    assert document == {
        "RoleName": "a b",
        "Tags": [{"Key": key, "Value": value} for key, value in tags],
    }


def test_a_form_of_a_wrong_type_or_size() -> None:
    model = catalog.service("sts").operation_model("AssumeRole")
    for body in (b"DurationSeconds=long", b"a=b&" * 50_001, b"RoleArn=%ff"):
        with pytest.raises(errors.SerializationException):
            parse(model, HttpRequest("POST", b"/", (), body), body)


def test_a_form_that_is_deep_costs_little() -> None:
    model = catalog.service("sts").operation_model("AssumeRole")
    body = b"RoleArn" + b".a" * 100_000 + b"=x"
    tracemalloc.start()
    try:
        assert parse(model, HttpRequest("POST", b"/", (), body), body) == {"RoleArn": ""}
        assert tracemalloc.get_traced_memory()[1] < 10 * len(body)
    finally:
        tracemalloc.stop()


def test_json_that_is_deep_is_refused() -> None:
    """A shape that holds itself, nested as deep as the JSON reader goes."""
    model = catalog.service("sagemaker").operation_model("Search")
    depth = 500
    body = b'{"SearchExpression": ' + b'{"SubExpressions": [' * depth + b"]}" * depth + b"}"
    with pytest.raises(errors.SerializationException, match="deep"):
        parse(model, HttpRequest("POST", b"/", (), body), body)
