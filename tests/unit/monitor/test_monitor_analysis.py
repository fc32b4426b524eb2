"""An analysis from files to findings: what is judged, what is shown, what stays the same."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from captures import line, write

from modeltap.monitor import analyze, baseline
from modeltap.monitor.analysis import Request, analyse
from modeltap.monitor.executor import Executor, Here, Processes, Threads
from modeltap.monitor.failure import AnalysisFailed
from modeltap.monitor.findings import Findings
from modeltap.monitor.plan import Format, Plan

CHANCE = random.Random(5)
ROWS = [(CHANCE.randrange(50), CHANCE.gauss(0, 1), CHANCE.choice("abc")) for _ in range(400)]
NAMES = ("label", "whole", "part", "word")


@pytest.fixture
def suggested(tmp_path: Path) -> Path:
    """Give the folder of a baseline of training data."""
    file = tmp_path / "train.csv"
    rows = [f"{number % 2},{number},{part:.4f},{word}\n" for number, part, word in ROWS]
    file.write_text(",".join(NAMES) + "\n" + "".join(rows))
    baseline(file, output=tmp_path / "baseline")
    return tmp_path / "baseline"


def captured(folder: Path, rows: Sequence[tuple[object, object, object]], parts: int = 1) -> Path:
    lines = [
        line(f"{number},{part},{word}\n", "1", number=at)
        for at, (number, part, word) in enumerate(rows)
    ]
    for part in range(parts):
        hour = folder / "captured" / "ep" / "AllTraffic" / "2023" / "11" / "14" / f"{part:02}"
        hour.mkdir(parents=True, exist_ok=True)
        write(hour / "part.jsonl", lines[part::parts])
    return folder / "captured"


def told(findings: Findings) -> set[tuple[str, str]]:
    return {(each.feature, each.check) for each in findings.violations}


def test_a_baseline_writes_its_documents(suggested: Path) -> None:
    names = {path.name for path in suggested.iterdir()}
    assert names == {"statistics.json", "constraints.json", "findings.json", "report.html"}
    statistics = json.loads((suggested / "statistics.json").read_text())
    assert statistics["dataset"]["item_count"] == len(ROWS)


def test_traffic_like_the_baseline_violates_nothing(suggested: Path, tmp_path: Path) -> None:
    rows = [(number, round(part, 4), word) for number, part, word in ROWS]
    findings = analyze(captured(tmp_path, rows), suggested, output=tmp_path / "report")
    assert findings.message == "Completed: Job completed successfully with no violations."
    assert not (tmp_path / "report" / "constraint_violations.json").exists()


def test_violations_come_with_their_records(suggested: Path, tmp_path: Path) -> None:
    rows: list[tuple[object, object, object]] = [
        (number, 9.5 + part / 9, "a") for number, part, _ in ROWS
    ]
    rows[3], rows[5] = (1, "", "a"), ("x", 9.5, "new")
    findings = analyze(captured(tmp_path, rows), suggested, output=tmp_path / "report")
    assert told(findings) == {
        ("whole", "data_type_check"),
        ("part", "completeness_check"),
        ("part", "baseline_drift_check"),
        ("word", "categorical_values_check"),
        ("word", "baseline_drift_check"),
    }
    places = {key: [each.place for each in found] for key, found in findings.offenders.items()}
    assert places["whole", "data_type_check"] == ["event-5"]
    assert places["part", "completeness_check"] == ["event-3"]
    assert places["word", "categorical_values_check"] == ["event-5"]
    assert len(places["part", "baseline_drift_check"]) == 10
    assert findings.offenders["word", "baseline_drift_check"][0].value == "a"
    written = json.loads((tmp_path / "report" / "constraint_violations.json").read_text())
    assert len(written["violations"]) == 5


OF_THE_SCRIPT = """
def preprocess_handler(inference_record):
    is_seventh = '"whole": 7' in inference_record.endpoint_input.data
    return {"label": 1, "whole": "x" if is_seventh else 3}
