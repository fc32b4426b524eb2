"""What validation says, in AWS's words (contract §2.7)."""

from typing import Any

import pytest

from modeltap import errors
from modeltap.wire import catalog
from modeltap.wire.validate import ECHO_CHARS_MAX, validate

SHAPES = catalog.service("sagemaker")
NAME_PATTERN = SHAPES.shape_for("ModelName").metadata["pattern"]
CSV_PATTERN = SHAPES.shape_for("CsvContentType").metadata["pattern"]
VARIANT = {"VariantName": "AllTraffic", "ModelName": "m"}
CONFIG: dict[str, Any] = {"EndpointConfigName": "c", "ProductionVariants": [VARIANT]}
CAPTURE: dict[str, Any] = {
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": "s3://bucket/prefix",
    "CaptureOptions": [{"CaptureMode": "Input"}],
}


def said(service: str, name: str, params: dict[str, Any]) -> str:
    """Give the text of the validation error of a call."""
    with pytest.raises(errors.ClientError) as caught:
        validate(catalog.service(service).operation_model(name), params)
    return caught.value.message


def variant(**members: Any) -> dict[str, Any]:
    return CONFIG | {"ProductionVariants": [VARIANT, VARIANT | members]}


def capture(**members: Any) -> dict[str, Any]:
    return CONFIG | {"DataCaptureConfig": CAPTURE | members}


@pytest.mark.parametrize(
    ("name", "params", "violation"),
    [
        (
            "CreateModel",
            {"ModelName": "ENTER MODEL NAME"},
            "Value 'ENTER MODEL NAME' at 'modelName' failed to satisfy constraint: "
            f"Member must satisfy regular expression pattern: {NAME_PATTERN}",
        ),
        (
            "DescribeModel",
            {},
            "Value null at 'modelName' failed to satisfy constraint: Member must not be null",
        ),
        (
            "CreateEndpointConfig",
            variant(ModelName="a b"),
            "Value 'a b' at 'productionVariants.2.member.modelName' failed to satisfy constraint: "
            f"Member must satisfy regular expression pattern: {NAME_PATTERN}",
        ),
        (
            "CreateEndpointConfig",
            variant(InitialInstanceCount=0),
            "Value '0' at 'productionVariants.2.member.initialInstanceCount' failed to satisfy "
            "constraint: Member must have value greater than or equal to 1",
        ),
        (
            "CreateEndpointConfig",
            capture(InitialSamplingPercentage=101),
            "Value '101' at 'dataCaptureConfig.initialSamplingPercentage' failed to satisfy "
            "constraint: Member must have value less than or equal to 100",
        ),
        (
            "CreateEndpointConfig",
            capture(CaptureOptions=[{"CaptureMode": "Both"}]),
            "Value 'Both' at 'dataCaptureConfig.captureOptions.1.member.captureMode' failed to "
            "satisfy constraint: Member must satisfy enum value set: [Input, Output, "
            "InputAndOutput]",
        ),
        (
            "CreateEndpointConfig",
            capture(CaptureOptions=[]),
            "Value at 'dataCaptureConfig.captureOptions' failed to satisfy constraint: "
            "Member must have length greater than or equal to 1",
        ),
        (
            "CreateEndpointConfig",
            capture(CaptureContentTypeHeader={"CsvContentTypes": ["text/csv", "text/csv; a=b"]}),
            "Value '[text/csv, text/csv; a=b]' at "
            "'dataCaptureConfig.captureContentTypeHeader.csvContentTypes' failed to satisfy "
            "constraint: Member must satisfy constraint: [Member must have length less than or "
            "equal to 256, Member must have length greater than or equal to 1, Member must satisfy "
            f"regular expression pattern: {CSV_PATTERN}, Member must not be null]",
        ),
        (
            "CreateEndpointConfig",
            {"EndpointConfigName": "c", "ProductionVariants": [None]},
            "Value null at 'productionVariants.1.member' failed to satisfy constraint: "
            "Member must not be null",
        ),
        (
            "DeleteModel",
            {"ModelName": "m" * 64},
            f"Value '{'m' * 64}' at 'modelName' failed to satisfy constraint: "
            "Member must have length less than or equal to 63",
        ),
        (
            "ListTags",
            {"ResourceArn": "arn:aws:sagemaker:us-east-1:000000000000:model/m", "MaxResults": 49},
            "Value '49' at 'maxResults' failed to satisfy constraint: "
            "Member must have value greater than or equal to 50",
        ),
    ],
)
def test_says_what_aws_says(name: str, params: dict[str, Any], violation: str) -> None:
    assert violation in said("sagemaker", name, params)


