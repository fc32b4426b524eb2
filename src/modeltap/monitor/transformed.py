"""What batch transforms captured → captured records, a line a row (contract §1.10, §4.6).

    {source}/{input|output}/yyyy/mm/dd/hh/{id}.json       a manifest: [{"prefix": …}, "name", …]
    {source}/{input|output}/yyyy/mm/dd/hh/{id}/{name}     the objects that it names

The n-th output of an id is the n-th input's, and the n-th line of one is that of the other. From
here on they are as an endpoint's records are: the output's columns, then the input's.

* `JoinSource` Input has put the input into the output. Where that is plain to see, each CSV line
  beginning with its input's, each JSON line having `SageMakerOutput`, it is taken once. Where an
  `OutputFilter` has chosen from both, there is no input beside the output, and its lines are rows.
* `GenerateInferenceId`'s id and time are no columns: the id is the record's.
* A header is no row. Objects of different lengths are refused: a shifted row is worse than none.
"""

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import orjson

from modeltap.monitor.analysis import Request
from modeltap.monitor.datasets import placed_tables
from modeltap.monitor.failure import AnalysisFailed
from modeltap.monitor.plan import Format, Plan
from modeltap.monitor.profile import Reject, rejects_of
from modeltap.nouns import CaptureEncoding, Document

ANSWER, ID, TIME = "SageMakerOutput", "SageMakerInferenceId", "SageMakerInferenceTime"
DIFFER = "rows_differ"
TYPES = {CaptureEncoding.CSV: "text/csv", CaptureEncoding.JSON: "application/json"}

_IDS = re.compile(
    rb",\s?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}),\s?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)$"
)


@dataclass(frozen=True, slots=True)
class Pair:
    """An output and its input; without one, the output's lines are whole rows."""

    output: Path
    input: Path | None


def transformed(request: Request, source: Path, work: Path) -> Request:
    """Give the analysis of captured records that one of batch transforms comes to.

    The records are written below `work`. Which transforms are of the window is not told by the
    records' times. Raise `AnalysisFailed` for manifests that are none.
    """
    files, refused = [], list[Reject]()
    for number, pair in enumerate(pairs_below(source), start=1):
        file = work / str(number) / pair.output.name
        file.parent.mkdir()
        if (why := _written(pair, request.plan, file)) is None:
            files.append(file)
        else:
            refused.append(Reject(DIFFER, why, ""))
    plan = replace(request.plan, format=Format.CAPTURE, start=None, end=None)
    return replace(request, files=files, plan=plan, rejects=rejects_of(refused))


# ---------------------------------------------------------------- which objects


def pairs_below(source: Path) -> list[Pair]:
    """Give the objects of all manifests, in order. Raise `AnalysisFailed`."""
    manifests = sorted((source / "output").glob("*/*/*/*/*.json"))
    return [pair for each in manifests for pair in _pairs(each, source)]


def _pairs(manifest: Path, source: Path) -> Iterator[Pair]:
    outputs = _objects(manifest)
    given = source / "input" / manifest.relative_to(source / "output")
    inputs = _objects(given) if given.exists() else repeat(None, len(outputs))
    try:
        for output, other in zip(outputs, inputs, strict=True):
            yield Pair(output, other)
    except ValueError:
        raise AnalysisFailed(
            f"The manifests {manifest.name} name not as many outputs as inputs: transform anew."
        ) from None


def _objects(manifest: Path) -> list[Path]:
    try:
        names = json.loads(manifest.read_bytes())[1:]
        return [manifest.with_suffix("") / name for name in names]
    except (ValueError, LookupError, TypeError) as error:
        raise AnalysisFailed(f"{manifest.name} is no manifest of a batch transform.") from error


# ---------------------------------------------------------------- their rows


