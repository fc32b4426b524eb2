"""The border of the dialects, driven by ASGI messages."""

import asyncio
import hashlib
from typing import Any

import orjson
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from modeltap.clock import SystemClock
from modeltap.errors import ResourceLimitExceeded
from modeltap.front.app import BODY_BYTES_MAX, AwsApp, Call, Service, verifier
from modeltap.nouns import Document, HttpResponse, Partition
from modeltap.wire import catalog

PARTITION = Partition("000000000000", "us-east-1")
KEYS = Credentials("AKIAEXAMPLE", "a secret")
JSON = {"Content-Type": "application/x-amz-json-1.1"}


async def list_models(call: Call) -> Document:
    return {"Models": []}


async def delete_model(call: Call) -> Document:
    raise ResourceLimitExceeded(f"{call.params['ModelName']} is in use")


async def describe_model(call: Call) -> Document:
    raise ZeroDivisionError("a payload that must not be told")


async def get_caller_identity(call: Call) -> Document:
    return {"Arn": call.caller.arn, "Account": call.caller.account, "UserId": call.request.peer}


async def stop_endpoint(call: Call) -> HttpResponse:
    return HttpResponse(202, (), b"as it is")


def app(*, behind_gateway: bool = False) -> AwsApp:
    sagemaker = Service(
        catalog.service("sagemaker"),
        {
            "ListModels": list_models,
            "DeleteModel": delete_model,
            "DescribeModel": describe_model,
            "DeleteEndpoint": stop_endpoint,
        },
    )
    sts = Service(catalog.service("sts"), {"GetCallerIdentity": get_caller_identity})
    secrets = {KEYS.access_key: KEYS.secret_key.encode()}
    return AwsApp(
        {"sagemaker": sagemaker, "sts": sts},
        verifier(secrets.get, PARTITION, "Role", SystemClock()),
        SystemClock(),
        behind_gateway=behind_gateway,
    )


def called(
    body: bytes,
    headers: dict[str, str],
    *,
    signing_name: str = "sagemaker",
    extra: dict[str, str] | None = None,
    sent: bytes | None = None,
    behind_gateway: bool = False,
) -> tuple[int, dict[str, str], bytes]:
    """Sign a POST with botocore, send it as ASGI messages, and give the answer."""
    plain = {"Host": "127.0.0.1", "Content-Length": str(len(body)), **headers}
    request = AWSRequest("POST", "http://127.0.0.1/", plain, body)
    if signing_name:
        SigV4Auth(KEYS, signing_name, "us-east-1").add_auth(request)
    fields = [*request.headers.items(), *(extra or {}).items()]
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "raw_path": b"/",
        "query_string": b"",
        "client": ("192.0.2.1", 1),
        "headers": [(name.lower().encode(), str(value).encode()) for name, value in fields],
    }
    messages: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body if sent is None else sent}

    async def send(message: Any) -> None:
        messages.append(message)

    asyncio.run(app(behind_gateway=behind_gateway)(scope, receive, send))
    start, *rest = messages
    answered = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], answered, b"".join(each["body"] for each in rest)


def target(operation: str) -> dict[str, str]:
    return JSON | {"X-Amz-Target": f"SageMaker.{operation}"}


def test_a_call_is_answered_with_its_request_id() -> None:
    status, headers, body = called(b"{}", target("ListModels"))
    assert (status, orjson.loads(body)) == (200, {"Models": []})
    assert len(headers["x-amzn-requestid"]) == 36
    assert headers["content-length"] == str(len(body))


def test_an_operation_may_shape_its_answer() -> None:
    status, _, body = called(b'{"EndpointName": "e"}', target("DeleteEndpoint"))
    assert (status, body) == (202, b"as it is")


def test_a_form_reaches_sts_and_sees_its_caller() -> None:
    form = b"Action=GetCallerIdentity&Version=2011-06-15"
    kind = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    status, _, body = called(form, kind, signing_name="sts")
    assert status == 200
    assert b"<Arn>arn:aws:sts::000000000000:assumed-role/Role/modeltap</Arn>" in body
    assert b"<UserId>192.0.2.1</UserId>" in body


@pytest.mark.parametrize(("behind", "peer"), [(True, b"203.0.113.9"), (False, b"192.0.2.1")])
def test_the_peer_is_the_gateways_word_only_behind_it(behind: bool, peer: bytes) -> None:
    form = b"Action=GetCallerIdentity&Version=2011-06-15"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    said = {"x-modeltap-peer": "203.0.113.9", "x-modeltap-scheme": "https"}
    _, _, body = called(form, kind, signing_name="sts", extra=said, behind_gateway=behind)
    assert b"<UserId>" + peer + b"</UserId>" in body


def test_an_error_of_the_caller_is_told() -> None:
    status, _, body = called(b'{"ModelName": "m"}', target("DeleteModel"))
    assert (status, orjson.loads(body)) == (
        400,
        {"__type": "ResourceLimitExceeded", "message": "m is in use"},
    )


def test_a_limit_of_the_model_is_told_in_awss_words() -> None:
    status, _, body = called(b"{}", target("DeleteModel"))
    assert status == 400
    assert "Value null at 'modelName' failed to satisfy constraint" in orjson.loads(body)["message"]


def test_a_fault_of_ours_is_told_without_a_word_of_it(capfd: pytest.CaptureFixture[str]) -> None:
    status, headers, body = called(b'{"ModelName": "m"}', target("DescribeModel"))
    assert (status, orjson.loads(body)["__type"]) == (500, "InternalFailure")
    out, err = capfd.readouterr()
    logged = out + err
    assert "OperationCrashed" in logged and "ZeroDivisionError" in logged
    assert headers["x-amzn-requestid"] in logged and "test_front_app.py" in logged
    assert "payload" not in logged and b"payload" not in body


def test_an_operation_that_is_not_served_is_named_with_those_that_are() -> None:
    status, _, body = called(b"{}", target("ListNotebookInstances"))
    told = orjson.loads(body)
    assert (status, told["__type"]) == (400, "UnknownOperationException")
    assert "does not serve ListNotebookInstances; it serves" in told["message"]
    assert "ListModels" in told["message"]
    assert called(b"{}", target("NoSuchThing"))[0] == 400


def test_who_does_not_sign_or_signs_for_another_service_is_refused() -> None:
    status, _, body = called(b"{}", target("ListModels"), signing_name="")
    assert (status, orjson.loads(body)["__type"]) == (403, "MissingAuthenticationTokenException")
    status, _, body = called(b"{}", target("ListModels"), signing_name="sts")
    assert (status, orjson.loads(body)["__type"]) == (403, "InvalidSignatureException")


def test_a_service_that_is_not_served_is_told_with_those_that_are() -> None:
    status, _, body = called(b"{}", JSON | {"X-Amz-Target": "Logs.X"}, signing_name="logs")
    told = orjson.loads(body)
    assert (status, told["__type"]) == (400, "UnknownOperationException")
    assert told["message"].endswith("it serves sagemaker, sts.")


def test_another_body_than_the_signed_one_is_refused() -> None:
    assert called(b"{}", target("ListModels"), sent=b"{ }")[0] == 403


def test_a_body_beyond_the_bound_is_refused() -> None:
    assert called(b" " * (BODY_BYTES_MAX + 1), target("ListModels"))[0] == 413


def test_the_digest_that_signs_is_of_the_body() -> None:
    """A client may send the payload's hash as S3's do; it is held to it."""
    digest = {"X-Amz-Content-SHA256": hashlib.sha256(b"{}").hexdigest()}
    assert called(b"{}", target("ListModels") | digest)[0] == 200