def test_counts_its_violations() -> None:
    one = said("sagemaker", "DescribeModel", {})
    two = said("sagemaker", "CreateEndpoint", {"EndpointName": "a b"})
    assert one.startswith("1 validation error detected: Value null at 'modelName' ")
    assert two.startswith("2 validation errors detected: Value null at 'endpointConfigName' ")
    assert "; Value 'a b' at 'endpointName' " in two


def test_never_shows_an_environment() -> None:
    container = {"Image": "xgboost:1.7-1", "Environment": {"1": "password"}}
    text = said("sagemaker", "CreateModel", {"ModelName": "m", "PrimaryContainer": container})
    assert "Value at 'primaryContainer.environment' failed to satisfy constraint: Map keys" in text
    assert "password" not in text


def test_never_shows_a_sensitive_member() -> None:
    params = {"EndpointName": "e", "Body": b"", "CustomAttributes": "pässword"}
    text = said("sagemaker-runtime", "InvokeEndpoint", params)
    assert "Value at 'customAttributes' failed to satisfy constraint" in text
    assert "pässword" not in text


def test_does_not_echo_at_length() -> None:
    text = said("sagemaker", "DeleteModel", {"ModelName": "m" * (ECHO_CHARS_MAX + 1)})
    assert "Value at 'modelName' failed" in text
    assert len(text) < 500


@pytest.mark.parametrize(
    ("service", "name", "error"),
    [
        ("sagemaker", "DescribeModel", errors.ValidationException),
        ("sagemaker-runtime", "InvokeEndpoint", errors.ValidationError),
        ("iam", "GetRole", errors.ValidationError),
        ("s3", "DeleteObjects", errors.InvalidArgument),
    ],
)
def test_uses_the_error_of_the_service(
    service: str, name: str, error: type[errors.ClientError]
) -> None:
    with pytest.raises(error):
        validate(catalog.service(service).operation_model(name), {})


def test_does_not_measure_bodies() -> None:
    model = catalog.service("sagemaker-runtime").operation_model("InvokeEndpoint")
    validate(model, {"EndpointName": "e", "Body": bytes(7_000_000)})


@pytest.mark.parametrize("key", ["Größe", "名前", "a b", "a_b.c:d/e=f+g-h@i", "٣"])
def test_takes_tags_of_any_script(key: str) -> None:
    model = catalog.service("sagemaker").operation_model("AddTags")
    arn = "arn:aws:sagemaker:us-east-1:000000000000:model/m"
    validate(model, {"ResourceArn": arn, "Tags": [{"Key": key, "Value": key}]})
    text = said("sagemaker", "AddTags", {"ResourceArn": arn, "Tags": [{"Key": "a,b", "Value": ""}]})
    assert "tags.1.member.key" in text


@pytest.mark.parametrize(
    ("inference_id", "is_good"), [("a b", True), (" a", False), ("a\n", False), ("aé", False)]
)
def test_reads_the_patterns_as_java_does(inference_id: str, is_good: bool) -> None:
    params = {"EndpointName": "e", "Body": b"", "InferenceId": inference_id}
    if is_good:
        validate(catalog.service("sagemaker-runtime").operation_model("InvokeEndpoint"), params)
    else:
        assert "inferenceId" in said("sagemaker-runtime", "InvokeEndpoint", params)


def test_a_long_value_costs_no_matching() -> None:
    """The worst pattern of the served operations, on text that makes it go back and forth."""
    params = {"ModelName": "a" + "-" * 1_000_000}
    assert "2 validation errors" in said("sagemaker", "DeleteModel", params)
