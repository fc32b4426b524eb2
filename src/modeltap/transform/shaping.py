"""What is sent of a record, and what is kept of its answer: `DataProcessing`, and inference ids.

    record ─InputFilter─▶ sent            answer ─JoinSource─▶ ─OutputFilter─▶ ─ids─▶ kept

The input is joined as it was before its filter. CSV fields are cut and put together as text: no
digit and no quote changes. JSON is read and written again, on one line; an answer that is no object
is told as the member `SageMakerOutput` (contract §1.10, and AWS's `JoinSource`). An inference's id
and time come last, whatever the output filter leaves.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from modeltap.transform.paths import ROOT, NothingThere, Path
from modeltap.transform.records import Batch, RecordRefused, bare

OUTPUT, INPUT = "SageMakerOutput", "SageMakerInput"
INFERENCE_ID, INFERENCE_TIME = "SageMakerInferenceId", "SageMakerInferenceTime"

_FIELD = re.compile(rb'((?:[^,"]|"[^"]*"?)*)(?:,|\Z)')

NewId = Callable[[], str]


class Format(StrEnum):
    CSV = "CSV"
    JSON = "JSON"
    JSON_LINES = "JSON Lines"


_FORMATS = {
    "text/csv": Format.CSV,
    "application/json": Format.JSON,
    "application/jsonlines": Format.JSON_LINES,
}
KNOWN = tuple(_FORMATS)
"""Content types whose records can be cut and joined."""


def format_of(content_type: str | None) -> Format | None:
    """Tell a content type's format; None if its records cannot be told apart."""
    return _FORMATS.get((content_type or "").partition(";")[0].strip().lower())


@dataclass(frozen=True, slots=True)
class Shaping:
    """What a job asks for. `given` is the input's format, None where nobody needs to know."""

    given: Format | None = None
    input_filter: Path = ROOT
    join: bool = False
    output_filter: Path = ROOT
    ids: bool = False

    @property
    def by_lines(self) -> bool:
        """Tell whether the records of an unsplit object matter, and are its lines."""
        asks = self.shapes_answers or not self.input_filter.is_root
        return asks and self.given in (Format.CSV, Format.JSON_LINES)

    @property
    def shapes_answers(self) -> bool:
        return self.join or self.ids or not self.output_filter.is_root

    def sent(self, record: bytes) -> bytes:
        """Give what of a record the model gets. Raise `RecordRefused`."""
        if self.input_filter.is_root:
            return record
        if self.given is Format.CSV:
            return _columns(self.input_filter, record, "InputFilter")
        return _written(_found(self.input_filter, _read(record, "it"), "InputFilter"))

    def kept(
        self, batch: Batch, body: bytes, content_type: str | None, new_id: NewId, stamp: str
    ) -> bytes:
        """Give what of an answer is kept. Raise `RecordRefused`."""
        if not self.shapes_answers:
            return body
        told = format_of(content_type) or self.given or Format.CSV
        if self.join and (told is Format.CSV) is not (self.given is Format.CSV):
            raise RecordRefused(
                f"JoinSource Input: the answer is {told}, and the input is {self.given}; "
                "TransformOutput.Accept can ask for the same"
            )
        rows = _rows(body, told, len(batch.records))
        if self.join and len(rows) != len(batch.records):
            raise RecordRefused(
                f"JoinSource Input: the model answered {len(rows)} records to "
                f"{len(batch.records)}; BatchStrategy SingleRecord asks for one at a time"
            )
        keep = self._kept_csv if told is Format.CSV else self._kept_json
        lines = list(keep(batch, rows, new_id, stamp))
        return b"\n".join(lines) + (b"\n" if body.endswith(b"\n") else b"")

    def _kept_csv(
        self, batch: Batch, rows: Sequence[bytes], new_id: NewId, stamp: str
    ) -> Iterator[bytes]:
        for number, row in enumerate(rows):
            line = batch.records[number] + b"," + row if self.join else row
            if not self.output_filter.is_root:
                line = _columns(self.output_filter, line, "OutputFilter")
            yield line + f",{new_id()},{stamp}".encode() if self.ids else line

    def _kept_json(
        self, batch: Batch, rows: Sequence[bytes], new_id: NewId, stamp: str
    ) -> Iterator[bytes]:
        for number, row in enumerate(rows):
            value = _read(row, "the answer")
            if self.join:
                value = _joined(_read(batch.records[number], "it"), value)
            value = _found(self.output_filter, value, "OutputFilter")
            if self.ids:
                value = value if isinstance(value, dict) else {OUTPUT: value}
                value = {**value, INFERENCE_ID: new_id(), INFERENCE_TIME: stamp}
            yield _written(value)


def ended(piece: bytes, *, lines: bool) -> bytes:
    """Give a piece of an output as `AssembleWith` wants it: with Line, a line end after each."""
    return piece + b"\n" if lines and piece and not piece.endswith(b"\n") else piece


def fields(line: bytes) -> list[bytes]:
    """Cut a CSV line at its commas; quotes stay as they are."""
    if b'"' not in line:
        return line.split(b",")
    found, at = [], 0
    while True:
        match = _FIELD.match(line, at)
        assert match is not None  # it matches nothing, too
        found.append(match[1])
        if match.end() == match.end(1):
            return found
        at = match.end()


def _rows(body: bytes, told: Format, asked: int) -> list[bytes]:
    """Cut an answer into its records: lines, or one JSON document."""
    if told is Format.JSON and asked == 1:
        return [body]
    return [each for line in body.split(b"\n") if (each := bare(line)).strip()]


def _columns(path: Path, line: bytes, whose: str) -> bytes:
    found = _found(path, fields(line), whose)
    return b",".join(found) if isinstance(found, list) else bytes(found)


def _found(path: Path, value: Any, whose: str) -> Any:
    try:
        return path.of(value)
    except NothingThere:
        raise RecordRefused(f"{whose} {path.text} names what is not there") from None


def _joined(given: Any, answer: Any) -> dict[str, Any]:
    return {**(given if isinstance(given, dict) else {INPUT: given}), OUTPUT: answer}


def _read(data: bytes, what: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise RecordRefused(f"{what} is no JSON") from None


def _written(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(
        errors="surrogatepass"
    )
