"""What batch transforms captured: which rows come of their objects, read as a job reads them."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from modeltap.monitor.job import run
from modeltap.nouns import TRANSFORMS_CAPTURED

HOUR = "2024/02/29/21"
IDS = "1f1d57b1-2e6f-488c-8c30-db4e6d757861", "22445434-0c67-45e9-bb4d-bd1bf26561e6"
MOMENT = "2024-02-29T21:00:00Z"
CSV = {"csv": {"header": False}}
JSON = {"json": {"line": True}}
Data = str | bytes | None


class Container:
    """The folders of a job over batch transforms."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.captured = 0

    def capture(self, *objects: tuple[Data, Data]) -> None:
        """Stage what a transform has captured: its inputs and its outputs."""
        self.captured += 1
        for side in ("input", "output"):
            hour = self.root / "source" / side / HOUR
            (hour / str(self.captured)).mkdir(parents=True)
            names = []
            for number, each in enumerate(objects):
                data = each[side == "output"]
                names.append(f"{side}-{number}")
                if data is not None:
                    content = data if isinstance(data, bytes) else data.encode()
                    (hour / str(self.captured) / names[-1]).write_bytes(content)
            if objects[0][side == "output"] is not None:
                manifest = json.dumps([{"prefix": "s3://bucket/"}, *names])
                (hour / f"{self.captured}.json").write_text(manifest)

    def run(self, form: Any = CSV, **variables: str) -> int:
        return run(
            {
                "MODELTAP_ML_ROOT": str(self.root / "ml"),
                "dataset_format": json.dumps(form),
                "dataset_source": str(self.root / "source"),
                "output_path": str(self.root / "report"),
                "start_time": "2024-02-29T21:00:00Z",
                "end_time": "2024-02-29T22:00:00Z",
                TRANSFORMS_CAPTURED: "s3://bucket/captured",
                **variables,
            }
        )

    @property
    def message(self) -> str:
        return (self.root / "ml" / "output" / "message").read_text()

    @property
    def page(self) -> str:
        return (self.root / "report" / "report.html").read_text()

    def columns(self) -> dict[str, list[Any]]:
        """Give each column's values, as far as its summary shows them: in order, or by count."""
        found = json.loads((self.root / "report" / "statistics.json").read_text())
        return {each["name"]: _values(each) for each in found["features"]}


def _values(feature: dict[str, Any]) -> list[Any]:
    if numbers := feature.get("numerical_statistics"):
        values: list[Any] = numbers["distribution"]["kll"]["sketch"]["data"][0]
        return values
    buckets = feature["string_statistics"]["distribution"]["categorical"]["buckets"]
    return sorted(each["value"] for each in buckets)


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path)


@pytest.mark.parametrize(
    ("given", "output"),
    [
        ("a,1\nb,2\n", "0.5\n0.25\n"),
        ("a,1\r\n\r\nb,2", "0.5\n0.25"),  # what a transform takes for lines
        (gzip.compress(b"a,1\nb,2\n"), "0.5\n0.25\n"),
        ("a,1\nb,2\n", "a,1,0.5\nb,2,0.25\n"),  # JoinSource
        ("a,1\nb,2\n", f"0.5,{IDS[0]},{MOMENT}\n0.25,{IDS[1]},{MOMENT}\n"),
        ("a,1\nb,2\n", f"0.5, {IDS[0]},{MOMENT}\n0.25, {IDS[1]},{MOMENT}\n"),  # as AWS prints it
        ("a,1\nb,2\n", f"a,1,0.5,{IDS[0]},{MOMENT}\nb,2,0.25,{IDS[1]},{MOMENT}\n"),
        (None, "0.5,a,1\n0.25,b,2\n"),  # OutputFilter: the output is all there is of a row
        (None, f"0.5,a,1,{IDS[0]},{MOMENT}\n0.25,b,2,{IDS[1]},{MOMENT}\n"),
        ("a,1\nb,2\n", "[0.5]\n[0.25]\n"),
    ],
)
def test_a_row_is_the_outputs_columns_then_the_inputs(
    container: Container, given: Data, output: str
) -> None:
    container.capture((given, output))
    assert container.run() == 0, container.message
    assert container.columns() == {"_c0": [0.5, 0.25], "_c1": ["a", "b"], "_c2": [1.0, 2.0]}


