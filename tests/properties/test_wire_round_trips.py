"""botocore is the peer: what it writes we read and what we write it reads, for all we serve."""

from io import BytesIO
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.awsrequest import HeadersDict, create_request_object, prepare_request_dict
from botocore.handlers import parse_get_bucket_location
from botocore.model import OperationModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wire_model import OPERATIONS, documents

from modeltap.nouns import HttpRequest
from modeltap.wire import catalog
from modeltap.wire.parse import parse
from modeltap.wire.serialize import serialize

few = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
every_operation = pytest.mark.parametrize(("service", "protocol", "name"), OPERATIONS)


def operation(service: str, protocol: str, name: str) -> OperationModel:
    return catalog.service(service, protocol).operation_model(name)


def sent(model: OperationModel, params: dict[str, Any]) -> HttpRequest:
    """Give the request that botocore's client sends for these parameters."""
    protocol = model.service_model.protocol
    serializer = create_serializer(protocol, include_validation=False)
    request_dict = serializer.serialize_to_request(params, model)
    prepare_request_dict(request_dict, endpoint_url="http://127.0.0.1:8080", context={})
    request = create_request_object(request_dict).prepare()
    url, body = urlsplit(request.url), request.body or b""
    return HttpRequest(
        method=request.method,
        target=(url.path + (f"?{url.query}" if url.query else "")).encode(),
        headers=tuple(
            (name.lower().encode(), value if isinstance(value, bytes) else value.encode())
            for name, value in request.headers.items()
        ),
        body=body if isinstance(body, bytes) else body.encode(),
    )


@every_operation
@few
@given(data=st.data())
def test_reads_what_botocore_writes(
    service: str, protocol: str, name: str, data: st.DataObject
) -> None:
    model = operation(service, protocol, name)
    spoken = model.service_model.protocol
    is_json, is_form = spoken == "json", spoken == "query"
    drawn = documents(model.input_shape, coarse=True, filled=not is_json, form=is_form)
    params = data.draw(drawn)
    request = sent(model, params)
    assert isinstance(request.body, bytes)
    assert catalog.operation_named(request, model.service_model, request.body) == name
    read = parse(model, request, request.body)
    unsaid = {"ContentLength"} - params.keys()  # the client's own header, not a parameter
    assert {key: value for key, value in read.items() if key not in unsaid} == params


@every_operation
@few
@given(data=st.data())
def test_writes_what_botocore_reads(
    service: str, protocol: str, name: str, data: st.DataObject
) -> None:
    model = operation(service, protocol, name)
    if model.output_shape is None and protocol == "query":
        assert received(model, {}) == {}
        return
    if model.output_shape is None:
        assert serialize(model, {}, "request-1").body == b""
        return
    is_json = model.service_model.protocol == "json"
    result = data.draw(documents(model.output_shape, coarse=False, filled=not is_json))
    assert received(model, result) == result


def received(model: OperationModel, result: dict[str, Any]) -> dict[str, Any]:
    """Give what botocore's client returns for the answer that we write."""
    answer = serialize(model, result, "request-1")
    assert isinstance(answer.body, bytes)
    response = {
        "status_code": answer.status,
        "headers": HeadersDict({key.decode(): value.decode() for key, value in answer.headers}),
        "body": BytesIO(answer.body) if model.has_streaming_output else answer.body,
        "context": {},
    }
    parser = create_parser(model.service_model.protocol)
    parsed: dict[str, Any] = parser.parse(response, model.output_shape)
    assert parsed.pop("ResponseMetadata")["RequestId"] == "request-1"
    if model.has_streaming_output:
        parsed["Body"] = parsed["Body"].read()
    if not parsed.get("Metadata", True):
        del parsed["Metadata"]  # botocore reads no x-amz-meta- header as an empty map
    if model.name == "GetBucketLocation":  # which its client reads apart from the parsers
        parse_get_bucket_location(parsed, SimpleNamespace(raw=answer, content=answer.body))
    return {key: value for key, value in parsed.items() if value is not None}
