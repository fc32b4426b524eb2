"""Which operation a request means."""

import pytest

from modeltap import errors
from modeltap.nouns import HttpRequest
from modeltap.wire import catalog
from modeltap.wire.parse import parse


def s3(method: str, target: bytes, *headers: tuple[bytes, bytes]) -> str:
    return catalog.operation_named(HttpRequest(method, target, headers), catalog.service("s3"))


@pytest.mark.parametrize(
    ("method", "target", "name"),
    [
        ("GET", b"/", "ListBuckets"),
        ("GET", b"/bucket", "ListObjects"),
        ("GET", b"/bucket/", "ListObjects"),
        ("GET", b"/bucket?list-type=2&prefix=a", "ListObjectsV2"),
        ("GET", b"/bucket/?encoding-type=url&list-type=2", "ListObjectsV2"),
        ("GET", b"/bucket?list-type=1", "ListObjects"),
        ("GET", b"/bucket?location", "GetBucketLocation"),
        ("GET", b"/bucket?uploads=", "ListMultipartUploads"),
        ("GET", b"/bucket?lifecycle", "GetBucketLifecycleConfiguration"),
        ("GET", b"/bucket/a/b%20c", "GetObject"),
        ("GET", b"/bucket//a", "GetObject"),
        ("GET", b"/bucket/a?uploadId=x&max-parts=2", "ListParts"),
        ("HEAD", b"/bucket", "HeadBucket"),
        ("HEAD", b"/bucket/a", "HeadObject"),
        ("PUT", b"/bucket", "CreateBucket"),
        ("PUT", b"/bucket/a", "PutObject"),
        ("PUT", b"/bucket/a?x-id=PutObject", "PutObject"),
        ("PUT", b"/bucket/a?partNumber=1&uploadId=x", "UploadPart"),
        ("PUT", b"/bucket/a?acl", "PutObjectAcl"),
        ("POST", b"/bucket?delete", "DeleteObjects"),
        ("POST", b"/bucket/a?uploads", "CreateMultipartUpload"),
        ("POST", b"/bucket/a?uploadId=x", "CompleteMultipartUpload"),
        ("DELETE", b"/bucket/a", "DeleteObject"),
        ("DELETE", b"/bucket/a?uploadId=x", "AbortMultipartUpload"),
        ("DELETE", b"/bucket", "DeleteBucket"),
    ],
)
def test_names_the_most_specific_operation(method: str, target: bytes, name: str) -> None:
    assert s3(method, target) == name


def test_a_header_tells_a_copy_from_a_put() -> None:
    copy = (b"x-amz-copy-source", b"/bucket/b")
    assert s3("PUT", b"/bucket/a", copy) == "CopyObject"
    assert s3("PUT", b"/bucket/a?partNumber=1&uploadId=x", copy) == "UploadPartCopy"


def test_s3_splits_the_path_that_was_signed() -> None:
    """S3's signature covers the decoded path: `%2F` and `/` must not mean two things."""
    assert s3("PUT", b"/bucket%2Fa") == "PutObject"


@pytest.mark.parametrize(
    ("method", "target"), [("PATCH", b"/bucket"), ("POST", b"/"), ("POST", b"/bucket/a")]
)
def test_refuses_what_no_model_has(method: str, target: bytes) -> None:
    with pytest.raises(errors.UnknownOperation):
        s3(method, target)


@pytest.mark.parametrize("target", [b"/bucket?a=%ff", b"/bucket/%ff", b"/bucket?" + b"a=&" * 2000])
def test_refuses_what_cannot_be_read(target: bytes) -> None:
    with pytest.raises(errors.InvalidArgument):
        s3("GET", target)


@pytest.mark.parametrize(
    ("target", "is_good"),
    [
        (b"SageMaker.CreateModel", True),
        (b"SageMaker.MakeModel", False),
        (b"Other.CreateModel", False),
        (b"CreateModel", False),
        (b"", False),
    ],
)
def test_json_goes_by_its_target(target: bytes, is_good: bool) -> None:
    request = HttpRequest("POST", b"/", ((b"x-amz-target", target),))
    if is_good:
        assert catalog.operation_named(request, catalog.service("sagemaker")) == "CreateModel"
    else:
        with pytest.raises(errors.UnknownOperation):
            catalog.operation_named(request, catalog.service("sagemaker"))


def test_query_goes_by_its_action() -> None:
    model, request = catalog.service("sts"), HttpRequest("POST", b"/", ())
    body = b"Action=GetCallerIdentity&Version=2011-06-15"
    assert catalog.operation_named(request, model, body) == "GetCallerIdentity"
    with pytest.raises(errors.UnknownOperation):
        catalog.operation_named(request, model, b"Action=GetCallersIdentity")
    with pytest.raises(errors.UnknownOperation):
        catalog.operation_named(request, model)


def test_rest_json_decodes_each_label() -> None:
    model = catalog.service("sagemaker-runtime")
    request = HttpRequest("POST", b"/endpoints/a%2Db/invocations", (), b"1")
    name = catalog.operation_named(request, model)
    assert name == "InvokeEndpoint"
    document = parse(model.operation_model(name), request, b"1")
    assert document == {"EndpointName": "a-b", "Body": b"1"}
    with pytest.raises(errors.UnknownOperation):
        catalog.operation_named(HttpRequest("POST", b"/endpoints/a/b/invocations", ()), model)


def test_a_service_of_two_protocols_is_asked_in_either() -> None:
    target = (b"x-amz-target", b"GraniteServiceVersion20100801.ListMetrics")
    json = catalog.service("cloudwatch", "json")
    assert catalog.operation_named(HttpRequest("POST", b"/", (target,)), json) == "ListMetrics"
    query = catalog.service("cloudwatch", "query")
    body = b"Action=ListMetrics&Version=2010-08-01"
    assert catalog.operation_named(HttpRequest("POST", b"/", ()), query, body) == "ListMetrics"
    assert (json.protocol, query.protocol) == ("json", "query")