@pytest.mark.parametrize("output", ["0.5\n0.25\n", "0.9\n0.5\n0.25\n"])
def test_a_header_is_no_row_nor_what_a_model_says_to_it(container: Container, output: str) -> None:
    container.capture(("name,count\na,1\nb,2\n", output))
    assert container.run({"csv": {"header": True}}) == 0
    assert container.columns() == {"_c0": [0.5, 0.25], "_c1": ["a", "b"], "_c2": [1.0, 2.0]}


def test_an_answer_that_is_its_input_is_not_taken_for_a_join(container: Container) -> None:
    container.capture(("1\n2\n", f"1,{IDS[0]},{MOMENT}\n2,{IDS[1]},{MOMENT}\n"))
    assert container.run() == 0
    assert container.columns() == {"_c0": [1.0, 2.0], "_c1": [1.0, 2.0]}


def marked(answer: str, number: int) -> str:
    told = {"SageMakerInferenceId": IDS[number], "SageMakerInferenceTime": MOMENT}
    return json.dumps({**json.loads(answer), **told})


LINES = '{"a": "x", "b": 1}\n{"a": "y", "b": 2}\n'
JOINED = (
    '{"a": "x", "b": 1, "SageMakerOutput": {"p": 0.5}}\n'
    '{"a": "y", "b": 2, "SageMakerOutput": {"p": 0.25}}\n'
)


@pytest.mark.parametrize(
    ("given", "output"),
    [
        (LINES, '{"p": 0.5}\n{"p": 0.25}\n'),
        (LINES, "\n".join([marked('{"p": 0.5}', 0), marked('{"p": 0.25}', 1)])),
        (LINES, JOINED),
        (None, JOINED),
    ],
)
def test_rows_of_json_go_by_their_names(container: Container, given: Data, output: str) -> None:
    container.capture((given, output))
    assert container.run(JSON) == 0, container.message
    assert container.columns() == {"p": [0.5, 0.25], "a": ["x", "y"], "b": [1.0, 2.0]}


def test_a_whole_document_is_a_payload(container: Container) -> None:
    container.capture(('[{"a": "x"},\n {"a": "y"}]', '[{"p": 0.5},\n\n {"p": 0.25}]\n'))
    assert container.run({"json": {"line": False}}) == 0
    assert container.columns() == {"p": [0.5, 0.25], "a": ["x", "y"]}


@pytest.mark.parametrize("csv", [True, False])
def test_parquet_beside_parquet_or_lines(container: Container, tmp_path: Path, csv: bool) -> None:
    def written(**columns: list[Any]) -> bytes:
        parquet.write_table(pa.table(columns), tmp_path / "x")
        return (tmp_path / "x").read_bytes()

    given = written(a=["x", None], b=[1, 2])
    container.capture((given, "0.5\n0.25\n" if csv else written(p=[0.5, 0.25])))
    baseline = tmp_path / "constraints.json"
    features = [
        {"name": "p", "inferred_type": "Fractional", "completeness": 1.0},
        {"name": "a", "inferred_type": "String", "completeness": 0.5},
        {"name": "b", "inferred_type": "Integral", "completeness": 1.0},
    ]
    baseline.write_text(json.dumps({"version": 0.0, "features": features}))
    assert container.run({"parquet": {}}, baseline_constraints=str(baseline)) == 0
    assert container.message == "Completed: Job completed successfully with no violations."
    assert container.columns() == {"p": [0.5, 0.25], "a": ["x"], "b": [1.0, 2.0]}


def test_a_model_that_answers_csv_in_json_is_understood(
    container: Container, tmp_path: Path
) -> None:
    """None of its names is a column, so its values go by their places, before the input's."""
    container.capture(("1\n2\n", '{"score": 0.5}\n{"score": 0.25}\n'))
    baseline = tmp_path / "constraints.json"
    features = [
        {"name": "label", "inferred_type": "Fractional", "completeness": 1.0},
        {"name": "count", "inferred_type": "Integral", "completeness": 1.0},
    ]
    baseline.write_text(json.dumps({"version": 0.0, "features": features}))
    assert container.run(baseline_constraints=str(baseline)) == 0
    assert container.columns() == {"label": [0.5, 0.25], "count": [1.0, 2.0]}


