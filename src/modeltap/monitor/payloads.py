"""One captured record → rows, the careful way: each side by its own encoding (contract §4.6).

    line ─record_of─▶ record ─rows_of─▶ rows, names or none ─`placing.py`─▶ the baseline's columns

Texts are kept as they were written: a number keeps its literal (`1.0` is no `1`), because its type
is told by its text alone. Only an empty CSV field and JSON's `null` are missing; JSON's `""` is a
value.

* CSV: fields have no names; quotes as in RFC 4180. A blank line is a missing value where a row is
  one value, and nothing elsewhere.
* JSON: an object is a row of named values, a list of values a row of unnamed ones, a bare value a
  row of one; a list of objects or of lists, and JSON Lines, are several rows. Objects and lists
  within a row are refused, or flattened to dotted names (`a.b.0`) where `nested` allows it.
* BASE64 is what neither is: only a preprocessor can read it.

The output's values come first, then the input's; a name that a row has twice keeps its first value,
so the output's. Rows of both sides go together line by line; a single row goes with each of the
other side's.

A value must cost next to nothing here, or a million records take minutes: what can be done for a
row at once is, and what hangs on the names alone is done once for all rows that have the same.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final, Literal, NamedTuple, NoReturn

import orjson

from modeltap.monitor.plan import SIDES
from modeltap.nouns import CaptureEncoding, Document

LINE_BYTES_MAX = 128 * 1024 * 1024
"""Longest line that is read: a record of two bodies of 25 MiB in base64 has 70 MB."""

NESTING_MAX = 64
"""How deep a flattened value may lie: each level lengthens its name."""

FORMS_KEPT = 64
"""Rows of one source mostly have the same names: of so many forms is kept what hangs on them."""

Names = tuple[str | None, ...]
Texts = tuple[str | None, ...]


class Row(NamedTuple):
    """Values, and what each is called: a name, or None. A value is a text, or None: missing."""

    names: Names
    texts: Texts


Refusal = Literal[
    "malformed",  # no record, no CSV, no JSON
    "too_large",
    "no_data",  # neither side was captured
    "empty",  # a payload or a row without a value
    "not_flat",
    "not_a_number",  # NaN or Infinity, which JSON does not know
    "base64",
    "rows_differ",
    "ragged_row",  # more or fewer values than columns: `placing.py`
    "preprocessor",  # the script's own refusals: `handlers.py`
    "preprocessor_died",
    "preprocessor_timeout",
]


class RecordRefused(Exception):
    """A record without usable rows. `reason` is stable; neither text holds a word of a payload."""

    def __init__(self, reason: Refusal, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Refusal = reason
        self.detail = detail


def record_of(line: bytes) -> Document:
    """Read one line of a capture file. Raise `RecordRefused`: `too_large`, `malformed`."""
    if len(line) > LINE_BYTES_MAX:
        raise RecordRefused("too_large", f"the line has {len(line)} bytes of {LINE_BYTES_MAX}")
    try:
        record = orjson.loads(line)
    except ValueError:
        raise RecordRefused("malformed", "the line is no JSON: cut short or damaged") from None
    if not isinstance(record, dict):
        raise RecordRefused("malformed", "the line is no JSON object")
    return record


def rows_of(record: Document, *, nested: bool = False) -> list[Row]:
    """Give a record's rows, at least one. Raise `RecordRefused`.

    `nested`: flatten objects and lists within a row of JSON to dotted names.
    """
    return _together([(name, _rows_of_side(name, side, nested)) for name, side in _sides(record)])


# ---------------------------------------------------------------- the two sides


def _sides(record: Document) -> list[tuple[str, Any]]:
    captured = record.get("captureData")
    if not isinstance(captured, dict):
        raise RecordRefused("malformed", "the record has no object captureData")
    sides = [(name, captured[name]) for name in SIDES if captured.get(name) is not None]
    if not sides:
        raise RecordRefused("no_data", f"neither {SIDES[0]} nor {SIDES[1]} was captured")
    return sides


def _rows_of_side(name: str, side: Any, nested: bool) -> list[Row]:
    try:
        data, encoding = side["data"], CaptureEncoding(side["encoding"])
    except (TypeError, KeyError, ValueError):
        detail = f"{name} lacks data, or an encoding of CSV, JSON, BASE64"
        raise RecordRefused("malformed", detail) from None
    if not isinstance(data, str):
        raise RecordRefused("malformed", f"{name}.data is no string")
    if encoding is CaptureEncoding.BASE64:
        raise RecordRefused(
            "base64",
            f"{name} is neither CSV nor JSON: give a record_preprocessor_script that decodes it, "
            "or list its content type in CaptureContentTypeHeader",
        )
    rows = csv_rows(data) if encoding is CaptureEncoding.CSV else json_rows(data, nested=nested)
    if not rows:
        raise RecordRefused("empty", f"{name} has no rows")
    return rows


def _together(sides: Sequence[tuple[str, list[Row]]]) -> list[Row]:
    most = max(len(rows) for _, rows in sides)
    if any(len(rows) not in (1, most) for _, rows in sides):
        counts = ", ".join(f"{name} has {len(rows)} rows" for name, rows in sides)
        raise RecordRefused("rows_differ", f"{counts}: one must have as many, or a single one")
    repeated = (rows * most if len(rows) == 1 else rows for _, rows in sides)
    return [_joined(parts) for parts in zip(*repeated, strict=True)]


def _joined(parts: Iterable[Row]) -> Row:
    """Put values beside each other; of a name that comes twice only the first stays."""
    names_of_parts, texts_of_parts = zip(*parts, strict=True)
    names, kept = _distinct(names_of_parts)
    texts = tuple(chain.from_iterable(texts_of_parts))
    return Row(names, texts if kept is None else tuple(texts[at] for at in kept))


@lru_cache(FORMS_KEPT)
def _distinct(names_of_parts: tuple[Names, ...]) -> tuple[Names, tuple[int, ...] | None]:
    """Give the names without the later ones of a kind, and which stay; None: all."""
    names = tuple(chain.from_iterable(names_of_parts))
    if len(set(names)) == len(names):
        return names, None
    first = {name: at for at, name in reversed(list(enumerate(names)))}
    kept = tuple(at for at, name in enumerate(names) if name is None or first[name] == at)
    return tuple(names[at] for at in kept), kept if len(kept) < len(names) else None


# ---------------------------------------------------------------- CSV

csv.field_size_limit(LINE_BYTES_MAX)  # of 131,072 characters by default, which a prompt may exceed


def csv_rows(text: str) -> list[Row]:
    """Read CSV without a header; [] if there is none. Raise `RecordRefused`: `malformed`."""
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        raise RecordRefused("malformed", "a quote is not closed, or text follows it") from None
    width = max(map(len, lines), default=0)
    if width == 1:
        lines = [line or [""] for line in lines]
    return [_unnamed(field or None for field in line) for line in lines if line and width]


def _unnamed(texts: Iterable[str | None]) -> Row:
    values = tuple(texts)
    return Row((None,) * len(values), values)


# ---------------------------------------------------------------- JSON


def _no_number(_: str) -> NoReturn:
    raise RecordRefused("not_a_number", "NaN and Infinity are no JSON: send null")


_DECODER: Final = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=_no_number)
"""Leaves numbers as they are written, so that what is no container, boolean or null is a text."""

_BLANKS: Final = " \t\r\n"


def json_rows(text: str, *, nested: bool = False) -> list[Row]:
    """Read JSON or JSON Lines; [] if there is none.

    Raise `RecordRefused`: `malformed`, `not_flat`, `empty`, `not_a_number`.
    """
    try:
        rows = [row for value in _values(text) for row in _rows_of_value(value, nested)]
        if "\\u" in text:
            _must_be_text(rows)
    except (ValueError, RecursionError) as error:
        raise _refusal(error) from None
    return rows


def literal(text: bytes) -> Any:
    """Read one value of JSON, its numbers as texts. Raise `RecordRefused` as `json_rows` does."""
    try:
        return _DECODER.decode(text.decode())
    except (ValueError, RecursionError) as error:
        raise _refusal(error) from None


def named_row(value: Any) -> dict[str, str | None]:
    """Read a flat object of `literal`. Raise `RecordRefused` as `json_rows` does."""
    if not isinstance(value, dict):
        raise RecordRefused("malformed", "a row is no object")
    row = _row(value, nested=False)
    try:
        _must_be_text([row])
    except ValueError as error:
        raise _refusal(error) from None
    return dict(zip(value, row.texts, strict=True))


def _refusal(error: Exception) -> RecordRefused:
    if isinstance(error, RecursionError):
        return RecordRefused("not_flat", "the JSON is nested too deeply")
    return RecordRefused("malformed", "the payload is no JSON: cut short or damaged")


def _must_be_text(rows: list[Row]) -> None:
    """Raise `ValueError` for half a surrogate pair: JSON can spell it, UTF-8 cannot."""
    for row in rows:
        "".join(part for part in chain(*row) if part).encode()


def _values(text: str) -> Iterator[Any]:
    """Read values that stand each on lines of their own: one, or JSON Lines."""
    rest = text.strip(_BLANKS)
    at = 0
    while at < len(rest):
        value, end = _DECODER.raw_decode(rest, at)
        yield value
        at = _after_blanks(rest, end)
        if at < len(rest) and "\n" not in rest[end:at]:
            raise ValueError("two values on one line")


def _after_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANKS:
        at += 1
    return at


def _rows_of_value(value: Any, nested: bool) -> list[Row]:
    if isinstance(value, list) and (_all(dict, value) or _all(list, value)):
        return [_row(each, nested) for each in value]
    return [_row(value, nested)]


def _all(kind: type, values: list[Any]) -> bool:
    return bool(values) and all(isinstance(each, kind) for each in values)


def _row(value: Any, nested: bool) -> Row:
    names, values = _members(value)
    if not values:
        raise RecordRefused("empty", _WITHOUT_VALUE)
    kinds = set(map(type, values))
    if not kinds.isdisjoint(_CONTAINERS):
        return _flattened_row(names, values, nested)
    return Row(names, tuple(map(_text, values)) if bool in kinds else values)


def _members(value: Any) -> tuple[Names, tuple[Any, ...]]:
    if isinstance(value, dict):
        return tuple(value), tuple(value.values())
    values = tuple(value) if isinstance(value, list) else (value,)
    return (None,) * len(values), values


_CONTAINERS: Final = (dict, list)
_WITHOUT_VALUE: Final = "an object or a list has no value"


def _flattened_row(names: Names, values: tuple[Any, ...], nested: bool) -> Row:
    """Flatten a row in which a value is an object or a list. Raise `RecordRefused`."""
    if not nested:
        raise RecordRefused(
            "not_flat",
            "an object or a list lies within a row: allow nested JSON, or flatten it in a "
            "record_preprocessor_script",
        )
    leaves = list(_leaves(names, values))
    if not leaves:
        raise RecordRefused("empty", _WITHOUT_VALUE)
    return _joined([Row(*zip(*leaves, strict=True))])


def _leaves(names: Names, values: tuple[Any, ...]) -> Iterator[tuple[str | None, str | None]]:
    for at, (name, value) in enumerate(zip(names, values, strict=True)):
        if isinstance(value, dict | list):
            yield from _flattened(str(at) if name is None else name, value, NESTING_MAX)
        else:
            yield name, _text(value)


def _flattened(path: str, value: Any, depth: int) -> Iterator[tuple[str, str | None]]:
    if not isinstance(value, dict | list):
        yield path, _text(value)
        return
    if not depth:
        raise RecordRefused("not_flat", f"values lie deeper than {NESTING_MAX} levels")
    for name, each in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _flattened(f"{path}.{name}", each, depth - 1)


def _text(value: str | bool | None) -> str | None:
    return ("true" if value else "false") if isinstance(value, bool) else value
