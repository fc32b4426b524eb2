"""What answers look like on the wire, where botocore would not notice."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from modeltap import errors
from modeltap.nouns import HttpResponse
from modeltap.wire import catalog
from modeltap.wire.serialize import serialize

MOMENT = datetime(2021, 2, 5, 4, 15, 9, 879_000, UTC)
DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE = b'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def written(service: str, name: str, result: dict[str, Any]) -> HttpResponse:
    return serialize(catalog.service(service).operation_model(name), result, "request-1")


def test_json_has_milliseconds_and_nothing_unmodelled() -> None:
    answer = written(
        "sagemaker",
        "DescribeEndpoint",
        {"EndpointName": "e", "CreationTime": MOMENT, "FailureReason": None, "Generation": 7},
    )
    assert answer.body == b'{"EndpointName":"e","CreationTime":1612498509.879}'
    assert answer.headers == (
        (b"x-amzn-requestid", b"request-1"),
        (b"content-type", b"application/x-amz-json-1.1"),
    )


def test_json_without_output_is_empty() -> None:
    answer = written("sagemaker", "DeleteEndpoint", {})
    assert (answer.status, answer.body) == (200, b"")


def test_query_has_both_its_elements() -> None:
    answer = written("sts", "GetCallerIdentity", {"Account": "000000000000"})
    assert answer.body == (
        b'<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        b"<GetCallerIdentityResult><Account>000000000000</Account></GetCallerIdentityResult>"
        b"<ResponseMetadata><RequestId>request-1</RequestId></ResponseMetadata>"
        b"</GetCallerIdentityResponse>"
    )


def test_query_writes_iso_times() -> None:
    answer = written("iam", "GetRole", {"Role": {"RoleName": "r", "CreateDate": MOMENT}})
    assert isinstance(answer.body, bytes)
    assert b"<CreateDate>2021-02-05T04:15:09.879Z</CreateDate>" in answer.body


@pytest.mark.parametrize(
    ("name", "root"),
    [
        ("ListBuckets", b"ListAllMyBucketsResult"),
        ("ListObjects", b"ListBucketResult"),
        ("ListObjectsV2", b"ListBucketResult"),
        ("CreateMultipartUpload", b"InitiateMultipartUploadResult"),
        ("CompleteMultipartUpload", b"CompleteMultipartUploadResult"),
        ("ListParts", b"ListPartsResult"),
        ("ListMultipartUploads", b"ListMultipartUploadsResult"),
        ("DeleteObjects", b"DeleteResult"),
        ("CopyObject", b"CopyObjectResult"),
        ("GetBucketLocation", b"LocationConstraint"),
    ],
)
def test_s3_names_its_roots_and_its_namespace(name: str, root: bytes) -> None:
    answer = written("s3", name, {})
    assert answer.body == DECLARATION + b"<%b %b></%b>" % (root, NAMESPACE, root)


def test_s3_escapes_what_a_reader_would_change() -> None:
    answer = written("s3", "ListObjects", {"Contents": [{"Key": 'a&b<c>\r\n"'}], "Prefix": ""})
    assert isinstance(answer.body, bytes)
    assert b"<Prefix></Prefix>" in answer.body
    assert b"<Contents><Key>a&amp;b&lt;c&gt;&#13;\n&quot;</Key></Contents>" in answer.body


def test_s3_tells_where_a_bucket_is() -> None:
    answer = written("s3", "GetBucketLocation", {"LocationConstraint": "eu-west-1"})
    assert isinstance(answer.body, bytes)
    assert answer.body.endswith(b">eu-west-1</LocationConstraint>")


def test_s3_headers() -> None:
    answer = written(
        "s3",
        "GetObject",
        {
            "Body": b"x",
            "ContentLength": 1,
            "ContentType": "text/csv",
            "ETag": '"e"',
            "LastModified": MOMENT,
            "Metadata": {"Colour": "grün"},
            "DeleteMarker": False,
        },
    )
    assert answer.status == 200
    assert answer.headers[0] == (b"x-amz-request-id", b"request-1")
    assert set(answer.headers[1:]) == {
        (b"content-length", b"1"),
        (b"content-type", b"text/csv"),
        (b"etag", b'"e"'),
        (b"last-modified", b"Fri, 05 Feb 2021 04:15:09 GMT"),
        (b"x-amz-meta-colour", "grün".encode()),
        (b"x-amz-delete-marker", b"false"),
    }


@pytest.mark.parametrize(
    ("name", "result", "status"),
    [
        ("GetObject", {"ContentRange": "bytes 0-0/3", "Body": b"x"}, 206),
        ("HeadObject", {}, 200),
        ("PutObject", {"ETag": '"e"'}, 200),
        ("DeleteObject", {}, 204),
        ("DeleteBucket", {}, 204),
        ("AbortMultipartUpload", {}, 204),
    ],
)
def test_s3_statuses(name: str, result: dict[str, Any], status: int) -> None:
    answer = written("s3", name, result)
    assert answer.status == status
    assert answer.body == result.get("Body", b"")


async def _pieces() -> AsyncIterator[bytes]:
    yield b"x"


def test_a_stream_is_passed_through() -> None:
    stream = _pieces()
    assert written("s3", "GetObject", {"Body": stream}).body is stream


def test_an_invocation_carries_the_models_content_type() -> None:
    answer = written(
        "sagemaker-runtime",
        "InvokeEndpoint",
        {"Body": b"0.5", "ContentType": "text/csv; charset=utf-8", "InvokedProductionVariant": "A"},
    )
    assert answer == HttpResponse(
        200,
        (
            (b"x-amzn-requestid", b"request-1"),
            (b"content-type", b"text/csv; charset=utf-8"),
            (b"x-amzn-invoked-production-variant", b"A"),
        ),
        b"0.5",
    )


@pytest.mark.parametrize("value", ["a\r\nset-cookie: b", "a\nb", "a\0b"])
def test_a_hostile_model_cannot_write_headers(value: str) -> None:
    with pytest.raises(errors.InternalFailure):
        written("sagemaker-runtime", "InvokeEndpoint", {"Body": b"", "CustomAttributes": value})
