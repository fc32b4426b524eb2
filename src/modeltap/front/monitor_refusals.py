"""What a data-quality definition may ask for, refused by the name of its field (contract §4.7)."""

from modeltap.control.definitions import BATCH_INPUT, ENDPOINT_INPUT, output_of
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


def check_runtime(definition: Document, period_seconds: int | None) -> None:
    """Refuse a run that may last until the next one is due (contract §4.7, Limits)."""
    seconds = definition.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 0)
    if period_seconds is not None and seconds > period_seconds:
        raise ValidationException(
            f"StoppingCondition.MaxRuntimeInSeconds {seconds} is more than the {period_seconds} "
            f"seconds from one run of the schedule to the next: say {period_seconds} or less."
        )


def _check_input(inputs: list[Document]) -> None:
    if len(inputs) != 1 or len(inputs[0]) != 1:
        raise ValidationException(
            f"A schedule has exactly one input: an {ENDPOINT_INPUT} or a {BATCH_INPUT}. Give one, "
            "and not the other."
        )
    ((kind, given),) = inputs[0].items()
    if given.get("S3InputMode") == "Pipe":
        raise ValidationException(f"{kind}.S3InputMode Pipe is not served; say File.")
    check_place({**given, "S3Uri": "s3://bucket/prefix"}, kind)
    if kind == BATCH_INPUT:
        _check_batch(given)


def _check_batch(given: Document) -> None:
    uri = given["DataCapturedDestinationS3Uri"]
    try:
        split_uri(uri)
    except StoreRefused as error:
        raise ValidationException(
            f"{BATCH_INPUT}.DataCapturedDestinationS3Uri {uri!r} is {error}."
        ) from error
    if len(given["DatasetFormat"]) != 1:
        raise ValidationException(
            f"{BATCH_INPUT}.DatasetFormat: give one of Csv, Json and Parquet."
        )


def _check_object(uri: str, at: str) -> None:
    try:
        _, key = split_uri(uri)
    except StoreRefused as error:
        raise ValidationException(f"{at} {uri!r} is {error}.") from error
    if not key or key.endswith("/"):
        raise ValidationException(f"{at} {uri!r} names no object: give the address of a file.")
