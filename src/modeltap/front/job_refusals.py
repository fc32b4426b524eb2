"""What a CreateProcessingJob request may ask for (decision 0008), refused by the name of its field.

Without effect here, accepted and echoed: instance types and counts (a job runs on one host, and is
told so), KMS keys of volumes, networks, experiments, the role. Refused: what would change what the
program finds or what becomes of its outputs.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from modeltap.errors import LaunchFailed, StoreRefused, ValidationException
from modeltap.hosting.job_images import JobImages
from modeltap.hosting.jobs import ML_ROOT
from modeltap.nouns import Document
from modeltap.objects.remote import split_uri


def check_processing_job(params: Document, images: JobImages) -> None:
    """Raise `ValidationException` for the first thing that is not served."""
    check_program(params["AppSpecification"], params.get("Environment", {}), images)
    inputs = params.get("ProcessingInputs", [])
    for number, given in enumerate(inputs, start=1):
        _check_input(given, f"ProcessingInputs[{number}]")
    _check_names((each["InputName"] for each in inputs), "ProcessingInputs", "InputName")
    outputs = params.get("ProcessingOutputConfig", {}).get("Outputs", [])
    for number, given in enumerate(outputs, start=1):
        _check_output(given, f"ProcessingOutputConfig.Outputs[{number}]")
    names = (each["OutputName"] for each in outputs)
    _check_names(names, "ProcessingOutputConfig.Outputs", "OutputName")


def check_program(app: Document, environment: Mapping[str, str], images: JobImages) -> None:
    """Refuse an image that is not known, and what no command line or environment can hold."""
    try:
        image = images.resolve(app["ImageUri"], app.get("ContainerEntrypoint", ()))
    except LaunchFailed as error:
        at = "AppSpecification" if app.get("ContainerEntrypoint") else "AppSpecification.ImageUri"
        raise ValidationException(f"{at}: {error}") from error
    if not image.entrypoint and image.engine is None:
        raise ValidationException(
            f"The image {app['ImageUri']} has no entrypoint of its own: "
            "AppSpecification.ContainerEntrypoint must say what runs, as in "
            '["python3", "/opt/ml/processing/input/code/script.py"].'
        )
    words = (*app.get("ContainerEntrypoint", ()), *app.get("ContainerArguments", ()))
    if any("\0" in word for word in words):
        raise ValidationException("AppSpecification: an argument holds a NUL.")
    for key, value in environment.items():
        if "\0" in key + value or "=" in key:
            raise ValidationException(f"Environment: {key!r} is no variable that can be set.")
        if image.engine is not None and ("\n" in value or "\r" in value):
            raise ValidationException(
                f"Environment: the value of {key!r} has a line break, which cannot be given to a "
                "container. Encode it, or give it by an input."
            )


def _check_input(given: Document, at: str) -> None:
    if given.get("AppManaged", False):
        return
    if "DatasetDefinition" in given:
        raise _unserved(f"{at}.DatasetDefinition")
    if "S3Input" not in given:
        raise ValidationException(f"{at}.S3Input is missing: it says what to fetch.")
    source = given["S3Input"]
    if source.get("S3InputMode") == "Pipe":
        raise _unserved(f"{at}.S3Input.S3InputMode Pipe", "say File, and read a file")
    if source.get("S3CompressionType") == "Gzip":
        raise ValidationException(
            f"{at}.S3Input.S3CompressionType Gzip goes with S3InputMode Pipe alone; leave it out, "
            "and unpack the file in the program."
        )
    check_place(source, f"{at}.S3Input")


def _check_output(given: Document, at: str) -> None:
    if given.get("AppManaged", False):
        return
    if "FeatureStoreOutput" in given:
        raise _unserved(f"{at}.FeatureStoreOutput")
    if "S3Output" not in given:
        raise ValidationException(f"{at}.S3Output is missing: it says where to upload.")
    check_place(given["S3Output"], f"{at}.S3Output")


def check_place(given: Document, at: str) -> None:
    """Refuse a path that is none below `/opt/ml`, and a URI that is none of S3's."""
    path = given.get("LocalPath", "")
    parts = PurePosixPath(path).parts
    below = PurePosixPath(path).is_relative_to(ML_ROOT) and len(parts) > len(ML_ROOT.split("/"))
    if not below or ".." in parts or "\0" in path:
        raise ValidationException(
            f"{at}.LocalPath must be a path below {ML_ROOT}, as /opt/ml/processing/data is; "
            f"it is {path!r}."
        )
    try:
        split_uri(given["S3Uri"])
    except StoreRefused as error:
        raise ValidationException(f"{at}.S3Uri {given['S3Uri']!r} is {error}.") from error


def _check_names(names: Iterable[str], at: str, member: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValidationException(f"{at}: each must have an {member} of its own; twice: {twice[0]}")


def _unserved(what: str, instead: str = "leave it out") -> ValidationException:
    return ValidationException(f"modeltap does not serve {what}; {instead}.")
