"""The container contract: what variables ask for, what is left behind, what is said at the end."""

import json
from pathlib import Path
from typing import Any

import pytest
from captures import line, write

from modeltap.monitor.failure import AnalysisFailed
from modeltap.monitor.job import request_of, run

CSV = json.dumps({"csv": {"header": True, "output_columns_position": "START"}})
CAPTURE = json.dumps(
    {"sagemakerCaptureJson": {"captureIndexNames": ["endpointInput", "endpointOutput"]}}
)


class Container:
    """A job's folders, and the variables of a baseline."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.source, self.results = root / "source", root / "results"
        self.source.mkdir()
        (self.source / "data.csv").write_text("label,a\n0,1\n1,2\n")
        self.variables = {
            "MODELTAP_ML_ROOT": str(root / "ml"),
            "dataset_format": CSV,
            "dataset_source": str(self.source),
            "output_path": str(self.results),
            "publish_cloudwatch_metrics": "Disabled",
        }

    def run(self, **variables: str) -> int:
        return run({**self.variables, **variables})

    @property
    def message(self) -> str:
        return (self.root / "ml" / "output" / "message").read_text()

    def read(self, name: str) -> Any:
        return json.loads((self.results / name).read_text())

    def monitor(self, *lines: bytes, **variables: str) -> int:
        """Make a baseline, then compare captured lines with it."""
        assert self.run() == 0
        hour = self.root / "captured" / "ep" / "AllTraffic" / "2023" / "11" / "14" / "22"
        hour.mkdir(parents=True)
        write(hour / "part.jsonl", lines)
        return self.run(
            dataset_format=CAPTURE,
            dataset_source=str(self.root / "captured"),
            baseline_constraints=str(self.results / "constraints.json"),
            baseline_statistics=str(self.results / "statistics.json"),
            start_time="2023-11-14T22:00:00Z",
            end_time="2023-11-14T23:00:00Z",
            sagemaker_endpoint_name="ep",
            sagemaker_monitoring_schedule_name="hourly",
            **variables,
        )


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path)


def test_a_baseline(container: Container) -> None:
    assert container.run() == 0
    assert container.message == "Completed: Job completed successfully with no violations."
    assert container.read("statistics.json")["dataset"]["item_count"] == 2
    assert [each["name"] for each in container.read("constraints.json")["features"]] == [
        "label",
        "a",
    ]
    assert (container.results / "report.html").stat().st_size < 500_000


def test_the_log_does_not_grow_with_the_files(
    container: Container, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(200):
        (container.source / f"{number}.csv").write_text("label,a\n0,1\n1,2\n")
    assert container.run() == 0
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("read ")]
    assert len(told) == 20 and told[-1] == "read 0.0 of 0.0 MB"


def test_the_documents_are_written_as_jackson_does(container: Container) -> None:
    container.run()
    text = (container.results / "constraints.json").read_text()
    assert text.startswith('{\n  "version" : 0.0,\n  "features" : [ {\n    "name" : "label",')


def test_a_run_with_violations(container: Container) -> None:
    assert container.monitor(line("1", "0"), line("x", "1")) == 0
    assert container.message == (
        "CompletedWithViolations: Job completed successfully with 1 violations."
    )
    (violation,) = container.read("constraint_violations.json")["violations"]
    assert violation["constraint_check_type"] == "data_type_check"


def test_metrics_are_written_where_they_are_asked_for(container: Container) -> None:
    container.monitor(line("1", "0"), line("3", "1"), publish_cloudwatch_metrics="Enabled")
    folder = container.root / "ml" / "output" / "metrics" / "cloudwatch"
    (file,) = folder.glob("*.jsonl")
    metrics = [json.loads(each) for each in file.read_text().splitlines()]
    by_name = {each["MetricName"]: each for each in metrics}
    assert by_name["feature_data_a"]["StatisticValues"] == {
        "SampleCount": 2,
        "Sum": 4.0,
        "Minimum": 1.0,
        "Maximum": 3.0,
    }
    assert by_name["feature_non_null_a"]["Value"] == 1.0
    assert by_name["feature_baseline_drift_a"]["Value"] == 0.0
    assert by_name["feature_data_a"]["Timestamp"] == "2023-11-14T23:00:00Z"
    assert by_name["feature_data_a"]["Dimensions"] == [
        {"Name": "Endpoint", "Value": "ep"},
        {"Name": "MonitoringSchedule", "Value": "hourly"},
    ]


def test_metrics_can_be_switched_off(container: Container) -> None:
    container.monitor(line("1", "0"))
    assert not (container.root / "ml" / "output" / "metrics").exists()


def test_a_postprocessor_runs_at_the_end(container: Container, tmp_path: Path) -> None:
    script = tmp_path / "post.py"
    script.write_text(
        "import pathlib\ndef postprocess_handler():\n"
        f"    pathlib.Path({str(tmp_path / 'ran')!r}).write_text('yes')\n"
    )
    assert container.run(post_analytics_processor_script=str(script)) == 0
    assert (tmp_path / "ran").read_text() == "yes"
    script.write_text("def postprocess_handler():\n    raise KeyError('x')\n")
    assert container.run(post_analytics_processor_script=str(script)) == 1
    assert "post.py" in container.message


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"dataset_format": ""}, "dataset_format"),
        ({"dataset_format": "csv"}, "dataset_format"),
        ({"dataset_format": '{"xml": {}}'}, "dataset_format"),
        ({"dataset_source": "/no/such/folder"}, "/no/such/folder"),
        ({"output_path": ""}, "output_path"),
        ({"analysis_type": "MODEL_QUALITY"}, "analysis_type"),
        ({"baseline_constraints": "/no/such/file"}, "baseline_constraints"),
        (
            {"dataset_format": '{"sagemakerCaptureJson": {"captureIndexNames": ["x"]}}'},
            "captureIndexNames",
        ),
        ({"record_preprocessor_script": "/no/such.py", "dataset_format": CAPTURE}, "such.py"),
    ],
)
def test_what_is_wrong_is_named_in_the_message(
    container: Container, variables: dict[str, str], named: str
) -> None:
    assert container.run(**variables) == 1
    assert container.message.startswith("Error: ")
    assert named in container.message


def test_a_message_is_cut_to_what_is_shown(container: Container) -> None:
    assert container.run(dataset_source=f"/{'é' * 2000}") == 1
    message = (container.root / "ml" / "output" / "message").read_bytes()
    assert len(message) <= 1024
    message.decode()


def test_a_batch_dataset_has_its_forms() -> None:
    common = {"dataset_source": __file__, "output_path": "x"}
    for text, lines in (('{"json": {"line": true}}', True), ('{"json": {"lines": false}}', False)):
        assert request_of({**common, "dataset_format": text}).plan.lines is lines
    with pytest.raises(AnalysisFailed):
        request_of(common)


def test_a_note_is_in_the_report(container: Container) -> None:
    note = "7 of its records were not delivered"
    assert container.monitor(line("1", "0"), modeltap_note=note) == 0
    assert note in (container.results / "report.html").read_text()
