"""What a data-quality definition may ask for, refused by the name of its field (contract §4.7)."""

from modeltap.control.definitions import output_of
from modeltap.errors import StoreRefused, ValidationException
from modeltap.front.job_refusals import check_place, check_program
from modeltap.hosting.job_images import JobImages
from modeltap.nouns import Document
from modeltap.objects.remote import split_uri


def check_definition(definition: Document, images: JobImages) -> None:
    """Raise `ValidationException` for the first thing that is not served."""
    _check_input(definition["MonitoringInputs"])
    app = definition["MonitoringAppSpecification"]
    check_program(app, definition.get("Environment", {}), images)
    outputs = definition["MonitoringOutputConfig"]["MonitoringOutputs"]
    if len(outputs) != 1:
        raise ValidationException("MonitoringOutputs: there is exactly one.")
    check_place(output_of(definition), "MonitoringOutputs[1].S3Output")
    baseline = definition.get("BaselineConfig", {})
    for owner, member in (
        (app, "RecordPreprocessorSourceUri"),
        (app, "PostAnalyticsProcessorSourceUri"),
        (baseline.get("ConstraintsResource", {}), "S3Uri"),
        (baseline.get("StatisticsResource", {}), "S3Uri"),
    ):
        if member in owner:
            _check_object(owner[member], member)


def _check_input(inputs: list[Document]) -> None:
    if len(inputs) != 1 or len(inputs[0]) != 1:
        raise ValidationException(
            "A schedule has exactly one input: an EndpointInput. Give it, and no other."
        )
    if "EndpointInput" not in inputs[0]:
        raise ValidationException("modeltap does not serve BatchTransformInput yet.")
    given = inputs[0]["EndpointInput"]
    if given.get("S3InputMode") == "Pipe":
        raise ValidationException("EndpointInput.S3InputMode Pipe is not served; say File.")
    check_place({**given, "S3Uri": "s3://bucket/prefix"}, "EndpointInput")


def _check_object(uri: str, at: str) -> None:
    try:
        _, key = split_uri(uri)
    except StoreRefused as error:
        raise ValidationException(f"{at} {uri!r} is {error}.") from error
    if not key or key.endswith("/"):
        raise ValidationException(f"{at} {uri!r} names no object: give the address of a file.")
