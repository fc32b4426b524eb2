"""Errors as botocore's parsers read them, in each protocol."""

from typing import Any

import pytest
from botocore.awsrequest import HeadersDict
from botocore.parsers import create_parser

from modeltap import errors
from modeltap.wire import catalog
from modeltap.wire.fault import fault


def seen(service: str, error: errors.ModeltapError, operation: str) -> dict[str, Any]:
    """Give what a botocore client makes of an error, with the status as `Status`."""
    model = catalog.service(service)
    answer = fault(model, error, "request-1", resource="/bucket/key")
    response = {
        "status_code": answer.status,
        "headers": HeadersDict({key.decode(): value.decode() for key, value in answer.headers}),
        "body": answer.body,
        "context": {},
    }
    parser = create_parser(model.protocol)
    parsed: dict[str, Any] = parser.parse(response, model.operation_model(operation).output_shape)
    return parsed


CALLS = {
    "sagemaker": "DescribeModel",
    "sagemaker-runtime": "InvokeEndpoint",
    "sts": "GetCallerIdentity",
    "s3": "GetObject",
}
SPELLINGS = [
    (errors.MissingAuthenticationToken, "MissingAuthenticationTokenException", "AccessDenied"),
    (errors.InvalidClientTokenId, "UnrecognizedClientException", "InvalidAccessKeyId"),
    (errors.SignatureDoesNotMatch, "InvalidSignatureException", "SignatureDoesNotMatch"),
    (errors.RequestTimeTooSkewed, "InvalidSignatureException", "RequestTimeTooSkewed"),
    (errors.IncompleteSignature, "IncompleteSignatureException", "AuthorizationHeaderMalformed"),
    (errors.AccessDenied, "AccessDeniedException", "AccessDenied"),
    (errors.PayloadHashMismatch, "InvalidSignatureException", "XAmzContentSHA256Mismatch"),
    (errors.UnknownOperation, "UnknownOperationException", "NotImplemented"),
    (errors.InternalFailure, "InternalFailure", "InternalError"),
    (errors.ServiceUnavailable, "ServiceUnavailable", "ServiceUnavailable"),
]


@pytest.mark.parametrize("service", CALLS)
@pytest.mark.parametrize("error", [errors.ServiceUnavailable, errors.InternalFailure])
def test_every_protocol_carries_code_message_id_and_status(
    service: str, error: type[errors.ModeltapError]
) -> None:
    parsed = seen(service, error("A <b> & 'c'."), CALLS[service])
    assert parsed["Error"]["Code"] in (error.code, "InternalError")
    assert parsed["Error"]["Message"] == "A <b> & 'c'."
    assert parsed["ResponseMetadata"]["HTTPStatusCode"] == error.status
    assert parsed["ResponseMetadata"]["RequestId"] == "request-1"


@pytest.mark.parametrize(("error", "json", "s3"), SPELLINGS)
def test_codes_are_spelled_as_each_service_does(
    error: type[errors.ModeltapError], json: str, s3: str
) -> None:
    assert seen("sagemaker", error("x"), "DescribeModel")["Error"]["Code"] == json
    assert seen("sagemaker-runtime", error("x"), "InvokeEndpoint")["Error"]["Code"] == json
    assert seen("s3", error("x"), "GetObject")["Error"]["Code"] == s3


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidClientTokenId, "InvalidClientTokenId"),
        (errors.SignatureDoesNotMatch, "SignatureDoesNotMatch"),
        (errors.RequestTimeTooSkewed, "SignatureDoesNotMatch"),
        (errors.MissingAuthenticationToken, "MissingAuthenticationToken"),
        (errors.UnknownOperation, "InvalidAction"),
        (errors.NoSuchEntity, "NoSuchEntity"),
    ],
)
def test_query_services_have_their_own(error: type[errors.ModeltapError], code: str) -> None:
    assert seen("sts", error("x"), "GetCallerIdentity")["Error"]["Code"] == code
    assert seen("iam", error("x"), "GetRole")["Error"]["Type"] == "Sender"


def test_a_model_error_brings_its_members() -> None:
    error = errors.ModelError(
        'Received client error (400) from primary with message "bad"',
        status=400,
        body="bad",
        log_stream_arn="arn:aws:logs:us-east-1:000000000000:log-group:/aws/sagemaker/Endpoints/e",
    )
    parsed = seen("sagemaker-runtime", error, "InvokeEndpoint")
    assert parsed["Error"]["Code"] == "ModelError"
    assert parsed["ResponseMetadata"]["HTTPStatusCode"] == 424
    model = catalog.service("sagemaker-runtime")
    shape = model.shape_for("ModelError")
    assert fault(model, error, "request-1").body == (
        b'{"Message":"Received client error (400) from primary with message \\"bad\\"",'
        b'"ErrorCode":"CLIENT_ERROR_FROM_MODEL","LogStreamArn":"arn:aws:logs:us-east-1:'
        b'000000000000:log-group:/aws/sagemaker/Endpoints/e","OriginalMessage":"bad",'
        b'"OriginalStatusCode":400}'
    )
    assert set(error.members) - {"ErrorCode"} <= set(shape.members)


def test_s3_names_the_resource() -> None:
    parsed = seen("s3", errors.NoSuchKey("gone"), "GetObject")
    assert parsed["Error"] == {"Code": "NoSuchKey", "Message": "gone", "Resource": "/bucket/key"}


def test_s3_not_implemented_is_501() -> None:
    model = catalog.service("s3")
    assert fault(model, errors.UnknownOperation("x"), "request-1").status == 501


def test_head_and_not_modified_have_no_body() -> None:
    model = catalog.service("s3")
    assert fault(model, errors.NoSuchKey("gone"), "request-1", head=True).body == b""
    answer = fault(model, errors.NotModified("x"), "request-1")
    assert (answer.status, answer.body) == (304, b"")


def test_cloudwatch_has_one_code_in_both_of_its_protocols() -> None:
    """The class of a botocore exception is found by the query protocol's code, in JSON, too."""
    for error, code in (
        (errors.NoSuchEntity, "ResourceNotFound"),
        (errors.ValidationException, "InvalidParameterValue"),
        (errors.ResourceLimitExceeded, "LimitExceeded"),
        (errors.InternalFailure, "InternalServiceError"),
    ):
        for protocol in ("json", "query"):
            model = catalog.service("cloudwatch", protocol)
            answer = fault(model, error("x"), "request-1")
            found = dict(answer.headers).get(b"x-amzn-query-error")
            kind = b"Receiver" if answer.status >= 500 else b"Sender"
            assert found == (code.encode() + b";" + kind if protocol == "json" else None)
            assert isinstance(answer.body, bytes) and code.encode() in answer.body
