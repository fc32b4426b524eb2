"""Whatever CSV or JSON was captured comes back as its values, each as it was written."""

import csv
import io
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from modeltap.monitor.careful import columns_of
from modeltap.monitor.payloads import RecordRefused, Row, record_of, rows_of
from modeltap.nouns import CapturedRecord, CaptureEncoding, Document, Half
from modeltap.record import encode

texts = st.text(st.characters(exclude_categories=["Cs"]))
fields = texts | st.sampled_from(["", "1.0", "a,b", '"', "two\nlines", "\r", "\r\n", " ", "\x00"])
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | texts
objects = st.dictionaries(texts, scalars, min_size=1)
jsons = st.recursive(scalars, lambda each: st.lists(each) | st.dictionaries(texts, each))


def captured(body: str, encoding: CaptureEncoding) -> Document:
    """Give the record as the monitor reads it: through the line that the shipper writes."""
    record = CapturedRecord("id", 0, Half("x", body.encode()), None)
    return record_of(encode(record, lambda _: encoding))


def written(value: object) -> str | None:
    return None if value is None else value if isinstance(value, str) else json.dumps(value)


def table(width: int) -> st.SearchStrategy[list[list[str]]]:
    return st.lists(st.lists(fields, min_size=width, max_size=width), min_size=1)


@given(
    st.integers(1, 5).flatmap(table),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_csv_comes_back(rows: list[list[str]], quoting: Any, ending: str) -> None:
    file = io.StringIO()
    # A carriage return alone is quoted by the writer only where it ends lines.
    needs_all = any("\r" in field for row in rows for field in row)
    writer = csv.writer(
        file, quoting=csv.QUOTE_ALL if needs_all else quoting, lineterminator=ending
    )
    writer.writerows(rows)
    assert rows_of(captured(file.getvalue(), CaptureEncoding.CSV)) == [
        Row((None,) * len(row), tuple(field or None for field in row)) for row in rows
    ]


@given(st.lists(objects, min_size=1), st.booleans(), st.sampled_from([None, 2]), st.booleans())
def test_objects_come_back(
    rows: list[dict[str, Any]], as_lines: bool, indent: int | None, ascii_only: bool
) -> None:
    parts = [json.dumps(row, indent=indent, ensure_ascii=ascii_only) for row in rows]
    body = "\n".join(parts) if as_lines else f"[{','.join(parts)}]"
    assert rows_of(captured(body, CaptureEncoding.JSON)) == [
        Row(tuple(row), tuple(map(written, row.values()))) for row in rows
    ]


@given(st.lists(scalars, min_size=1))
def test_lists_come_back(values: list[Any]) -> None:
    row = Row((None,) * len(values), tuple(map(written, values)))
    assert rows_of(captured(json.dumps(values), CaptureEncoding.JSON)) == [row]


def leaves(value: Any) -> list[str | None]:
    if isinstance(value, dict):
        value = list(value.values())
    return [leaf for each in value for leaf in leaves(each)] if isinstance(value, list) else [
        written(value)
    ]  # fmt: skip


names = st.text("abc", min_size=1)  # without a dot, so that no two flattened names are the same
trees = st.recursive(
    scalars,
    lambda each: st.lists(each, max_size=4) | st.dictionaries(names, each, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(names, trees, min_size=1, max_size=4).filter(leaves))
def test_nested_values_all_come_back_in_their_order(tree: dict[str, Any]) -> None:
    [row] = rows_of(captured(json.dumps(tree), CaptureEncoding.JSON), nested=True)
    assert list(row.texts) == leaves(tree)
    assert len(set(row.names)) == len(row.texts)


@given(texts | jsons.map(json.dumps), st.sampled_from(CaptureEncoding), st.booleans())
def test_any_payload_gives_rows_or_is_refused(
    body: str, encoding: CaptureEncoding, nested: bool
) -> None:
    try:
        rows = rows_of(captured(body, encoding), nested=nested)
    except RecordRefused as refused:
        assert refused.reason
        return
    assert rows
    assert all(row.texts and len(row.names) == len(row.texts) for row in rows)
    json.dumps(rows, ensure_ascii=False).encode()  # text that UTF-8 can hold


@given(st.recursive(scalars, lambda each: st.lists(each) | st.dictionaries(texts, each)))
def test_any_document_gives_rows_or_is_refused(side: Any) -> None:
    for record in ({"captureData": side}, {"captureData": {"endpointOutput": side}}):
        try:
            assert rows_of(record)
        except RecordRefused as refused:
            assert refused.reason in {"malformed", "no_data", "empty"}


@given(st.lists(st.dictionaries(st.sampled_from("abcd"), st.none() | fields, min_size=1)))
def test_rows_of_any_forms_become_columns(rows: list[dict[str, str | None]]) -> None:
    columns, count = columns_of((tuple(row), tuple(row.values())) for row in rows)
    names = dict.fromkeys(name for row in rows for name in row)
    assert count == len(rows)
    assert {name: column.to_pylist() for name, column in columns.items()} == {
        name: [row.get(name) for row in rows] for name in names
    }
    assert list(columns) == list(names)