def test_objects_may_be_empty_or_damaged(container: Container) -> None:
    container.capture(("", ""), ("1\n", "0.5\n"))
    assert container.run() == 0
    assert container.columns() == {"_c0": [0.5], "_c1": [1.0]}
    container.capture((gzip.compress(b"1\n" * 99)[:-12], "0.5\n" * 99))
    assert container.run() == 1
    assert container.message == "Error: input-0 is damaged (gzip): upload it anew."


def test_rows_are_named_as_in_the_baseline(container: Container, tmp_path: Path) -> None:
    """By their places; and a record that does not fit stands in the report by its inference id."""
    container.capture(("1\nx\n", f"0.5,{IDS[0]},{MOMENT}\n0.25,{IDS[1]},{MOMENT}\n"))
    baseline = tmp_path / "constraints.json"
    features = [
        {"name": "label", "inferred_type": "Fractional", "completeness": 1.0},
        {"name": "count", "inferred_type": "Integral", "completeness": 1.0},
    ]
    baseline.write_text(json.dumps({"version": 0.0, "features": features}))
    assert container.run(baseline_constraints=str(baseline)) == 0
    (violation,) = json.loads(
        (container.root / "report" / "constraint_violations.json").read_text()
    )["violations"]
    assert (violation["feature_name"], violation["constraint_check_type"]) == (
        "count",
        "data_type_check",
    )
    assert "Only 50.0% of data is Integral" in violation["description"]
    assert IDS[1] in container.page
    assert "2024-02-29T21:00:00Z" in container.page  # its window


def test_objects_of_different_lengths_are_refused_and_the_run_goes_on(
    container: Container,
) -> None:
    container.capture(("1\n2\n", "0.1,0.2"), ("3\n", "0.3\n"))
    container.capture(("4\n", "0.4\n"))
    assert container.run() == 0
    assert container.columns() == {"_c0": [0.3, 0.4], "_c1": [3.0, 4.0]}
    assert "1 lines of output for 2 of input" in container.page


def test_nothing_that_can_be_paired_is_a_failure_that_says_so(container: Container) -> None:
    container.capture(("1\n2\n", "0.1,0.2"))
    assert container.run() == 1
    assert "1 rows_differ (as output-0: 1 lines of output for 2 of input" in container.message
    assert "AssembleWith Line" in container.message


def test_a_preprocessor_is_given_both_sides(container: Container, tmp_path: Path) -> None:
    script = tmp_path / "pre.py"
    script.write_text(
        "def preprocess_handler(record):\n"
        "    given = record.endpoint_input.data.split(',')[0]\n"
        "    event = record.event_metadata.event_id\n"
        "    return {'_c0': record.endpoint_output.data, '_c1': given, '_c2': event}\n"
    )
    container.capture(("a,1\nb,2\n", "0.5\n0.25\n"))
    assert container.run(record_preprocessor_script=str(script)) == 0, container.message
    assert container.columns() == {
        "_c0": [0.5, 0.25],
        "_c1": ["a", "b"],
        "_c2": ["output-0:1", "output-0:2"],
    }


@pytest.mark.parametrize("manifest", ["{}", "[]", "x", '[{"prefix": "s3://b/"}, 1]'])
def test_a_manifest_that_is_none_is_named(container: Container, manifest: str) -> None:
    container.capture(("1\n", "0.1\n"))
    (container.root / "source" / "output" / HOUR / "1.json").write_text(manifest)
    assert container.run() == 1
    assert "1.json" in container.message


def test_manifests_of_different_lengths_are_refused(container: Container) -> None:
    container.capture(("1\n", "0.1\n"), ("2\n", "0.2\n"))
    short = '[{"prefix": "s3://b/"}, "output-0"]'
    (container.root / "source" / "output" / HOUR / "1.json").write_text(short)
    assert container.run() == 1
    assert "name not as many outputs as inputs" in container.message
