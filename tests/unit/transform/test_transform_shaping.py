"""Filters, joins and inference ids."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeltap.transform.paths import ROOT, parse
from modeltap.transform.records import Batch, RecordRefused
from modeltap.transform.shaping import Format, Shaping, ended, fields, format_of

STAMP = "2026-01-02T03:04:05Z"


def shaping(
    given: Format, sent: str = "$", kept: str = "$", *, join: bool = False, ids: bool = False
) -> Shaping:
    return Shaping(given, parse(sent), join, parse(kept), ids)


def keep(
    how: Shaping, records: Sequence[bytes], answer: bytes, content_type: str | None = "text/csv"
) -> bytes:
    batch = Batch(1, tuple(records), b"")
    return how.kept(batch, answer, content_type, lambda: "id", STAMP)


def test_without_a_wish_nothing_is_touched() -> None:
    assert keep(Shaping(), [b"a"], b"\xff\r\n\n") == b"\xff\r\n\n"
    assert Shaping().sent(b'"a') == b'"a'


def test_columns_are_cut_as_text() -> None:
    assert shaping(Format.CSV, "$[1:]").sent(b'7,1.50,"a,""b",') == b'1.50,"a,""b",'
    assert shaping(Format.CSV, "$[0,-1]").sent(b"a,b,c") == b"a,c"
    assert shaping(Format.CSV, "$[1]").sent(b"a,b,c") == b"b"
    with pytest.raises(RecordRefused, match=r"InputFilter \$\[7\] names what is not there"):
        shaping(Format.CSV, "$[7]").sent(b"a,b")


def test_csv_is_joined_behind_the_unfiltered_input() -> None:
    how = shaping(Format.CSV, "$[1:]", join=True)
    assert keep(how, [b"7,a", b"8,b"], b"0.1\n0.2\n") == b"7,a,0.1\n8,b,0.2\n"
    how = shaping(Format.CSV, "$[1:]", "$[0,-1]", join=True)
    assert keep(how, [b"7,a", b"8,b"], b"0.1\n0.2") == b"7,0.1\n8,0.2"


def test_an_answer_of_other_records_is_not_joined() -> None:
    how = shaping(Format.CSV, join=True)
    with pytest.raises(RecordRefused, match="answered 1 records to 2; BatchStrategy SingleRecord"):
        keep(how, [b"a", b"b"], b"0.1,0.2")
    with pytest.raises(RecordRefused, match="the answer is JSON, and the input is CSV"):
        keep(how, [b"a"], b"[1]", "application/json; charset=utf-8")


def test_json_is_joined_as_a_member() -> None:
    how = shaping(Format.JSON, "$.features", join=True)
    assert how.sent(b'{"id": 1, "features": [1, 2]}') == b"[1,2]"
    assert keep(how, [b'{"id": 1}'], b'{"score": 0.5}', "application/json") == (
        b'{"id":1,"SageMakerOutput":{"score":0.5}}'
    )
    assert keep(how, [b"[1]"], b"0.5", "application/json") == (
        b'{"SageMakerInput":[1],"SageMakerOutput":0.5}'
    )
    how = shaping(Format.JSON_LINES, "$", "$['id','SageMakerOutput']", join=True)
    lines = [b'{"id": 1, "x": 2}', b'{"id": 2, "x": 3}']
    assert keep(how, lines, b"0.5\n0.6\n", "application/jsonlines") == (
        b'{"id":1,"SageMakerOutput":0.5}\n{"id":2,"SageMakerOutput":0.6}\n'
    )


def test_ids_come_last_whatever_the_filter_leaves() -> None:
    how = shaping(Format.CSV, "$", "$[1]", ids=True)
    assert keep(how, [b"a"], b"1,2\n3,4\n") == f"2,id,{STAMP}\n4,id,{STAMP}\n".encode()
    how = shaping(Format.JSON, ids=True)
    tail = f'"SageMakerInferenceId":"id","SageMakerInferenceTime":"{STAMP}"}}'.encode()
    assert keep(how, [b"1"], b'{"a": "\xc3\xa9"}', "application/json") == (
        b'{"a":"\xc3\xa9",' + tail
    )
    assert keep(how, [b"1"], b"[1]", "application/json") == b'{"SageMakerOutput":[1],' + tail


def test_what_is_no_json_is_refused_without_its_bytes() -> None:
    with pytest.raises(RecordRefused) as failed:
        shaping(Format.JSON, "$.a").sent(b"secret")
    assert str(failed.value) == "it is no JSON"
    with pytest.raises(RecordRefused, match="the answer is no JSON"):
        keep(shaping(Format.JSON, ids=True), [b"1"], b"<", None)
    with pytest.raises(RecordRefused, match="it is no JSON"):
        shaping(Format.JSON, "$.a").sent(b"[" * 100_000)


def test_pieces_end_in_a_line_end_where_that_is_asked_for() -> None:
    assert ended(b"a", lines=True) == ended(b"a\n", lines=True) == b"a\n"
    assert ended(b"a", lines=False) == b"a"
    assert ended(b"", lines=True) == b""


def test_formats_are_told_by_media_types() -> None:
    assert format_of("Text/CSV; charset=utf-8") is Format.CSV
    assert format_of("application/jsonlines") is Format.JSON_LINES
    assert format_of("text/libsvm") is format_of(None) is None


@given(st.binary().filter(lambda line: b"\n" not in line))
def test_a_line_is_its_fields(line: bytes) -> None:
    assert b",".join(fields(line)) == line


@given(st.lists(st.text(st.characters(exclude_characters='"\n\r', exclude_categories=["Cs"]))))
def test_a_comma_within_quotes_parts_nothing(texts: list[str]) -> None:
    line = ",".join(f'"{text}"' for text in texts).encode()
    assert len(fields(line)) == max(1, len(texts))


def test_the_root_is_no_filter() -> None:
    assert not Shaping(Format.CSV, ROOT).by_lines
    assert shaping(Format.CSV, "$[1:]").by_lines
    assert not shaping(Format.JSON, "$.a").by_lines
