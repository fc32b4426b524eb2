"""Datasets of every format, and what is wrong with them."""

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from modeltap.monitor.datasets import placed_tables, summarise
from modeltap.monitor.failure import AnalysisFailed
from modeltap.monitor.plan import Format, Plan
from modeltap.monitor.profile import Profile


def csv(path: Path, text: str, *, header: bool = True) -> Profile:
    file = path / "data.csv"
    file.write_text(text)
    return summarise(file, Plan(Format.CSV, header=header))


def test_a_header_names_the_columns(tmp_path: Path) -> None:
    profile = csv(tmp_path, 'a,"b, c",\n1,x,2\n,"y\nz",3\n')
    assert list(profile.columns) == ["a", "b, c", "_c2"]
    assert profile.rows == 2
    assert profile.columns["a"].tally.missing == 1
    assert profile.columns["b, c"].categories() == {"x": 1, "y\nz": 1}


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    profile = csv(tmp_path, "\ufeffa,b\n1,2\n")
    assert list(profile.columns) == ["a", "b"]
    assert profile.rows == 1


def test_without_a_header_columns_have_numbers(tmp_path: Path) -> None:
    profile = csv(tmp_path, "1,x\n2,y\n", header=False)
    assert list(profile.columns) == ["_c0", "_c1"]
    assert profile.rows == 2


def test_uneven_rows_are_counted(tmp_path: Path) -> None:
    profile = csv(tmp_path, "a,b\n1,2\n1\n1,2,3\n4,5\n")
    assert (profile.rows, profile.rejects.counts) == (2, {"ragged_row": 2})


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnalysisFailed, match="'a'"):
        csv(tmp_path, "a,b,a\n1,2,3\n")


@pytest.mark.parametrize("text", ["", "\n", "a,b\n"])
def test_no_rows_at_all(tmp_path: Path, text: str) -> None:
    assert csv(tmp_path, text).rows == 0


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_bytes(b"a,b\n\xff\xfe,1\n")
    with pytest.raises(AnalysisFailed, match=r"data\.csv"):
        summarise(file, Plan(Format.CSV))


def test_json_lines_and_a_list(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text('{"a": 1, "b": "x"}\n{"a": 1.5}\n{"a": {"b": 1}}\nnot json\n')
    profile = summarise(file, Plan(Format.JSON))
    assert profile.rows == 2
    assert profile.columns["b"].tally.missing == 1
    assert profile.rejects.counts == {"not_flat": 1, "malformed": 1}
    file.write_text('[{"a": 1},\n {"a": 2}]')
    assert summarise(file, Plan(Format.JSON, lines=False)).rows == 2


def test_parquet(tmp_path: Path) -> None:
    file = tmp_path / "data.parquet"
    table = pa.table(
        {
            "whole": pa.array([1, 2, None]),
            "part": pa.array([1.0, float("nan"), 2.5]),
            "flag": [True, False, None],
            "word": pa.array(["a", "b", "a"]).dictionary_encode(),
        }
    )
    parquet.write_table(table, file)
    found = summarise(file, Plan(Format.PARQUET)).columns
    kinds = {name: each.tally.kind().value for name, each in found.items()}
    assert kinds == {
        "whole": "Integral",
        "part": "Fractional",
        "flag": "String",
        "word": "String",
    }
    assert found["part"].tally.missing == 1
    parquet.write_table(pa.table({"deep": [[1], [2]]}), file)
    with pytest.raises(AnalysisFailed, match="deep"):
        summarise(file, Plan(Format.PARQUET))


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "data.parquet"
    file.write_text("a,b\n")
    with pytest.raises(AnalysisFailed, match=r"data\.parquet"):
        summarise(file, Plan(Format.PARQUET))


def test_rows_are_found_again(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text("a\n1\n2\n")
    places, columns = next(placed_tables(file, Plan(Format.CSV)))
    assert places.to_pylist() == ["data.csv:1", "data.csv:2"]
    assert columns["a"].to_pylist() == ["1", "2"]
