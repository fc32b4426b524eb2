"""What a CreateTransformJob request may ask for (decision 0010), refused by the name of its field.

Without effect here, accepted and echoed: instance types, KMS keys of volumes, experiments. Refused:
what would change what is sent to the model or written for it.
"""

from modeltap.errors import StoreRefused, ValidationException
from modeltap.link.bounds import fits_header
from modeltap.nouns import Document
from modeltap.objects.remote import split_uri
from modeltap.transform.paths import Path, PathRefused, parse
from modeltap.transform.shaping import KNOWN, Format, format_of

PAYLOADS_MB_MAX = 100
"""AWS's bound of MaxPayloadInMB, and of it times MaxConcurrentTransforms."""


def check_transform_job(params: Document) -> None:
    """Raise `ValidationException` for the first thing that is not served."""
    _check_input(params["TransformInput"])
    _check_output(params["TransformOutput"])
    _check_payload(params)
    _check_processing(params)
    capture = params.get("DataCaptureConfig", {})
    if capture:
        _check_uri(capture["DestinationS3Uri"], "DataCaptureConfig.DestinationS3Uri")
    if capture.get("GenerateInferenceId"):
        _check_types(params, "DataCaptureConfig.GenerateInferenceId")
    for key, value in params.get("Environment", {}).items():
        if "\0" in key + value or "=" in key:
            raise ValidationException(f"Environment: {key!r} is no variable that can be set.")


def _check_input(given: Document) -> None:
    source, at = given["DataSource"]["S3DataSource"], "TransformInput.DataSource.S3DataSource"
    if source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
        raise _unserved(f"{at}.S3DataType {source['S3DataType']}", "S3Prefix or ManifestFile")
    if given.get("SplitType") in ("RecordIO", "TFRecord"):
        raise _unserved(f"TransformInput.SplitType {given['SplitType']}", "None or Line")
    _check_uri(source["S3Uri"], f"{at}.S3Uri")
    _check_header(given.get("ContentType"), "TransformInput.ContentType")


def _check_output(given: Document) -> None:
    _check_uri(given["S3OutputPath"], "TransformOutput.S3OutputPath")
    _check_header(given.get("Accept"), "TransformOutput.Accept")


def _check_payload(params: Document) -> None:
    payload = params.get("MaxPayloadInMB", 6)
    if payload == 0:
        raise _unserved("MaxPayloadInMB 0 (bodies of any size, in chunks)", "1 to 100")
    concurrent = params.get("MaxConcurrentTransforms") or 1
    if payload * concurrent > PAYLOADS_MB_MAX:
        raise ValidationException(
            f"MaxPayloadInMB times MaxConcurrentTransforms is {payload * concurrent} MB; it can be "
            f"at most {PAYLOADS_MB_MAX}."
        )


def _check_processing(params: Document) -> None:
    asked = params.get("DataProcessing", {})
    filters = {name: _path(asked, name) for name in ("InputFilter", "OutputFilter")}
    if asked.get("JoinSource") == "Input":
        _check_types(params, "DataProcessing.JoinSource Input")
    for name, path in filters.items():
        if not path.is_root:
            told = _check_types(params, f"DataProcessing.{name}")
            if told is Format.CSV and not path.fits_csv:
                raise ValidationException(
                    f"DataProcessing.{name}: {path.text} names no columns of CSV, as $[1:] or "
                    "$[0,2] do."
                )


def _path(asked: Document, name: str) -> Path:
    try:
        return parse(asked.get(name) or "$")
    except PathRefused as error:
        raise ValidationException(
            f"DataProcessing.{name}: {error}. AWS's JSONPath has $, .name, ['a','b'], [1,2], [1:3] "
            "and *."
        ) from error


def _check_types(params: Document, whose: str) -> Format:
    """Give the format of the input, which must be one whose records can be told apart."""
    told = format_of(params["TransformInput"].get("ContentType"))
    accept = params["TransformOutput"].get("Accept")
    if told is None or (accept and format_of(accept) is None):
        field = "TransformInput.ContentType" if told is None else "TransformOutput.Accept"
        raise ValidationException(f"{whose} needs {field} to be one of {', '.join(KNOWN)}.")
    return told


def _check_header(value: str | None, at: str) -> None:
    if not fits_header(value):
        raise ValidationException(f"{at} holds a character that no header can have.")


def _check_uri(uri: str, at: str) -> None:
    try:
        split_uri(uri)
    except StoreRefused as error:
        raise ValidationException(f"{at} {uri!r} is {error}.") from error


def _unserved(what: str, instead: str) -> ValidationException:
    return ValidationException(f"modeltap does not serve {what}; say {instead}.")
