"""Parcels → JSON Lines: where JSON and base64 happen, far from any inference."""

from collections.abc import Iterable
from functools import partial

from modeltap.capture.frame import Record, open_parcel
from modeltap.capture.plan import encoding
from modeltap.capture.stream import Stream
from modeltap.errors import MalformedRecord
from modeltap.memo import Memo
from modeltap.record import encode


def lines(records: Iterable[Record], stream: Stream) -> dict[int, bytes]:
    """Write the records of one stream, by number; one that is none is left out, and so lost."""
    choose = Memo(partial(encoding, stream.plan)).of
    written: dict[int, bytes] = {}
    for number, parcel in records:
        try:
            written[number] = encode(open_parcel(parcel), choose)
        except MalformedRecord:
            continue
    return written
