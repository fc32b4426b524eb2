"""The frame: one captured record as the gateway packs it, and as it stands on disk.

It is packed once. Ring and spooler move it as the bytes that it is, the shipper opens it: bodies
are not encoded before, because base64 and JSON on the hot path moved the loop's p99 from 3.6 to
15.7 ms at 6 MB. Format, little-endian, no gaps:

    frame    magic u32 · type u8 · pad 3 · length u32 · sequence u64 · payload · CRC32C u32
    HEAD     payload: a segment's label (`segment.py`)
    REC      payload: a parcel
    END      payload: the label once more, so that a damaged HEAD costs no record
    parcel   event id 36s · inference_ns i64 · 6 lengths i32 (-1: absent) · the six values

The sequence counts the sampled records of one slot of its writer's counters (`counters.py`), from
1: every record that was sampled and is not there shows as a hole.

The checksum covers all before it and is seeded with writer, slot and hour: what the gateway knows.
So a stale block of another file cannot pass (SQLite's salt), and one of an older file of the same
slot and hour has lower sequences, which `scan` does not take.

Constraints: a payload is at most 64 MiB, checked before anything is allocated.
"""

import struct
from collections.abc import Callable
from typing import Final, final

from crc32c import crc32c

from modeltap.errors import MalformedRecord
from modeltap.nouns import CapturedRecord, CapturePlan, Exchange, Half

HOUR_NS: Final = 3_600_000_000_000

MAGIC: Final = 0x3253_544D  # "MTS2"
PAYLOAD_BYTES_MAX: Final = 64 * 1024 * 1024

HEAD: Final = 1
REC: Final = 2
END: Final = 3

_MAGIC_BYTES: Final = MAGIC.to_bytes(4, "little")
_HEAD: Final = struct.Struct("<IBxxxIQ")
_HEAD_BYTES: Final = 20
_CRC: Final = struct.Struct("<I")
_CRC_BYTES: Final = 4
FRAME_BYTES: Final = _HEAD_BYTES + _CRC_BYTES
"""What a frame takes beside its payload."""

_PARCEL: Final = struct.Struct("<36sq6i")
_PARCEL_BYTES: Final = 68
_RECORD: Final = struct.Struct("<IBxxxIQ36sq6i")  # the head of a frame and that of its parcel

_JOINED_BYTES_MAX: Final = 64 * 1024
"""A larger frame stays in parts, so that its bodies are not copied once more."""

Record = tuple[int, bytes]
"""A sequence number and a parcel."""


def salt_of(writer: str, slot: int, hour: int) -> int:
    """Give the seed of the checksums of one writer's slot in one hour."""
    return int(crc32c(f"{writer}:{slot}:{hour}".encode()))


# ---------------------------------------------------------------- writing


def pack(salt: int, kind: int, sequence: int, payload: bytes) -> bytes:
    """Write one frame."""
    return _closed(_HEAD.pack(MAGIC, kind, len(payload), sequence) + payload, salt)


@final
class Packer:
    """Packs the records of one plan."""

    def __init__(self, plan: CapturePlan) -> None:
        self._input = plan.input
        self._output = plan.output
        self._pack: Callable[..., bytes] = _RECORD.pack

    def frame(self, sequence: int, exchange: Exchange, salt: int) -> list[bytes]:
        """Give the bytes of a record's frame: one part, or several where bodies are large."""
        asked, answer = exchange.invocation, exchange.answer
        input_type = input_body = output_type = output_body = None
        if self._input:
            input_type, input_body = _text(asked.content_type), asked.body
        if self._output:
            output_type, output_body = _text(answer.content_type), answer.body
        attributes, inference_id = _text(asked.custom_attributes), _text(asked.inference_id)
        parts = [b""]
        size = _PARCEL_BYTES
        for value in (inference_id, attributes, input_type, input_body, output_type, output_body):
            if value:
                parts.append(value)
                size += len(value)
        parts[0] = self._pack(
            MAGIC,
            REC,
            size,
            sequence,
            asked.id.encode(),
            asked.received_ns,
            _length(inference_id),
            _length(attributes),
            _length(input_type),
            _length(input_body),
            _length(output_type),
            _length(output_body),
        )
        if size < _JOINED_BYTES_MAX:
            return [_closed(b"".join(parts), salt)]
        crc = salt
        for part in parts:
            crc = crc32c(part, crc)
        parts.append(_CRC.pack(crc))
        return parts


