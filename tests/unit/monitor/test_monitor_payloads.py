"""Records → rows: every encoding, every way in which a payload can be bad."""

import json
from typing import Any

import pytest

from modeltap.monitor.payloads import (
    LINE_BYTES_MAX,
    NESTING_MAX,
    RecordRefused,
    Row,
    csv_rows,
    json_rows,
    record_of,
    rows_of,
)
from modeltap.nouns import Document

SECRET = "4711-0815"


def side(data: object, encoding: str) -> Document:
    return {"observedContentType": "x", "mode": "INPUT", "data": data, "encoding": encoding}


def record(output: Document | None, given: Document | None) -> Document:
    sides = {"endpointInput": given, "endpointOutput": output}
    return {"captureData": {name: each for name, each in sides.items() if each is not None}}


Cells = tuple[tuple[str | None, str | None], ...]  # names, or none, and texts


def cells(rows: list[Row]) -> list[Cells]:
    return [tuple(zip(row.names, row.texts, strict=True)) for row in rows]


def texts(rows: list[Row]) -> list[list[str | None]]:
    return [list(row.texts) for row in rows]


def unnamed(*values: str | None) -> Cells:
    return tuple((None, value) for value in values)


def refusal(record: Document, *, nested: bool = False) -> str:
    with pytest.raises(RecordRefused) as refused:
        rows_of(record, nested=nested)
    assert refused.value.detail
    assert SECRET not in str(refused.value)
    return refused.value.reason


# ---------------------------------------------------------------- two sides


def test_a_pair_of_csv_is_output_then_input() -> None:
    pair = record(side("0.014\n", "CSV"), side("132,25,113.2,,1", "CSV"))
    assert cells(rows_of(pair)) == [unnamed("0.014", "132", "25", "113.2", None, "1")]


def test_each_side_is_read_by_its_own_encoding() -> None:
    mixed = record(side('{"score": 0.50, "sure": true}', "JSON"), side("1,2\n", "CSV"))
    assert cells(rows_of(mixed)) == [
        (("score", "0.50"), ("sure", "true"), (None, "1"), (None, "2"))
    ]


@pytest.mark.parametrize("given", [side("1,2", "CSV"), None])
@pytest.mark.parametrize("output", [side("3", "CSV"), None])
def test_a_missing_side_is_no_error(output: Document | None, given: Document | None) -> None:
    both = record(output, given)
    if output is given is None:
        assert refusal(both) == "no_data"
    else:
        expected = ["3"] * (output is not None) + ["1", "2"] * (given is not None)
        assert texts(rows_of(both)) == [expected]


def test_rows_go_together_line_by_line() -> None:
    assert texts(rows_of(record(side("a\nb\n", "CSV"), side("1\n2", "CSV")))) == [
        ["a", "1"],
        ["b", "2"],
    ]


@pytest.mark.parametrize(
    ("output", "given", "rows"),
    [("a", "1\n2", [["a", "1"], ["a", "2"]]), ("a\nb", "1", [["a", "1"], ["b", "1"]])],
)
def test_a_single_row_goes_with_each(output: str, given: str, rows: list[list[str]]) -> None:
    assert texts(rows_of(record(side(output, "CSV"), side(given, "CSV")))) == rows


def test_other_counts_are_refused() -> None:
    assert refusal(record(side("a\nb", "CSV"), side("1\n2\n3", "CSV"))) == "rows_differ"


def test_a_name_of_both_sides_keeps_the_outputs_value() -> None:
    pair = record(side('{"b": 1}', "JSON"), side('{"a": 2, "b": 3}', "JSON"))
    assert cells(rows_of(pair)) == [(("b", "1"), ("a", "2"))]


# ---------------------------------------------------------------- CSV


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('"a,b",1\n', [["a,b", "1"]]),
        ('"say ""no""",\n', [['say "no"', None]]),
        ('"two\nlines",2\r\n3,4\r\n', [["two\nlines", "2"], ["3", "4"]]),
        ("1\n\n3\n", [["1"], [None], ["3"]]),  # one value a row: a blank line is a missing one
        ("1,2\n\n3,4\n\n", [["1", "2"], ["3", "4"]]),
        (" 1, NaN", [[" 1", " NaN"]]),
        (",", [[None, None]]),
        ("1,2\n3", [["1", "2"], ["3"]]),  # ragged: told by `placed`
        ("", []),
        ("\n", []),
    ],
)
def test_csv(text: str, rows: list[list[str | None]]) -> None:
    assert cells(csv_rows(text)) == [unnamed(*row) for row in rows]


def test_a_field_may_be_as_long_as_a_prompt() -> None:
    assert cells(csv_rows("x" * 300_000)) == [unnamed("x" * 300_000)]


@pytest.mark.parametrize("text", [f'"{SECRET}', f'1,"{SECRET}"x,2'])
def test_csv_with_broken_quotes_is_refused(text: str) -> None:
    assert refusal(record(None, side(text, "CSV"))) == "malformed"


