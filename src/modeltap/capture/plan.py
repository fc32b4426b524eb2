"""What a `DataCaptureConfig` asks for: sampling, sides, encodings (contract §1.1, §1.7, §1.8).

Pure. Control makes the plan when it writes a route; the gateway samples by it; the shipper encodes
by it. The document has passed the service model's validation, so that every required member is
there and every enum holds one of its values.
"""

from modeltap.nouns import CaptureEncoding, CapturePlan, Document, Durability

_INPUT_MODES = {"Input", "InputAndOutput"}
_OUTPUT_MODES = {"Output", "InputAndOutput"}


def plan_of(
    config: Document | None, durability: Durability = Durability.BESTEFFORT
) -> CapturePlan | None:
    """Read a validated `DataCaptureConfig`; None where nothing is to be captured.

    `EnableCapture` is on by default; overlapping modes unite; a trailing slash of the destination
    is dropped, because the monitor's input prefix would double it (contract §1.5).
    """
    if config is None or not config.get("EnableCapture", True):
        return None
    modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
    types = config.get("CaptureContentTypeHeader", {})
    return CapturePlan(
        sampling_percentage=config["InitialSamplingPercentage"],
        destination=config["DestinationS3Uri"].rstrip("/"),
        input=bool(modes & _INPUT_MODES),
        output=bool(modes & _OUTPUT_MODES),
        csv_types=frozenset(map(media_type, types.get("CsvContentTypes", ()))),
        json_types=frozenset(map(media_type, types.get("JsonContentTypes", ()))),
        kms_key_id=config.get("KmsKeyId"),
        durability=durability,
    )


def keep(plan: CapturePlan, chance: float) -> bool:
    """Decide one request by a number in [0, 1), once for both sides (contract §1.8)."""
    return chance * 100 < plan.sampling_percentage


def encoding(plan: CapturePlan, content_type: str | None) -> CaptureEncoding:
    """Choose how a body of this content type is written (contract §1.7, rules 1 to 5)."""
    media = media_type(content_type or "")
    if media in plan.csv_types:
        return CaptureEncoding.CSV
    if media in plan.json_types:
        return CaptureEncoding.JSON
    return CaptureEncoding.BASE64


def media_type(content_type: str) -> str:
    """Cut the parameters off a content type: `text/csv; charset=utf-8` → `text/csv`."""
    return content_type.partition(";")[0].strip().lower()
