"""The captured-record line: one compact JSON object and a line feed (contract §1.6, §1.7).

    {"captureData":{"endpointInput":{"observedContentType":…,"mode":"INPUT","data":…,"encoding":…},
    "endpointOutput":{…,"mode":"OUTPUT",…}},"eventMetadata":{"eventId":…,"customAttributes":[…],
    "inferenceId":…,"inferenceTime":"2022-02-14T17:25:49Z"},"eventVersion":"0"}

The order of the keys is that of every record seen in public; absent values have no key. Times are
whole seconds, UTC. A body is text where its content type is listed and it is UTF-8, else base64;
its line feeds are escaped by JSON, so a line is always one record, whatever was captured.

A line is put together from its values, each written by orjson: that takes a third of what orjson
takes for the whole object, because the objects need not be made.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import orjson
import pybase64

from modeltap.clock import stamp
from modeltap.errors import MalformedRecord
from modeltap.memo import Memo
from modeltap.nouns import CapturedRecord, CaptureEncoding, Half

_SECOND_NS: Final = 1_000_000_000


def encode(record: CapturedRecord, encoding: Callable[[str | None], CaptureEncoding]) -> bytes:
    """Write a record's line; `encoding` chooses by content type (`capture.plan.encoding`).

    The record's text is Unicode without lone surrogates, and its time is not before 1970.
    """
    parts = [b'{"captureData":{']
    if record.input is not None:
        parts.append(b'"endpointInput":{')
        _write_side(parts, record.input, b'"mode":"INPUT","data":', encoding)
    if record.output is not None:
        parts.append(b'"endpointOutput":{' if record.input is None else b',"endpointOutput":{')
        _write_side(parts, record.output, b'"mode":"OUTPUT","data":', encoding)
    parts.append(b'},"eventMetadata":{"eventId":')
    parts.append(orjson.dumps(record.event_id))
    if record.custom_attributes is not None:
        parts += [b',"customAttributes":[', orjson.dumps(record.custom_attributes), b"]"]
    if record.inference_id is not None:
        parts += [b',"inferenceId":', orjson.dumps(record.inference_id)]
    parts.append(_times.of(record.inference_ns // _SECOND_NS))
    parts.append(b'},"eventVersion":"0"}\n')
    return b"".join(parts)


def decode(line: bytes) -> CapturedRecord:
    """Read a line, ours or Amazon's. Raise `MalformedRecord` where it is none.

    Keys that are not known (`groundTruthData`, `invocationSource`) are passed over.
    """
    try:
        return _record(orjson.loads(line))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MalformedRecord(f"no captured record: {type(error).__name__}") from None


# ---------------------------------------------------------------- writing


def _write_side(
    parts: list[bytes],
    half: Half,
    mode: bytes,
    encoding: Callable[[str | None], CaptureEncoding],
) -> None:
    content_type, body = half.content_type, half.body
    if content_type is not None:
        parts.append(_observed.of(content_type))
    parts.append(mode)
    chosen = encoding(content_type)
    if chosen != CaptureEncoding.BASE64:
        try:
            parts.append(orjson.dumps(body.decode()))
            parts.append(_ENCODED[chosen])
            return
        except UnicodeDecodeError:
            pass  # contract §1.7, rule 6: listed, but no text
    parts += [b'"', pybase64.b64encode(body), b'"', _ENCODED[CaptureEncoding.BASE64]]


def _write_observed(content_type: str) -> bytes:
    return b'"observedContentType":%b,' % orjson.dumps(content_type)


def _write_time(second: int) -> bytes:
    return b',"inferenceTime":"%b"' % stamp(second * _SECOND_NS).encode()


_ENCODED: Final = {each: b',"encoding":"%b"}' % each.value.encode() for each in CaptureEncoding}
_observed: Final = Memo(_write_observed)
_times: Final = Memo(_write_time)


# ---------------------------------------------------------------- reading


def _record(line: dict[str, Any]) -> CapturedRecord:
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
    return int(moment.timestamp()) * _SECOND_NS