def _written(pair: Pair, plan: Plan, file: Path) -> str | None:
    """Write a pair's records; say what is wrong if they cannot be paired."""
    outputs = sum(1 for _ in _payloads(pair.output, plan))
    inputs = outputs if pair.input is None else sum(1 for _ in _payloads(pair.input, plan))
    header = int(plan.format is Format.CSV and plan.header)
    answered = header if outputs == inputs else 0  # whether the model was asked the header, too
    if outputs - answered != inputs - header:
        return (
            f"{pair.output.name}: {outputs} lines of output for {inputs} of input; a transform "
            "needs AssembleWith Line, and a model that answers each record on a line"
        )
    rows = _Rows(pair, plan, answered, header)
    with file.open("wb") as lines:
        lines.writelines(_records(rows, plan, pair.output.name))
    return None


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of a pair, to be gone through more than once."""

    pair: Pair
    plan: Plan
    skipped_outputs: int
    skipped_inputs: int

    def __iter__(self) -> Iterator[tuple[bytes, bytes | None]]:
        outputs = islice(_payloads(self.pair.output, self.plan), self.skipped_outputs, None)
        if self.pair.input is None:
            return zip(outputs, repeat(None))
        inputs = islice(_payloads(self.pair.input, self.plan), self.skipped_inputs, None)
        return zip(outputs, inputs, strict=True)


def _payloads(file: Path, plan: Plan) -> Iterator[bytes]:
    if plan.format is Format.PARQUET and _begins(file, b"PAR1"):
        return _parquet_rows(file)
    if plan.format is Format.JSON and not plan.lines:
        return iter([b"".join(_lines(file, keep_ends=True))])
    return _lines(file)


def _lines(file: Path, *, keep_ends: bool = False) -> Iterator[bytes]:
    """Give the lines that are not blank, as a transform splits its input."""
    try:
        with gzip.open(file) if _begins(file, b"\x1f\x8b") else file.open("rb") as lines:
            for line in lines:
                if line.strip():
                    yield line if keep_ends else line.removesuffix(b"\n").removesuffix(b"\r")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise AnalysisFailed(f"{file.name} is damaged (gzip): upload it anew.") from error


def _begins(file: Path, magic: bytes) -> bool:
    with file.open("rb") as content:
        return content.read(len(magic)) == magic


def _parquet_rows(file: Path) -> Iterator[bytes]:
    for _, columns in placed_tables(file, Plan(Format.PARQUET)):
        texts = (column.to_pylist() for column in columns.values())
        for values in zip(*texts, strict=True):
            yield orjson.dumps(dict(zip(columns, values, strict=True)))


# ---------------------------------------------------------------- their records


def _records(rows: _Rows, plan: Plan, name: str) -> Iterator[bytes]:
    """Give a line a row. Its id is the inference's, or where its output stands."""
    marked = all(_IDS.search(output) for output, _ in rows)
    joined = all(_is_joined(_answer(*row, marked=marked)[0], row[1]) for row in rows)
    for number, (output, given) in enumerate(rows, start=rows.skipped_outputs + 1):
        answer, event, moment = _answer(output, given, marked=marked)
        if joined and given is not None:
            answer = answer[len(given) + 1 :]
        sides = {"endpointInput": _side(given, "INPUT", _encoding(given, plan, output=False))}
        sides["endpointOutput"] = _side(answer, "OUTPUT", _encoding(answer, plan, output=True))
        yield _line(sides, event or f"{name}:{number}", moment)


def _is_joined(answer: bytes, given: bytes | None) -> bool:
    return given is not None and answer.startswith(given + b",")


def _answer(
    output: bytes, given: bytes | None, *, marked: bool
) -> tuple[bytes, str | None, str | None]:
    """Give an output without what a transform has put beside the model's answer; id and time."""
    if marked and (ids := _IDS.search(output)):
        return output[: ids.start()], ids[1].decode(), ids[2].decode()
    if b'"SageMaker' not in output:
        return output, None, None
    try:
        value = json.loads(output)
    except (ValueError, RecursionError):
        return output, None, None  # the reading of records says what it is
    if not isinstance(value, dict):
        return output, None, None
    event, moment = value.pop(ID, None), value.pop(TIME, None)
    return json.dumps(_told(value, alone=given is None)).encode(), event, moment


def _told(value: Document, *, alone: bool) -> Any:
    """Give the model's answer; of an output that is a whole row, what was kept beside it, too."""
    if ANSWER not in value or (alone and not isinstance(value[ANSWER], dict)):
        return value
    answer = value.pop(ANSWER)
    return {**value, **answer} if alone else answer


def _encoding(payload: bytes | None, plan: Plan, *, output: bool) -> CaptureEncoding:
    """Tell how a payload is written: models answer CSV in JSON, too."""
    json_like = (output or plan.format is Format.PARQUET) and (payload or b"")[:1] in (b"{", b"[")
    return CaptureEncoding.JSON if plan.format is Format.JSON or json_like else CaptureEncoding.CSV


def _side(payload: bytes | None, mode: str, encoding: CaptureEncoding) -> Document | None:
    if payload is None:
        return None
    text = payload.decode("utf-8", "replace")
    told = {"observedContentType": TYPES[encoding], "mode": mode, "data": text}
    return {**told, "encoding": encoding.value}


def _line(sides: Document, event: str, moment: str | None) -> bytes:
    captured = {name: side for name, side in sides.items() if side is not None}
    times = {} if moment is None else {"inferenceTime": moment}
    record = {
        "captureData": captured,
        "eventMetadata": {"eventId": event, **times},
        "eventVersion": "0",
    }
    return orjson.dumps(record) + b"\n"
