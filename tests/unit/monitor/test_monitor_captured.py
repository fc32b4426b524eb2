"""Captured records become rows: plain ones fast, odd ones carefully, bad ones are counted."""

from pathlib import Path

import pyarrow as pa
import pytest
from captures import line, write
from hypothesis import given, settings
from hypothesis import strategies as st

from modeltap.monitor.captured import summarise_captured
from modeltap.monitor.careful import CHUNK_ROWS, CarefulReader, width_of
from modeltap.monitor.plan import Format, Plan
from modeltap.monitor.profile import Profile

NAMES = ("label", "a", "b")
PLAN = Plan(Format.CAPTURE, names=NAMES)


def values(profile: Profile, name: str) -> dict[str, int]:
    """Give a column's values with their counts."""
    return profile.columns[name].categories() or {}


def read(path: Path, *lines: bytes, plan: Plan = PLAN) -> Profile:
    return summarise_captured(write(path / "part.jsonl", lines), plan)


def json_line(question: str, answer: str | None) -> bytes:
    kind = "application/json"
    return line(question, answer, question_type=kind, answer_type=kind)


def test_the_answer_comes_first(tmp_path: Path) -> None:
    profile = read(tmp_path, line("1,x\n", "0.5\n"), line("2,y", "0.25"))
    assert profile.rows == 2
    assert values(profile, "label") == {"0.5": 1, "0.25": 1}
    assert values(profile, "a") == {"1": 1, "2": 1}
    assert values(profile, "b") == {"x": 1, "y": 1}


def test_quoted_fields_keep_their_commas(tmp_path: Path) -> None:
    profile = read(tmp_path, line('1,"x, ""y"""\n', "0.5"), line('2,"z"', "0.5"))
    assert values(profile, "b") == {'x, "y"': 1, "z": 1}


def test_one_side_alone(tmp_path: Path) -> None:
    plan = Plan(Format.CAPTURE, names=("a", "b"))
    assert read(tmp_path, line("1,x\n", None), plan=plan).rows == 1
    assert values(read(tmp_path, line(None, "1,x"), plan=plan), "b") == {"x": 1}


def test_a_side_can_be_left_out(tmp_path: Path) -> None:
    plan = Plan(Format.CAPTURE, names=("a", "b"), sides=("endpointInput",))
    lines = [line("1,x\n", "0.5"), line("1,x\n2,y\n", "0.5\n0.5")]
    profile = read(tmp_path, *lines, plan=plan)
    assert values(profile, "a") == {"1": 2, "2": 1}
    assert width_of(tmp_path / "part.jsonl", plan) == 2


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_several_rows_in_one_record(tmp_path: Path, end: str) -> None:
    """And plain records beside them, whatever their line ends are."""
    lines = [line(f"1,x\n2,y{end}", f"0.5\n0.25{end}"), line(f"3,z{end}", f"0.75{end}")]
    profile = read(tmp_path, *lines)
    assert profile.rows == 3
    assert values(profile, "label") == {"0.5": 1, "0.25": 1, "0.75": 1}
    assert values(profile, "b") == {"x": 1, "y": 1, "z": 1}
    assert profile.rejects.total == 0


def test_flat_json_goes_by_its_names(tmp_path: Path) -> None:
    lines = [
        json_line('{"b": "x", "a": 1}', '{"label": 1.0}'),
        json_line('{"a": 2}', '{"label": 0}'),
        json_line('{"a": 3, "new": true}', '{"label": 0}'),
    ]
    profile = read(tmp_path, *lines)
    assert values(profile, "label") == {"1": 1, "0": 2}
    assert profile.columns["label"].tally.fractional == 1  # as it was written
    assert profile.columns["b"].tally.missing == 2
    assert profile.columns["new"].tally.missing == 2


def test_rows_of_different_forms_keep_their_order(tmp_path: Path) -> None:
    lines = [
        json_line('{"a": 1, "b": "x"}', '{"label": 0}'),
        json_line('{"b": "y", "a": 2}', '{"label": 0}'),
        json_line('{"b": "z"}', '{"label": 1}'),
        json_line('{"a": 4, "b": "x"}', "0.5"),
    ]
    careful = CarefulReader(PLAN, "part.jsonl")
    records = [text.decode() for text in lines]
    ((_, columns),) = careful.placed(pa.array(records))
    assert {name: column.to_pylist() for name, column in columns.items()} == {
        "label": ["0", "0", "1", "0.5"],
        "a": ["1", "2", None, "4"],
        "b": ["x", "y", "z", "x"],
    }
    assert read(tmp_path, *lines).columns["a"].tally.missing == 1


@pytest.mark.parametrize("count", [CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1])
def test_no_row_is_lost_where_chunks_end(count: int) -> None:
    record = json_line('{"a": 1, "b": "x"}', '{"label": 0}').decode()
    last = json_line('{"a": 1, "b": "x", "c": "y"}', '{"label": 0}').decode()
    profile = CarefulReader(PLAN, "part.jsonl").profile(pa.array([record] * count + [last]))
    assert profile.rows == profile.columns["a"].tally.total == count + 1
    assert profile.columns["c"].tally.missing == count