def _closed(frame: bytes, salt: int) -> bytes:
    return frame + _CRC.pack(crc32c(frame, salt))


def _length(value: bytes | None) -> int:
    return -1 if value is None else len(value)


def _text(value: str | None) -> bytes | None:
    if value is None:
        return None
    # "replace": a header that is no Unicode must not stop an offer, which cannot raise.
    return value.encode() if value.isascii() else value.encode("utf-8", "replace")


# ---------------------------------------------------------------- reading


@final
class Scanned:
    """What a scan found: labels, records in order, and where good bytes end."""

    def __init__(self) -> None:
        self.labels: list[bytes] = []
        self.records: list[Record] = []
        self.intact_records = 0  # how many of them stand before the first damage
        self.intact_bytes = 0  # from the start to the first damage, or to the END frame


def scan(data: bytes, salt: int, first: int) -> Scanned:
    """Read all good frames of any bytes whatever; what is damaged is passed over.

    `first` is the least sequence that can be there; sequences only grow.
    """
    found = Scanned()
    least, intact = first, True
    at = data.find(_MAGIC_BYTES)
    while at >= 0:
        frame = _frame_at(data, at, salt, least)
        if frame is None:
            at = data.find(_MAGIC_BYTES, at + 1)
            continue
        end, kind, sequence, payload = frame
        intact = intact and at == found.intact_bytes and kind != END
        if kind == REC:
            found.records.append((sequence, payload))
            least = sequence + 1
        else:
            found.labels.append(payload)
        if intact:
            found.intact_records, found.intact_bytes = len(found.records), end
        at = data.find(_MAGIC_BYTES, end)
    return found


def _frame_at(data: bytes, at: int, salt: int, least: int) -> tuple[int, int, int, bytes] | None:
    """Read the frame that begins here: where it ends, type, sequence, payload."""
    start = at + _HEAD_BYTES
    if start > len(data):
        return None
    _, kind, length, sequence = _HEAD.unpack_from(data, at)
    stop = start + length
    if not HEAD <= kind <= END or length > PAYLOAD_BYTES_MAX or stop + _CRC_BYTES > len(data):
        return None
    (crc,) = _CRC.unpack_from(data, stop)
    if crc != crc32c(data[at:stop], salt) or (kind == REC and sequence < least):
        return None
    return stop + _CRC_BYTES, kind, sequence, data[start:stop]


def after(frames: bytes, sequence: int) -> tuple[bytes, int]:
    """Give of good REC frames those after a sequence, and how many they are."""
    starts = [at for at, found in _heads(frames) if found > sequence]
    return frames[starts[0] if starts else len(frames) :], len(starts)


def numbers(frames: bytes) -> list[int]:
    """Give the sequence numbers of good REC frames."""
    return [sequence for _, sequence in _heads(frames)]


def _heads(frames: bytes) -> list[tuple[int, int]]:
    """Tell where each of some good REC frames begins, and its sequence number."""
    at = 0
    found: list[tuple[int, int]] = []
    while at < len(frames):
        _, _, length, sequence = _HEAD.unpack_from(frames, at)
        found.append((at, sequence))
        at += FRAME_BYTES + length
    return found


def first_inference_ns(frames: bytes) -> int:
    """Read the time of the first of some REC frames: the one that the spooler needs."""
    return int(_PARCEL.unpack_from(frames, _HEAD_BYTES)[1])


def open_parcel(data: bytes) -> CapturedRecord:
    """Read a record. Raise `MalformedRecord` on bytes that no packer can have made."""
    if len(data) < _PARCEL_BYTES:
        raise MalformedRecord("a parcel is shorter than its head")
    event_id, received_ns, *lengths = _PARCEL.unpack_from(data)
    values: list[bytes | None] = []
    at = _PARCEL_BYTES
    for length in lengths:
        if length < 0:
            values.append(None)
        else:
            values.append(data[at : at + length])
            at += length
    if at != len(data):
        raise MalformedRecord("a parcel's lengths do not sum up to its size")
    inference_id, custom_attributes, input_type, input_body, output_type, output_body = values
    return CapturedRecord(
        event_id=event_id.decode("ascii", "replace"),
        inference_ns=received_ns,
        input=None if input_body is None else Half(_string(input_type), input_body),
        output=None if output_body is None else Half(_string(output_type), output_body),
        inference_id=_string(inference_id),
        custom_attributes=_string(custom_attributes),
    )


def _string(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")
