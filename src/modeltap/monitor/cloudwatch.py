"""The metrics of a monitoring run, as lines for CloudWatch (contract §4.11)."""

from collections.abc import Iterator, Mapping

import orjson

from modeltap.monitor.findings import Findings
from modeltap.nouns import Document


def metric_lines(findings: Findings, dimensions: Mapping[str, str], timestamp: str) -> bytes:
    """Give the metrics file's lines; `timestamp` is ISO 8601."""
    common = {
        "Timestamp": timestamp,
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
    }
    lines = (orjson.dumps({**metric, **common}) + b"\n" for metric in _metrics(findings))
    return b"".join(lines)


def _metrics(findings: Findings) -> Iterator[Document]:
    for feature in findings.statistics["features"]:
        name = feature["name"]
        numerical = feature.get("numerical_statistics")
        common = (numerical or feature["string_statistics"])["common"]
        if numerical:
            yield {"MetricName": f"feature_data_{name}", "StatisticValues": _values(numerical)}
        total = common["num_present"] + common["num_missing"]
        share = common["num_present"] / total if total else 1.0
        yield {"MetricName": f"feature_non_null_{name}", "Value": share}
    for drift in findings.drifts:
        yield {"MetricName": f"feature_baseline_drift_{drift.feature}", "Value": drift.judged}


def _values(numerical: Document) -> Document:
    return {
        "SampleCount": numerical["common"]["num_present"],
        "Sum": numerical["sum"],
        "Minimum": numerical["min"],
        "Maximum": numerical["max"],
    }
