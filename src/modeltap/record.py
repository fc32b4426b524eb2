"""The captured-record line: one compact JSON object and a line feed (contract §1.6, §1.7).

    {"captureData":{"endpointInput":{"observedContentType":…,"mode":"INPUT","data":…,"encoding":…},
    "endpointOutput":{…,"mode":"OUTPUT",…}},"eventMetadata":{"eventId":…,"customAttributes":[…],
    "inferenceId":…,"inferenceTime":"2022-02-14T17:25:49Z"},"eventVersion":"0"}

The order of the keys is that of every record seen in public; absent values have no key. Times are
whole seconds, UTC. A body is text where its content type is listed and it is UTF-8, else base64;
its line feeds are escaped by JSON, so a line is always one record, whatever was captured.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pybase64

from modeltap.clock import stamp
from modeltap.errors import MalformedRecord
from modeltap.nouns import CapturedRecord, CaptureEncoding, Document, Half

EVENT_VERSION = "0"


def encode(record: CapturedRecord, encoding: Callable[[str | None], CaptureEncoding]) -> bytes:
    """Write a record's line; `encoding` chooses by content type (`capture.plan.encoding`).

    The record's text is Unicode without lone surrogates, and its time is not before 1970.
    """
    sides = (
        ("endpointInput", "INPUT", record.input),
        ("endpointOutput", "OUTPUT", record.output),
    )
    data = {
        name: _side(half, mode, encoding(half.content_type))
        for name, mode, half in sides
        if half is not None
    }
    metadata: Document = {"eventId": record.event_id}
    if record.custom_attributes is not None:
        metadata["customAttributes"] = [record.custom_attributes]
    if record.inference_id is not None:
        metadata["inferenceId"] = record.inference_id
    metadata["inferenceTime"] = stamp(record.inference_ns)
    line = {"captureData": data, "eventMetadata": metadata, "eventVersion": EVENT_VERSION}
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def decode(line: bytes) -> CapturedRecord:
    """Read a line, ours or Amazon's. Raise `MalformedRecord` where it is none.

    Keys that are not known (`groundTruthData`, `invocationSource`) are passed over.
    """
    try:
        return _record(orjson.loads(line))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MalformedRecord(f"no captured record: {type(error).__name__}") from None


def _side(half: Half, mode: str, encoding: CaptureEncoding) -> Document:
    data, encoding = _data(half.body, encoding)
    side: Document = {"observedContentType": half.content_type}
    if half.content_type is None:
        side = {}
    return side | {"mode": mode, "data": data, "encoding": encoding}


def _data(body: bytes, encoding: CaptureEncoding) -> tuple[str, CaptureEncoding]:
    if encoding is not CaptureEncoding.BASE64:
        try:
            return body.decode("utf-8"), encoding
        except UnicodeDecodeError:
            pass  # contract §1.7, rule 6: listed, but no text
    return pybase64.b64encode(body).decode("ascii"), CaptureEncoding.BASE64


def _record(line: Document) -> CapturedRecord:
    data, metadata = line["captureData"], line["eventMetadata"]
    attributes = metadata.get("customAttributes")
    return CapturedRecord(
        event_id=metadata["eventId"],
        inference_ns=_time_ns(metadata["inferenceTime"]),
        input=_half(data.get("endpointInput")),
        output=_half(data.get("endpointOutput")),
        inference_id=metadata.get("inferenceId"),
        custom_attributes=None if attributes is None else ",".join(attributes),
    )


def _half(side: dict[str, Any] | None) -> Half | None:
    if side is None:
        return None
    data = side["data"]
    if CaptureEncoding(side["encoding"]) is CaptureEncoding.BASE64:
        body = pybase64.b64decode(data, validate=True)
    else:
        body = data.encode("utf-8")
    return Half(side.get("observedContentType"), body)


def _time_ns(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000_000