def test_csv_in_and_json_out(tmp_path: Path) -> None:
    """AWS's analyzer fails here; the known name is placed, the rest follows in order."""
    lines = [
        line("1,x", '{"label": 0.5}', answer_type="application/json"),
        line("2,y", '{"predictions": 0.25}', answer_type="application/json"),
    ]
    profile = read(tmp_path, *lines)
    assert values(profile, "label") == {"0.5": 1, "0.25": 1}
    assert values(profile, "b") == {"x": 1, "y": 1}


def test_nested_json_is_flattened_where_it_is_asked_for(tmp_path: Path) -> None:
    lines = [line(None, '{"a": {"b": [1, 2]}}', answer_type="application/json")]
    assert read(tmp_path, *lines).rejects.counts == {"not_flat": 1}
    plan = Plan(Format.CAPTURE, nested=True)
    assert set(read(tmp_path, *lines, plan=plan).columns) == {"a.b.0", "a.b.1"}


GOOD = [line("1,x", "0.5", number=at) for at in range(3)]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (GOOD[0][:100] + b"\n", "malformed"),  # cut short by a crash
        (b"\x00" * 512 + b"\n", "malformed"),
        (b"[]\n", "malformed"),
        (b"7\n", "malformed"),
        (b"{}\n", "malformed"),
        (line("1,x,y", "0.5"), "ragged_row"),
        (line("1", "0.5"), "ragged_row"),
        (line('{"a": NaN}', '{"label": 1}', question_type="application/json"), "not_a_number"),
        (line("{}", None, question_type="application/json"), "empty"),
        (line("", "0.5"), "ragged_row"),
        (line(b"\xff\xfe", "0.5"), "base64"),
        (line("1,x\n2,y\n3,z", "0.5\n0.25"), "rows_differ"),
        (line('1,"x', "0.5"), "malformed"),
    ],
)
@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_bad_record_is_counted_shown_and_skipped(
    tmp_path: Path, bad: bytes, reason: str, at: int
) -> None:
    lines = [*GOOD[:at], bad, *GOOD[at:]]
    profile = read(tmp_path, *lines)
    assert profile.rows == 3
    assert values(profile, "a") == {"1": 3}
    assert profile.rejects.counts == {reason: 1}
    assert [each.reason for each in profile.rejects.samples] == [reason]
    assert profile.rejects.samples[0].place.startswith("part.jsonl")


def test_a_file_that_ends_in_the_middle_of_a_record(tmp_path: Path) -> None:
    profile = read(tmp_path, *GOOD, GOOD[0][:80])
    assert (profile.rows, profile.rejects.counts) == (3, {"malformed": 1})


def test_an_oversized_record_is_passed_over(tmp_path: Path) -> None:
    lines = [*GOOD[:2], line("x" * (40 << 20), "0.5"), GOOD[2]]
    profile = summarise_captured(write(tmp_path / "part.jsonl", lines), PLAN, (1 << 20, 16 << 20))
    assert (profile.rows, profile.rejects.counts) == (3, {"oversized": 1})
    assert len(profile.rejects.samples[0].excerpt) <= 200


def test_large_records_are_read(tmp_path: Path) -> None:
    """A row larger than a block of the CSV reader, and a line beyond the first bound."""
    lines = [*GOOD, line("1," + "y" * (3 << 20), "0.5"), line("1," + "z" * (40 << 20), "0.5")]
    profile = read(tmp_path, *lines)
    assert (profile.rows, profile.rejects.total) == (5, 0)


def test_records_outside_the_window_are_no_part(tmp_path: Path) -> None:
    plan = Plan(
        Format.CAPTURE, names=NAMES, start="2023-11-14T22:20:01Z", end="2023-11-14T22:20:02Z"
    )
    profile = read(tmp_path, *GOOD, plan=plan)
    assert (profile.rows, profile.rejects.total) == (1, 0)


def test_an_empty_file(tmp_path: Path) -> None:
    assert read(tmp_path).rows == 0
    assert width_of(tmp_path / "part.jsonl", PLAN) == 0


FIELDS = st.one_of(st.text(max_size=5), st.sampled_from(['"', ",", "\n", "\r", '""', "é", "1.5"]))
ROWS = st.lists(st.tuples(FIELDS, FIELDS, FIELDS), min_size=1, max_size=5)


def quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"'


@settings(deadline=None, max_examples=50)
@given(rows=ROWS)
def test_any_quoted_row_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    lines = [line(f"{quoted(a)},{quoted(b)}\n", quoted(label)) for label, a, b in rows]
    profile = read(folder, *lines, plan=Plan(Format.CAPTURE, names=NAMES, textual=frozenset(NAMES)))
    assert profile.rows == len(rows)
    for at, name in enumerate(NAMES):
        expected: dict[str, int] = {}
        for row in rows:
            if row[at]:
                expected[row[at]] = expected.get(row[at], 0) + 1
        assert values(profile, name) == expected
