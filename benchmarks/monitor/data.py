"""The records that all contenders read: seeded, so the same bytes on every machine.

69 columns: the prediction and 19 more numbers (one of them 10 % missing), 43 one-hot columns, six
strings: three of few values (one 10 % missing), one of 300, one whose values hold a quoted comma in
2 % of the rows, and one that is different in every row. Input and output have no line feed at their
end, as AWS's own samples have none. Written twice:

    {records}-{files}/captured/endpoint/AllTraffic/yyyy/mm/dd/hh/MM-SS-mmm-{uuid}.jsonl
    {records}-{files}/rows.csv         the same rows, output first, with a header
    {records}-{files}/columns.json     {name: its type, in AWS's words}, in order
    {records}-{files}/json/…           the records, their bodies as JSON: where it is asked for
"""

import csv
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modeltap.clock import stamp
from modeltap.nouns import CapturedRecord, CaptureEncoding, Half
from modeltap.record import decode, encode

SEED: Final = 69
FORM: Final = "1"
"""Of the rows; another number makes what was made before anew."""

FILES: Final = 16
HOUR_NS: Final = 1_772_445_600 * 10**9  # 2026-03-02T10:00:00Z
_SECOND_NS: Final = 10**9
_MINUTES_A_FILE: Final = 3
ONE_HOTS: Final = 43
MISSING: Final = 0.1
QUOTED: Final = 0.02

_Draw = Callable[[np.random.Generator, int], Any]
_INTEGRAL: Final[tuple[_Draw, ...]] = (
    *[lambda chance, size: chance.poisson(5, size)] * 4,
    *[lambda chance, size: chance.integers(18, 95, size)] * 3,
)
_FRACTIONAL: Final[tuple[_Draw, ...]] = (
    *[lambda chance, size: chance.normal(40, 12, size).round(3)] * 4,
    *[lambda chance, size: chance.lognormal(4, 1, size).round(2)] * 4,
    *[lambda chance, size: chance.exponential(7, size).round(4)] * 4,
)
_STRINGS: Final = ("plan", "state", "channel", "device", "comment", "uid")
COLUMNS: Final[dict[str, str]] = (
    {"prediction": "Fractional"}
    | {f"count_{number}": "Integral" for number in range(len(_INTEGRAL))}
    | {f"amount_{number}": "Fractional" for number in range(len(_FRACTIONAL))}
    | {f"is_{number}": "Integral" for number in range(ONE_HOTS)}
    | dict.fromkeys(_STRINGS, "String")
)


@dataclass(frozen=True, slots=True)
class Input:
    """Some records, as captured and as CSV; `write_json` makes them JSON, too."""

    folder: Path
    records: int

    @property
    def captured(self) -> Path:
        return self.folder / "captured"

    @property
    def json(self) -> Path:
        return self.folder / "json"

    @property
    def csv(self) -> Path:
        return self.folder / "rows.csv"

    @property
    def columns(self) -> Path:
        return self.folder / "columns.json"

    @property
    def files(self) -> list[Path]:
        return sorted(self.captured.rglob("*.jsonl"))


def made(folder: Path, records: int, files: int = FILES) -> Input:
    """Give so many records in so many files, made if need be; `folder` keeps them."""
    found = Input(folder / f"{records}-{files}", records)
    mark = found.folder / "made"
    if not mark.exists() or mark.read_text() != FORM:
        print(f"making {records:,} records in {found.folder} …", file=sys.stderr)
        rmtree(found.folder, ignore_errors=True)
        _make(found, files)
        mark.write_text(FORM)
    return found