"""


def as_json(number: int, part: float, word: str) -> bytes:
    sides = json.dumps({"whole": number, "part": part, "word": word}), '{"label": 1}'
    kind = "application/json"
    return line(*sides, number=number, question_type=kind, answer_type=kind)


def places(findings: Findings, feature: str, check: str) -> list[str]:
    return [each.place for each in findings.offenders[feature, check]]


def test_violations_of_json_come_with_their_records(suggested: Path, tmp_path: Path) -> None:
    lines = [as_json(number, 0.5, "a") for number in range(20)]
    lines[3] = lines[3].replace(b'\\"whole\\": 3', b'\\"whole\\": \\"x\\"')
    lines[4] = lines[4].replace(b'\\"part\\": 0.5, ', b"")
    findings = analyze(write(tmp_path / "part.jsonl", lines), suggested, form=Format.CAPTURE)
    assert places(findings, "whole", "data_type_check") == ["event-3"]
    assert places(findings, "part", "completeness_check") == ["event-4"]


def test_a_column_that_a_file_does_not_have_is_missing_in_it(
    suggested: Path, tmp_path: Path
) -> None:
    without = as_json(1, 0.5, "a").replace(b'\\"part\\": 0.5, ', b"")
    files = [
        write(tmp_path / f"{at}.jsonl", [each])
        for at, each in enumerate([as_json(0, 0.5, "a"), without])
    ]
    findings = analyze(files, suggested, form=Format.CAPTURE)
    assert places(findings, "part", "completeness_check") == ["event-1"]


def test_violations_of_a_preprocessors_rows_come_with_their_records(
    suggested: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(OF_THE_SCRIPT)
    plan = Plan(Format.CAPTURE, preprocessor=str(script))
    file = write(tmp_path / "part.jsonl", [as_json(number, 0.5, "a") for number in range(20)])
    constraints = json.loads((suggested / "constraints.json").read_text())
    findings = analyse(Request("t", [file], plan, constraints), lambda *_: None)
    assert places(findings, "whole", "data_type_check") == ["event-7"]


def test_violations_do_not_hang_on_the_order_of_records(suggested: Path, tmp_path: Path) -> None:
    rows: list[tuple[object, object, object]] = [(number, 9.5, "z") for number, _, _ in ROWS]
    rows[0] = ("x", "", "a")
    first = analyze(captured(tmp_path / "1", rows, parts=3), suggested)
    CHANCE.shuffle(rows)
    second = analyze(captured(tmp_path / "2", rows, parts=2), suggested)
    assert first.violations == second.violations


@pytest.mark.parametrize("make", [Here, lambda: Threads(2), lambda: Processes(2)])
@pytest.mark.parametrize("memory", [0, 2 << 30])
def test_who_does_the_parts_does_not_show(
    suggested: Path, tmp_path: Path, make: Callable[[], Executor], memory: int
) -> None:
    # A few in each file: ten are those of the first, second, third.
    rows = [("x" if part > 1.5 else whole, part, word) for whole, part, word in ROWS]
    files = sorted(captured(tmp_path, rows, parts=5).rglob("*.jsonl"))
    request = Request(
        "x",
        files,
        Plan(Format.CAPTURE),
        json.loads((suggested / "constraints.json").read_text()),
        json.loads((suggested / "statistics.json").read_text()),
        memory_bytes_max=memory,
    )
    heard: list[tuple[int, int]] = []
    found = analyse(request, lambda done, total: heard.append((done, total)), make())
    alone = analyse(request, lambda *_: None, Here())
    assert found.statistics == alone.statistics
    assert found.violations == alone.violations
    assert len(found.offenders["whole", "data_type_check"]) == 10
    assert found.offenders == alone.offenders
    assert len(heard) == 5
    assert heard[-1][0] == heard[-1][1] == sum(file.stat().st_size for file in files)


def test_a_part_that_fails_fails_the_analysis(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.parquet").write_text("no parquet")
    request = Request("x", sorted(tmp_path.glob("*.parquet")), Plan(Format.PARQUET))
    for executor in (Here(), Threads(2), Processes(2)):
        with pytest.raises(AnalysisFailed, match=r"\.parquet"):
            analyse(request, lambda *_: None, executor)


def test_bounded_summaries_keep_what_is_exact(suggested: Path, tmp_path: Path) -> None:
    data = captured(tmp_path, list(ROWS), parts=4)
    whole, bounded = (analyze(data, suggested, memory_bytes_max=size) for size in (2 << 30, 0))
    for ours, theirs in zip(
        whole.statistics["features"], bounded.statistics["features"], strict=True
    ):
        for kind in ("numerical_statistics", "string_statistics"):
            one, other = (
                {
                    name: value
                    for name, value in each.get(kind, {}).items()
                    if name != "distribution"
                }
                for each in (ours, theirs)
            )
            assert one == other


def test_a_new_baseline_keeps_mixed_columns_as_texts(tmp_path: Path) -> None:
    file = tmp_path / "train.csv"
    file.write_text("code\n007\n7\nA1\n")
    findings = baseline(file)
    (feature,) = findings.statistics["features"]
    assert feature["string_statistics"]["distinct_count"] == 3.0
    assert set(findings.constraints["features"][0]["string_constraints"]["domains"]) == {
        "007",
        "7",
        "A1",
    }


def test_more_and_fewer_columns_are_told(suggested: Path, tmp_path: Path) -> None:
    fewer = write(tmp_path / "fewer.jsonl", [line("1,0.5", "1")] * 5)
    more = write(tmp_path / "more.jsonl", [line("1,0.5,a,b", "1")] * 5)
    assert ("Missing columns", "missing_column_check") in told(analyze(fewer, suggested))
    assert ("Extra columns", "extra_column_check") in told(analyze(more, suggested))


def test_a_window_cuts(suggested: Path, tmp_path: Path) -> None:
    data = captured(tmp_path, list(ROWS))
    findings = analyze(data, suggested, start="2023-11-14T22:20:10Z", end="2023-11-14T22:20:20Z")
    assert findings.statistics["dataset"]["item_count"] == 10
    assert findings.window == ("2023-11-14T22:20:10Z", "2023-11-14T22:20:20Z")


def test_no_data_is_a_failure_that_says_so(suggested: Path, tmp_path: Path) -> None:
    data = captured(tmp_path, list(ROWS))
    with pytest.raises(AnalysisFailed, match=r"Job inputs had no data.*from 2030"):
        analyze(data, suggested, start="2030-01-01T00:00:00Z", end="2030-01-02T00:00:00Z")
    bad = write(tmp_path / "bad.jsonl", [b'{"captureData"\n'] * 3)
    with pytest.raises(AnalysisFailed, match="3 malformed"):
        analyze(bad, suggested)
    (tmp_path / "empty").mkdir()
    with pytest.raises(AnalysisFailed, match="no file"):
        analyze(tmp_path / "empty", suggested)


def test_any_arrow_table_is_a_dataset(tmp_path: Path) -> None:
    findings = baseline(pa.table({"a": [1, 2, 3], "b": ["x", "y", None]}))
    kinds = [each["inferred_type"] for each in findings.statistics["features"]]
    assert kinds == ["Integral", "String"]


def test_a_preprocessor_makes_the_rows(suggested: Path, tmp_path: Path) -> None:
    script = tmp_path / "preprocess.py"
    script.write_text(
        "def preprocess_handler(record):\n"
        "    label = record.endpoint_output.data.strip()\n"
        "    values = record.endpoint_input.data.strip().split(',')\n"
        "    if values[0] == '13':\n"
        "        return []\n"
        "    return {str(at).zfill(20): value for at, value in enumerate([label, *values])}\n"
    )
    data = captured(tmp_path, list(ROWS))
    plan = replace(Plan(Format.CAPTURE), preprocessor=str(script))
    request = Request(
        "x",
        sorted(data.rglob("*.jsonl")),
        plan,
        json.loads((suggested / "constraints.json").read_text()),
    )
    found = analyse(request, lambda *_: None)
    kept = [row for row in ROWS if row[0] != 13]
    assert found.statistics["dataset"]["item_count"] == len(kept)
    assert [each["name"] for each in found.statistics["features"]] == list(NAMES)