# ---------------------------------------------------------------- JSON


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('{"a": 1.0, "b": "x"}', [(("a", "1.0"), ("b", "x"))]),
        ('{"a": null, "b": ""}', [(("a", None), ("b", ""))]),
        ('{"a": -1E+5, "b": 9.10}', [(("a", "-1E+5"), ("b", "9.10"))]),
        ('{"a":1}\n{"a":2}\n', [(("a", "1"),), (("a", "2"),)]),
        ('{\n  "a": 1\n}\n', [(("a", "1"),)]),
        ('[{"a":1},{"a":2}]', [(("a", "1"),), (("a", "2"),)]),
        ('[1, "x", null, false]', [unnamed("1", "x", None, "false")]),
        ("[1,2]\n[3,4]", [unnamed("1", "2"), unnamed("3", "4")]),
        ("[[1,2],[3,4]]", [unnamed("1", "2"), unnamed("3", "4")]),
        ("0.5", [unnamed("0.5")]),
        ("null", [unnamed(None)]),
        ("", []),
        (" \n", []),
    ],
)  # fmt: skip
def test_json(text: str, rows: list[Cells]) -> None:
    assert cells(json_rows(text)) == rows


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f'{{"a": "{SECRET}', "malformed"),  # cut short
        ('{"a": 1} {"a": 2}', "malformed"),  # two on one line
        ('{"a": 1}\nx', "malformed"),
        ('{"a": "\\ud800"}', "malformed"),  # half a pair: no text
        ('{"\\udc00": 1}', "malformed"),
        ("[" * 100_000, "not_flat"),
        ('{"a": NaN}', "not_a_number"),
        ('{"a": 1}\n{"a": -Infinity}', "not_a_number"),
        ("{}", "empty"),
        ("[]", "empty"),
        ("[[], [1]]", "empty"),
        ('[{"a": 1}, {}]', "empty"),
        ("", "empty"),
        ('{"a": {"b": 1}}', "not_flat"),
        ('{"a": []}', "not_flat"),
        ('[1, {"a": 2}]', "not_flat"),
        ('{"instances": [{"a": 1}]}', "not_flat"),
    ],
)
def test_bad_json_is_refused(text: str, reason: str) -> None:
    assert refusal(record(None, side(text, "JSON"))) == reason


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ('{"a":{"b":[true,{"c":1}]},"d":2}', (("a.b.0", "true"), ("a.b.1.c", "1"), ("d", "2"))),
        ('[1, {"a": 2}, [3]]', ((None, "1"), ("1.a", "2"), ("2.0", "3"))),
        ('{"a.b": 1, "a": {"b": 2, "c": null}}', (("a.b", "1"), ("a.c", None))),
        ('{"a": {}, "b": 1}', (("b", "1"),)),
    ],
)  # fmt: skip
def test_nested_json_flattens_to_dotted_names(text: str, row: Cells) -> None:
    assert cells(rows_of(record(None, side(text, "JSON")), nested=True)) == [row]


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ('{"a.b": 1, "a": {"b": 2}}', (("a.b", "1"),)),
        ('{"a": {"b": 1}, "a.b": 2, "c": 3}', (("a.b", "1"), ("c", "3"))),
    ],
)
def test_of_a_flattened_name_that_is_taken_the_first_stays(text: str, row: Cells) -> None:
    assert cells(json_rows(text, nested=True)) == [row]


def test_flattening_ends_somewhere() -> None:
    deep: Any = 1
    for _ in range(NESTING_MAX + 2):
        deep = [deep]
    assert refusal(record(None, side(json.dumps({"a": deep}), "JSON")), nested=True) == "not_flat"
    assert refusal(record(None, side('{"a": [{}]}', "JSON")), nested=True) == "empty"


# ---------------------------------------------------------------- records that are none


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({}, "malformed"),
        ({"captureData": [1]}, "malformed"),
        ({"captureData": {}}, "no_data"),
        ({"captureData": {"endpointInput": None}}, "no_data"),
        (record(None, side({"a": SECRET}, "JSON")), "malformed"),
        (record(None, side(SECRET, "XML")), "malformed"),
        (record(None, {"data": SECRET}), "malformed"),
        (record(side("MQ==", "BASE64"), side("1", "CSV")), "base64"),
        (record(side("", "CSV"), side("1", "CSV")), "empty"),
    ],
)
def test_a_bad_record_is_refused(bad: Document, reason: str) -> None:
    assert refusal(bad) == reason


def test_base64_names_the_way_out() -> None:
    with pytest.raises(RecordRefused, match="record_preprocessor_script"):
        rows_of(record(None, side("MQ==", "BASE64")))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"captureData":{"endpointInput":{"data":"1', "malformed"),
        (b"", "malformed"),
        (b"[]", "malformed"),
        (b'{"a":NaN}', "malformed"),
        (b" " * (LINE_BYTES_MAX + 1), "too_large"),
    ],
    ids=["truncated", "blank", "list", "nan", "oversized"],
)
def test_a_bad_line_is_refused(line: bytes, reason: str) -> None:
    with pytest.raises(RecordRefused) as refused:
        record_of(line)
    assert refused.value.reason == reason


def test_a_line_is_a_record() -> None:
    assert record_of(b'{"captureData":{}}\n') == {"captureData": {}}