def _make(wanted: Input, files: int) -> None:
    wanted.folder.mkdir(parents=True)
    wanted.columns.write_text(json.dumps(COLUMNS))
    bounds = [wanted.records * number // files for number in range(files + 1)]
    with wanted.csv.open("wb") as rows:
        rows.write(",".join(COLUMNS).encode() + b"\n")
        for number in range(files):
            first, end = bounds[number], bounds[number + 1]
            chance = np.random.default_rng([SEED, number, wanted.records])
            outputs, inputs = _bodies(chance, first, end - first)
            rows.writelines(b"%b,%b\n" % pair for pair in zip(outputs, inputs, strict=True))
            path = wanted.captured / _key(chance, number)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as lines:
                lines.writelines(_lines(chance, number, outputs, inputs))


# ---------------------------------------------------------------- rows


def _bodies(chance: np.random.Generator, first: int, size: int) -> tuple[list[bytes], list[bytes]]:
    """Give the output and the input of each record, as CSV."""
    prediction = _text(chance.beta(1, 6, size).astype(np.float32).astype(np.float64))
    numbers = [_text(draw(chance, size)) for draw in (*_INTEGRAL, *_FRACTIONAL)]
    numbers[-1] = _thinned(chance, numbers[-1])
    shares = np.linspace(0.02, 0.6, ONE_HOTS)
    one_hots = [_text((chance.random(size) < share).astype(np.int8)) for share in shares]
    rows = pc.binary_join_element_wise(
        *numbers, *one_hots, *_strings(chance, first, size), ",", null_handling="replace"
    )
    return _bytes(prediction), _bytes(rows)


def _strings(chance: np.random.Generator, first: int, size: int) -> list[Any]:
    plans = _chosen(chance, ["basic", "plus", "family", "business"], size)
    states = _chosen(chance, [f"state-{number:02d}" for number in range(51)], size)
    channels = _thinned(chance, _chosen(chance, ["web", "shop", "phone"], size))
    devices = _chosen(chance, [f"device {number}" for number in range(300)], size)
    plain = _chosen(chance, [f"note {number} of the agent" for number in range(90)], size)
    quoted = _chosen(chance, [f'"moved, note {number}"' for number in range(10)], size)
    comments = pc.if_else(chance.random(size) < QUOTED, quoted, plain)
    uids = pc.binary_join_element_wise("u", _text(np.arange(first, first + size)), "")
    return [plans, states, channels, devices, comments, uids]


def _chosen(chance: np.random.Generator, values: list[str], size: int) -> Any:
    return pa.array(values).take(pa.array(chance.integers(0, len(values), size)))


def _thinned(chance: np.random.Generator, values: Any) -> Any:
    return pc.if_else(chance.random(len(values)) < MISSING, "", values)


def _text(values: Any) -> Any:
    return pa.array(values).cast(pa.string())


def _bytes(values: Any) -> list[bytes]:
    return values.cast(pa.binary()).to_pylist()  # type: ignore[no-any-return]


# ---------------------------------------------------------------- records


def _key(chance: np.random.Generator, number: int) -> str:
    began_ns = HOUR_NS + number * _MINUTES_A_FILE * 60 * _SECOND_NS
    hour, rest = stamp(began_ns).split("T")
    place = f"{hour.replace('-', '/')}/{rest[:2]}"
    (name,) = _ids(chance, 1)
    return f"endpoint/AllTraffic/{place}/{rest[3:5]}-{rest[6:8]}-000-{name}.jsonl"


def _lines(
    chance: np.random.Generator, number: int, outputs: list[bytes], inputs: list[bytes]
) -> Iterator[bytes]:
    began = number * _MINUTES_A_FILE * 60
    for index, (name, output, asked) in enumerate(
        zip(_ids(chance, len(inputs)), outputs, inputs, strict=True)
    ):
        second = began + index * 60 // len(inputs)
        record = CapturedRecord(
            name,
            HOUR_NS + second * _SECOND_NS,
            Half("text/csv", asked),
            Half("text/csv; charset=utf-8", output),
        )
        yield encode(record, lambda _: CaptureEncoding.CSV)


def _ids(chance: np.random.Generator, size: int) -> Iterator[str]:
    """Give UUIDs of version 4."""
    digits = chance.bytes(16 * size).hex()
    for at in range(0, len(digits), 32):
        each = digits[at : at + 32]
        yield f"{each[:8]}-{each[8:12]}-4{each[13:16]}-a{each[17:20]}-{each[20:]}"


# ---------------------------------------------------------------- records of JSON


def write_json(given: Input) -> None:
    """Write the same records, their bodies as flat JSON: `{"prediction": 0.5}` for an output."""
    for file in given.files:
        into = given.json / file.relative_to(given.captured)
        into.parent.mkdir(parents=True, exist_ok=True)
        with file.open("rb") as lines, into.open("wb") as written:
            written.writelines(map(_as_json, lines))


def _as_json(line: bytes) -> bytes:
    record, names = decode(line), iter(COLUMNS)
    assert record.output is not None
    assert record.input is not None
    output, asked = (_json_half(half, names) for half in (record.output, record.input))
    return encode(replace(record, output=output, input=asked), lambda _: CaptureEncoding.JSON)


def _json_half(half: Half, names: Iterator[str]) -> Half:
    """Name the values of a CSV line, by as many names as it has values."""
    (values,) = csv.reader([half.body.decode()])
    members = (
        f"{json.dumps(name)}: {_json_value(name, text)}"
        for text, name in zip(values, names, strict=False)
    )
    return Half("application/json", f"{{{', '.join(members)}}}".encode())


def _json_value(name: str, text: str) -> str:
    if not text:
        return "null"
    return json.dumps(text) if COLUMNS[name] == "String" else text
