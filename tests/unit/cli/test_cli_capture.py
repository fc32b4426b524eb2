"""What `modeltap capture` makes of an object's bytes."""

from modeltap.cli.capture import lines
from modeltap.nouns import CapturedRecord, CaptureEncoding, Half
from modeltap.record import decode, encode


def test_a_record_is_one_line_whatever_was_captured() -> None:
    body = "a\u2028b\u2029c\x85d\x0be\x1cf\r\ng\n".encode()
    record = CapturedRecord("id", 0, Half("text/csv", body))
    data = encode(record, lambda _: CaptureEncoding.CSV)
    printed = lines(data + data)
    assert [decode(line.encode()) for line in printed] == [record, record]
