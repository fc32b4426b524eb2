"""The analyzer as a job: the container contract of AWS's image, in and out (contract §4.2).

What it is to do stands in environment variables; what it finds goes to `output_path`, its metrics
and its last word below `/opt/ml/output`. Where that folder really is says `MODELTAP_ML_ROOT`.
"""

import json
import os
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from modeltap.clock import SystemClock
from modeltap.monitor.analysis import (
    MEMORY_BYTES_MAX,
    Progress,
    Request,
    analyse,
    window_of,
)
from modeltap.monitor.cache import trim
from modeltap.monitor.cloudwatch import metric_lines
from modeltap.monitor.constraints import read_constraints
from modeltap.monitor.failure import AnalysisFailed
from modeltap.monitor.files import files_below, read_document
from modeltap.monitor.findings import Findings
from modeltap.monitor.handlers import postprocess
from modeltap.monitor.plan import SIDES, Format, Plan
from modeltap.monitor.transformed import transformed
from modeltap.monitor.written import write_report
from modeltap.nouns import MONITOR_NOTE, TRANSFORMS_CAPTURED, Document

ML_ROOT = "MODELTAP_ML_ROOT"
NESTED = "modeltap_nested_json"
MEMORY = "MODELTAP_MEMORY_BYTES_MAX"
SUMMARIES = "MODELTAP_SUMMARIES"
JOB = "MODELTAP_JOB_NAME"
MESSAGE_BYTES_MAX = 1024
PARTS = 20
"""So many lines of the log tell how far a run has come, however many files it reads."""

Variables = Mapping[str, str]


def run(variables: Variables) -> int:
    """Do the job; give its exit status. Whatever happens has a message."""
    output = Path(variables.get(ML_ROOT, "/opt/ml")) / "output"
    try:
        findings = _analysed(variables)
        _publish(findings, variables, output)
        return _ended(output, findings.message, 0)
    except AnalysisFailed as error:
        return _ended(output, f"Error: {error}", 1)
    except Exception as error:  # the border of the job: a fault of ours
        traceback.print_exc()
        name = type(error).__name__
        return _ended(output, f"InternalError: the analyzer failed ({name}); see the job's log.", 1)


def _ended(output: Path, message: str, status: int) -> int:
    print(message, flush=True)
    output.mkdir(parents=True, exist_ok=True)
    cut = message.encode()[:MESSAGE_BYTES_MAX].decode(errors="ignore")
    (output / "message").write_text(cut, encoding="utf-8")
    return status


def _analysed(variables: Variables) -> Findings:
    request = request_of(variables)
    findings = _found(request, variables)
    if note := variables.get(MONITOR_NOTE):
        findings = replace(findings, notes=(*findings.notes, note))
    if request.plan.cache is not None:
        trim(Path(request.plan.cache))
    write_report(findings, Path(_required(variables, "output_path")))
    if script := variables.get("post_analytics_processor_script"):
        postprocess(Path(script), clock=SystemClock())
    return findings


def _found(request: Request, variables: Variables) -> Findings:
    if TRANSFORMS_CAPTURED not in variables:
        return analyse(request, _telling())
    with TemporaryDirectory() as work:
        source = Path(_required(variables, "dataset_source"))
        findings = analyse(transformed(request, source, Path(work)), _telling())
    return replace(findings, window=window_of(request.plan))


def _telling() -> Progress:
    """Give what prints how much is read, each time that another `PARTS`th of it is."""
    told = 0

    def tell(done: int, total: int) -> None:
        nonlocal told
        part = done * PARTS // total if total else PARTS
        if part != told:
            told = part
            print(f"read {done / 1e6:.1f} of {total / 1e6:.1f} MB", flush=True)

    return tell


# ---------------------------------------------------------------- what is asked


def request_of(variables: Variables) -> Request:
    """Read what is asked. Raise `AnalysisFailed`, which names the variable and the fix."""
    if (kind := variables.get("analysis_type", "DATA_QUALITY")) != "DATA_QUALITY":
        raise AnalysisFailed(f"analysis_type is {kind}: this analyzer does DATA_QUALITY.")
    return Request(
        title=variables.get("sagemaker_monitoring_schedule_name")
        or variables.get(JOB)
        or "Data quality",
        files=files_below(Path(_required(variables, "dataset_source"))),
        plan=_plan(variables),
        baseline_constraints=_document(variables, "baseline_constraints"),
        baseline_statistics=_document(variables, "baseline_statistics"),
        memory_bytes_max=int(variables.get(MEMORY, MEMORY_BYTES_MAX)),
        categorical_drift_method=variables.get("categorical_drift_method", "LInfinity"),
    )


def _plan(variables: Variables) -> Plan:
    text = _required(variables, "dataset_format")
    try:
        name, options = next(iter(json.loads(text).items()))
        form = Format(name)
    except (ValueError, AttributeError, StopIteration) as error:
        raise AnalysisFailed(
            f"dataset_format is {text!r}: it is a JSON object with one of the members "
            f"{', '.join(Format)}."
        ) from error
    return Plan(
        form,
        header=_flag(options, "header", default=True),
        lines=_flag(options, "lines", "line", default=True),
        sides=_sides(options),
        start=variables.get("start_time"),
        end=variables.get("end_time"),
        nested=variables.get(NESTED, "").lower() == "true",
        preprocessor=variables.get("record_preprocessor_script") or None,
        cache=variables.get(SUMMARIES),
    )


def _sides(options: Any) -> tuple[str, ...]:
    named = options.get("captureIndexNames") if isinstance(options, dict) else None
    if named is None:
        return SIDES
    if not named or not set(named) <= set(SIDES):
        raise AnalysisFailed(
            f"dataset_format's captureIndexNames is {named!r}: name one or both of "
            f"{', '.join(SIDES)}."
        )
    return tuple(side for side in SIDES if side in named)


def _flag(options: Any, *names: str, default: bool) -> bool:
    given = [options[name] for name in names if isinstance(options, dict) and name in options]
    return bool(given[0]) if given else default


def _required(variables: Variables, name: str) -> str:
    value = variables.get(name)
    if not value:
        raise AnalysisFailed(f"The environment variable {name} is missing: give it to the job.")
    return value


def _document(variables: Variables, name: str) -> Document | None:
    path = variables.get(name)
    return read_document(Path(path), name) if path else None


# ---------------------------------------------------------------- metrics


def _publish(findings: Findings, variables: Variables, output: Path) -> None:
    constraints = findings.baseline_constraints
    wanted = variables.get("publish_cloudwatch_metrics", "Disabled") == "Enabled"
    if not wanted or (constraints and not read_constraints(constraints).emit_metrics):
        return
    names = {
        "Endpoint": variables.get("sagemaker_endpoint_name"),
        "MonitoringSchedule": variables.get("sagemaker_monitoring_schedule_name"),
    }
    dimensions = {name: value for name, value in names.items() if value}
    when = variables.get("metric_time") or variables.get("end_time") or ""
    folder = output / "metrics" / "cloudwatch"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cloudwatch_metrics.jsonl").write_bytes(metric_lines(findings, dimensions, when))


def main() -> int:
    return run(os.environ)
