"""An input object's bytes → records → batches, each one request (contract: AWS's `SplitType`,
`BatchStrategy`, `MaxPayloadInMB`).

Bounds: a record, and the records of a batch together, hold at most `bytes_max` bytes, before and
after the filter; so memory does not grow with the object. Blank lines are no records. A line ends
with LF or CR LF, also within quotes, as AWS splits.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

Ask = Callable[[bytes], bytes]
"""What of a record is sent; raises `RecordRefused`."""


class RecordRefused(Exception):
    """A record, or the answer to it, cannot be used. The text has no byte of it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that go in one request; they are numbered from 1 in their object."""

    first: int
    records: tuple[bytes, ...]
    body: bytes

    @property
    def size(self) -> int:
        """Give about how much memory it takes."""
        return len(self.body) + sum(map(len, self.records))

    @property
    def title(self) -> str:
        last = self.first + len(self.records) - 1
        return f"record {last}" if last == self.first else f"records {self.first} to {last}"


def by_lines(file: BinaryIO, bytes_max: int) -> Iterator[bytes]:
    """Give the lines that are not blank, without their ends. Raise `RecordRefused`."""
    number = 0
    while line := file.readline(bytes_max + 2):
        record = bare(line)
        if not record.strip():
            continue
        number += 1
        if len(record) > bytes_max:
            raise RecordRefused(f"record {number} is larger than {_megabytes(bytes_max)}")
        yield record


def bare(line: bytes) -> bytes:
    return line.removesuffix(b"\n").removesuffix(b"\r")


def whole(file: BinaryIO, bytes_max: int) -> bytes:
    """Read an object that is sent as it is. Raise `RecordRefused`."""
    data = file.read(bytes_max + 1)
    if len(data) > bytes_max:
        raise RecordRefused(
            f"it is larger than {_megabytes(bytes_max)}, and TransformInput.SplitType says that it "
            "is not split"
        )
    return data


def one_batch(data: bytes, ask: Ask, *, lines: bool) -> Iterator[Batch]:
    """Give an unsplit object as one batch; its records are its lines, if anybody needs them."""
    if not data:
        return
    if not lines:
        yield Batch(1, (data,), asked(ask, data, 1))
        return
    records = tuple(each for line in data.split(b"\n") if (each := bare(line)).strip())
    sent = [asked(ask, record, number) for number, record in enumerate(records, start=1)]
    if records:
        yield Batch(1, records, b"\n".join(sent) if sent != list(records) else data)


def batches(records: Iterable[bytes], ask: Ask, bytes_max: int, *, single: bool) -> Iterator[Batch]:
    """Gather records: one a batch, or as many as fit. Raise `RecordRefused`."""
    first, kept, sent = 1, list[bytes](), list[bytes]()
    kept_bytes = sent_bytes = 0
    for number, record in enumerate(records, start=1):
        body = asked(ask, record, number)
        if len(body) > bytes_max:
            raise RecordRefused(f"record {number} is larger than {_megabytes(bytes_max)}")
        kept_bytes += len(record) + 1
        sent_bytes += len(body) + 1
        if kept and (single or max(kept_bytes, sent_bytes) - 1 > bytes_max):
            yield Batch(first, tuple(kept), b"\n".join(sent))
            first, kept, sent = number, [], []
            kept_bytes, sent_bytes = len(record) + 1, len(body) + 1
        kept.append(record)
        sent.append(body)
    if kept:
        yield Batch(first, tuple(kept), b"\n".join(sent))


def asked(ask: Ask, record: bytes, number: int) -> bytes:
    try:
        return ask(record)
    except RecordRefused as error:
        raise RecordRefused(f"record {number}: {error}") from None


def _megabytes(bytes_max: int) -> str:
    return f"{bytes_max // 1024**2} MB (MaxPayloadInMB)"
