"""The manifests of what a job has read and written, and how they are read back."""

import json

import pytest

from modeltap.transform.captured import manifest, manifest_key, merged_csv, merged_json_lines, pairs
from modeltap.transform.records import RecordRefused

START_NS = 1_600_000_000_000_000_000  # 2020-09-13 12:26:40


def test_a_manifest_lies_in_the_hour_of_the_start() -> None:
    key = manifest_key("cap/", "input", START_NS, "u")
    assert key == "cap/input/2020/09/13/12/u.json"
    assert manifest_key("", "output", START_NS, "u") == "output/2020/09/13/12/u.json"


def test_a_manifest_names_objects_below_a_prefix() -> None:
    assert json.loads(manifest(["s3://b/in/a.csv", "s3://b/in/x/b.csv"])) == [
        {"prefix": "s3://b/in/"},
        "a.csv",
        "x/b.csv",
    ]
    assert json.loads(manifest(["s3://b/a"])) == [{"prefix": "s3://b/"}, "a"]


def test_outputs_are_found_by_their_inputs() -> None:
    inputs, outputs = ["s3://b/in/a", "s3://b/in/b"], ["s3://c/a.out", "s3://c/b.out"]
    assert pairs(manifest(inputs), manifest(outputs)) == list(zip(inputs, outputs, strict=True))
    for bad in (b"{}", b"[]", b'["a"]', b'[{"prefix": "s3://b/"}, 1]', b"x"):
        with pytest.raises(ValueError, match=r".*"):
            pairs(bad, bad)


def test_a_row_is_the_outputs_columns_and_then_the_inputs() -> None:
    assert merged_csv(b"a,b\nc,d", b"0.1\r\n0.2\n") == b"0.1,a,b\n0.2,c,d\n"
    with pytest.raises(RecordRefused, match="1 lines of output for 2 of input"):
        merged_csv(b"a\nb\n", b"0.1")
    assert merged_json_lines(b'{"a": 1, "p": 2}\n', b'{"p": 0.1}') == b'{"p": 0.1, "a": 1}\n'
    for odd in (b"[1]", b"x", b"1"):
        with pytest.raises(RecordRefused, match="a line is no JSON object"):
            merged_json_lines(b"{}", odd)
