"""The JSONPath subset that AWS documents for batch transform."""

from typing import Any

import pytest

from modeltap.transform.paths import NothingThere, PathRefused, parse

DOCUMENT = {"id": 7, "features": [1, 2, 3, 4], "deep": {"a": 1, "b": {"c": 2}}, "odd name": 5}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("$", DOCUMENT),
        ("$.id", 7),
        ("$['id']", 7),
        ("$['odd name']", 5),
        ('$["id"]', 7),
        ("$.features", [1, 2, 3, 4]),
        ("$.features[0]", 1),
        ("$.features[-1]", 4),
        ("$.features[0, 2]", [1, 3]),
        ("$.features[1:3]", [2, 3]),
        ("$.features[:2]", [1, 2]),
        ("$.features[2:]", [3, 4]),
        ("$.features[1:99]", [2, 3, 4]),
        ("$['id','deep']", {"id": 7, "deep": DOCUMENT["deep"]}),
        ("$.deep.['a','b']", DOCUMENT["deep"]),
        ("$.deep.b.c", 2),
        ("$.deep.*", [1, {"c": 2}]),
        ("$.features[*]", [1, 2, 3, 4]),
    ],
)
def test_a_path_names_a_part(text: str, found: Any) -> None:
    assert parse(text).of(DOCUMENT) == found


@pytest.mark.parametrize(
    "text", ["$.none", "$.id.x", "$.features[9]", "$.features[9:]", "$.id[0]", "$['id','none']"]
)
def test_what_is_not_there_is_an_error(text: str) -> None:
    with pytest.raises(NothingThere):
        parse(text).of(DOCUMENT)


@pytest.mark.parametrize(
    "text",
    ["", "id", "$id", "$..id", "$[", "$[a]", "$[?(@.x)]", "$.a[1:2:3]", "$['a','b'].c", "$ .a"],
)
def test_what_aws_does_not_document_is_refused(text: str) -> None:
    with pytest.raises(PathRefused):
        parse(text)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("$", True),
        ("$[1:]", True),
        ("$[0,-1]", True),
        ("$[*]", True),
        ("$.a", False),
        ("$[0][1]", False),
    ],
)
def test_columns_are_named_by_number(text: str, fits: bool) -> None:
    assert parse(text).fits_csv is fits
